"""Which boxes are moved in this turn: forward while nothing objects, back while the release retreats."""

from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from cloud.rollout.books import Books, State
from cloud.rollout.budget import Ledger
from cloud.rollout.checks import Attempt, Objection, Visit, box_objection, site_objection
from cloud.rollout.effort import begin
from cloud.rollout.moves import back, forward
from cloud.rollout.observe import Look, goes_back
from cloud.rollout.release import Abort, FailureAction
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
        look.moves[box.name] = forward(box, snapshot.wanted[box.name], snapshot.versions, snapshot.release.uid)
    objections = []
    for site, boxes in groupby(_pending(snapshot, books, stages), key=lambda box: box.site):
        visit = Visit(snapshot, site, turn.ledger, turn.now)
        if objection := site_objection(visit):
            objections.append(objection.of(*(box.name for box in boxes)))
            continue
        for box in boxes:
            failed = look.efforts.get(box.name)
            attempt = Attempt(visit, box, failed)
            if objection := box_objection(attempt):
                objections.append(objection.of(box.name))
                continue
            look.moves[box.name] = attempt.move
            look.efforts[box.name] = begin(box, turn.now, attempt=failed.attempt + 1 if failed else 1)
    return objections


def call_off(turn: Turn) -> None:
    """Forget the attempts that were written but not begun, once the release may not begin any."""
    for box in _announced(turn):
        del turn.look.efforts[box.name]


def take_back(turn: Turn, how_far: FailureAction | None) -> list[Objection]:
    """Add a move for every box that has to give the version up, and return what holds the others up.

    A box has to if it failed, or if the release retreats that far (None: it does not). One that this release did not
    move is left alone: it ran the version before.
    """
    snapshot, look = turn.snapshot, turn.look
    if how_far is not None:
        call_off_retries(turn)
    leaving = _retreating(snapshot, how_far) | _failed(turn)
    objections = []
    for box in snapshot.boxes:
        version = snapshot.wanted[box.name]
        if box.name not in leaving or not snapshot.standing.brought(box):
            continue
        move = back(box, version, snapshot.versions, snapshot.release.uid)
        if not box.steady:
            objections.append(Objection(Waiting.OFFLINE, f"{box.name} goes back when it returns.").of(box.name))
        elif refusal := turn.ledger.admit(box, move.on(box.versions)):
            objections.append(Objection(Waiting.BUDGET, f"{refusal}.").of(box.name))
        else:
            look.moves[box.name] = move
            if box.name in look.efforts and not look.efforts[box.name].cause:
                del look.efforts[box.name]
    return objections


def call_off_retries(turn: Turn) -> None:
    """Let every attempt that has failed be the last on its box."""
    for name, effort in turn.look.efforts.items():
        if effort.retry_at is not None:
            turn.look.efforts[name] = effort.model_copy(update={"retry_at": None})


def _failed(turn: Turn) -> set[str]:
    """Return the boxes that go back because the attempt on them has failed."""
    snapshot, efforts = turn.snapshot, turn.look.efforts
    if snapshot.release.spec.control.abort is Abort.HALT:
        return set()
    failed = {name: effort for name, effort in efforts.items() if effort.cause}
    return {box.name for box in snapshot.boxes if box.name in failed and goes_back(snapshot, box, failed[box.name])}


def _pending(snapshot: Snapshot, books: Books, stages: tuple[StageStatus, ...]) -> list[Box]:
    """Return the boxes that wait in stages that have started: by stage, site and name.

    A box that still goes back from the attempt before is none of them.
    """
    stage_by_site = stage_map(stages)
    started = [stage.started_at is not None for stage in stages]
    pending = [
        box
        for box in snapshot.boxes
        if books.states[box.name] is State.PENDING
        and started[stage_by_site[box.site]]
        and snapshot.wanted[box.name] not in box.versions
    ]
    return sorted(pending, key=lambda box: (stage_by_site[box.site], box.site))  # they are sorted by name already


def _retreating(snapshot: Snapshot, how_far: FailureAction | None) -> frozenset[str]:
    """Return the boxes that go back with the release: none, those of the stage that broke the limit, or all."""
    stages, breach = snapshot.status.stages, snapshot.status.breach
    if how_far is None:
        return frozenset()
    if how_far is FailureAction.ROLLBACK_ALL or breach is None:
        return frozenset(box.name for box in snapshot.boxes)
    stage_by_site = stage_map(stages)
    return frozenset(box.name for box in snapshot.boxes if stages[stage_by_site[box.site]].name == breach.stage)


def _announced(turn: Turn) -> list[Box]:
    """Return the boxes whose attempt was written, but whose patch was not made: the operator ended in between."""
    return [
        box
        for box in turn.snapshot.boxes
        if (effort := turn.look.efforts.get(box.name)) is not None
        and not (effort.cause or effort.relapse)
        and turn.snapshot.wanted[box.name] not in box.versions
    ]
