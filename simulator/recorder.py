"""Watches a cluster's API server and keeps what was seen: one thread a kind of object, each change with its time."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import httpx

from simulator import seeing
from simulator.evidence import Evidence, Node, Pod, Release, Told, Version
from simulator.fleet import SITE_LABEL
from simulator.kube import Kube

MOST: Final = 5000  # changes kept of one object; a further one takes the place of the last
PAUSE: Final = 0.3  # seconds before a lost watch is begun anew


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object: where to watch it, and what to do with one that was seen or is gone."""

    path: str
    keep: Callable[[dict[str, Any], float, bool], None]
    query: dict[str, str]


class Recorder:
    """What was seen so far; use as a context. Times are seconds since `began`, by the monotonic clock."""

    def __init__(self, kube: Kube, began: float) -> None:
        self._kube = kube
        self._began = began
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._versions: dict[str, Version] = {}
        self._nodes: dict[str, list[Node]] = {}
        self._pods: dict[str, list[Pod]] = {}
        self._releases: dict[str, list[Release]] = {}
        self._told: dict[tuple[str, str, str], Told] = {}
        labelled = {"labelSelector": seeing.WORKLOAD_LABEL}
        self._kinds = (
            Kind("/api/v1/nodes", self._keep_node, {"labelSelector": SITE_LABEL}),
            Kind("/api/v1/pods", self._keep_pod, labelled),
            Kind("/apis/apps/v1/daemonsets", self._keep_version, labelled),
            Kind("/apis/edgefleet.io/v1alpha1/edgereleases", self._keep_release, {}),
            Kind("/api/v1/events", self._keep_told, {"fieldSelector": "involvedObject.kind=EdgeRelease"}),
        )
        self._threads = [
            threading.Thread(target=self._follow, args=(kind,), name=f"watch {kind.path}", daemon=True)
            for kind in self._kinds
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()

    def now(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def at(self, monotonic: float) -> float:
        """A moment of the monotonic clock in seconds since the beginning."""
        return monotonic - self._began

    def evidence(self) -> Evidence:
        """What was seen up to now."""
        with self._changed:
            return Evidence(
                versions=dict(self._versions),
                nodes={name: tuple(seen) for name, seen in self._nodes.items()},
                pods={uid: tuple(seen) for uid, seen in self._pods.items()},
                releases={name: tuple(seen) for name, seen in self._releases.items()},
                told=tuple(self._told.values()),
            )

    def looks(self, seconds: float) -> Iterator[Evidence]:
        """The evidence now, and again after each change, at least once a second, until the time is up."""
        until = time.monotonic() + seconds
        while True:
            yield self.evidence()
            left = until - time.monotonic()
            if left <= 0:
                return
            with self._changed:
                self._changed.wait(min(left, 1.0))

    def _follow(self, kind: Kind) -> None:
        """List and watch one kind until told to stop."""
        while not self._stop.is_set():
            with contextlib.suppress(httpx.HTTPError, Gone):
                self._list_and_watch(kind)
            self._stop.wait(PAUSE)

    def _list_and_watch(self, kind: Kind) -> None:
        """Raises httpx.HTTPError when the server cannot be heard, Gone when it has forgotten where we were."""
        listed = self._kube.get(kind.path, **kind.query)
        if listed is None:  # the kind is not installed yet
            return
        for raw in listed["items"]:
            self._keep(kind, raw, gone=False)
        if kind.keep == self._keep_pod:
            self._bury({raw["metadata"]["uid"] for raw in listed["items"]})
        version = listed["metadata"]["resourceVersion"]
        while not self._stop.is_set():
            for change in self._kube.watch(kind.path, version, **kind.query):
                if change["type"] == "ERROR":
                    raise Gone
                version = change["object"]["metadata"]["resourceVersion"]
                if change["type"] != "BOOKMARK":
                    self._keep(kind, change["object"], gone=change["type"] == "DELETED")

    def _keep(self, kind: Kind, raw: dict[str, Any], *, gone: bool) -> None:
        with self._changed:
            kind.keep(raw, self.now(), gone)
            self._changed.notify_all()

    def _keep_node(self, raw: dict[str, Any], at: float, gone: bool) -> None:  # noqa: FBT001 - one shape for all kinds
        if not gone:
            append(self._nodes.setdefault(raw["metadata"]["name"], []), seeing.node(raw, at))

    def _keep_pod(self, raw: dict[str, Any], at: float, gone: bool) -> None:  # noqa: FBT001 - one shape for all kinds
        append(self._pods.setdefault(raw["metadata"]["uid"], []), seeing.pod(raw, at, gone=gone))

    def _keep_version(self, raw: dict[str, Any], at: float, gone: bool) -> None:  # noqa: FBT001 - one shape for all
        del at, gone  # what a version was stays known though its DaemonSet is removed
        found = seeing.version(raw)
        self._versions[found.hash] = found

    def _keep_release(self, raw: dict[str, Any], at: float, gone: bool) -> None:  # noqa: FBT001 - one shape for all
        if not gone:
            append(self._releases.setdefault(raw["metadata"]["name"], []), seeing.release(raw, at))

    def _keep_told(self, raw: dict[str, Any], at: float, gone: bool) -> None:  # noqa: FBT001 - one shape for all kinds
        found = seeing.told(raw, at)
        if not gone:
            self._told.setdefault((found.release, found.reason, found.message), found)

    def _bury(self, alive: set[str]) -> None:
        """Mark the pods that vanished while nobody watched."""
        with self._changed:
            for uid, seen in self._pods.items():
                if uid not in alive and not seen[-1].gone:
                    append(seen, replace(seen[-1], at=self.now(), gone=True))


class Gone(Exception):  # noqa: N818 - it states what happened
    """The server has forgotten the revision we had."""


def append(seen: list[Any], found: Any) -> None:  # noqa: ANN401 - any kind of evidence with a time
    """Add what was found if it differs from the last in more than its time."""
    if seen and replace(found, at=seen[-1].at) == seen[-1]:
        return
    if len(seen) >= MOST:
        seen[-1] = found
    else:
        seen.append(found)
