"""Our custom resources on a cluster, for tests that need nothing else of it."""

from contextlib import suppress
from functools import partial
from typing import Final

from cloud.cli.kube import Api
from cloud.crds import Kind, definition
from cloud.fleet.errors import SpecError
from cloud.fleet.resource import API_VERSION
from tests.cluster.waiting import until

DEFINITIONS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def install(api: Api, *kinds: Kind) -> None:
    """Return when these kinds can be used."""
    for kind in kinds:
        made = definition(kind)
        api.apply(f"{DEFINITIONS}/{made['metadata']['name']}", made, force="true")
    for kind in kinds:
        until(partial(served, api, kind), f"{kind.kind} is served")


def served(api: Api, kind: Kind) -> bool:
    """Whether the API server answers for the kind: a moment after it has taken the definition."""
    with suppress(SpecError):
        api.every(f"/apis/{API_VERSION}/{kind.plural}")
        return True
    return False
