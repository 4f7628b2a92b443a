"""What a box says of its workloads, its GPUs and itself: the letters of its beats, read by the birth that they name.

Only letters decide what is wrong, for they come again every second; events add the words that a letter has no room for.
Whoever calls has left out what is late or doubled. Times are the monitor's own, in seconds since 1970.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final, TypeAlias

from cloud.alerts.fault import Code, Fault, Kind, Subject
from edgeagent.happening import Happening, Trouble
from edgeagent.wire import Address, Beat, Birth, Event, GpuState, Message, Metrics, WorkloadState

Part: TypeAlias = tuple[Kind, str]
"""A part of a box: a workload by its name, a GPU by its index; of the box itself, what is wrong with it."""

CLOCK_TOLERANCE: Final = 60.0
"""Seconds that a box's clock may differ: certificates and logs still make sense."""

WORKLOAD_CODES: Final[Mapping[str, Code]] = {
    WorkloadState.CRASHED: Code.WORKLOAD_CRASHED,
    WorkloadState.CRASH_LOOPING: Code.WORKLOAD_CRASH_LOOPING,
    WorkloadState.STALLED: Code.WORKLOAD_STALLED,
    WorkloadState.MISSING: Code.WORKLOAD_MISSING,
}
GPU_CODES: Final[Mapping[str, Code]] = {
    GpuState.LOST: Code.GPU_LOST,
    GpuState.FAILING: Code.GPU_FAILING,
    GpuState.UNKNOWN: Code.GPU_UNKNOWN,
}
BOX_CODES: Final[Mapping[str, Code]] = {
    Trouble.DISK_FULL: Code.DISK_FULL,
    Trouble.CONFIG_REFUSED: Code.CONFIG_REFUSED,
}
TOLD_OF: Final[Mapping[str, Kind]] = {  # whose words an event brings; the others say nothing that a letter does not
    Happening.EXITED: Kind.WORKLOAD,
    Happening.STALLED: Kind.WORKLOAD,
    Happening.MISSING: Kind.WORKLOAD,
    Happening.XID: Kind.GPU,
    Happening.GPU_CHANGED: Kind.GPU,
    Happening.DISK_FULL: Kind.BOX,
    Happening.CONFIG_REFUSED: Kind.BOX,
}
SPOKEN: Final = frozenset("exit signal restarts ran counter stood xid text state why path free revision".split())
"""Details that notices speak of; others are in the event's own record."""
LONGEST_WORDS: Final = 200


@dataclass(frozen=True, slots=True)
class Ill:
    """One thing that a letter says is wrong."""

    code: Code
    since: float


@dataclass(frozen=True, slots=True)
class Chart:
    """What is known of a box's parts. Empty: nothing yet; while a box is dark it keeps what was known last."""

    session: tuple[str, int] = ("", 0)  # boot and number; of the newest birth
    roster: int = 0  # of that birth
    workloads: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()
    letters: tuple[str, str, str] = ("", "", "")  # of workloads, GPUs and the box itself, as the newest beat has them
    ills: Mapping[Part, Ill] = field(default_factory=lambda: MappingProxyType({}))
    words: Mapping[Part, Mapping[str, str]] = field(default_factory=lambda: MappingProxyType({}))
    skew: float = 0.0  # seconds that the box's clock is ahead of ours
    skewed: float = 0.0  # since when that is too much; 0: it is not


def absorb(chart: Chart, message: Message, now: float) -> Chart:
    """Return what is known after a message."""
    match message:
        case Beat():
            return _beat(chart, message, now)
        case Birth(dead=False):
            return _birth(chart, message, now)
        case Event():
            return _event(chart, message)
        case Metrics():
            return _clock(chart, message.at, now)
        case _:
            return chart


