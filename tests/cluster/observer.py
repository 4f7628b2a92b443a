"""Watches a cluster from outside, beside the operator, and keeps what every box was asked to run and what it ran.

Laws are judged on this record and on the API server's audit log, never on the operator's words. One thread a kind
writes; each change is kept with its time, in the order in which the API server told of it.
"""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import httpx

from simulator.kube import Kube, is_ready

RUN: Final = "run.edgefleet.io/"
WORKLOAD: Final = "edgefleet.io/workload"
VERSION: Final = "edgefleet.io/version"
PAUSE: Final = 0.2  # seconds before a lost watch is begun anew

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Program:
    """One workload of one namespace: what a release is about."""

    namespace: str
    workload: str


@dataclass(frozen=True, slots=True)
class Node:
    """A box from a moment on."""

    at: float
    name: str
    ready: bool
    asked: frozenset[str]  # hashes of all workloads' versions that its labels ask for


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of a workload from a moment on."""

    at: float
    uid: str
    program: Program
    box: str  # where it is, or is meant to be
    tag: str  # of its image
    bound: bool
    ready: bool
    ending: bool
    started: str  # when its container started, by the box's clock; empty: it does not run
    refused: bool = False  # by the box, for it had not heard of its new label yet; Kubernetes makes another one
    gone: bool = False


class Observer:
    """What was seen so far; use as a context. Times are seconds of the monotonic clock."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._nodes: dict[str, list[Node]] = {}
        self._pods: list[Pod] = []  # of all boxes, in the order of the one watch
        self._now: dict[str, Pod] = {}  # by uid, as they stand
        self._tags: dict[str, tuple[Program, str]] = {}  # by hash
        self._releases: dict[tuple[str, str], list[Json]] = {}
        self.decisions = 0  # how often a release's status or the versions that a box is asked for have changed
        kinds: tuple[tuple[str, str, Callable[[Json, bool], None]], ...] = (
            ("/api/v1/nodes", "edgefleet.io/site", self._node),
            ("/api/v1/pods", WORKLOAD, self._pod),
            ("/apis/apps/v1/daemonsets", WORKLOAD, self._daemon_set),
            ("/apis/edgefleet.io/v1alpha1/edgereleases", "", self._release),
        )
        self._threads = [threading.Thread(target=self._follow, args=kind, daemon=True) for kind in kinds]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()

    def release(self, namespace: str, name: str) -> Json:
        """The release as it stands; empty: it has not been seen."""
        with self._lock:
            seen = self._releases.get((namespace, name), [])
            return seen[-1] if seen else {}

    def statuses(self, namespace: str, name: str) -> list[Json]:
        """Every status that the release has had."""
        with self._lock:
            return [one.get("status", {}) for one in self._releases.get((namespace, name), [])]

    def hashes(self, program: Program) -> frozenset[str]:
        """The hashes of all versions that the program has ever had."""
        with self._lock:
            return frozenset(version for version, (owner, _) in self._tags.items() if owner == program)

    def hash_of(self, program: Program, tag: str) -> str:
        """The hash of one version of the program."""
        with self._lock:
            return next(version for version, known in self._tags.items() if known == (program, tag))

    def node(self, box: str) -> Node | None:
        """The box as it stands; None: it has not been seen."""
        with self._lock:
            seen = self._nodes.get(box)
            return seen[-1] if seen else None

    def asked(self, box: str, program: Program) -> list[tuple[str, ...]]:
        """Which tags the box's labels have asked for, one entry a change; begins with what was asked first."""
        with self._lock:
            history = [self._tags_of(node, program) for node in self._nodes.get(box, [])]
        return [one for index, one in enumerate(history) if index == 0 or one != history[index - 1]]

    def asks_when(self, box: str, program: Program) -> list[tuple[float, tuple[str, ...]]]:
        """The same with the time of each change."""
        found: list[tuple[float, tuple[str, ...]]] = []
        with self._lock:
            for node in self._nodes.get(box, []):
                tags = self._tags_of(node, program)
                if not found or found[-1][1] != tags:
                    found.append((node.at, tags))
        return found

    def runs(self, box: str, program: Program) -> tuple[str, ...]:
        """The tags that have a ready pod on the box now."""
        with self._lock:
            found = [pod for pod in self._now.values() if pod.box == box and pod.program == program]
        return tuple(sorted(pod.tag for pod in found if pod.ready and not pod.ending))

    def settled(self, box: str, program: Program, tag: str) -> bool:
        """Whether labels ask for that tag alone, and one pod is on the box, ready and of it."""
        with self._lock:
            own = [pod for pod in self._now.values() if pod.box == box and pod.program == program]
            seen = self._nodes.get(box)
            asked = self._tags_of(seen[-1], program) if seen else ()
        return asked == (tag,) and [(pod.tag, pod.ready, pod.ending) for pod in own] == [(tag, True, False)]

    def pods(self, program: Program) -> list[Pod]:
        """Every change of the program's pods, in order."""
        with self._lock:
            return [pod for pod in self._pods if pod.program == program]

    def _tags_of(self, node: Node, program: Program) -> tuple[str, ...]:
        known = (self._tags.get(version) for version in node.asked)
        return tuple(sorted(found[1] for found in known if found is not None and found[0] == program))

    def _follow(self, path: str, selector: str, keep: Callable[[Json, bool], None]) -> None:
        """List and watch one kind until told to stop, however often the API server goes away."""
        query = {"labelSelector": selector} if selector else {}
        while not self._stop.is_set():
            with contextlib.suppress(httpx.HTTPError, Forgotten):
                listed = self._kube.get(path, **query) or {"items": [], "metadata": {"resourceVersion": "0"}}
                self._relisted(path, listed["items"], keep)
                revision = listed["metadata"]["resourceVersion"]
                while not self._stop.is_set():
                    for change in self._kube.watch(path, revision, **query):
                        if change["type"] == "ERROR":
                            raise Forgotten
                        revision = change["object"]["metadata"]["resourceVersion"]
                        self._seen(change["object"], keep, gone=change["type"] == "DELETED")
            self._stop.wait(PAUSE)

    def _relisted(self, path: str, items: list[Json], keep: Callable[[Json, bool], None]) -> None:
        if path.endswith("pods"):  # first those that went while nobody watched: others may have taken their places
            alive = {raw["metadata"]["uid"] for raw in items}
            with self._lock:
                for uid in self._now.keys() - alive:
                    self._pods.append(replace(self._now.pop(uid), at=time.monotonic(), gone=True))
        for raw in items:
            self._seen(raw, keep, gone=False)

    def _seen(self, raw: Json, keep: Callable[[Json, bool], None], *, gone: bool) -> None:
        with self._lock:
            keep(raw, gone)

    def _node(self, raw: Json, gone: bool) -> None:
        meta = raw["metadata"]
        asked = frozenset(key.rpartition(".")[2] for key in meta.get("labels", {}) if key.startswith(RUN))
        ready = is_ready(raw) and not gone
        seen = self._nodes.setdefault(meta["name"], [])
        seen.append(Node(time.monotonic(), meta["name"], ready, frozenset() if gone else asked))
        self.decisions += len(seen) > 1 and seen[-1].asked != seen[-2].asked

    def _pod(self, raw: Json, gone: bool) -> None:
        meta, spec, status = raw["metadata"], raw["spec"], raw.get("status", {})
        pod = Pod(
            at=time.monotonic(),
            uid=meta["uid"],
            program=Program(meta["namespace"], meta["labels"][WORKLOAD]),
            box=spec.get("nodeName") or meant_for(spec),
            tag=tag_of(spec),
            bound="nodeName" in spec,
            ready=is_ready(raw),
            ending="deletionTimestamp" in meta,
            started=next((running_since(one) for one in status.get("containerStatuses", [])), ""),
            refused=status.get("reason") == "NodeAffinity",
            gone=gone,
        )
        self._pods.append(pod)
        if gone:
            self._now.pop(pod.uid, None)
        else:
            self._now[pod.uid] = pod

    def _daemon_set(self, raw: Json, gone: bool) -> None:
        del gone  # what a version was stays known
        labels = raw["metadata"]["labels"]
        program = Program(raw["metadata"]["namespace"], labels[WORKLOAD])
        self._tags[labels[VERSION]] = (program, tag_of(raw["spec"]["template"]["spec"]))

    def _release(self, raw: Json, gone: bool) -> None:
        key = (raw["metadata"]["namespace"], raw["metadata"]["name"])
        self.decisions += 1
        if gone:
            self._releases.pop(key, None)
        else:
            self._releases.setdefault(key, []).append(raw)


