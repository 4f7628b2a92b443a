"""What a rehearsal has shown: judged from what was seen, told to release engineers and to their CI."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from simulator.course import Line, Sign, count, course, darkness
from simulator.evidence import Evidence
from simulator.expectations import ALWAYS, EXPECTATIONS, Case, forward, may_yet_hold
from simulator.scenario import Ending, Scenario
from simulator.timeline import Act, stands_still

DONE: Final = frozenset({"Succeeded"})


@dataclass(frozen=True, slots=True)
class Result:
    """One expectation and what became of it."""

    name: str
    promise: str
    ok: bool
    happened: str
    seconds: float | None = None  # None: it has no length


@dataclass(frozen=True, slots=True)
class Boxes:
    """What became of the boxes."""

    targeted: int
    released: int  # run the new version at the end
    went_back: int
    never_touched: int
    deferred: int  # of sites that were dark at some time
    caught_up: int  # of those, got the new version


@dataclass(frozen=True, slots=True)
class Asked:
    """What was rehearsed."""

    case: Case
    scenario: Scenario
    image: str
    image_before: str
    fleet: str  # in words
    changes: tuple[str, ...]  # of the release file, in sentences
    limit: float  # seconds for the whole


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a person or a program is told."""

    asked: Asked
    results: tuple[Result, ...]
    lines: tuple[Line, ...]  # times in seconds since the release was created
    boxes: Boxes
    stopped: bool  # the release would have been stopped
    why: str  # empty: it was not stopped
    failures: tuple[str, ...]  # of boxes, grouped by cause
    undone: tuple[str, ...]  # steps of the scenario whose moment never came
    phase: str
    seconds: float

    @property
    def held(self) -> bool:
        """Whether every expectation held."""
        return all(result.ok for result in self.results)

    def exit_code(self, *, stop_is_right: bool) -> int:
        """0: as wished. 1: the release was stopped, or an expectation did not hold.

        `stop_is_right` turns the first around: then a release that is not stopped is what is wrong.
        """
        return 0 if self.held and self.stopped is stop_is_right else 1


def ending(found: Report, *, stop_is_right: bool) -> Result:
    """Whether the release was stopped, as a case of its own beside the expectations: it makes the command fail too."""
    name, promise = (
        ("stopped", "the release is stopped") if stop_is_right else ("not-stopped", "the release is not stopped")
    )
    happened = f"stopped: {found.why}" if found.stopped else f"not stopped: {found.phase}"
    return Result(name, promise, found.stopped is stop_is_right, happened, found.seconds)


def report(evidence: Evidence, asked: Asked, acts: Mapping[Act, float | None], now: float) -> Report:
    """Judge. `acts` has the time of each act, None for those that were never due."""
    case = asked.case
    last = evidence.last(case.release)
    stopped = last is not None and (bool(last.breach) or last.phase in {"Failed", "Halted", "RolledBack"})
    ended = stands_still(last)
    began = case.created
    until = last.at if ended and last else now
    return Report(
        asked=asked,
        results=(
            ends_in_time(asked, ended=ended, phase=last.phase if last else "", seconds=until - began),
            *judged(evidence, asked),
        ),
        lines=lines_of(evidence, asked, acts),
        boxes=boxes_of(evidence, case),
        stopped=stopped,
        why=(last.breach or last.message) if stopped and last else "",
        failures=last.failures if last else (),
        undone=tuple(str(act) for act, at in acts.items() if at is None),
        phase=(last.phase if last else "") or "not begun",
        seconds=until - began,
    )


def ends_in_time(asked: Asked, *, ended: bool, phase: str, seconds: float) -> Result:
    """The release comes to an end, good or bad."""
    promise = f"the release comes to an end within {asked.limit:.0f} s"
    happened = f"{phase or 'not begun'} after {seconds:.0f} s"
    return Result("ends-in-time", promise, ended, happened, seconds)


def wanted(scenario: Scenario) -> tuple[str, ...]:
    """The expectations of a scenario, in the order in which they are told."""
    ending = () if scenario.ends is Ending.EITHER else (scenario.ends.value,)
    return tuple(dict.fromkeys((*ending, *scenario.expect, *ALWAYS)))


def judged(evidence: Evidence, asked: Asked) -> list[Result]:
    """A result for each expectation that arises."""
    results = []
    for name in wanted(asked.scenario):
        expectation = EXPECTATIONS[name]
        if finding := expectation.judge(evidence, asked.case):
            results.append(Result(name, expectation.promise, finding.ok, finding.happened, finding.seconds))
    return results


def outstanding(evidence: Evidence, scenario: Scenario, case: Case) -> tuple[str, ...]:
    """The expectations that do not hold yet, and may once the boxes that are under way have arrived."""
    later = may_yet_hold(evidence, case)
    found = [(name, EXPECTATIONS[name].judge(evidence, case)) for name in wanted(scenario) if name in later]
    return tuple(name for name, finding in found if finding and not finding.ok)


def lines_of(evidence: Evidence, asked: Asked, acts: Mapping[Act, float | None]) -> tuple[Line, ...]:
    """Everything that happened, in order, with times since the release was created."""
    case = asked.case
    lines = [Line(case.created, Sign.STEP, f"{case.release} is created")]
    lines += course(evidence.releases.get(case.release, ()))
    lines += [Line(at, Sign.NOTE, str(act)) for act, at in acts.items() if at is not None]
    lines += darkness(evidence, min((line.at for line in lines), default=0.0))
    lines += [Line(at, Sign.GOOD, f"the rehearsal approves stage {name}") for name, at in case.approvals.items()]
    return tuple(Line(line.at - case.created, line.sign, line.text) for line in sorted(lines, key=lambda line: line.at))


def boxes_of(evidence: Evidence, case: Case) -> Boxes:
    """What became of the boxes."""
    reached = {one.box for one in forward(evidence, case)}
    new = evidence.of_release(case.release)
    at_end = {box for box in case.boxes if evidence.nodes[box][-1].wants(case.workload) & new} & evidence.ready_boxes(
        new
    )
    dark = {box for site in case.ground.sites if site in case.cut for box in case.ground.boxes[site]}
    return Boxes(
        targeted=len(case.boxes),
        released=len(at_end),
        went_back=len(reached - at_end),
        never_touched=len(set(case.boxes) - reached),
        deferred=len(dark),
        caught_up=len(dark & at_end),
    )


def summary(found: Report) -> str:
    """The one sentence that a person reads first."""
    case, boxes = found.asked.case, found.boxes
    length = f"{found.seconds:.0f} s"
    if found.stopped:
        return f"{case.release} would have been stopped after {length}: {found.why}"
    if found.phase in DONE:
        reached = f"{boxes.released} of {count(boxes.targeted, 'box', 'boxes')}"
        return f"{case.release} would have reached {reached}, here in {length}."
    return f"{case.release} did not come to an end within {found.asked.limit:.0f} s; it is {found.phase}."


def verdict_on(results: Sequence[Result]) -> str:
    """How many expectations held."""
    held = sum(1 for result in results if result.ok)
    return f"{held} of {count(len(results), 'expectation', 'expectations')} held"
