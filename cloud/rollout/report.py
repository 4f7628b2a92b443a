"""What is said of a release after each turn: phase, sentence, what it waits for, conditions, when to look again."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from cloud.fleet.scalars import format_duration
from cloud.fleet.wording import many, some
from cloud.rollout.actions import Note, Severity
from cloud.rollout.books import State
from cloud.rollout.budget import under_way
from cloud.rollout.conditions import conditions_of
from cloud.rollout.outcome import Outcome
from cloud.rollout.progress import Progress
from cloud.rollout.release import Abort, FailureAction
from cloud.rollout.snapshot import Snapshot
from cloud.rollout.stages import stage_map
from cloud.rollout.status import (
    Effort,
    FailureGroup,
    Phase,
    ReleaseStatus,
    StageStatus,
    Waiting,
    WaitingOn,
)
from cloud.rollout.waiting import waiting_on
from cloud.rollout.warnings import warnings_of

_SHOWN: Final = 10


def report(snapshot: Snapshot, outcome: Outcome, now: datetime) -> tuple[ReleaseStatus, tuple[Note, ...]]:
    """Return the status to write, and what to tell of a change of phase."""
    known = snapshot.status
    phase = _phase(snapshot, outcome, now)
    waiting = waiting_on(snapshot, outcome, phase, now)
    message = _message(snapshot, outcome, phase, waiting)
    complete = outcome.progress.complete
    began = next((stage.started_at for stage in outcome.progress.stages if stage.started_at), None)
    status = known.model_copy(
        update={
            "observed_generation": snapshot.release.generation,
            "phase": phase,
            "message": message,
            "waiting_on": waiting,
            "stage": _stage_name(outcome.progress),
            "counts": outcome.books.total,
            "stages": _stages(snapshot, outcome),
            "boxes": dict(outcome.efforts),
            "failures": _failures(outcome.efforts),
            "warnings": warnings_of(snapshot, outcome.efforts),
            "started_at": known.started_at or began,
            "completed_at": known.completed_at or (now if complete and outcome.books.states else None),
        }
    )
    conditions = conditions_of(status, now)
    notes = (_phase_note(phase, message),) if phase is not known.phase else ()
    return status.model_copy(update={"conditions": conditions}), (*notes, *_expiry_notes(snapshot, outcome))


def _phase(snapshot: Snapshot, outcome: Outcome, now: datetime) -> Phase:
    control, counts = snapshot.release.spec.control, outcome.books.total
    if control.abort is Abort.HALT:
        return Phase.HALTED
    if snapshot.superseded:
        return Phase.SUPERSEDED
    if outcome.retreat is not None:
        return _retreat_phase(snapshot, outcome, now)
    if snapshot.status.breach is not None:
        return Phase.PAUSED
    if not counts.targeted:
        return Phase.PENDING
    settled = outcome.progress.complete and not counts.pending + counts.updating + counts.deferred
    if control.paused and not settled:
        return Phase.PAUSED
    if outcome.progress.complete:
        return Phase.SUCCEEDED if settled else Phase.CATCHING_UP
    return _stage_phase(outcome)


def _stage_phase(outcome: Outcome) -> Phase:
    if outcome.moving or outcome.books.boxes(State.UPDATING):
        return Phase.ROLLING
    reasons = {objection.reason for objection in outcome.objections}
    if Waiting.NO_SITE in reasons and outcome.progress.current == 0:
        return Phase.PENDING
    if Waiting.APPROVAL in reasons:
        return Phase.AWAITING_APPROVAL
    if Waiting.SOAK in reasons:
        return Phase.SOAKING
    return Phase.AWAITING_WINDOW if reasons == {Waiting.WINDOW} else Phase.ROLLING


def _retreat_phase(snapshot: Snapshot, outcome: Outcome, now: datetime) -> Phase:
    held_online = any(objection.reason is Waiting.BUDGET for objection in outcome.objections)
    changing = any(under_way(snapshot, box, outcome.efforts, now) for box in snapshot.boxes)
    if outcome.moving or held_online or changing:
        return Phase.ROLLING_BACK
    return Phase.ROLLED_BACK if outcome.retreat is FailureAction.ROLLBACK_ALL else Phase.PAUSED


def _message(snapshot: Snapshot, outcome: Outcome, phase: Phase, waiting: WaitingOn | None) -> str:
    """Return the one sentence that answers: what now?"""
    counts, name = outcome.books.total, snapshot.release.name
    done = f"{counts.done} boxes done"
    if phase in _LAST_WORDS:
        said = _LAST_WORDS[phase].format(done=done, failed=counts.failed, back=counts.rolled_back)
        return said + (_kept(snapshot) if phase is Phase.ROLLED_BACK else "")
    if phase is Phase.CATCHING_UP:
        following = counts.pending + counts.updating
        parts = (
            f"{following} follow now" if following else "",
            f"{counts.deferred} when they return" if counts.deferred else "",
        )
        return f"All stages passed, {done}; {', '.join(filter(None, parts))}."
    if phase is Phase.ROLLING_BACK and (waiting is None or waiting.reason is Waiting.PAUSED):
        return f"{many(len(outcome.moving), 'box')} going back, {counts.rolled_back} back already."
    if waiting is not None:
        return waiting.hint
    stage = _stage_name(outcome.progress)
    return f"{done}, {counts.updating} on the way; edgefleet watch {name} follows stage {stage}."


def _kept(snapshot: Snapshot) -> str:
    """Return what to say of boxes on which the version stays though its release is taken back."""
    there = [box.name for box in snapshot.boxes if snapshot.wanted[box.name] in box.versions]
    if not there:
        return ""
    return f" It stays on {many(len(there), 'box')} to which another release had brought it: {some(there)}."


_LAST_WORDS: Final = {
    Phase.SUCCEEDED: "All stages passed, {done}, {failed} failed.",
    Phase.ROLLED_BACK: "All boxes within reach that it had moved run what they ran before; {back} went back.",
    Phase.HALTED: "Ended by a person with {done}; every box was left as it was.",
    Phase.SUPERSEDED: "A newer release of this workload has taken over its boxes; this one does not go on.",
}


def _phase_note(phase: Phase, message: str) -> Note:
    bad = {Phase.PAUSED, Phase.ROLLING_BACK, Phase.ROLLED_BACK, Phase.HALTED, Phase.FAILED}
    return Note(phase.value, message, Severity.WARNING if phase in bad else Severity.NORMAL)


def _expiry_notes(snapshot: Snapshot, outcome: Outcome) -> tuple[Note, ...]:
    """Return what to tell once dark boxes are not waited for any more: of the first ones, not of each."""
    expired = outcome.books.boxes(State.EXPIRED)
    if not expired or snapshot.status.counts.expired:
        return ()
    limit = format_duration(snapshot.release.spec.offline.catch_up_for)
    shown = ", ".join(expired[:_SHOWN]) + (" and others" if len(expired) > _SHOWN else "")
    message = (
        f"Dark for longer than offline.catchUpFor ({limit}) and not waited for any more, yet moved on return: {shown}."
    )
    return (Note("BoxesExpired", message, Severity.WARNING),)


def _stage_name(progress: Progress) -> str:
    return "" if progress.complete else progress.stages[progress.current].name


def _stages(snapshot: Snapshot, outcome: Outcome) -> tuple[StageStatus, ...]:
    """Return the stages with the books of each that has started."""
    stage_by_site = stage_map(outcome.progress.stages)
    names: dict[int, list[str]] = defaultdict(list)
    for box in snapshot.boxes:
        names[stage_by_site[box.site]].append(box.name)
    return tuple(
        stage.model_copy(update={"counts": outcome.books.counts(names[index])}) if stage.started_at else stage
        for index, stage in enumerate(outcome.progress.stages)
    )


def _failures(efforts: Mapping[str, Effort]) -> tuple[FailureGroup, ...]:
    """Return the failed boxes grouped by cause, the largest group first."""
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name, effort in sorted(efforts.items()):
        if effort.cause:
            groups[effort.cause].append((name, effort.message))
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    return tuple(
        FailureGroup(cause=cause, boxes=len(boxes), example=boxes[0][0], message=boxes[0][1])
        for cause, boxes in ordered[:_SHOWN]
    )