def faults(chart: Chart, address: Address, skew: float = 0.0) -> Iterator[Fault]:
    """Yield what is wrong. ``skew`` is that of most boxes: where all clocks are wrong, ours is."""
    for (kind, part), ill in chart.ills.items():
        subject = Subject(kind, address.site, address.box, "" if kind is Kind.BOX else part)
        yield Fault(ill.code, subject, _moment(ill.since), chart.words.get((kind, part), {}))
    if chart.skewed and abs(chart.skew - skew) > CLOCK_TOLERANCE:
        box = Subject(Kind.BOX, address.site, address.box)
        yield Fault(Code.CLOCK_WRONG, box, _moment(chart.skewed), {"ahead": f"{chart.skew - skew:.0f}"})


def _birth(chart: Chart, birth: Birth, now: float) -> Chart:
    """Take the names. Letters wait for the next beat; what is no part of the box any more is forgotten."""
    named = {(Kind.WORKLOAD, name) for name in birth.workloads}
    named |= {(Kind.GPU, str(index)) for index in range(len(birth.gpus))}
    named |= {(Kind.BOX, code) for code in BOX_CODES.values()}
    return replace(
        _clock(chart, birth.at, now),
        session=(birth.boot, birth.session),
        roster=birth.roster,
        workloads=birth.workloads,
        gpus=birth.gpus,
        letters=("", "", ""),
        ills={part: ill for part, ill in chart.ills.items() if part in named},
        words={part: words for part, words in chart.words.items() if part in named},
    )


def _beat(chart: Chart, beat: Beat, now: float) -> Chart:
    letters = (beat.workloads, beat.gpus, beat.troubles)
    if letters == chart.letters or (beat.boot, beat.session) != chart.session or beat.roster != chart.roster:
        return chart
    found = dict(_found(chart, beat))
    ills = {
        part: known if (known := chart.ills.get(part)) and known.code == code else Ill(code, now)
        for part, code in found.items()
    }
    words = {part: told for part, told in chart.words.items() if part in ills or part not in chart.ills}
    return replace(chart, letters=letters, ills=ills, words=words)


def _found(chart: Chart, beat: Beat) -> Iterator[tuple[Part, Code]]:
    """What the letters say is wrong; a letter that we do not know says nothing."""
    for name, letter in zip(chart.workloads, beat.workloads, strict=False):
        if code := WORKLOAD_CODES.get(letter):
            yield (Kind.WORKLOAD, name), code
    for index, letter in zip(range(len(chart.gpus)), beat.gpus, strict=False):
        if code := GPU_CODES.get(letter):
            yield (Kind.GPU, str(index)), code
    for letter in beat.troubles:
        if code := BOX_CODES.get(letter):
            yield (Kind.BOX, code), code


def _event(chart: Chart, event: Event) -> Chart:
    """Keep the words until the letter that they belong to has gone; those of parts that no birth names are dropped."""
    part = _part(chart, event)
    if part is None:
        return chart
    before = chart.words.get(part, {}) if part in chart.ills else {}
    told = {name: text[:LONGEST_WORDS] for name, text in event.details.items() if name in SPOKEN}
    return replace(chart, words={**chart.words, part: {**before, **told}})


def _part(chart: Chart, event: Event) -> Part | None:
    """Whose words these are; None: of nothing that the newest birth names."""
    match TOLD_OF.get(event.kind):
        case Kind.WORKLOAD if event.part in chart.workloads:
            return Kind.WORKLOAD, event.part
        case Kind.GPU if event.part in map(str, range(len(chart.gpus))):
            return Kind.GPU, event.part
        case Kind.BOX:
            return Kind.BOX, _BOX_EVENTS[event.kind]
        case _:
            return None


def _clock(chart: Chart, at: float, now: float) -> Chart:
    """``at`` by the box's own clock; 0: it has none."""
    if not at:
        return chart
    wrong = abs(at - now) > CLOCK_TOLERANCE
    return replace(chart, skew=at - now, skewed=(chart.skewed or now) if wrong else 0.0)


_BOX_EVENTS: Final[Mapping[str, Code]] = {
    Happening.DISK_FULL: Code.DISK_FULL,
    Happening.CONFIG_REFUSED: Code.CONFIG_REFUSED,
}


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
