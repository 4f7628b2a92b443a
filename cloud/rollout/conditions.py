"""The standard conditions of a release, for tools that wait on them."""

from datetime import datetime, timedelta
from typing import Final

from cloud.fleet.resource import Condition, ConditionStatus, settle_condition
from cloud.rollout.status import OVER, Phase, ReleaseStatus, Waiting

STALLED_AFTER: Final = timedelta(minutes=30)
"""Nothing moved for so long, and not because somebody asked to wait."""
_ASKED_FOR: Final = frozenset({Waiting.WINDOW, Waiting.SOAK, Waiting.APPROVAL, Waiting.PAUSED})


def conditions_of(status: ReleaseStatus, now: datetime) -> tuple[Condition, ...]:
    """Return Progressing, Healthy, Stalled and Complete; their transition times change only with their status."""
    waiting = status.waiting_on
    stalled = waiting is not None and waiting.reason not in _ASKED_FOR and now - waiting.since >= STALLED_AFTER
    moving = status.phase not in OVER | {Phase.PENDING, Phase.PAUSED}
    complete = status.phase is Phase.SUCCEEDED
    return tuple(
        settle_condition(
            status.conditions,
            Condition(
                type=name,
                status=ConditionStatus.TRUE if holds else ConditionStatus.FALSE,
                reason=reason,
                message=message,
                last_transition_time=now,
                observed_generation=status.observed_generation,
            ),
        )
        for name, holds, reason, message in (
            ("Progressing", moving, status.phase.value, status.message),
            ("Healthy", not status.failures, "BoxesFailed" if status.failures else "NoFailures", _failed(status)),
            ("Stalled", stalled, waiting.reason.value if waiting else "Moving", waiting.hint if waiting else ""),
            ("Complete", complete, status.phase.value, f"{status.counts.done} boxes done."),
        )
    )


def _failed(status: ReleaseStatus) -> str:
    return "; ".join(f"{group.boxes} x {group.cause}, for example {group.example}" for group in status.failures)[:1024]
