"""What befalls a fleet while a release walks through it: steps, each with its moment, its deed and its places.

A scenario is a TOML file:

    sentence = "Seven sites are dark when the release begins, and come back later."   # what a person reads in the list
    ends     = "released"                  # or "stopped", or "either" (then the release alone decides): what is right
    expect   = ["dark-boxes-move-once"]    # beside what always must hold; `fleetsim scenarios` lists all there is

    [[step]]
    when  = "before"       # before | start | stage N starts | stage N passes | reached (only dark boxes are left)
    after = "0s"           # so long after that moment
    do    = "cut"          # see DEEDS below for each deed and what it takes
    sites = 7              # a number or "25%" (the last ones by name), "first 2", "all", "all but 2" (the first ones by
                           # name stay), a list of names or patterns; of the sites at which the release has boxes.
                           # heal: "dark", which is what it means without `sites`
    boxes = ["tc-001-scan-1"]    # instead of sites, for what befalls single boxes

A fault of a box concerns the new version's image alone unless `image = "any"` is said.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from simulator.tables import FileError, Table, one_of, percentage, span, text, texts, whole

MOST_STEPS: Final = 50
MOST_LOSS: Final = 0.9
MOST_FLAPS: Final = 50
STAGE: Final = re.compile(r"stage ([1-9]|1[0-6]) (starts|passes)")
SOME: Final = re.compile(r"(all but|first|last) ([1-9][0-9]{0,4})")


class Ending(StrEnum):
    """How a release should end under a scenario."""

    RELEASED = "released"  # every box has the new version
    STOPPED = "stopped"  # the release stops by itself
    EITHER = "either"  # the release's own limits decide


class Moment(StrEnum):
    """What a step waits for."""

    BEFORE = "before"  # the release does not exist yet
    START = "start"  # it has been created
    STAGE_STARTS = "starts"
    STAGE_PASSES = "passes"
    REACHED = "reached"  # what is left to do is with dark boxes


class Deed(StrEnum):
    """What a step does."""

    CUT = "cut"
    HEAL = "heal"
    DEGRADE = "degrade"
    FLAP = "flap"
    CRASH = "crash"
    PULL_FAILS = "pull-fails"
    PULL_SLOW = "pull-slow"
    NEVER_READY = "never-ready"
    MEND = "mend"


@dataclass(frozen=True, slots=True)
class When:
    """The moment of a step; `stage` counts from 1, 0 where the moment is not a stage's."""

    moment: Moment = Moment.START
    stage: int = 0
    after: float = 0.0  # seconds

    def __str__(self) -> str:
        said = f"stage {self.stage} {self.moment}" if self.stage else self.moment.value
        return f"{said} + {self.after:g} s" if self.after else said


@dataclass(frozen=True, slots=True)
class Places:
    """Which sites, before it is known which there are: exactly one of the fields says so."""

    names: tuple[str, ...] = ()
    count: int = 0  # so many, the last ones by name
    first: int = 0  # so many, the first ones by name
    share: float = 0.0  # of all
    spared: int | None = None  # all but so many; None: one of the others says which
    dark: bool = False  # those that are cut at that time


@dataclass(frozen=True, slots=True)
class Ailment:
    """What is wrong with a box for an image; None: nothing in that way."""

    pull_seconds: float | None = None
    pull_fail: bool | None = None
    crash_after: float | None = None  # seconds
    exit_code: int | None = None
    never_ready: bool | None = None
    any_image: bool = False  # False: the new version's alone


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that befalls the fleet."""

    when: When
    deed: Deed
    places: Places
    boxes: tuple[str, ...] = ()  # empty: the places say which
    ailment: Ailment | None = None  # None: the deed concerns uplinks
    delay_ms: float = 0.0
    loss: float = 0.0  # share of segments
    down: float = 0.0  # seconds of a flap
    up: float = 0.0
    times: int = 1


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that befalls a fleet during one rehearsal, and what is right then."""

    name: str
    sentence: str
    ends: Ending
    expect: tuple[str, ...]
    steps: tuple[Step, ...]


def parse_scenario(name: str, entries: Mapping[str, Any], known: Iterable[str]) -> Scenario:
    """Read a scenario; `known` are the expectations there are. Raises FileError with every problem of the file."""
    file = Table("", entries, [])
    known = tuple(known)
    scenario = Scenario(
        name=name,
        sentence=file.take("sentence", text, "", required=True),
        ends=Ending(file.take("ends", one_of(Ending), Ending.RELEASED)),
        expect=tuple(file.take("expect", lambda value: each_one_of(value, known), ())),
        steps=tuple(parse_step(table) for table in file.tables("step", "step")),
    )
    if len(scenario.steps) > MOST_STEPS:
        file.objection("step", f"there are {len(scenario.steps)}: {MOST_STEPS} are enough for a rehearsal")
    file.close()
    if file.problems:
        raise FileError(file.problems)
    return scenario


def parse_step(table: Table) -> Step:
    """Read one step; problems go into the table."""
    when = table.take("when", parse_when, When())
    when = When(when.moment, when.stage, table.take("after", span, 0.0))
    if when.moment is Moment.BEFORE and when.after:
        table.objection("after", "means nothing before the release: remove it, or let `when` be start")
    word = table.take("do", one_of(Deed), "", required=True)
    if not word:  # told already; what an unknown deed takes nobody knows
        return Step(when, Deed.MEND, Places())
    deed = Deed(word)
    step = DEEDS[deed](table, when, deed, places_of(table, deed))
    table.close()
    return step


