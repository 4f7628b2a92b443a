"""In which state each box of a release is, and the counts that always add up."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cloud.rollout.budget import Group, Ledger, down
from cloud.rollout.moves import surges
from cloud.rollout.release import OfflinePolicy
from cloud.rollout.snapshot import Box, Snapshot
from cloud.rollout.stages import stage_map
from cloud.rollout.status import Counts, Effort, StageStatus


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
    total: Counts

    def boxes(self, *states: State) -> tuple[str, ...]:
        """Return the names of the boxes in any of these states."""
        return tuple(name for name, state in self.states.items() if state in states)

    def counts(self, names: Iterable[str]) -> Counts:
        """Count the boxes of these names."""
        return _counts(map(self.states.__getitem__, names))

    def amended(self, later: "Books") -> "Books":
        """Return these books with what later ones say of some of the boxes."""
        states = {**self.states, **later.states}
        return Books(states, _counts(states.values(), self.total.excluded))


def _counts(states: Iterable[State], excluded: int = 0) -> Counts:
    tally = Counter(states)
    targeted = tally.total()
    return Counts(
        targeted=targeted,
        excluded=excluded,
        done=f"{tally[State.SUCCEEDED]}/{targeted}",
        **{_FIELDS[state]: tally[state] for state in State},
    )


_FIELDS = {state: "rolled_back" if state is State.ROLLED_BACK else state.value for state in State}


def books(
    snapshot: Snapshot, stages: Sequence[StageStatus], efforts: Mapping[str, Effort], ledger: Ledger, now: datetime
) -> Books:
    """Return the books of a release, given what it is trying on which box."""
    stage_by_site = stage_map(stages)
    skips = snapshot.release.spec.offline.policy is OfflinePolicy.SKIP
    left_at = [stage.passed_at if skips else None for stage in stages]  # by stage: since when boxes are left out
    begun = [stage.started_at is not None for stage in stages]
    uid, lost = snapshot.release.uid, ledger.lost()
    states = {}
    for box in snapshot.boxes:
        touched, effort = snapshot.wanted[box.name] in box.versions, efforts.get(box.name)
        if touched and not begun[stage_by_site[box.site]] and not snapshot.standing.brought(box):
            states[box.name] = State.PENDING  # whoever has brought it the version: its turn has not come
        elif effort is not None:
            states[box.name] = _tried(snapshot, box, effort, lost, now)
        elif touched:
            states[box.name] = State.SUCCEEDED
        elif box.reverted == uid:
            states[box.name] = State.ROLLED_BACK
        elif not box.steady:
            states[box.name] = _dark(snapshot, box, now)
        elif (passed := left_at[stage_by_site[box.site]]) and box.joined <= passed:
            states[box.name] = State.SKIPPED
        elif (box.site, box.role) in lost and _goes_down(snapshot, box):
            states[box.name] = State.DEFERRED
        else:
            states[box.name] = State.PENDING
    return Books(states, _counts(states.values(), snapshot.excluded))


def _tried(snapshot: Snapshot, box: Box, effort: Effort, lost: frozenset[Group], now: datetime) -> State:
    if not effort.cause:
        return State.UPDATING if box.online else _dark(snapshot, box, now)
    if effort.retry_at is None:
        return State.FAILED
    held = not box.steady or ((box.site, box.role) in lost and _goes_down(snapshot, box))
    return State.DEFERRED if held else State.PENDING


def _dark(snapshot: Snapshot, box: Box, now: datetime) -> State:
    offline = snapshot.release.spec.offline
    if offline.policy is OfflinePolicy.SKIP:
        return State.SKIPPED
    started = snapshot.status.started_at or now
    if not box.online and now - max(box.since, started) > offline.catch_up_for:
        return State.EXPIRED
    return State.DEFERRED


def _goes_down(snapshot: Snapshot, box: Box) -> bool:
    """Tell whether a move takes the box down. It then waits for lost neighbours like a dark one."""
    return bool(box.versions) and not down(box) and not surges(box, snapshot.wanted[box.name], snapshot.versions)
