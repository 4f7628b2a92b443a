"""What becomes of one attempt to bring a version to one box: under way, healthy, failed, tried again."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cloud.rollout.release import HealthGate
from cloud.rollout.snapshot import Box
from cloud.rollout.status import LONGEST_TOLD, Effort
from cloud.rollout.trouble import trouble

FIRST_BACK_OFF: Final = timedelta(minutes=5)
LONGEST_GAP: Final = timedelta(seconds=30)
"""What one look at a box may add to its online clock: we vouch only for time in which we looked."""
CLOCK_WRITE: Final = timedelta(seconds=15)
"""How old the written clock may become while nothing else changes; well below the longest gap."""


@dataclass(frozen=True, slots=True)
class Healthy:
    """The attempt is over: the box has been ready for long enough."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt is over: the box did not become healthy."""

    cause: str  # CamelCase
    message: str


def begin(box: Box, now: datetime, attempt: int = 1) -> Effort:
    """Return the record of an attempt that begins now with a move of the box."""
    return Effort(attempt=attempt, cutover=now, counted=now if box.online else None)


def relapse(box: Box, version: str, now: datetime, *, forgive: bool) -> Effort:
    """Return the record of a box that has the version but is not healthy; ``forgive`` its restarts so far."""
    restarts = box.restarts(version) if forgive else 0
    return begin(box, now).model_copy(update={"restarts": restarts, "relapse": True})


def judge(box: Box, effort: Effort, version: str, gate: HealthGate, now: datetime) -> Effort | Healthy | Failed:
    """Return what to remember of the attempt now, or how it ended.

    The clock counts online time only: it stands while the box is dark.
    """
    if not box.online:
        stopped = effort.model_copy(
            update={"online": online_time(effort, now), "counted": None, "ready_since": None},
        )
        return effort if effort.counted is None and effort.ready_since is None else stopped
    restarts = box.restarts(version) - effort.restarts
    if restarts > gate.max_restarts:
        often = "once" if restarts == 1 else f"{restarts} times"
        return Failed("TooManyRestarts", f"restarted {often}, {trouble(box, version).words}")
    online = online_time(effort, now)
    if not box.runs(version):
        if online > gate.timeout:
            found = trouble(box, version)
            return Failed(found.cause, f"not healthy after {_words(online)} online, {found.words}")
        return _remember(effort, online, None, now)
    ready_since = min(effort.ready_since or now, now)
    return Healthy() if now - ready_since >= gate.ready_for else _remember(effort, online, ready_since, now)


def fail(effort: Effort, failure: Failed, retries: int, now: datetime) -> Effort:
    """Return the record of an attempt that has failed; it names the time of the next one if one is left."""
    again = effort.attempt <= retries
    return effort.model_copy(
        update={
            "cause": failure.cause,
            "message": _cut(failure.message),
            "ready_since": None,
            "retry_at": now + FIRST_BACK_OFF * 2 ** (effort.attempt - 1) if again else None,
        }
    )


def online_time(effort: Effort, now: datetime) -> timedelta:
    """Return the observed online time of the attempt so far."""
    if effort.counted is None:
        return effort.online
    return effort.online + min(max(now - effort.counted, timedelta(0)), LONGEST_GAP)


def next_look(effort: Effort, gate: HealthGate, now: datetime) -> datetime:
    """Return when the attempt has to be looked at again even if nothing is heard of the box."""
    if effort.ready_since is not None:
        return min(effort.ready_since + gate.ready_for, now + CLOCK_WRITE)
    return now + min(max(gate.timeout - online_time(effort, now), timedelta(seconds=1)), CLOCK_WRITE)


def _remember(effort: Effort, online: timedelta, ready_since: datetime | None, now: datetime) -> Effort:
    """Return the effort unchanged unless there is something worth a write."""
    fresh = effort.counted is not None and abs(now - effort.counted) < CLOCK_WRITE  # a clock may have been set back
    if fresh and ready_since == effort.ready_since:
        return effort
    return effort.model_copy(update={"online": online, "counted": now, "ready_since": ready_since})


def _cut(message: str) -> str:
    return message if len(message) <= LONGEST_TOLD else f"{message[: LONGEST_TOLD - 1]}…"


def _words(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    return f"{seconds // 60} min" if seconds >= 120 else f"{seconds} s"  # noqa: PLR2004 - two minutes read better so
