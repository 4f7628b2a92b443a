"""What a release would do, before it does: the planner itself, run in virtual time over boxes that all go well.

Nothing here decides what moves when: ``plan`` does, exactly as in the operator. This file only plays the boxes, a
person who approves, and the clock. Dark boxes stay dark, the others stay online.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from cloud.rollout.actions import Move, Plan
from cloud.rollout.moves import patched
from cloud.rollout.ownership import overtaken, snapshot
from cloud.rollout.plan import plan
from cloud.rollout.release import Approval
from cloud.rollout.snapshot import Box, Fleet, Pod, Snapshot, Standing
from cloud.rollout.stages import stage_map
from cloud.rollout.status import OVER, Phase, ReleaseStatus, Waiting, WaitingOn
from cloud.rollout.windows import sites_without_zone

MOST_TURNS: Final = 20_000  # of the planner; a release of 10,000 boxes, one at a time, takes as many
APPROVER: Final = "preview"
_AT_ONCE: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Step:
    """One box is moved."""

    at: datetime
    stage: str
    site: str
    box: str


@dataclass(frozen=True, slots=True)
class Pause:
    """The release waits for something that is no box under way."""

    at: datetime
    stage: str
    reason: Waiting
    hint: str
    until: datetime | None  # None: until somebody acts


@dataclass(frozen=True, slots=True)
class Preview:
    """What would happen."""

    boxes: int
    sites: int
    steps: tuple[Step, ...]  # in order
    pauses: tuple[Pause, ...]  # in order
    status: ReleaseStatus  # at the end; its stages say which sites they chose, and when each began and passed
    ends: datetime
    blocked: str  # why it does not come to its end; empty: it does
    dark: tuple[str, ...]  # deferred until they return
    held: tuple[str, ...]  # online, but not moved: what `blocked` says, or dead neighbours use up the site's budget
    done: tuple[str, ...]  # run the version already
    lone: tuple[str, ...]  # sites where a role has one box only: it is down while it is changed
    zoneless: tuple[str, ...]  # sites whose windows cannot be told
    excluded: tuple[str, ...]  # matched, but left out by `exclude`
    taken: tuple[str, ...]  # matched, but of a newer release
    supersedes: tuple[str, ...]  # releases under way that lose boxes to this one


def preview(fleet: Fleet, name: str, now: datetime, ready_after: timedelta) -> Preview:
    """Return what the release of that name would do from now on if every moved box is ready after ``ready_after``."""
    run = _Run(fleet, name, now, ready_after)
    first, endless, ended = run.snapshot(), "", _ended(run.standing)
    for _ in range(MOST_TURNS):
        outcome = plan(run.snapshot(), run.now)
        run.play(outcome)
        if not run.wait(outcome):
            break
    else:
        endless = f"the preview was broken off after {MOST_TURNS} turns of the planner"
    last, status = run.snapshot(), run.standing.status
    left = [box for box in last.boxes if last.standing.version_for(box) not in box.versions]
    return Preview(
        boxes=len(first.boxes),
        sites=len({box.site for box in first.boxes}),
        steps=tuple(run.steps),
        pauses=tuple(run.pauses),
        status=status,
        ends=run.now,
        blocked=ended or endless or _blocked(last, status),
        dark=_names(box for box in left if not box.online),
        held=_names(box for box in left if box.online),
        done=_names(box for box in first.boxes if first.standing.version_for(box) in box.versions),
        lone=_lone(first),
        zoneless=sites_without_zone(first.release.spec.windows, {box.site for box in first.boxes}, first.zones),
        **_left_out(fleet, first),
        supersedes=_supersedes(fleet, first),
    )


def over(status: ReleaseStatus) -> bool:
    """Tell whether a release is over for good; one that had passed all its stages may come into force again."""
    return overtaken(status) or status.phase in {Phase.ROLLED_BACK, Phase.HALTED}


@dataclass(slots=True)
class _Run:
    """The boxes, the clock and the release of one run."""

    fleet: Fleet
    name: str
    now: datetime
    ready_after: timedelta
    boxes: dict[str, Box] = field(default_factory=dict)
    ready_at: dict[str, datetime] = field(default_factory=dict)  # boxes whose new pod is not ready yet
    steps: list[Step] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)
    standing: Standing = field(init=False)

    def __post_init__(self) -> None:
        self.standing = next(one for one in self.fleet.standings if one.release.name == self.name)
        for box in self.fleet.boxes:
            self.boxes[box.name] = replace(box, steady=box.online)
            if box.online and not all(box.runs(version) for version in box.versions):
                self.ready_at[box.name] = self.now + self.ready_after

    def snapshot(self) -> Snapshot:
        """Return what the planner sees now."""
        standings = tuple(self.standing if one.release.name == self.name else one for one in self.fleet.standings)
        fleet = replace(self.fleet, standings=standings, boxes=tuple(self.boxes.values()))
        return snapshot(fleet, self.standing)

    def play(self, outcome: Plan) -> None:
        """Do what the planner asks for, and what a person would."""
        self.standing = replace(self.standing, status=outcome.status)
        stages, by_site = outcome.status.stages, stage_map(outcome.status.stages)
        for move in outcome.moves:
            box = self.boxes[move.box]
            if move.add:
                self.steps.append(Step(self.now, stages[by_site[box.site]].name, box.site, box.name))
                self.ready_at[box.name] = self.now + self.ready_after
            self.boxes[box.name] = _moved(box, move)
        waiting = outcome.status.waiting_on
        if waiting is not None and waiting.reason is not Waiting.HEALTH:
            self._note(waiting, outcome.status)

    def wait(self, outcome: Plan) -> bool:
        """Turn the clock to the next event; False: there is none any more."""
        status = outcome.status
        if status.phase in OVER or self._helped(status):
            return status.phase not in OVER
        moments = [at for at in (*self.ready_at.values(), *self._expected(status)) if at > self.now]
        if any(not move.add for move in outcome.moves):
            moments.append(self.now + _AT_ONCE)
        if not moments:
            return False
        self.now = min(moments)
        for name in [name for name, at in self.ready_at.items() if at <= self.now]:
            del self.ready_at[name]
            self.boxes[name] = _ready(self.boxes[name])
        return True

    def _expected(self, status: ReleaseStatus) -> Iterator[datetime]:
        """Yield when the planner itself expects something to change."""
        release = self.standing.release
        for effort in status.boxes.values():
            if effort.ready_since is not None:
                yield effort.ready_since + release.spec.health.ready_for
            if effort.retry_at is not None:
                yield effort.retry_at
        if status.waiting_on is not None and status.waiting_on.until is not None:
            yield status.waiting_on.until

    def _helped(self, status: ReleaseStatus) -> bool:
        """Approve, or go on after a pause by hand, if that is what is waited for."""
        waiting, control = status.waiting_on, self.standing.release.spec.control
        if waiting is None:
            return False
        if waiting.reason is Waiting.APPROVAL:
            given = (*control.approvals, Approval(stage=self._next_stage(status), by=APPROVER))
            self._control(approvals=given)
            return True
        if control.paused and control.abort is None:
            self._control(paused=False)
            return True
        return False

    def _control(self, **change: object) -> None:
        release = self.standing.release
        control = release.spec.control.model_copy(update=change)
        spec = release.spec.model_copy(update={"control": control})
        self.standing = replace(self.standing, release=release.model_copy(update={"spec": spec}))

    def _note(self, waiting: WaitingOn, status: ReleaseStatus) -> None:
        pause = Pause(self.now, self._next_stage(status), waiting.reason, waiting.hint, waiting.until)
        last = self.pauses[-1] if self.pauses else None
        if last is None or (last.stage, last.reason, last.until) != (pause.stage, pause.reason, pause.until):
            self.pauses.append(pause)

    def _next_stage(self, status: ReleaseStatus) -> str:
        return next((stage.name for stage in status.stages if stage.passed_at is None), "")


def _moved(box: Box, move: Move) -> Box:
    """Return the box after the patch: old pods are gone at once, new ones are not ready yet."""
    kept = [pod for pod in box.pods if pod.version not in move.remove]
    new = [Pod(name=f"{box.name}-{version}", version=version) for version in sorted(move.add)]
    return replace(patched(box, move), pods=(*kept, *new))


def _ready(box: Box) -> Box:
    return replace(box, pods=tuple(Pod(f"{box.name}-{one}", one, ready=True) for one in sorted(box.versions)))


def _ended(standing: Standing) -> str:
    """Return that the release is over for good, whatever its file says now; empty: it is not."""
    if not over(standing.status):
        return ""
    name, phase = standing.release.name, standing.status.phase
    return f"{name} is over ({phase}): create a new EdgeRelease under another name"


def _blocked(last: Snapshot, status: ReleaseStatus) -> str:
    if last.superseded:
        return "a newer release has taken over every box it matches"
    if not last.boxes:
        return "no box matches spec.targets: check the labels of the nodes"
    if status.phase in {Phase.SUCCEEDED, Phase.CATCHING_UP}:
        return ""
    return status.waiting_on.hint if status.waiting_on is not None else status.message


def _lone(snap: Snapshot) -> tuple[str, ...]:
    groups = {(box.site, box.role) for box in snap.boxes}
    return tuple(sorted({site for site, role in groups if len(snap.neighbours[site, role]) == 1}))


def _left_out(fleet: Fleet, snap: Snapshot) -> Mapping[str, tuple[str, ...]]:
    targets, own = snap.release.spec.targets, {box.name for box in snap.boxes}
    matched = [box for box in fleet.boxes if targets.selector.matches(box.labels) and box.name not in own]
    return {
        "excluded": _names(box for box in matched if targets.leave_out(box.labels)),
        "taken": _names(box for box in matched if not targets.leave_out(box.labels)),
    }


def _names(boxes: Iterable[Box]) -> tuple[str, ...]:
    return tuple(box.name for box in boxes)


def _supersedes(fleet: Fleet, snap: Snapshot) -> tuple[str, ...]:
    older = (one for one in fleet.standings if one.release.age_order < snap.release.age_order)
    return tuple(
        one.release.name
        for one in older
        if one.status.phase not in OVER and any(one.release.spec.targets.include(box.labels) for box in snap.boxes)
    )
