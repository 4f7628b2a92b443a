"""How a release goes from stage to stage, and when too many boxes have failed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cloud.fleet.scalars import Share
from cloud.fleet.wording import many, some
from cloud.rollout.actions import Note, Severity
from cloud.rollout.books import UNSETTLED, Books, State
from cloud.rollout.checks import Objection, release_objection
from cloud.rollout.release import OfflinePolicy, Stage
from cloud.rollout.snapshot import Snapshot
from cloud.rollout.stages import choose_sites, selects_nothing, stage_map, standing_stages
from cloud.rollout.status import Breach, Effort, StagePhase, StageStatus, Waiting


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the stages stand now, and what the one under way waits for."""

    stages: tuple[StageStatus, ...]
    current: int  # index of the stage under way; the number of stages once all have passed
    objection: Objection | None  # None: the stage under way has boxes to move, or all have passed
    books: Books  # with what has changed in them because stages have started
    notes: tuple[Note, ...] = ()

    @property
    def complete(self) -> bool:
        """Tell whether all stages have passed."""
        return self.current == len(self.stages)


Reckon = Callable[[Snapshot, Sequence[StageStatus]], Books]


def advance(
    snapshot: Snapshot, stages: tuple[StageStatus, ...], books: Books, reckon: Reckon, now: datetime
) -> Progress:
    """Start, soak and pass as many stages as can be now; none while the release may not go on.

    ``books`` are as the stages stand; ``reckon`` returns them for some of the boxes as they are once others stand.
    """
    held, forth, moved = list(stages), release_objection(snapshot) is None, _sites_just_moved(snapshot)
    notes: list[Note] = []
    for index, stage in enumerate(snapshot.release.spec.stages):
        if held[index].phase is StagePhase.PASSED:
            continue
        stage_by_site = stage_map(held)
        if any(stage_by_site[site] == index for site in moved):  # it soaks after its last box, a late one included
            held[index] = held[index].model_copy(update={"soak_since": None})
        before = StageStatus(name=stage.name) if _lost(snapshot, held[index]) else held[index]
        if not forth or not snapshot.boxes:  # a stage of nothing would pass, and the boxes to come would have none
            return Progress(tuple(held), index, None, books, tuple(notes))
        if before.started_at is None:
            if objection := not_startable(snapshot, held, index):
                return Progress(tuple(held), index, objection, books, tuple(notes))
            sites = choose_sites(snapshot, held, index)
            held[index] = before.model_copy(update={"phase": StagePhase.ROLLING, "started_at": now, "sites": sites})
            where = f" at {some(sites)}" if sites else ""
            notes.append(Note("StageStarted", f"Stage {stage.name} started{where}."))
        stage_by_site = stage_map(held)
        names = [box.name for box in snapshot.boxes if stage_by_site[box.site] == index]
        if before.started_at is None:
            books = books.amended(reckon(snapshot.only(names), held))
        states = {name: books.states[name] for name in names}
        held[index], objection = _settle(snapshot, stage, held[index], states, now)
        if held[index].phase is not StagePhase.PASSED:
            return Progress(tuple(held), index, objection, books, tuple(notes))
        notes.append(Note("StagePassed", f"Stage {stage.name} passed: {books.counts(states).done} boxes."))
    return Progress(tuple(held), len(held), None, books, tuple(notes))


def _lost(snapshot: Snapshot, stage: StageStatus) -> bool:
    """Tell whether the stage has lost all its boxes, to a newer release or from the fleet: it is to begin anew."""
    return bool(stage.sites) and not any(box.site in stage.sites for box in snapshot.boxes)


def _sites_just_moved(snapshot: Snapshot) -> frozenset[str]:
    """Return the sites of boxes that were on their way when last looked at, dark ones apart: healthy now, or not."""
    known = snapshot.status.boxes
    return frozenset(
        box.site
        for box in snapshot.boxes
        if box.online and (effort := known.get(box.name)) is not None and not (effort.cause or effort.relapse)
    )


def not_startable(snapshot: Snapshot, stages: Sequence[StageStatus], index: int) -> Objection | None:
    """Object while a stage whose turn has come cannot start: it would be empty by mistake, or is not approved."""
    return _without_site(snapshot, stages, index) or _unapproved(snapshot, snapshot.release.spec.stages[index])


def _without_site(snapshot: Snapshot, stages: Sequence[StageStatus], index: int) -> Objection | None:
    stage = snapshot.release.spec.stages[index]
    if stage.selector is None or not selects_nothing(snapshot, stages, index):
        return None
    correct = "create a new EdgeRelease" if snapshot.status.started_at else "correct it in spec.stages"
    hint = (
        f"Stage {stage.name}: its selector ({stage.selector.words()}) matches no box of this release, so nothing would "
        f"be tried in it: label the nodes that it means, or {correct}."
    )
    return Objection(Waiting.NO_SITE, hint)


