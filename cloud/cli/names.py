"""Arguments that name things of the cluster, completed by the shell from what the cluster has."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from cloud.cli import gather
from cloud.cli.kube import Api, connect
from cloud.cli.options import object_name
from cloud.fleet.errors import SpecError, Unavailable
from cloud.fleet.resource import SITE_LABEL


def _complete(find: Callable[[Api, dict[str, Any]], list[str]]) -> Callable[[typer.Context, str], list[str]]:
    """Return a completion that asks the cluster, and offers nothing where the cluster does not answer."""

    def offer(ctx: typer.Context, incomplete: str) -> list[str]:
        given = ctx.params
        try:
            api = connect(given.get("kubeconfig"), given.get("context"))
            return [name for name in find(api, given) if name.startswith(incomplete)]
        except (SpecError, Unavailable):
            return []

    return offer


def _release_names(api: Api, given: dict[str, Any]) -> list[str]:
    return [one.release.name for one in gather.all_releases(api, given.get("namespace") or api.namespace)]


def _stage_names(api: Api, given: dict[str, Any]) -> list[str]:
    one = gather.one_release(api, given.get("namespace") or api.namespace, str(given.get("name")))
    return [stage.name for stage in one.release.spec.stages]


def _box_names(api: Api, _: dict[str, Any]) -> list[str]:
    return [item["metadata"]["name"] for item in api.every(gather.NODES, labelSelector=SITE_LABEL)]


Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        callback=object_name,
        help="Name of the EdgeRelease.",
        autocompletion=_complete(_release_names),
    ),
]
StageName = Annotated[
    str,
    typer.Option("--stage", metavar="STAGE", help="The stage that may start.", autocompletion=_complete(_stage_names)),
]
BoxName = Annotated[
    str,
    typer.Argument(
        metavar="BOX", callback=object_name, help="Name of the box (node).", autocompletion=_complete(_box_names)
    ),
]
