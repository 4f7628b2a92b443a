"""What befalls simulated boxes, and when: mishaps of a TOML file, and the changes that they come to.

    sentence = "Two boxes lose power, and a site is cut."   # what a person reads

    [[mishap]]
    at    = "10s"          # after the beginning
    do    = "power-loss"   # see Mishap for each
    boxes = ["tc-001-scan-*"]   # names or patterns; or ...
    sites = ["tc-007"]          # ... whole sites, at one moment
    lasts = "20s"          # then it is mended; without it, it stays

What further can be said: ``part``, the workload's name or the GPU's index (crash, stall, gpu-lost, xid); ``exit`` of a
crash; ``xid``; ``by``, how far a clock jumps; ``loss``, a percentage; ``down``, ``up`` and ``times`` of what comes
again and again (reboot-storm, flap).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, Final

from edgeagent.wire import Address
from simulator.tables import FileError, Table, near, one_of, percentage, span, text, texts, whole

MOST_MISHAPS: Final = 5000
MOST_TIMES: Final = 100
MOST_LOSS: Final = 0.9
MOST_STEP: Final = 366 * 86400.0


class Mishap(StrEnum):
    """What can befall boxes."""

    POWER_LOSS = "power-loss"  # no word more, and no answer on the LAN; when it is mended it boots anew
    HANG = "hang"  # the kernel answers neighbours, nothing else does anything
    AGENT_KILLED = "agent-killed"  # the machine lives, and closes the agent's connection
    LINK_CUT = "link-cut"  # bytes are held both ways
    LOSS = "loss"  # segments are lost, and come late
    CRASH = "crash"  # a workload's process ends by itself
    STALL = "stall"  # it lives, its counter stands still
    GPU_LOST = "gpu-lost"
    XID = "xid"  # the driver reports an error that needs somebody
    CLOCK_STEP = "clock-step"
    REBOOT_STORM = "reboot-storm"  # the power goes and comes
    FLAP = "flap"  # the link does
    CLONE = "clone"  # another machine speaks under the same name


class Change(StrEnum):
    """What is done to boxes at one moment."""

    POWER_OFF = "power-off"
    BOOT = "boot"
    FREEZE = "freeze"
    THAW = "thaw"
    KILL_AGENT = "kill-agent"
    START_AGENT = "start-agent"
    CUT = "cut"
    HEAL = "heal"
    LOSE_SEGMENTS = "lose-segments"
    LOSE_NONE = "lose-none"
    CRASH = "crash"
    RUN = "run"
    STALL = "stall"
    MOVE = "move"
    LOSE_GPU = "lose-gpu"
    REPORT_XID = "report-xid"
    MEND_GPU = "mend-gpu"
    STEP_CLOCK = "step-clock"
    SET_CLOCK = "set-clock"
    CLONE = "clone"
    REMOVE_CLONE = "remove-clone"


TURNS: Final[Mapping[Mishap, tuple[Change, Change]]] = {
    Mishap.POWER_LOSS: (Change.POWER_OFF, Change.BOOT),
    Mishap.HANG: (Change.FREEZE, Change.THAW),
    Mishap.AGENT_KILLED: (Change.KILL_AGENT, Change.START_AGENT),
    Mishap.LINK_CUT: (Change.CUT, Change.HEAL),
    Mishap.LOSS: (Change.LOSE_SEGMENTS, Change.LOSE_NONE),
    Mishap.CRASH: (Change.CRASH, Change.RUN),
    Mishap.STALL: (Change.STALL, Change.MOVE),
    Mishap.GPU_LOST: (Change.LOSE_GPU, Change.MEND_GPU),
    Mishap.XID: (Change.REPORT_XID, Change.MEND_GPU),
    Mishap.CLOCK_STEP: (Change.STEP_CLOCK, Change.SET_CLOCK),
    Mishap.REBOOT_STORM: (Change.POWER_OFF, Change.BOOT),
    Mishap.FLAP: (Change.CUT, Change.HEAL),
    Mishap.CLONE: (Change.CLONE, Change.REMOVE_CLONE),
}
"""How a mishap begins, and how it is mended."""
AGAIN: Final = frozenset({Mishap.REBOOT_STORM, Mishap.FLAP})
NEEDED: Final = frozenset({"by", "loss"})
"""What has to be said where it can be."""


@dataclass(frozen=True, slots=True)
class Blow:
    """One mishap as it was written. Times in seconds."""

    at: float
    kind: Mishap
    boxes: tuple[str, ...] = ()  # names or patterns
    sites: tuple[str, ...] = ()  # whole sites, instead of boxes
    lasts: float | None = None  # None: it stays
    part: str = ""  # the workload's name or the GPU's index; empty: the first
    exit: int = 1
    xid: int = 79
    by: float = 0.0  # seconds that a clock jumps
    loss: float = 0.0  # share of segments
    up: float = 0.0  # between two times
    times: int = 1


@dataclass(frozen=True, slots=True)
class Turn:
    """What is done to some boxes at one moment, in seconds after the beginning."""

    at: float
    change: Change
    boxes: tuple[Address, ...]
    blow: Blow


@dataclass(frozen=True, slots=True)
class Script:
    """Everything that befalls a fleet of simulated boxes."""

    sentence: str
    blows: tuple[Blow, ...]


def parse_script(entries: Mapping[str, Any]) -> Script:
    """Read a file's content. Raises FileError with every problem of the file."""
    file = Table("", entries, [])
    sentence = file.take("sentence", text, "", required=True)
    blows = tuple(_blow(table) for table in file.tables("mishap", "mishap"))
    if len(blows) > MOST_MISHAPS:
        file.objection("mishap", f"there are {len(blows)}: {MOST_MISHAPS} are enough for one run")
    file.close()
    if file.problems:
        raise FileError(file.problems)
    return Script(sentence, blows)


