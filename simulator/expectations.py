"""What should be true of a release after it has walked through a fleet, each judged from what was seen outside.

Each judge gets the evidence and the case, and returns a finding; None: the question does not arise in this case.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from simulator.course import count
from simulator.evidence import Change, Evidence, Span, Stage, at_one_time, change_spans, changes, running_spans
from simulator.timeline import Ground, some

SKEW: Final = 1.0  # seconds by which two watches of one API server may disagree about which came first


@dataclass(frozen=True, slots=True)
class Case:
    """One release of a workload, and what is known of it beforehand."""

    release: str
    workload: str
    before: str  # the release that brought what ran before; empty: nothing ran
    ground: Ground
    created: float  # seconds, as in the evidence
    parallel_sites: int  # its budget: sites in change at one time
    boxes_per_site: int = 1  # its budget: boxes of one role in change at one site
    reverts: bool = True  # a failed box goes back
    cut: frozenset[str] = frozenset()  # sites that were dark at some time
    approvals: Mapping[str, float] = field(default_factory=dict)  # when which stage was approved

    @property
    def boxes(self) -> tuple[str, ...]:
        """Every box that the release targets."""
        return self.ground.boxes_in_order()


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found."""

    ok: bool
    happened: str
    seconds: float | None = None  # how long it took; None: it has no length


@dataclass(frozen=True, slots=True)
class Expectation:
    """A promise in words, and who judges it."""

    promise: str
    judge: Callable[[Evidence, Case], Finding | None]


def released(evidence: Evidence, case: Case) -> Finding:
    """Every targeted box has a ready pod of the new version, and its labels ask for nothing else."""
    new = evidence.of_release(case.release)
    ready = evidence.ready_boxes(new)
    there = [box for box in case.boxes if box in ready and wants_only(evidence, case, box, new)]
    missing = [box for box in case.boxes if box not in there]
    without = f"; not {some(missing)}" if missing else ""
    return Finding(
        not missing,
        f"{len(there)} of {count(len(case.boxes), 'box runs', 'boxes run')} it{without}",
        last_ready(evidence, case, new) if not missing else None,
    )


def wants_only(evidence: Evidence, case: Case, box: str, versions: frozenset[str]) -> bool:
    """Whether a box's labels ask for one of these versions of the workload and for no other."""
    wanted = evidence.nodes[box][-1].wants(case.workload) if box in evidence.nodes else frozenset()
    return bool(wanted) and wanted <= versions


def last_ready(evidence: Evidence, case: Case, versions: frozenset[str]) -> float:
    """Seconds from the release's creation until the last of its boxes became ready."""
    first: dict[str, float] = {}
    for seen in evidence.pods.values():
        for one in seen:
            if one.version in versions and one.ready:
                first[one.box] = min(one.at, first.get(one.box, one.at))
    return max(first.values(), default=case.created) - case.created


def stopped(evidence: Evidence, case: Case) -> Finding:
    """The release has stopped by itself, and nobody gets the new version any more."""
    course = evidence.releases.get(case.release, ())
    stop = next((one for one in course if one.breach), None)
    if stop is None:
        phase = course[-1].phase if course else "unknown"
        return Finding(ok=False, happened=f"it went on; now it is {phase}")
    later = [one for one in forward(evidence, case) if one.at > stop.at + SKEW]
    after = f", yet {some([one.box for one in later])} still got it" if later else ""
    stage = f" at stage {stop.stage}" if stop.stage else ""
    return Finding(not later, f"stopped{stage}: {stop.breach}{after}", stop.at - case.created)


def forward(evidence: Evidence, case: Case) -> list[Change]:
    """The changes by which boxes were asked to run the new version."""
    new = evidence.of_release(case.release)
    return [one for one in changes(evidence, case.workload) if one.added & new and one.at >= case.created - SKEW]


