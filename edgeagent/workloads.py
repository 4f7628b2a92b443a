"""Decides how the workloads of a box are, from their pods: what the log directory and the kernel tell of each.

1. A workload is all pods of one owner in one namespace, so it keeps its name from version to version; where an old and
   a new pod stand side by side, the one that is worse off speaks for both, and one that is being taken away for none.
2. A process that ends while the pod's sandbox goes on has crashed: nobody took the pod away. That is known only a
   moment later, for a pod that is taken away loses its containers first; and where others run on, once it begins anew,
   or they have had their time to stop. Containers that are meant to end, as those
   that prepare a pod do, end while it is young: of such a pod only a container that starts anew tells a crash.
3. Three crashes in ten minutes are a loop. A workload is well again when it has run for a while.
4. What must be here and is not is missing, after the time that a change of version may take.

Times are seconds since the kernel started.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from edgeagent.happening import Happened, Happening
from edgeagent.rhythm import Rhythm, begun, sampled
from edgeagent.wire import WorkloadState

CERTAIN: Final = 0.6
"""Seconds after the end of a process at which a pod that is taken away has lost its sandbox as well."""
SHUTDOWN: Final = 40.0
"""Seconds for the same where other containers of the pod run on: they may take their time to stop, 30 s as a rule."""
STEADY: Final = 10.0
"""Seconds that a pod runs before the end of one of its processes is a crash, and after one before it is well."""
LOOP: Final = 3
"""Crashes within `LOOP_WINDOW` that are a loop."""
LOOP_WINDOW: Final = 600.0
AWAY: Final = 60.0
"""Seconds for which a workload without a pod is still spoken of, and after which one that must be here is missing."""
MOST_PODS: Final = 256
"""Of a box; a kubelet takes 110 unless it is told otherwise."""

MOST: Final = 64
"""Workloads that are spoken of; those that must be here come first."""

_LETTERS: Final = "[bcdfghjklmnpqrstvwxz2456789]"  # of which Kubernetes makes names
_GENERATED: Final = re.compile(
    rf"(?P<owner>.+?)(?:-(?:[0-9a-f]{{10}}|{_LETTERS}{{8,10}}))?-{_LETTERS}{{5}}"  # a version or template, then the pod
)


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod as it is seen at one moment."""

    uid: str
    namespace: str
    name: str
    restarts: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # by container, as its logs say
    sandbox: bool = False  # the process that holds its network lives
    processes: frozenset[int] = frozenset()  # main processes of its containers, by process id


@dataclass(frozen=True, slots=True)
class Followed:
    """A pod as it is followed."""

    pod: Pod
    workload: str  # its name
    since: float  # when it was first seen
    ran: float | None = None  # since when its newest process runs; None: none does
    held: bool = False  # its sandbox was seen
    ended: float | None = None  # when a process ended of which nobody knows yet why
    lasted: float = 0.0  # seconds that this one had run
    unmatched: int = 0  # crashes after which nothing has started anew yet
    crashes: tuple[float, ...] = ()  # when, the last few
    down: bool = False  # the newest crash is not over


@dataclass(frozen=True, slots=True)
class Workload:
    """What is known of a workload beside its pods."""

    here: float  # when it last had a pod, or since when we wait for one
    state: WorkloadState = WorkloadState.STARTING
    rhythm: Rhythm = field(default_factory=Rhythm)


@dataclass(frozen=True, slots=True)
class Workloads:
    """What is known of a box's workloads. ``expected``: names of those that must be here."""

    expected: tuple[str, ...] = ()
    pods: Mapping[str, Followed] | None = None  # by uid; None: nobody has looked yet
    known: Mapping[str, Workload] = field(default_factory=lambda: MappingProxyType({}))  # by name


def workload_name(namespace: str, pod: str) -> str:
    """Return the name of the workload that a pod belongs to: its namespace, and its owner's name without versions.

    ``sorting/scan`` for the pod ``scan-3f2a91c0de-x7k2p`` of an EdgeRelease, and for ``scan-x7k2p`` of a DaemonSet;
    a pod of a StatefulSet, or one that somebody named, keeps its name.
    """
    found = _GENERATED.fullmatch(pod)
    return f"{namespace}/{found['owner'] if found else pod}"


