"""Which boxes are moved in this turn: forward while nothing objects, back while the release retreats."""

from dataclasses import dataclass
from datetime import datetime

from cloud.rollout.books import Books, State
from cloud.rollout.budget import Ledger
from cloud.rollout.checks import Attempt, Objection, box_objection
from cloud.rollout.effort import begin
from cloud.rollout.moves import back, forward
from cloud.rollout.observe import Look
from cloud.rollout.release import FailureAction
from cloud.rollout.snapshot import Box, Snapshot
from cloud.rollout.stages import stage_map
from cloud.rollout.status import StageStatus, Waiting


@dataclass(frozen=True, slots=True)
class Turn:
    """What is being decided: the look at the boxes grows by the moves of this turn."""

    snapshot: Snapshot
    look: Look
    ledger: Ledger
    now: datetime


def bring_forward(turn: Turn, books: Books, stages: tuple[StageStatus, ...]) -> list[Objection]:
    """Add a move and an attempt for every pending box of a started stage that nothing objects to; return the rest."""
    snapshot, look = turn.snapshot, turn.look
    for box in _announced(turn):
        look.moves[box.name] = forward(box, snapshot.standing.version_for(box), snapshot.versions)
    objections = []
    for box in _pending(snapshot, books, stages):
        failed = look.efforts.get(box.name)
        if box.name in look.moves:  # it still goes back from the attempt before
            continue
        if objection := box_objection(Attempt(snapshot, box, failed, turn.ledger, turn.now)):
            objections.append(objection)
            continue
        look.moves[box.name] = forward(box, snapshot.standing.version_for(box), snapshot.versions)
        look.efforts[box.name] = begin(box, turn.now, attempt=failed.attempt + 1 if failed else 1)
    return objections


def call_off(turn: Turn) -> None:
    """Forget the attempts that were written but not begun, once the release may not begin any."""
    for box in _announced(turn):
        del turn.look.efforts[box.name]


def take_back(turn: Turn, how_far: FailureAction) -> list[Objection]:
    """Add a move for every box that has the version and has to give it up; return what holds the others up."""
    snapshot, look = turn.snapshot, turn.look
    for name, effort in look.efforts.items():
        if effort.retry_at is not None:  # there will be no further attempt
            look.efforts[name] = effort.model_copy(update={"retry_at": None})
    objections = []
    for box in _in_scope(snapshot, how_far):
        version = snapshot.standing.version_for(box)
        if version not in box.versions or (box.name in look.moves and version in look.moves[box.name].remove):
            continue
        if not box.online:
            objections.append(Objection(Waiting.OFFLINE, f"{box.name} goes back when it returns.", None, box.name))
            continue
        if refusal := "" if len(box.versions) > 1 else turn.ledger.admit(box, beside=False):
            objections.append(Objection(Waiting.BUDGET, f"{refusal}.", None, box.name))
            continue
        look.moves[box.name] = back(box, version, snapshot.versions, snapshot.release.uid)
        if box.name in look.efforts and not look.efforts[box.name].cause:
            del look.efforts[box.name]
    return objections


def _pending(snapshot: Snapshot, books: Books, stages: tuple[StageStatus, ...]) -> list[Box]:
    """Return the boxes that wait in stages that have started: by stage, site and name."""
    stage_by_site = stage_map(stages)
    pending = [
        (stage_by_site[box.site], box.site, box.name, box)
        for box in snapshot.boxes
        if books.states[box.name] is State.PENDING and stages[stage_by_site[box.site]].started_at is not None
    ]
    return [box for *_, box in sorted(pending, key=lambda one: one[:3])]


def _in_scope(snapshot: Snapshot, how_far: FailureAction) -> list[Box]:
    """Return the boxes that go back: those of the stage that broke the limit, or all."""
    stages, breach = snapshot.status.stages, snapshot.status.breach
    if how_far is FailureAction.ROLLBACK_ALL or breach is None:
        return list(snapshot.boxes)
    stage_by_site = stage_map(stages)
    return [box for box in snapshot.boxes if stages[stage_by_site[box.site]].name == breach.stage]


def _announced(turn: Turn) -> list[Box]:
    """Return the boxes whose attempt was written, but whose patch was not made: the operator ended in between."""
    return [
        box
        for box in turn.snapshot.boxes
        if (effort := turn.look.efforts.get(box.name)) is not None
        and not effort.cause
        and turn.snapshot.standing.version_for(box) not in box.versions
    ]