def sites_budget(evidence: Evidence, case: Case) -> Finding | None:
    """Never more sites in change than the budget allows; boxes that stay broken blur it, so then it is not judged."""
    if not case.reverts:
        return None
    spans = change_spans(evidence, case.workload, evidence.of_release(case.release))
    at_sites = [replace(span, what=evidence.site_of(span.what)) for span in spans]
    most, when = at_one_time(at_sites)
    return Finding(
        most <= case.parallel_sites,
        f"at most {most} of {case.parallel_sites}"
        + (f", first at {when - case.created:.0f} s" if most > case.parallel_sites else ""),
    )


def boxes_budget(evidence: Evidence, case: Case) -> Finding | None:
    """Never more boxes of one role at one site in change than may be; of no concern where old and new overlap."""
    if not case.reverts or not exclusive(evidence, case):
        return None
    by_place: dict[tuple[str, str], list[Span]] = {}
    for span in change_spans(evidence, case.workload, evidence.of_release(case.release)):
        node = evidence.nodes[span.what][-1]
        by_place.setdefault((node.site, node.role), []).append(span)
    most = max((at_one_time(spans)[0] for spans in by_place.values()), default=0)
    return Finding(most <= case.boxes_per_site, f"at most {most} of {case.boxes_per_site}")


def exclusive(evidence: Evidence, case: Case) -> bool:
    """Whether two versions of the workload must not run beside each other."""
    return any(evidence.versions[version].exclusive for version in evidence.of_release(case.release))


def one_version(evidence: Evidence, case: Case) -> Finding | None:
    """On no box did two versions run at one time."""
    if not exclusive(evidence, case):
        return None
    spans = running_spans(evidence, case.workload)
    both = sorted(box for box, own in spans.items() if at_one_time(own)[0] > 1)
    return Finding(
        not both, f"two at one time on {some(both)}" if both else f"on none of {count(len(spans), 'box', 'boxes')} two"
    )


def never_without(evidence: Evidence, case: Case) -> Finding | None:
    """Where old and new may overlap, a box that ran the workload ran it all the time."""
    if exclusive(evidence, case) or not case.before:
        return None
    spans = running_spans(evidence, case.workload)
    bare = sorted(box for box in case.boxes if has_gap(spans.get(box, []), case.created))
    return Finding(
        not bare, f"{some(bare)} had a gap" if bare else f"no gap on {count(len(case.boxes), 'box', 'boxes')}"
    )


def has_gap(spans: list[Span], since: float) -> bool:
    """Whether nothing ran at some time after `since`."""
    covered = since
    for span in sorted(spans, key=lambda one: one.since):
        if span.since > covered:
            return True
        covered = max(covered, span.until)
    return covered != float("inf")


def dark_wait(evidence: Evidence, case: Case) -> Finding | None:
    """No label of a dark box was changed while it was dark."""
    if not case.cut:
        return None
    touched = [one.box for one in changes(evidence, case.workload) if one.dark and one.at >= case.created]
    return Finding(not touched, f"{some(touched)} touched while dark" if touched else "none was touched")


def dark_once(evidence: Evidence, case: Case) -> Finding | None:
    """Every box of a site that was dark got the new version once."""
    boxes = [box for site in case.ground.sites if site in case.cut for box in case.ground.boxes[site]]
    if not boxes:
        return None
    moves = dict.fromkeys(boxes, 0)
    for one in forward(evidence, case):
        if one.box in moves:
            moves[one.box] += 1
    often = [box for box, times in moves.items() if times > 1]
    never = [box for box, times in moves.items() if times == 0]
    ready = evidence.ready_boxes(evidence.of_release(case.release))
    said = [f"{len(boxes) - len(often) - len(never)} of {count(len(boxes), 'box', 'boxes')} moved once"]
    said += [f"{some(often)} more often"] if often else []
    said += [f"{some(never)} not at all"] if never else []
    return Finding(not often and not never and ready.issuperset(boxes), "; ".join(said))


