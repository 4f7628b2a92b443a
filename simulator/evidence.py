"""What was seen of a cluster from outside, in order and with times: nodes, pods, DaemonSets, releases, Events.

Nothing in here is the operator's opinion but what stands in `Release` and `Told`. Times are seconds since a
beginning that is the same for all of it. A list holds one entry a change, the oldest first.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Version:
    """One DaemonSet: a version of a workload, and the release that brought it first."""

    hash: str
    workload: str
    release: str
    image: str
    exclusive: bool  # True: must not run beside another version on a box


@dataclass(frozen=True, slots=True)
class Node:
    """A box at a moment."""

    at: float
    box: str
    site: str
    role: str
    ready: bool
    wanted: frozenset[tuple[str, str]]  # (workload, hash) that its labels ask for

    def wants(self, workload: str) -> frozenset[str]:
        """The versions of a workload that the labels ask for."""
        return frozenset(version for name, version in self.wanted if name == workload)


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod on a box at a moment."""

    at: float
    uid: str
    box: str
    workload: str
    version: str
    image: str
    running: bool  # a container of it runs
    ready: bool
    restarts: int
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage as the operator tells of it."""

    name: str
    phase: str
    sites: tuple[str, ...]  # empty for the last one: all others


@dataclass(frozen=True, slots=True)
class Release:
    """A release as the operator tells of it at a moment."""

    at: float
    name: str
    workload: str
    phase: str  # empty: the operator has said nothing yet
    stage: str
    message: str
    counts: Mapping[str, int]
    stages: tuple[Stage, ...]
    breach: str = ""  # empty: within its limits
    failures: tuple[str, ...] = ()  # sentences


@dataclass(frozen=True, slots=True)
class Told:
    """A Kubernetes Event about a release."""

    at: float
    release: str
    reason: str
    message: str
    warning: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything seen so far."""

    versions: Mapping[str, Version] = field(default_factory=dict)  # by hash
    nodes: Mapping[str, Sequence[Node]] = field(default_factory=dict)  # by box
    pods: Mapping[str, Sequence[Pod]] = field(default_factory=dict)  # by uid
    releases: Mapping[str, Sequence[Release]] = field(default_factory=dict)  # by name
    told: Sequence[Told] = ()

    def of_release(self, name: str) -> frozenset[str]:
        """The versions that a release brought."""
        return frozenset(one.hash for one in self.versions.values() if one.release == name)

    def last(self, name: str) -> Release | None:
        """The release as it stands; None: nobody has seen it."""
        seen = self.releases.get(name)
        return seen[-1] if seen else None

    def running_on(self, box: str, workload: str) -> frozenset[str]:
        """The versions of a workload that run on a box now."""
        return frozenset(
            seen[-1].version
            for seen in self.pods.values()
            if seen[-1].box == box and seen[-1].workload == workload and seen[-1].running and not seen[-1].gone
        )

    def ready_boxes(self, versions: Iterable[str]) -> frozenset[str]:
        """The boxes on which one of these versions is ready now."""
        wanted = frozenset(versions)
        return frozenset(
            seen[-1].box
            for seen in self.pods.values()
            if seen[-1].version in wanted and seen[-1].ready and not seen[-1].gone
        )

    def ever_ran(self, versions: Iterable[str]) -> frozenset[str]:
        """The boxes on which one of these versions ran at any time."""
        wanted = frozenset(versions)
        return frozenset(
            one.box for seen in self.pods.values() for one in seen if one.version in wanted and one.running
        )

    def site_of(self, box: str) -> str:
        """The site at which a box stands."""
        return self.nodes[box][-1].site


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the versions that a box's labels ask for."""

    at: float
    box: str
    site: str
    added: frozenset[str]
    removed: frozenset[str]
    dark: bool  # the node was not Ready before the change nor with it


def changes(evidence: Evidence, workload: str) -> tuple[Change, ...]:
    """Every change of a workload's labels on any box, in order."""
    return tuple(sorted(each_change(evidence, workload), key=lambda one: one.at))


def each_change(evidence: Evidence, workload: str) -> Iterator[Change]:
    """The same, box by box."""
    for seen in evidence.nodes.values():
        for before, after in pairwise(seen):
            old, new = before.wants(workload), after.wants(workload)
            if old != new:
                dark = not before.ready and not after.ready
                yield Change(after.at, after.box, after.site, new - old, old - new, dark)


@dataclass(frozen=True, slots=True)
class Span:
    """Something that lasted; `until` is infinite if it never ended."""

    since: float
    until: float
    what: str


def at_one_time(spans: Iterable[Span]) -> tuple[int, float]:
    """The most different things that lasted at one time, and when that was first so; of nothing: 0 at 0.0."""
    turns = sorted(
        [(span.since, 1, span.what) for span in spans] + [(span.until, 0, span.what) for span in spans],
    )
    lasting: dict[str, int] = {}
    most, when = 0, 0.0
    for at, begins, what in turns:
        lasting[what] = lasting.get(what, 0) + (1 if begins else -1)
        count = sum(1 for number in lasting.values() if number > 0)
        if count > most:
            most, when = count, at
    return most, when


def running_spans(evidence: Evidence, workload: str) -> dict[str, list[Span]]:
    """When which version of a workload ran, by box: one span for each time a pod ran without a break."""
    found: dict[str, list[Span]] = {}
    for seen in evidence.pods.values():
        since: float | None = None
        for one in seen:
            if one.workload != workload:
                break
            runs = one.running and not one.gone
            if runs and since is None:
                since = one.at
            elif not runs and since is not None:
                found.setdefault(one.box, []).append(Span(since, one.at, one.version))
                since = None
        if since is not None:
            found.setdefault(seen[-1].box, []).append(Span(since, float("inf"), seen[-1].version))
    return found


def change_spans(evidence: Evidence, workload: str, versions: frozenset[str]) -> list[Span]:
    """When which box was being changed to one of these versions.

    From the label that asks for it until a pod of it is ready on that box, the label is taken away again, or the box
    goes dark.
    """
    ready: dict[tuple[str, str], list[float]] = {}
    for seen in evidence.pods.values():
        for one in seen:
            if one.ready and not one.gone:
                ready.setdefault((one.box, one.version), []).append(one.at)
    spans = []
    by_box: dict[str, list[Change]] = {}
    for change in changes(evidence, workload):
        by_box.setdefault(change.box, []).append(change)
    for box, own in by_box.items():
        for index, change in enumerate(own):
            for version in change.added & versions:
                ends = [at for at in ready.get((box, version), []) if at >= change.at]
                ends += [later.at for later in own[index + 1 :] if version in later.removed]
                ends += [node.at for node in evidence.nodes[box] if node.at >= change.at and not node.ready]
                spans.append(Span(change.at, min(ends, default=float("inf")), box))
    return spans