def _unapproved(snapshot: Snapshot, stage: Stage) -> Objection | None:
    control = snapshot.release.spec.control
    if not stage.approval or control.emergency or any(given.stage == stage.name for given in control.approvals):
        return None
    name = snapshot.release.name
    hint = f"Stage {stage.name} needs an approval: edgefleet approve {name} --stage {stage.name}"
    return Objection(Waiting.APPROVAL, hint)


def judge_failures(snapshot: Snapshot, efforts: Mapping[str, Effort], books: Books, now: datetime) -> Breach | None:
    """Return the breach of the failure limit, the known one until the limit is raised above it; None: within it.

    A box that turns bad once the release has completed goes back alone (``health.watchAfter``): it speaks of the box.
    A fleet smaller than ``minAttempted`` is judged once all of it was attempted.
    """
    spec, known = snapshot.release.spec.on_failure, snapshot.status.breach
    if known is not None and spec.max_failed.exceeded_by(known.failed, known.attempted):
        return known.model_copy(update={"message": _exceeded(known.failed, known.attempted, spec.max_failed)})
    completed = snapshot.status.completed_at is not None
    failed = [box for box in snapshot.boxes if books.states[box.name] is State.FAILED]
    counted = [box for box in failed if not (completed and (tried := efforts.get(box.name)) and tried.relapse)]
    attempted = books.total.succeeded + len(counted)
    enough = min(spec.min_attempted, len(snapshot.boxes))
    if attempted < enough or not spec.max_failed.exceeded_by(len(counted), attempted):
        return None
    stages = snapshot.release.spec.stages
    stage_by_site = stage_map(standing_stages(snapshot.release, snapshot.status))
    return Breach(
        at=now,
        stage=stages[max(stage_by_site[box.site] for box in counted)].name,
        failed=len(counted),
        attempted=attempted,
        message=_exceeded(len(counted), attempted, spec.max_failed),
    )


def _exceeded(failed: int, attempted: int, limit: Share) -> str:
    return f"{failed} of {attempted} attempted boxes failed, more than {limit}."


def breach_note(known: Breach | None, found: Breach | None) -> tuple[Note, ...]:
    """Return what to tell of a breach that begins or ends."""
    if known is None and found is not None:
        return (Note("TooManyFailures", found.message, Severity.WARNING),)
    if known is not None and found is None:
        return (Note("WithinLimit", "The failure limit was raised; the release goes on."),)
    return ()


def _settle(
    snapshot: Snapshot, stage: Stage, status: StageStatus, states: Mapping[str, State], now: datetime
) -> tuple[StageStatus, Objection | None]:
    """Return the stage soaking or passed if all its boxes are settled, and what it waits for."""
    rolling = status.model_copy(update={"phase": StagePhase.ROLLING})
    if any(state in UNSETTLED for state in states.values()):
        return rolling, None
    if objection := _too_few_online(snapshot, stage, states):
        return rolling, objection
    since = status.soak_since or now
    until = since + stage.soak
    if states and now < until and snapshot.release.spec.control.emergency is None:
        hint = f"Stage {stage.name} is watched for a while before it passes."
        soaking = status.model_copy(update={"phase": StagePhase.SOAKING, "soak_since": since})
        return soaking, Objection(Waiting.SOAK, hint, until)
    return status.model_copy(update={"phase": StagePhase.PASSED, "soak_since": since, "passed_at": now}), None


def _too_few_online(snapshot: Snapshot, stage: Stage, states: Mapping[str, State]) -> Objection | None:
    offline = snapshot.release.spec.offline
    dark = next((name for name, state in states.items() if state is State.DEFERRED), "")
    if offline.policy is OfflinePolicy.BLOCK and dark:
        hint = f"Stage {stage.name} waits for dark boxes (offline.policy Block): edgefleet why {dark}"
        return Objection(Waiting.OFFLINE, hint, boxes=(dark,))
    attempted = sum(1 for state in states.values() if state in _ATTEMPTED)
    if not states or offline.min_online.reached_by(attempted, len(states)):
        return None
    hint = (
        f"Stage {stage.name}: {attempted} of {many(len(states), 'box')} could be attempted, "
        f"offline.minOnline asks for {offline.min_online}."
    )
    return Objection(Waiting.MIN_ONLINE, hint, boxes=(dark,) if dark else ())


_ATTEMPTED = frozenset({State.SUCCEEDED, State.FAILED, State.ROLLED_BACK})