def first_stage_only(evidence: Evidence, case: Case) -> Finding:
    """Only boxes of the first stage were ever asked to run the new version, and only they ran it."""
    course = evidence.last(case.release)
    canary = set(course.stages[0].sites) if course and course.stages else set()
    reached = {one.box for one in forward(evidence, case)} | evidence.ever_ran(evidence.of_release(case.release))
    beyond = sorted(box for box in reached if evidence.site_of(box) not in canary)
    if beyond:
        return Finding(ok=False, happened=f"{some(beyond)} got it as well")
    return Finding(bool(reached), f"only {some(sorted(reached))}" if reached else "nobody ever got it")


def back_again(evidence: Evidence, case: Case) -> Finding:
    """Every box that was asked to run the new version now runs what it ran before."""
    reached = sorted({one.box for one in forward(evidence, case)})
    old = evidence.of_release(case.before)
    ready = evidence.ready_boxes(old)
    stuck = [box for box in reached if box not in ready or not wants_only(evidence, case, box, old)]
    return Finding(
        bool(reached) and not stuck,
        f"{some(stuck)} did not" if stuck else f"{count(len(reached), 'box', 'boxes')} went back",
        last_back(evidence, case, reached) if reached and not stuck else None,
    )


def last_back(evidence: Evidence, case: Case, boxes: list[str]) -> float:
    """Seconds from the release's creation until the last of these boxes gave the new version up."""
    new = evidence.of_release(case.release)
    times = [one.at for one in changes(evidence, case.workload) if one.removed & new and one.box in boxes]
    return max(times, default=case.created) - case.created


def approval_first(evidence: Evidence, case: Case) -> Finding | None:
    """No box of a stage that needs an approval was moved before it was given."""
    course = evidence.last(case.release)
    if not case.approvals or course is None:
        return None
    early = [
        one.box
        for name, given in case.approvals.items()
        for one in forward(evidence, case)
        if one.at < given and one.site not in sites_before(course.stages, name)
    ]
    return Finding(
        not early, f"{some(early)} moved before" if early else f"asked for and given: {some(list(case.approvals))}"
    )


def sites_before(stages: tuple[Stage, ...], name: str) -> frozenset[str]:
    """The sites of all stages before the one of that name."""
    position = [stage.name for stage in stages].index(name)
    return frozenset(site for stage in stages[:position] for site in stage.sites)


def may_yet_hold(evidence: Evidence, case: Case) -> frozenset[str]:
    """The expectations that a release which stands still may come to meet later, by boxes that are under way."""
    last = evidence.last(case.release)
    if last and last.breach:
        return frozenset({"back-again"} if case.reverts else ())
    if last and last.phase == "Succeeded":
        return frozenset({"released", "dark-boxes-move-once"})
    return frozenset()


EXPECTATIONS: Final[Mapping[str, Expectation]] = MappingProxyType(
    {
        "released": Expectation("every box gets the new version", released),
        "stopped": Expectation("the release stops by itself", stopped),
        "sites-budget": Expectation("no more sites change at one time than budget.maxParallelSites", sites_budget),
        "boxes-budget": Expectation("no more boxes at one site than budget.maxUnavailablePerSite", boxes_budget),
        "one-version": Expectation("never two versions at one time on a box", one_version),
        "never-without": Expectation("no box is without the workload while it changes", never_without),
        "dark-boxes-wait": Expectation("no box is touched while it is dark", dark_wait),
        "dark-boxes-move-once": Expectation("every box that was dark moves exactly once", dark_once),
        "first-stage-only": Expectation("no box beyond the first stage gets the new version", first_stage_only),
        "back-again": Expectation("every box that got it goes back to what it ran before", back_again),
        "approval-first": Expectation("no stage begins before its approval", approval_first),
    }
)

ALWAYS: Final = ("sites-budget", "boxes-budget", "one-version", "dark-boxes-wait", "approval-first")
"""What must hold whatever befalls the fleet."""
