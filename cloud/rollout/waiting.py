"""What a release waits for while nothing moves, and when to look at it again."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from cloud.fleet.wording import many
from cloud.rollout.books import State
from cloud.rollout.checks import Objection
from cloud.rollout.connectivity import STEADY_AFTER
from cloud.rollout.effort import next_look
from cloud.rollout.outcome import Outcome
from cloud.rollout.snapshot import Snapshot
from cloud.rollout.status import OVER, Phase, ReleaseStatus, Waiting, WaitingOn

LONGEST_SLEEP: Final = timedelta(minutes=5)
"""A release under way is looked at this often even if nothing is expected, in case an event was lost."""
_SHOWN: Final = 10


def waiting_on(snapshot: Snapshot, outcome: Outcome, phase: Phase, now: datetime) -> WaitingOn | None:
    """Return what the release waits for; None if boxes move in this turn or it is over."""
    if phase in OVER or outcome.moving:
        return None
    reason, objections, boxes = _most_important(outcome)
    first = min(objections, key=lambda one: (one.until is None, one.until or now), default=None)
    known = snapshot.status.waiting_on
    return WaitingOn(
        reason=reason,
        since=known.since if known is not None and known.reason is reason else now,
        until=first.until if first else None,
        boxes=boxes[:_SHOWN],
        hint=first.hint if first else _hint(reason, boxes),
    )


def recheck_after(snapshot: Snapshot, status: ReleaseStatus, now: datetime) -> timedelta | None:
    """Return when to look again though nothing was heard; None: only an event can change anything."""
    moments = list(_moments(snapshot, status, now))
    if status.phase not in OVER:
        moments.append(now + LONGEST_SLEEP)
    if not moments:
        return None
    return min(max(min(moments) - now, timedelta(seconds=1)), LONGEST_SLEEP)


def _most_important(outcome: Outcome) -> tuple[Waiting, tuple[Objection, ...], tuple[str, ...]]:
    """Return what is waited for, the objections that say so (none: it speaks for itself), and the boxes."""
    objections = outcome.objections
    if outcome.retreat is not None and any(one.boxes for one in objections):
        objections = tuple(one for one in objections if one.boxes)  # that it goes no further is not what it waits for
    whole = next((one for one in objections if not one.boxes), None)
    updating = outcome.books.boxes(State.UPDATING)
    if updating and (whole is None or whole.reason is not Waiting.PAUSED):
        return Waiting.HEALTH, (), updating
    if objections:
        leading = whole or objections[0]
        alike = tuple(one for one in objections if one.reason is leading.reason)
        return leading.reason, alike, tuple(dict.fromkeys(box for one in alike for box in one.boxes))
    return Waiting.OFFLINE, (), outcome.books.boxes(State.DEFERRED)


def _hint(reason: Waiting, boxes: tuple[str, ...]) -> str:
    if not boxes:
        return "No box matches spec.targets: check the labels of the nodes."
    if reason is Waiting.HEALTH:
        return f"{many(len(boxes), 'box')} on the way to healthy: edgefleet why {boxes[0]}"
    return f"{many(len(boxes), 'box')} dark, moved on return: edgefleet why {boxes[0]}"


def _moments(snapshot: Snapshot, status: ReleaseStatus, now: datetime) -> Iterator[datetime]:
    gate = snapshot.release.spec.health
    for effort in status.boxes.values():
        if effort.retry_at is not None:
            if effort.retry_at > now:  # else it is held up by something that is waited for in its own right
                yield effort.retry_at
        elif not effort.cause and effort.counted is not None:
            yield next_look(effort, gate, now)
    if status.waiting_on is not None and status.waiting_on.until is not None:
        yield status.waiting_on.until
    yield from (box.since + STEADY_AFTER for box in snapshot.boxes if box.online and not box.steady)
