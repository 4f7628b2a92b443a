"""What the boxes tell of the attempts under way: which ended well, which failed, which began by themselves."""

from dataclasses import dataclass, field
from datetime import datetime

from cloud.rollout.actions import Move, Note, Severity
from cloud.rollout.checks import release_objection
from cloud.rollout.effort import Failed, Healthy, fail, judge, relapse
from cloud.rollout.moves import finish, way_back
from cloud.rollout.snapshot import Box, Snapshot
from cloud.rollout.stages import StageMap, stage_map
from cloud.rollout.status import MOST_TRIED, Effort, StagePhase


@dataclass(slots=True)
class Look:
    """What one look at all boxes brought."""

    efforts: dict[str, Effort] = field(default_factory=dict)
    moves: dict[str, Move] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)


def observe(snapshot: Snapshot, now: datetime) -> Look:
    """Look at every box once."""
    look = Look()
    context = _Context(
        snapshot,
        now,
        watching=watched(snapshot, now),
        goes_on=release_objection(snapshot) is None,
        stage_by_site=stage_map(snapshot.status.stages),
    )
    tried, wanted = snapshot.status.boxes, snapshot.wanted
    for box in snapshot.boxes:
        if box.name in tried:
            _observe(context, box, tried[box.name], look)
    for box in snapshot.boxes:
        version = wanted[box.name]
        told = len(look.efforts) < MOST_TRIED or box.runs(version)  # else it is ill, and nothing more can be remembered
        if version in box.versions and box.name not in tried and told:
            _observe(context, box, _begun_by_itself(context, box, version), look)
    return look


@dataclass(frozen=True, slots=True)
class _Context:
    snapshot: Snapshot
    now: datetime
    watching: bool  # the release answers for boxes that were healthy once
    goes_on: bool  # nothing objects to the release as a whole
    stage_by_site: StageMap

    def passed(self, box: Box) -> bool:
        stages = self.snapshot.status.stages
        return bool(stages) and stages[self.stage_by_site[box.site]].phase is StagePhase.PASSED

    def restless(self, box: Box, version: str) -> bool:
        """Tell whether a box that is ready has restarted too often since it was moved, its stage not passed yet."""
        snapshot = self.snapshot
        too_often = box.restarts(version) > snapshot.release.spec.health.max_restarts
        return too_often and snapshot.standing.brought(box) and not self.passed(box)

    def begun(self, box: Box) -> bool:
        """Tell whether the box's turn has come, or whether it was moved already."""
        stages = self.snapshot.status.stages
        started = bool(stages) and stages[self.stage_by_site[box.site]].started_at is not None
        return started or self.snapshot.standing.brought(box)

    def ends_surge(self, box: Box) -> bool:
        """Tell whether what runs beside the version goes: whoever began that, or may begin it now, ends it."""
        return self.snapshot.standing.brought(box) or (self.goes_on and self.begun(box))


def _observe(context: _Context, box: Box, effort: Effort | None, look: Look) -> None:
    version = context.snapshot.wanted[box.name]
    touched = version in box.versions
    if effort is not None and not effort.cause:
        if touched:
            effort = _judged(context, box, effort, version, look)
        elif effort.relapse or not box.steady:  # no patch of ours is due, or it went dark before: it is moved in turn
            return
    if effort is not None:
        look.efforts[box.name] = effort
    elif box.steady and context.ends_surge(box) and (last := finish(box, version)):
        look.moves[box.name] = last


def _begun_by_itself(context: _Context, box: Box, version: str) -> Effort | None:
    """Return an attempt for a box that has the version by its labels but not, or no longer, in truth."""
    if box.runs(version) and not context.restless(box, version):
        return None
    never_seen = context.snapshot.status.started_at is None
    unwell = box.online and box.steady and context.watching
    if not (never_seen or unwell):
        return None
    return relapse(box, version, context.now, forgive=never_seen or context.passed(box))


def watched(snapshot: Snapshot, now: datetime) -> bool:
    """Tell whether the release still answers for boxes that were healthy once."""
    completed = snapshot.status.completed_at
    return completed is None or now - completed < snapshot.release.spec.watch_after


def _judged(context: _Context, box: Box, effort: Effort, version: str, look: Look) -> Effort | None:
    snapshot, spec = context.snapshot, context.snapshot.release.spec
    if not context.begun(box):  # it has the version from another release, and its turn has not come
        return None if box.runs(version) else effort
    verdict = judge(box, effort, version, spec.health, context.now)
    match verdict:
        case Healthy():
            return None
        case Failed():
            regressed = effort.relapse and context.passed(box)
            retries = spec.on_failure.retries if goes_back(snapshot, box, effort) and not regressed else 0
            reason = "BoxRegressed" if regressed else "BoxFailed"
            look.notes.append(Note(reason, f"{box.name} {verdict.message}", Severity.WARNING))
            return fail(effort, verdict, retries, context.now)
        case _:
            return verdict


def goes_back(snapshot: Snapshot, box: Box, effort: Effort) -> bool:
    """Tell whether the box is taken back if the attempt fails.

    A box that was healthy once and ran nothing before is left as it is: better ill than nothing. So is one that had
    the version already: this release has nothing to take back.
    """
    version = snapshot.wanted[box.name]
    return (
        snapshot.release.spec.on_failure.revert_box
        and snapshot.standing.brought(box)
        and (not effort.relapse or bool(way_back(box, version, snapshot.versions)))
    )
