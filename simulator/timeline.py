"""When which step of a scenario is due, and at which sites and boxes of a given fleet it happens."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import assert_never

from simulator.evidence import Release
from simulator.scenario import Ailment, Deed, Moment, Places, Scenario, Step, When
from simulator.tables import FileError, near

OVER = frozenset({"Succeeded", "RolledBack", "Halted", "Superseded", "Failed"})


@dataclass(frozen=True, slots=True)
class Ground:
    """The part of a fleet that a release concerns: its sites in order of name, each with the boxes that it targets."""

    boxes: Mapping[str, Sequence[str]]  # by site

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites in order of name."""
        return tuple(sorted(self.boxes))

    def boxes_in_order(self) -> tuple[str, ...]:
        """All boxes, site by site."""
        return tuple(box for site in self.sites for box in self.boxes[site])


@dataclass(frozen=True, slots=True)
class Act:
    """One thing to do to the fleet, with nothing left to choose."""

    number: int  # of the step in the file, from 1
    when: When
    deed: Deed  # never a flap: it has become cuts and healings
    sites: tuple[str, ...] = ()  # of what concerns uplinks; empty with a healing: all that are dark then
    boxes: tuple[str, ...] = ()  # of what befalls boxes
    ailment: Ailment | None = None  # None: the deed concerns uplinks
    delay_ms: float = 0.0
    loss: float = 0.0

    def __str__(self) -> str:
        who = some(self.boxes or self.sites) or "the dark sites"
        return f"{WORDS[self.deed]} {who}"


WORDS = {
    Deed.CUT: "the uplink is cut at",
    Deed.HEAL: "the uplink is back at",
    Deed.DEGRADE: "the uplink is slow and lossy at",
    Deed.CRASH: "the new version crashes on",
    Deed.PULL_FAILS: "the image cannot be pulled on",
    Deed.PULL_SLOW: "pulling the image is slow on",
    Deed.NEVER_READY: "the new version never becomes ready on",
    Deed.MEND: "nothing is wrong any more on",
}


def some(names: Sequence[str], limit: int = 3) -> str:
    """The first names, and how many there are beyond."""
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")


def resolve(scenario: Scenario, ground: Ground, stages: int) -> tuple[Act, ...]:
    """Every act of a scenario on this ground, for a release of so many stages. Raises FileError with all problems."""
    problems: list[str] = []
    acts: list[Act] = []
    for number, step in enumerate(scenario.steps, start=1):
        if step.when.stage > stages:
            problems.append(f"step {number}: when: there is no stage {step.when.stage}, the release has {stages}")
        try:
            acts += acts_of(number, step, ground)
        except FileError as wrong:
            problems += [f"step {number}: {problem}" for problem in wrong.problems]
    if problems:
        raise FileError(problems)
    return tuple(acts)


def acts_of(number: int, step: Step, ground: Ground) -> Iterator[Act]:
    """The acts of one step. Raises FileError."""
    if step.ailment is not None:
        boxes = named_boxes(step.boxes, ground) if step.boxes else boxes_at(sites_of(step.places, ground), ground)
        yield Act(number, step.when, step.deed, boxes=boxes, ailment=step.ailment)
        return
    sites = () if step.places.dark else sites_of(step.places, ground)
    if step.deed is not Deed.FLAP:
        yield Act(number, step.when, step.deed, sites, delay_ms=step.delay_ms, loss=step.loss)
        return
    for turn in range(step.times):
        falls = step.when.after + turn * (step.down + step.up)
        yield Act(number, replace(step.when, after=falls), Deed.CUT, sites)
        yield Act(number, replace(step.when, after=falls + step.down), Deed.HEAL, sites)


def sites_of(places: Places, ground: Ground) -> tuple[str, ...]:
    """The sites that are meant: of a number the last ones by name. Raises FileError when there are not enough."""
    sites = ground.sites
    if places.names:
        chosen = [[site for site in sites if fnmatchcase(site, name)] for name in places.names]
        if strange := [name for name, found in zip(places.names, chosen, strict=True) if not found]:
            raise FileError([f"sites: {strange[0]!r}: the release has no boxes there; {near(strange[0], sites[:20])}"])
        return tuple(sorted({site for found in chosen for site in found}))
    if places.spared is not None:
        count = len(sites) - places.spared
    else:
        count = places.count or places.first or math.ceil(len(sites) * places.share)
    if not 0 < count <= len(sites):
        said = f"all but {places.spared}" if places.spared else f"{count}"
        raise FileError(
            [f"sites: {said} cannot be chosen from {len(sites)} sites with boxes of the release: give a larger fleet"]
        )
    return sites[:count] if places.first else sites[len(sites) - count :]


def named_boxes(names: Sequence[str], ground: Ground) -> tuple[str, ...]:
    """Boxes by name. Raises FileError for one that the release does not target."""
    known = [box for site in ground.sites for box in ground.boxes[site]]
    if strange := sorted(set(names) - set(known)):
        raise FileError([f"boxes: {strange[0]!r}: the release does not target it; {near(strange[0], known[:20])}"])
    return tuple(sorted(set(names)))


def boxes_at(sites: Sequence[str], ground: Ground) -> tuple[str, ...]:
    """All boxes of these sites."""
    return tuple(box for site in sites for box in ground.boxes[site])


def began(when: When, created: float, seen: Sequence[Release]) -> float | None:
    """When a moment came, `after` included, in seconds; None: it has not come yet.

    `created` is when the release was created, `seen` its course since.
    """
    at: float | None
    match when.moment:
        case Moment.BEFORE:
            return 0.0
        case Moment.START:
            at = created
        case Moment.REACHED:
            at = next((one.at for one in seen if only_dark_boxes_left(one)), None)
        case Moment.STAGE_STARTS:
            at = next((one.at for one in seen if stage_phase(one, when.stage) not in {"", "Pending"}), None)
        case Moment.STAGE_PASSES:
            at = next((one.at for one in seen if stage_phase(one, when.stage) == "Passed"), None)
        case never:
            assert_never(never)
    return None if at is None else at + when.after


def stage_phase(release: Release, number: int) -> str:
    """The phase of a stage counted from 1; empty where nothing is said of it yet."""
    return release.stages[number - 1].phase if number <= len(release.stages) else ""


def only_dark_boxes_left(release: Release) -> bool:
    """Whether nothing is left to do but on boxes that are dark."""
    counts = release.counts
    open_now = counts.get("pending", 0) + counts.get("updating", 0)
    return counts.get("targeted", 0) > 0 and counts.get("succeeded", 0) > 0 and not open_now


def due(acts: Sequence[Act], created: float, seen: Sequence[Release], now: float) -> tuple[Act, ...]:
    """The acts whose time has come, in the order in which they came."""
    times = [(began(act.when, created, seen), index, act) for index, act in enumerate(acts)]
    ready = sorted((at, index, act.number) for at, index, act in times if at is not None and at <= now)
    return tuple(acts[index] for _, index, _ in ready)


def still_to_come(acts: Sequence[Act], created: float, seen: Sequence[Release]) -> bool:
    """Whether the moment of one of these acts has come or will, without anything more happening to the release."""
    return any(began(act.when, created, seen) is not None for act in acts)


def stands_still(release: Release | None) -> bool:
    """Whether the release does nothing more by itself: it is over, or was stopped by its failures."""
    if release is None:
        return False
    return release.phase in OVER or (release.phase == "Paused" and bool(release.breach))