def turns(blows: Sequence[Blow], boxes: Sequence[Address]) -> tuple[Turn, ...]:
    """Return all changes in their order. Raises FileError for places at which there is no box."""
    problems: list[str] = []
    found: list[Turn] = []
    for number, blow in enumerate(blows, start=1):
        try:
            found += _turns(blow, _places(blow, boxes))
        except ValueError as wrong:
            problems.append(f"mishap {number}: {wrong}")
    if problems:
        raise FileError(problems)
    return tuple(sorted(found, key=lambda turn: turn.at))


def _blow(table: Table) -> Blow:
    """Read one mishap; problems go into the table."""
    at = table.take("at", span, 0.0, required=True)
    word = table.take("do", one_of(Mishap), "", required=True)
    if not word:  # told already; what an unknown one takes nobody knows
        return Blow(at, Mishap.HANG)
    kind = Mishap(word)
    if ("boxes" in table.entries) is ("sites" in table.entries):
        table.objection("boxes", "or sites: write one of the two")
    boxes, sites = table.take("boxes", texts, ()), table.take("sites", texts, ())
    further = {name: table.take(name, *how, required=name in NEEDED) for name, how in _further(kind).items()}
    lasts = further.pop("down") if kind in AGAIN else table.take("lasts", span, None)
    table.close()
    return Blow(at, kind, boxes, sites, lasts, **further)


def _further(kind: Mishap) -> Mapping[str, tuple[Callable[[object], Any], Any]]:
    """What else can be said of a mishap: by its name, how it is read and what holds where nothing is said."""
    part = {"part": (text, "")}
    if kind in AGAIN:
        return {"down": (span, 4.0), "up": (span, 4.0), "times": (whole(1, MOST_TIMES), 5)}
    match kind:
        case Mishap.CRASH:
            return {**part, "exit": (whole(0, 255), 1)}
        case Mishap.XID:
            return {**part, "xid": (whole(1, 999), 79)}
        case Mishap.STALL | Mishap.GPU_LOST:
            return part
        case Mishap.CLOCK_STEP:
            return {"by": (_step, 0.0)}
        case Mishap.LOSS:
            return {"loss": (_loss, 0.0)}
        case _:
            return {}


def _step(value: object) -> float:
    """How far a clock jumps: a span, with a minus for backwards."""
    if not isinstance(value, str):
        raise ValueError(f'{value!r}: write for example "1h" or "-1h"')  # noqa: TRY004 - all problems are ValueErrors
    found = span(value.removeprefix("-"))
    if not 0 < found <= MOST_STEP:
        raise ValueError(f"{value!r}: write more than nothing and at most a year")
    return -found if value.startswith("-") else found


def _loss(value: object) -> float:
    """A share of lost segments with which something still gets through."""
    share = percentage(value)
    if not 0 < share <= MOST_LOSS:
        raise ValueError(f'{value!r}: write "1%" to "{MOST_LOSS:.0%}"; to let nothing pass, do = "link-cut"')
    return share


def _places(blow: Blow, boxes: Sequence[Address]) -> tuple[Address, ...]:
    """The boxes that are meant. Raises ValueError."""
    chosen: set[Address] = set()
    for patterns, names in ((blow.boxes, [one.box for one in boxes]), (blow.sites, [one.site for one in boxes])):
        for pattern in patterns:
            meant = {one for one, name in zip(boxes, names, strict=True) if fnmatchcase(name, pattern)}
            if not meant:
                raise ValueError(f"{pattern!r}: nothing is called so; {near(pattern, sorted(set(names))[:20])}")
            chosen |= meant
    return tuple(sorted(chosen))


def _turns(blow: Blow, boxes: tuple[Address, ...]) -> Iterator[Turn]:
    begins, mends = TURNS[blow.kind]
    for time in range(blow.times):
        at = blow.at + time * ((blow.lasts or 0.0) + blow.up)
        yield Turn(at, begins, boxes, blow)
        if blow.lasts is not None:
            yield Turn(at + blow.lasts, mends, boxes, blow)