def states(workloads: Workloads) -> Mapping[str, WorkloadState]:
    """Return how each workload is, by name: those that must be here first, each part in alphabetical order."""
    names = sorted(workloads.known, key=lambda name: (name not in workloads.expected, name))
    return {name: workloads.known[name].state for name in names[:MOST]}


def expecting(workloads: Workloads, names: Sequence[str], now: float) -> Workloads:
    """Take in which workloads must be here; one that is not has some time to come."""
    new = {name: Workload(now) for name in names if name not in workloads.known}
    return replace(workloads, expected=tuple(names), known={**workloads.known, **new})


def measured(workloads: Workloads, name: str, counter: float | None, now: float) -> Workloads:
    """Take in what a workload's counter says; None: it does not answer."""
    one = workloads.known.get(name)
    if one is None or one.state not in _ALIVE:
        return workloads
    return replace(workloads, known={**workloads.known, name: replace(one, rhythm=sampled(one.rhythm, counter, now))})


def judge(workloads: Workloads, seen: Iterable[Pod], now: float) -> tuple[Workloads, tuple[Happened, ...]]:
    """Take in how the pods are now; tells what has happened since the last time."""
    happened: list[Happened] = []
    pods: dict[str, Followed] = {}
    for pod in sorted(seen, key=lambda one: one.uid)[:MOST_PODS]:
        if workloads.pods is None:
            pods[pod.uid] = _found(pod, now)
        else:
            pods[pod.uid], news = _followed(workloads.pods.get(pod.uid) or _met(pod, now), pod, now)
            happened += news
    own: dict[str, list[Followed]] = {}
    for followed in pods.values():
        own.setdefault(followed.workload, []).append(followed)
    started = {one.part for one in happened if one.kind is Happening.STARTED}
    known = {}
    for name, before in _known(workloads, own, now):
        one = replace(before, rhythm=begun(before.rhythm, now)) if name in started else before
        state = _state(one, own.get(name, ()), now, expected=name in workloads.expected)
        if state is None:
            continue
        happened += _changed(name, one, state, now)
        known[name] = replace(one, state=state)
    return replace(workloads, pods=pods, known=known), tuple(happened)


def _met(pod: Pod, now: float) -> Followed:
    return Followed(pod, workload_name(pod.namespace, pod.name), now)


def _found(pod: Pod, now: float) -> Followed:
    """Follow a pod that was here before we were: it may be old, and one that waits to begin anew has crashed."""
    many = sum(pod.restarts.values())
    waits = pod.sandbox and not pod.processes and many > 0
    return replace(
        _met(pod, now - STEADY),
        ran=now if pod.processes else None,
        held=pod.sandbox,
        unmatched=int(waits),
        crashes=(now,) * min(many, LOOP) if waits else (),
        down=waits,
    )


def _followed(known: Followed, pod: Pod, now: float) -> tuple[Followed, list[Happened]]:
    """Follow a pod; tells what has happened to it."""
    before, name = known.pod, known.workload
    known = replace(known, pod=pod, held=known.held or pod.sandbox)
    if known.held and not pod.sandbox:  # it is taken away, or has done its work
        return replace(known, ran=known.ran if pod.processes else None, ended=None, unmatched=0, down=False), []
    if before.processes - pod.processes:
        known = replace(known, ended=now, lasted=now - (now if known.ran is None else known.ran))
    at = now if known.ended is None else known.ended
    known, many = _crashes(known, _rose(before, pod), now)
    happened = []
    many_restarts = str(sum(pod.restarts.values()))
    if many:
        crashes = (*known.crashes, *(at,) * min(many, LOOP))
        crashes = tuple(one for one in crashes if now - one < LOOP_WINDOW)[-LOOP:]
        happened = [Happened(Happening.EXITED, name, {"ran": f"{known.lasted:.0f}", "restarts": many_restarts})]
        known = replace(known, crashes=crashes, down=True, lasted=0.0)
    if pod.processes - before.processes or (pod.processes and known.ran is None):
        happened.append(Happened(Happening.STARTED, name, {"restarts": many_restarts}))
        known = replace(known, ran=now)
    elif not pod.processes:
        known = replace(known, ran=None)
    if known.down and known.ran is not None and max(known.crashes) <= known.ran <= now - STEADY:
        known = replace(known, down=False)
    return known, happened