def parse_when(value: object) -> When:
    """`before`, `start`, `reached`, `stage 2 starts` or `stage 2 passes`."""
    if isinstance(value, str):
        if value in {Moment.BEFORE, Moment.START, Moment.REACHED}:
            return When(Moment(value))
        if found := STAGE.fullmatch(value):
            return When(Moment(found[2]), int(found[1]))
    raise ValueError(f"{value!r}: write before, start, reached, stage 2 starts or stage 2 passes")


def places_of(table: Table, deed: Deed) -> Places:
    """The sites of a step; absent they mean the dark ones for a healing, else that boxes are named."""
    if deed is Deed.HEAL:
        return table.take("sites", lambda value: parse_places(value, dark=True), Places(dark=True))
    if deed in OF_BOXES and "sites" in table.entries and "boxes" in table.entries:
        table.objection("boxes", "is there beside sites: write one of the two")
    needed = deed not in OF_BOXES or "boxes" not in table.entries
    return table.take("sites", parse_places, Places(), required=needed)


def parse_places(value: object, *, dark: bool = False) -> Places:
    """A number, a percentage, `first 2`, `last 2`, `all`, `all but 2`, a list of names; where it can be so, `dark`."""
    match value:
        case bool():
            pass
        case int() if value > 0:
            return Places(count=value)
        case list():
            return Places(names=texts(value))
        case "all":
            return Places(spared=0)
        case "dark" if dark:
            return Places(dark=True)
        case str() if found := SOME.fullmatch(value):
            return counted(found[1], int(found[2]))
        case str() if value.endswith("%"):
            return Places(share=percentage(value))
    also = ', "dark"' if dark else ""
    raise ValueError(f'{value!r}: write a number, a percentage, "first 2", "all", "all but 2"{also} or a list of names')


def counted(which: str, number: int) -> Places:
    """So many sites from one end of their names."""
    if which == "all but":
        return Places(spared=number)
    return Places(first=number) if which == "first" else Places(count=number)


def each_one_of(value: object, known: Iterable[str]) -> tuple[str, ...]:
    """Texts that are all known."""
    check = one_of(known)
    return tuple(check(one) for one in texts(value))


def uplink(table: Table, when: When, deed: Deed, places: Places) -> Step:
    """Cut or heal: nothing but the places."""
    del table
    return Step(when, deed, places)


def degrade(table: Table, when: When, deed: Deed, places: Places) -> Step:
    """`delay` one way, `loss` as a percentage."""
    delay = table.take("delay", span, 0.0)
    loss = table.take("loss", loss_of_segments, 0.0)
    if not delay and not loss and not {"delay", "loss"} & table.entries.keys():
        table.objection("delay", 'is missing, and loss as well: write for example delay = "200ms", loss = "5%"')
    return Step(when, deed, places, delay_ms=delay * 1000, loss=loss)


def loss_of_segments(value: object) -> float:
    """A share of lost segments with which something still gets through."""
    share = percentage(value)
    if share > MOST_LOSS:
        raise ValueError(f'{value!r}: write at most "{MOST_LOSS:.0%}"; to let nothing pass, do = "cut"')
    return share


def flap(table: Table, when: When, deed: Deed, places: Places) -> Step:
    """`down` and `up`, `times` over."""
    return Step(
        when,
        deed,
        places,
        down=table.take("down", span, 0.0, required=True),
        up=table.take("up", span, 0.0, required=True),
        times=table.take("times", whole(1, MOST_FLAPS), 3),
    )


def ail(table: Table, when: When, deed: Deed, places: Places) -> Step:
    """What befalls boxes: `boxes` or the sites' boxes, and `image` "new" or "any"."""
    boxes = table.take("boxes", texts, ())
    any_image = deed is not Deed.MEND and table.take("image", one_of(("new", "any")), "new") == "any"
    match deed:
        case Deed.CRASH:
            ailment = Ailment(
                crash_after=table.take("runs", span, 3.0),
                exit_code=table.take("exit_code", whole(1, 255), 1),
                any_image=any_image,
            )
        case Deed.PULL_FAILS:
            ailment = Ailment(pull_fail=True, any_image=any_image)
        case Deed.PULL_SLOW:
            ailment = Ailment(pull_seconds=table.take("takes", span, 0.0, required=True), any_image=any_image)
        case Deed.NEVER_READY:
            ailment = Ailment(never_ready=True, any_image=any_image)
        case _:
            ailment = Ailment()
    return Step(when, deed, places, boxes=boxes, ailment=ailment)


OF_BOXES: Final = frozenset({Deed.CRASH, Deed.PULL_FAILS, Deed.PULL_SLOW, Deed.NEVER_READY, Deed.MEND})

DEEDS: Final[Mapping[Deed, Callable[[Table, When, Deed, Places], Step]]] = MappingProxyType(
    {
        Deed.CUT: uplink,  # the sites go dark: bytes are held both ways
        Deed.HEAL: uplink,  # bytes flow again
        Deed.DEGRADE: degrade,  # delay = "200ms" one way, loss = "5%" of segments
        Deed.FLAP: flap,  # down = "8s", up = "20s", times = 3
        Deed.CRASH: ail,  # runs = "3s", then a container ends with exit_code = 1
        Deed.PULL_FAILS: ail,  # the registry has no such image
        Deed.PULL_SLOW: ail,  # takes = "20s" for each pull
        Deed.NEVER_READY: ail,  # it runs, and says no to every probe
        Deed.MEND: ail,  # no faults any more
    }
)
