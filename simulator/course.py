"""What happened, in plain sentences with times, out of what was seen."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from simulator.evidence import Evidence, Release, Stage
from simulator.timeline import some

TOGETHER = 4.0  # seconds: sites that go dark or return so close to each other are told in one line


class Sign(StrEnum):
    """What kind of line it is; how it looks is for whoever prints it."""

    STEP = "step"
    GOOD = "good"
    BAD = "bad"
    DARK = "dark"
    WAIT = "wait"
    NOTE = "note"
    NEWS = "news"


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence and when it became true, in seconds."""

    at: float
    sign: Sign
    text: str


def course(seen: Sequence[Release], since: float = 0.0) -> tuple[Line, ...]:
    """The turns that a release took, each in a line; `since` leaves out what was before."""
    lines: list[Line] = []
    before: Release | None = None
    for one in seen:
        if one.at >= since:
            lines += turn(before, one)
        before = one
    return tuple(lines)


def turn(before: Release | None, after: Release) -> Iterator[Line]:
    """What is new in a release since it was last seen."""
    yield from stage_turns(before, after)
    old_failures = set(before.failures) if before else set()
    for failure in after.failures:
        if not any(same_cause(failure, old) for old in old_failures):
            yield Line(after.at, Sign.BAD, failure)
    if after.breach and not (before and before.breach):
        yield Line(after.at, Sign.BAD, f"stopped: {after.breach}")
    if before is None or before.phase != after.phase:
        yield from phase_turn(after)


def stage_turns(before: Release | None, after: Release) -> Iterator[Line]:
    """Stages that began or passed."""
    known = {stage.name: stage.phase for stage in before.stages} if before else {}
    for number, stage in enumerate(after.stages):
        old = known.get(stage.name, "Pending")
        if old == "Pending" and stage.phase != "Pending":
            yield Line(after.at, Sign.STEP, beginning(stage, number, len(after.stages)))
        if old != "Passed" and stage.phase == "Passed":
            yield Line(after.at, Sign.GOOD, f"stage {stage.name} has passed")


def beginning(stage: Stage, number: int, stages: int) -> str:
    """That a stage begins, and where; `number` counts from 0."""
    if stage.sites:
        return f"stage {stage.name} begins at {count(len(stage.sites), 'site', 'sites')}: {some(stage.sites)}"
    if number < stages - 1:
        return f"stage {stage.name} has no site of its own: those before have reached its share"
    return f"stage {stage.name} begins at {'every other site' if number else 'every site'}"


def phase_turn(after: Release) -> Iterator[Line]:
    """What a change of phase means to a person; most of it the stages have said already."""
    dark = after.counts.get("deferred", 0)
    match after.phase:
        case "AwaitingApproval":
            yield Line(after.at, Sign.WAIT, "waits for a person's approval")
        case "AwaitingWindow":
            yield Line(after.at, Sign.WAIT, "waits for its window")
        case "CatchingUp":
            yield Line(
                after.at, Sign.WAIT, f"all stages have passed; {count(dark, 'dark box', 'dark boxes')} will follow"
            )
        case "RollingBack":
            yield Line(after.at, Sign.STEP, "takes its boxes back")
        case "RolledBack":
            yield Line(after.at, Sign.GOOD, "every box within reach runs what it ran before")
        case "Succeeded":
            yield Line(after.at, Sign.GOOD, f"done on {count(after.counts.get('succeeded', 0), 'box', 'boxes')}")
        case "Halted" | "Superseded" | "Failed":
            yield Line(after.at, Sign.BAD, f"{after.phase}: {after.message}")


def same_cause(one: str, other: str) -> bool:
    """Whether two sentences about failed boxes speak of the same cause, with different numbers."""
    return one.partition(":")[0] == other.partition(":")[0]


def darkness(evidence: Evidence, since: float = 0.0) -> tuple[Line, ...]:
    """When sites were given up by Kubernetes and when they were back, those of one moment in one line."""
    falls: list[tuple[float, str]] = []
    rises: list[tuple[float, str]] = []
    for site, moments in site_moments(evidence).items():
        for at, ready in moments:
            if at >= since:
                (rises if ready else falls).append((at, site))
    lines = [Line(at, Sign.DARK, f"{named(sites)} dark") for at, sites in grouped(falls)]
    lines += [Line(at, Sign.GOOD, f"{named(sites)} back") for at, sites in grouped(rises)]
    return tuple(sorted(lines, key=lambda line: line.at))


def site_moments(evidence: Evidence) -> dict[str, list[tuple[float, bool]]]:
    """By site, when the first of its boxes was given up and when the last of them was back."""
    turns: dict[str, list[tuple[float, str, bool]]] = {}
    for box, seen in evidence.nodes.items():
        for one in seen:
            turns.setdefault(one.site, []).append((one.at, box, one.ready))
    return {site: list(site_turns(sorted(own))) for site, own in turns.items()}


def site_turns(turns: Iterable[tuple[float, str, bool]]) -> Iterator[tuple[float, bool]]:
    """The moments of one site; its beginning is none, and a box that never was ready does not make it dark."""
    ready: dict[str, bool] = {}
    dark = False
    for at, box, now in turns:
        fell = ready.get(box, False) and not now
        ready[box] = now
        if not dark and fell:
            dark = True
            yield at, False
        elif dark and all(ready.values()):
            dark = False
            yield at, True


def grouped(moments: list[tuple[float, str]]) -> Iterator[tuple[float, list[str]]]:
    """Moments that lie close together as one, at the time of the last."""
    group: list[tuple[float, str]] = []
    for at, site in sorted(moments):
        if group and at - group[0][0] > TOGETHER:
            yield group[-1][0], sorted({name for _, name in group})
            group = []
        group.append((at, site))
    if group:
        yield group[-1][0], sorted({name for _, name in group})


def named(sites: Sequence[str]) -> str:
    """The beginning of a sentence about sites."""
    return f"{sites[0]} is" if len(sites) == 1 else f"{len(sites)} sites are"


def count(number: int, one: str, many: str) -> str:
    """A number with its noun."""
    return f"{number} {one if number == 1 else many}"