def _crashes(known: Followed, restarts: int, now: float) -> tuple[Followed, int]:
    """Count the crashes that are certain now. An end and the start that follows it are one."""
    if restarts:
        untold = max(0, restarts - known.unmatched)
        left = max(0, known.unmatched - restarts)
        return replace(known, unmatched=left, ended=None if untold else known.ended), untold
    if known.ended is None or now < known.ended + (SHUTDOWN if known.pod.processes else CERTAIN):
        return known, 0
    crashed = bool(known.crashes) or known.ended - known.since >= STEADY
    return replace(known, ended=None, unmatched=known.unmatched + crashed), int(crashed)


def _rose(before: Pod, after: Pod) -> int:
    return sum(max(0, number - before.restarts.get(name, number)) for name, number in after.restarts.items())


def _known(workloads: Workloads, here: Mapping[str, object], now: float) -> Iterator[tuple[str, Workload]]:
    """Yield every workload there is or was of late."""
    for name in sorted(workloads.known.keys() | here.keys() | set(workloads.expected)):
        one = workloads.known.get(name, Workload(now))
        yield name, replace(one, here=now) if name in here else one


def _state(workload: Workload, own: Sequence[Followed], now: float, *, expected: bool) -> WorkloadState | None:
    """Return how a workload is, by its ``own`` pods; None: it is no part of the box any more."""
    if own:
        state = min(map(_state_of, own), key=_RANK.index)
        return WorkloadState.STALLED if state is WorkloadState.RUNNING and workload.rhythm.stalled else state
    if now < workload.here + AWAY:
        waited = workload.state in {WorkloadState.STARTING, WorkloadState.MISSING}
        return workload.state if waited else WorkloadState.ENDED
    return WorkloadState.MISSING if expected else None


def _state_of(known: Followed) -> WorkloadState:
    if known.held and not known.pod.sandbox:
        return WorkloadState.ENDED
    if known.down:
        return WorkloadState.CRASH_LOOPING if len(known.crashes) >= LOOP else WorkloadState.CRASHED
    runs = known.pod.processes or known.ended is not None  # until it is known why it has ended
    return WorkloadState.RUNNING if runs else WorkloadState.STARTING


def _changed(name: str, before: Workload, state: WorkloadState, now: float) -> Iterator[Happened]:
    """Yield what a change of a workload's state tells, beside what its pods do."""
    rhythm = before.rhythm
    stood = {"counter": f"{rhythm.value or 0:.15g}", "stood": f"{now - rhythm.moved:.0f}"}
    match before.state, state:
        case (old, new) if old is new:
            return
        case _, WorkloadState.MISSING:
            yield Happened(Happening.MISSING, name)
        case _, WorkloadState.ENDED:
            yield Happened(Happening.ENDED, name)
        case _, WorkloadState.STALLED:
            yield Happened(Happening.STALLED, name, stood)
        case WorkloadState.STALLED, WorkloadState.RUNNING:
            yield Happened(Happening.RESUMED, name, {"counter": stood["counter"]})


_ALIVE: Final = frozenset({WorkloadState.RUNNING, WorkloadState.STALLED})
_RANK: Final = (
    WorkloadState.CRASH_LOOPING,
    WorkloadState.CRASHED,
    WorkloadState.RUNNING,
    WorkloadState.STARTING,
    WorkloadState.ENDED,
)
"""Which pod speaks for a workload that has several."""