class Forgotten(Exception):  # noqa: N818 - it states what happened
    """The API server does not know any more what came after the revision we had."""


def meant_for(spec: Json) -> str:
    """The node that a DaemonSet's unbound pod waits for."""
    rules = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    return str(rules["nodeSelectorTerms"][0]["matchFields"][0]["values"][0])


def running_since(container: Json) -> str:
    """When a container started; empty: it does not run."""
    return str(container.get("state", {}).get("running", {}).get("startedAt", ""))


def tag_of(spec: Json) -> str:
    """The tag of a pod's first image."""
    return str(spec["containers"][0]["image"].rpartition(":")[2])


def moments(pods: Iterable[Pod]) -> Iterator[tuple[Pod, ...]]:
    """All pods that there are, after each change."""
    now: dict[str, Pod] = {}
    for pod in pods:
        now[pod.uid] = pod
        if pod.gone:
            del now[pod.uid]
        yield tuple(now.values())


def most_down(pods: Iterable[Pod], boxes: Iterable[str]) -> int:
    """The most of these boxes that were without a ready pod at one time, since all of them had one."""
    wanted, most, complete = set(boxes), 0, False
    for now in moments(pods):
        down = wanted - {pod.box for pod in now if pod.ready}
        complete = complete or not down
        most = max(most, len(down)) if complete else 0
    assert complete, f"the boxes {sorted(wanted)} never all had a ready pod"
    return most


def most_at_once(pods: Iterable[Pod], box: str, kind: Callable[[Pod], bool]) -> int:
    """The most pods of a kind that one box had at one time."""
    return max((sum(1 for pod in now if pod.box == box and kind(pod)) for now in moments(pods)), default=0)


def most_sites(changes: Iterable[tuple[float, float, str]]) -> int:
    """The most different sites in change at one time; a change is its begin, its end and its site."""
    spans = list(changes)
    edges = sorted([(begin, 1, site) for begin, _, site in spans] + [(end, 0, site) for _, end, site in spans])
    open_changes: Counter[str] = Counter()
    most = 0
    for _, begins, site in edges:
        open_changes[site] += 1 if begins else -1
        most = max(most, sum(1 for count in open_changes.values() if count > 0))
    return most
