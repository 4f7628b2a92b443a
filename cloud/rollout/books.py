"""In which state each box of a release is, and the counts that always add up."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cloud.rollout.budget import Ledger, down
from cloud.rollout.moves import surges
from cloud.rollout.release import OfflinePolicy
from cloud.rollout.snapshot import Box, Snapshot
from cloud.rollout.stages import stage_map
from cloud.rollout.status import Counts, Effort, StagePhase, StageStatus


class State(StrEnum):
    """Where one box stands in one release."""

    PENDING = "pending"
    UPDATING = "updating"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DEFERRED = "deferred"
    ROLLED_BACK = "rolledBack"
    EXPIRED = "expired"
    SKIPPED = "skipped"


UNSETTLED = frozenset({State.PENDING, State.UPDATING})
"""States in which a stage still has something to do."""


@dataclass(frozen=True, slots=True)
class Books:
    """The state of every box of a release."""

    states: Mapping[str, State]  # by box
    excluded: int

    def boxes(self, *states: State) -> tuple[str, ...]:
        """Return the names of the boxes in any of these states."""
        return tuple(name for name, state in self.states.items() if state in states)

    def counts(self, names: Iterable[str] | None = None) -> Counts:
        """Count the boxes of these names; None: all of them, and the excluded ones apart."""
        chosen = list(self.states) if names is None else list(names)
        tally = Counter(self.states[name] for name in chosen)
        return Counts(
            targeted=len(chosen),
            excluded=self.excluded if names is None else 0,
            done=f"{tally[State.SUCCEEDED]}/{len(chosen)}",
            **{_FIELDS[state]: tally[state] for state in State},
        )


_FIELDS = {state: "rolled_back" if state is State.ROLLED_BACK else state.value for state in State}


def books(
    snapshot: Snapshot, efforts: Mapping[str, Effort], stages: tuple[StageStatus, ...], ledger: Ledger, now: datetime
) -> Books:
    """Return the books of a release, given what it is trying on which box."""
    stage_by_site = stage_map(stages)
    states = {}
    for box in snapshot.boxes:
        state = _state(snapshot, box, efforts.get(box.name), stages[stage_by_site[box.site]], now)
        held = state is State.PENDING and _held_by_dead_neighbours(snapshot, box, ledger)
        states[box.name] = State.DEFERRED if held else state
    return Books(states, snapshot.excluded)


def _state(snapshot: Snapshot, box: Box, effort: Effort | None, stage: StageStatus, now: datetime) -> State:
    touched = snapshot.standing.version_for(box) in box.versions
    if effort is not None and effort.cause:
        if effort.retry_at is None:
            return State.FAILED
        return State.PENDING if box.steady else State.DEFERRED
    if not touched and box.reverted == snapshot.release.uid:
        return State.ROLLED_BACK
    if touched and effort is None:
        return State.SUCCEEDED
    if not (box.online if effort else box.steady):
        return _dark(snapshot, box, now)
    if effort is not None:
        return State.UPDATING
    policy = snapshot.release.spec.offline.policy
    if policy is OfflinePolicy.SKIP and stage.phase is StagePhase.PASSED:
        return State.SKIPPED
    return State.PENDING


def _dark(snapshot: Snapshot, box: Box, now: datetime) -> State:
    offline = snapshot.release.spec.offline
    if offline.policy is OfflinePolicy.SKIP:
        return State.SKIPPED
    started = snapshot.status.started_at or now
    if not box.online and now - max(box.since, started) > offline.catch_up_for:
        return State.EXPIRED
    return State.DEFERRED


def _held_by_dead_neighbours(snapshot: Snapshot, box: Box, ledger: Ledger) -> bool:
    """Tell whether the box waits like a dark one: nobody knows when its neighbours return."""
    if not box.versions or not ledger.lost(box) or down(box):
        return False
    return not surges(box, snapshot.standing.version_for(box), snapshot.versions)
