"""How often a channel may speak, and what waits while it may not: a token bucket, and one digest for all that waits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from cloud.alerts.notice import Notice, Occasion, Severity

MOST_WAITING: Final = 500
"""Notices of a channel that does not deliver. Beyond it those go that matter least: an end before a begin, a warning
before what is critical, the oldest first. A critical begin goes last of all."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """What is left of a channel's messages. It fills evenly, up to what a minute allows."""

    a_minute: int | None  # None: there is no limit
    left: float = 0.0
    at: float = 0.0  # when ``left`` was told

    def wait(self, now: float) -> float:
        """Return in how many seconds the next message may go; 0: now."""
        if self.a_minute is None:
            return 0.0
        return max(0.0, (1.0 - self._now(now)) * 60.0 / self.a_minute)

    def taken(self, now: float) -> "Bucket":
        """Return the bucket after a message that goes now."""
        return replace(self, left=self._now(now) - 1.0, at=now) if self.a_minute else self

    def _now(self, now: float) -> float:
        return min(float(self.a_minute or 0), self.left + (now - self.at) * (self.a_minute or 0) / 60.0)


def full(a_minute: int | None, now: float) -> Bucket:
    """Return the bucket of a channel that has said nothing yet."""
    return Bucket(a_minute, float(a_minute or 0), now)


def kept(waiting: Sequence[Notice], most: int = MOST_WAITING) -> tuple[Notice, ...]:
    """Return what goes on waiting of this, in its order."""
    if len(waiting) <= most:
        return tuple(waiting)
    worth = sorted(range(len(waiting)), key=lambda place: (_worth(waiting[place]), place), reverse=True)
    stays = frozenset(worth[:most])
    return tuple(one for place, one in enumerate(waiting) if place in stays)


def digest(waiting: Sequence[Notice]) -> tuple[Notice, ...]:
    """Return what is told together, the gravest first; of one alert the newest alone."""
    newest = {one.fingerprint: one for one in waiting}
    chosen = [one for one in waiting if newest[one.fingerprint] is one]
    return tuple(sorted(chosen, key=lambda one: (one.occasion is Occasion.RESOLVED, _SEVERITIES.index(one.severity))))


_SEVERITIES: Final = tuple(Severity)


def _worth(notice: Notice) -> tuple[bool, int]:
    return notice.occasion is not Occasion.RESOLVED, -_SEVERITIES.index(notice.severity)
