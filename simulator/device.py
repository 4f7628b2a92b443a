"""One simulated box: what it is, what befalls it, and what it says of that, by the agent's own functions.

Times are seconds of the simulation's own clock, which never jumps; a box has a boot of its own, and a calendar that may
be wrong. What it cannot say it keeps in memory, bounded, as a real agent does on its disk.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

from edgeagent import pulse as pulses
from edgeagent.happening import Happened, Happening
from edgeagent.outbox import PARCEL, Now, Parcel, Portrait, Untold, Vitals, session_at, will
from edgeagent.pulse import Move, Pulse
from edgeagent.wire import Ask, Finding, GpuState, WorkloadState
from simulator.mishaps import Blow, Change

MOST_KEPT: Final = 256
"""Untold things of a box; beyond it the oldest goes."""
MINIMUM_RTO: Final = 0.2
"""Seconds until TCP repeats a lost segment; RFC 6298 as Linux does it."""
LONGEST_RTO: Final = 60.0


class Condition(StrEnum):
    """What of a box is at work."""

    WORKING = "working"
    FROZEN = "frozen"  # its kernel answers, nothing else does
    AGENT_DOWN = "agent-down"  # the machine does what it should but for the agent
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Device:
    """A box as it stands."""

    pulse: Pulse
    booted: float  # when its kernel started
    condition: Condition = Condition.WORKING
    ahead: float = 0.0  # seconds by which its calendar is wrong
    whole: Vitals = field(default_factory=Vitals)  # how it is when nothing has befallen it
    kept: tuple[Untold, ...] = ()  # oldest first
    dropped: int = 0
    on_its_way: int = 0  # of those kept, in the parcel that the broker has not acknowledged


Said: TypeAlias = tuple[Device, tuple[Parcel, ...]]
"""The box after something, and what it says."""


def device(portrait: Portrait, vitals: Vitals, booted: float) -> Device:
    """Return a box at which nothing has happened yet and that has no link."""
    return Device(replace(pulses.begin(portrait), vitals=vitals), booted, whole=vitals)


def now_of(one: Device, at: float, day: float) -> Now:
    """Return the two clocks of a box. ``day`` is the true calendar, in seconds since 1970."""
    return Now(max(0.0, at - one.booted), day + one.ahead)


def opening(one: Device, now: Now) -> tuple[int, Parcel]:
    """Return the number of the session that opens now, and its will."""
    session = session_at(now)
    return session, will(one.pulse.outbox.portrait, session)


def opened(one: Device, session: int, now: Now) -> Said:
    """The broker listens."""
    return _did(one, pulses.opened(one.pulse, session, now))


def closed(one: Device) -> Device:
    """The broker does not listen any more."""
    return replace(_did(one, pulses.closed(one.pulse))[0], on_its_way=0)


def ticked(one: Device, now: Now, figures: Mapping[str, float]) -> Said:
    """Beat if that is due, and tell after it what was kept, and figures when it is time for them."""
    beaten = one.pulse.beaten
    one, said = _did(one, pulses.ticked(one.pulse, now))
    if one.pulse.beaten == beaten:
        return one, said
    if one.kept:
        old, sent = pulses.caught_up(one.pulse, one.kept[:PARCEL], now, len(one.kept[PARCEL:]), one.dropped)
        one, more = _did(replace(one, on_its_way=sent or one.on_its_way), old)
        said += more
    if now.elapsed >= one.pulse.figures:
        one, more = _did(one, pulses.measured(one.pulse, figures, now))
        said += more
    return one, said


def delivered(one: Device, token: int) -> Device:
    """The broker has a parcel."""
    pulse, old = pulses.delivered(one.pulse, token)
    one = replace(one, pulse=pulse)
    return replace(one, kept=one.kept[one.on_its_way :], on_its_way=0) if old else one


def received(one: Device, topic: str, payload: bytes, now: Now) -> tuple[Device, tuple[Parcel, ...], Ask | None]:
    """Take in what the cloud says; a question is returned."""
    move, ask = pulses.received(one.pulse, topic, payload, now)
    return (*_did(one, move), ask)


def answered(one: Device, nonce: str, found: Finding) -> Said:
    """Tell what was found of a neighbour."""
    return _did(one, pulses.answered(one.pulse, nonce, found))


def found(neighbour: Device | None) -> Finding:
    """Return what a box finds that looks for its neighbour on the LAN. None: there is no such box."""
    if neighbour is None or neighbour.condition is Condition.OFF:
        return Finding.NOTHING
    return Finding.AGENT if neighbour.condition is Condition.WORKING else Finding.MACHINE


def booted(one: Device, boot: str, at: float) -> Device:
    """Start the machine anew: its parts are whole, its calendar is right, what it had kept it still has."""
    fresh = device(replace(one.pulse.outbox.portrait, boot=boot), one.whole, at)
    return replace(fresh, kept=one.kept, dropped=one.dropped)


def befallen(one: Device, change: Change, blow: Blow, now: Now) -> Said:
    """Do to a box what concerns its parts or its calendar; of what is no part of it nothing follows."""
    do = _CHANGES.get(change)
    return (one, ()) if do is None else do(one, blow, now)


def stall(loss: float, chance: Callable[[], float]) -> float:
    """Return how many seconds a segment is held up on its way, where such a share of them is lost.

    A lost one is repeated after a time-out that doubles as long as the repetition is lost as well. ``chance`` yields
    numbers from 0 to 1.
    """
    total, timeout = 0.0, MINIMUM_RTO
    while chance() < loss:
        total += timeout
        timeout = min(2 * timeout, LONGEST_RTO)
    return total


def _did(one: Device, move: Move) -> Said:
    kept = one.kept + move.keep
    over = max(0, len(kept) - MOST_KEPT)
    return replace(one, pulse=move.pulse, kept=kept[over:], dropped=one.dropped + over), move.send


def _told(one: Device, vitals: Vitals, what: Happened, now: Now) -> Said:
    """An event first, then the letter, as a real agent tells them."""
    one, said = _did(one, pulses.happened(one.pulse, what, now))
    one, more = _did(one, pulses.observed(one.pulse, vitals, now))
    return one, said + more


def _workload(
    state: WorkloadState, happening: Happening, details: Callable[[Blow], Mapping[str, str]]
) -> Callable[[Device, Blow, Now], Said]:
    def change(one: Device, blow: Blow, now: Now) -> Said:
        workloads = one.pulse.vitals.workloads
        name = blow.part or next(iter(workloads), "")
        if name not in workloads:
            return one, ()
        vitals = replace(one.pulse.vitals, workloads=MappingProxyType({**workloads, name: state}))
        return _told(one, vitals, Happened(happening, name, details(blow)), now)

    return change


def _gpu(
    state: GpuState, happening: Happening, details: Callable[[Blow], Mapping[str, str]]
) -> Callable[[Device, Blow, Now], Said]:
    def change(one: Device, blow: Blow, now: Now) -> Said:
        gpus = one.pulse.vitals.gpus
        index = blow.part or "0"
        name = dict(zip(map(str, range(len(gpus))), gpus, strict=True)).get(index)
        if name is None:
            return one, ()
        vitals = replace(one.pulse.vitals, gpus=MappingProxyType({**gpus, name: state}))
        return _told(one, vitals, Happened(happening, index, details(blow)), now)

    return change


def _stepped(one: Device, by: float, now: Now) -> Said:
    later = replace(now, at=now.at + by)
    return _did(
        replace(one, ahead=one.ahead + by),
        pulses.happened(one.pulse, Happened(Happening.CLOCK_STEPPED, details={"by": f"{by:g}"}), later),
    )


_CHANGES: Final[Mapping[Change, Callable[[Device, Blow, Now], Said]]] = MappingProxyType(
    {
        Change.CRASH: _workload(
            WorkloadState.CRASHED, Happening.EXITED, lambda blow: {"exit": str(blow.exit), "restarts": "0"}
        ),
        Change.RUN: _workload(WorkloadState.RUNNING, Happening.STARTED, lambda _: {"restarts": "1"}),
        Change.STALL: _workload(WorkloadState.STALLED, Happening.STALLED, lambda _: {"counter": "4711", "stood": "2"}),
        Change.MOVE: _workload(WorkloadState.RUNNING, Happening.RESUMED, lambda _: {"counter": "4711", "stood": "2"}),
        Change.LOSE_GPU: _gpu(
            GpuState.LOST, Happening.GPU_CHANGED, lambda _: {"state": "lost", "why": "it is no longer on the bus"}
        ),
        Change.REPORT_XID: _gpu(
            GpuState.FAILING, Happening.XID, lambda blow: {"xid": str(blow.xid), "text": "the driver reports it"}
        ),
        Change.MEND_GPU: _gpu(GpuState.OK, Happening.GPU_CHANGED, lambda _: {"state": "ok", "why": "it answers"}),
        Change.STEP_CLOCK: lambda one, blow, now: _stepped(one, blow.by, now),
        Change.SET_CLOCK: lambda one, blow, now: _stepped(one, -blow.by, now),
    }
)
