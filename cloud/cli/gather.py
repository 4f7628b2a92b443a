"""Reads releases from the cluster into our types, for the command line."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from random import uniform
from typing import Final

from cloud.cli.kube import Api, Gone, Json, NotFound
from cloud.cli.output import complain
from cloud.fleet.errors import SpecError, Unavailable
from cloud.fleet.report import LEASE_PREFIX
from cloud.fleet.resource import API_VERSION, SITE_LABEL
from cloud.fleet.wording import some
from cloud.rollout import control
from cloud.rollout.cluster import RESOURCES
from cloud.rollout.connectivity import NodeReady
from cloud.rollout.mirror import Mirror
from cloud.rollout.parsing import parse
from cloud.rollout.release import Release
from cloud.rollout.status import ReleaseStatus
from cloud.rollout.views import Kind, ReleaseView

RELEASES: Final = f"/apis/{API_VERSION}/edgereleases"
NODES: Final = "/api/v1/nodes"
_LOOKED_AT: Final = (Kind.NODE, Kind.SITE, Kind.BOX, Kind.RELEASE, Kind.DAEMON_SET, Kind.POD)
_WATCH_SECONDS: Final = 30  # one stretch of watching; a connection cut in silence is noticed after it
_RETRIES: Final = 12  # in a row without an answer: with the back-off below, about a minute and a half
_LONGEST_PAUSE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A release as it was read."""

    release: Release
    status: ReleaseStatus
    resource_version: str
    annotations: dict[str, str]


def release_path(namespace: str, name: str = "") -> str:
    """Return the path of one release, or of all of a namespace."""
    path = f"/apis/{API_VERSION}/namespaces/{namespace}/edgereleases"
    return f"{path}/{name}" if name else path


def one_release(api: Api, namespace: str, name: str) -> Seen:
    """Return the named release. Raises NotFound that names those there are, SpecError, Unavailable."""
    try:
        return seen(api.get(release_path(namespace, name)))
    except NotFound:
        there = [item["metadata"]["name"] for item in api.every(release_path(namespace))]
        hint = f"there are {some(there)}" if there else "there is none at all; `releases -A` looks in every namespace"
        raise NotFound(f"no EdgeRelease {name!r} in namespace {namespace}: {hint}") from None


def all_releases(api: Api, namespace: str | None) -> list[Seen]:
    """Return the releases of a namespace; None: of all. Raises SpecError, Unavailable."""
    path = release_path(namespace) if namespace else RELEASES
    found = []
    for item in api.every(path):
        try:
            found.append(seen(item))
        except SpecError as strange:  # one that is not understood must not hide the others
            complain(str(strange))
    return found


def seen(item: Json) -> Seen:
    """Return a release from the API's object. Raises SpecError if it is not one that we understand."""
    view = parse(Kind.RELEASE, item)
    if not isinstance(view, ReleaseView) or view.release is None or view.unreadable:
        meta = item["metadata"]
        wrong = getattr(view, "problem", "") or getattr(view, "unreadable", "")
        raise SpecError(
            f"EdgeRelease {meta['namespace']}/{meta['name']} is not one that this version understands ({wrong}); "
            "are the command line and the cluster's resources of one version?"
        )
    return Seen(
        view.release, view.status, item["metadata"]["resourceVersion"], item["metadata"].get("annotations") or {}
    )


def mirror(api: Api, now: datetime, kinds: Iterable[Kind] = _LOOKED_AT) -> Mirror:
    """Return the cluster as the operator would see it now. Raises SpecError, Unavailable."""
    held = Mirror(NodeReady())
    for kind in kinds:
        resource = RESOURCES[kind]
        root = "/apis" if resource.group else "/api"
        query = {"labelSelector": resource.selector} if resource.selector else {}
        for item in api.every(f"{root}/{resource.api_version}/{resource.plural}", **query):
            held.absorb(kind, item, now)
    monitors = {one.status.witness for one in held.boxes().values() if one.status.witness.startswith(LEASE_PREFIX)}
    held.heard_from(frozenset(monitors), now)  # whether they live only the operator knows
    return held


def emptied(api: Api, namespace: str, name: str, now: datetime) -> int | None:
    """Return how many boxes will run nothing once the release is taken back; None: who asks may not look."""
    try:
        held = mirror(api, now, (Kind.NODE, Kind.RELEASE, Kind.DAEMON_SET))
    except (SpecError, Unavailable):
        return None  # taking back must not wait for what is only to be told
    view = next((one for one in held.releases() if one.mark.key == (namespace, name)), None)
    return None if view is None else control.emptied(held.held((namespace, view.workload), now).fleet, name)


def strangers(api: Api) -> list[tuple[str, dict[str, str]]]:
    """Return name and labels of every node that stands at no site, so is no box. Raises SpecError, Unavailable."""
    nodes = api.every(NODES, labelSelector=f"!{SITE_LABEL}")
    return [(node["metadata"]["name"], node["metadata"].get("labels") or {}) for node in nodes]


def follow(api: Api, namespace: str, name: str, deadline: float) -> Iterator[Seen]:
    """Yield the release as it is, at least once, and each time it changes, until the monotonic clock's deadline.

    An API server that goes away is waited for with back-off. Raises NotFound when the release is deleted,
    Unavailable or SpecError when the first read fails or retries are used up.
    """
    version, failures, known = "", 0, False
    while (left := deadline - time.monotonic()) > 0 or not known:
        try:
            for newest, one in _stretch(api, namespace, name, version, min(_WATCH_SECONDS, left)):
                version, failures, known = newest, 0, True
                if one is not None:
                    yield one
        except (NotFound, Gone, Unavailable, SpecError) as lost:
            failures += 1
            if not known or isinstance(lost, NotFound) or failures > _RETRIES:
                raise
            version = ""
            pause = min(_LONGEST_PAUSE, 0.25 * 2**failures) * uniform(0.5, 1)  # noqa: S311 - jitter
            time.sleep(max(0.0, min(pause, deadline - time.monotonic())))


def _stretch(api: Api, namespace: str, name: str, version: str, seconds: float) -> Iterator[tuple[str, Seen | None]]:
    """Yield resource versions, and the release where it is new, for one watch request. Raises as ``follow``."""
    if not version:
        one = one_release(api, namespace, name)
        version = one.resource_version
        yield version, one
    query = {"fieldSelector": f"metadata.name={name}", "resourceVersion": version}
    for kind, item in api.watch(release_path(namespace), max(1, int(seconds)), **query):
        if kind == "DELETED":
            raise NotFound(f"EdgeRelease {namespace}/{name} was deleted")
        yield item["metadata"]["resourceVersion"], None if kind == "BOOKMARK" else seen(item)
