"""Which workload is looked at when: each key is in the queue once, given to one at a time, and not too often.

Times are seconds of a clock that never goes back, handed in by the caller.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

FIRST_RETRY: Final = 0.5  # seconds; doubles with each failure in a row
LONGEST_RETRY: Final = 60.0  # seconds
BOUND: Final = 10_000  # keys; more workloads than that are not in one cluster, further ones wait for the next audit

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class _Turn:
    """What is known of one key."""

    due: float | None = None  # None: nobody asked
    earliest: float = 0.0  # not before this, by the pace or after a failure
    busy: bool = False
    failures: int = 0  # in a row


class Wakeups(Generic[K]):
    """A queue of keys, each with the time at which it is due."""

    def __init__(self, pace: float) -> None:
        """``pace``: seconds between two turns of one key, at least."""
        self._pace = pace
        self._turns: dict[K, _Turn] = {}

    def __len__(self) -> int:
        return sum(1 for turn in self._turns.values() if turn.due is not None)

    def wake(self, key: K, at: float) -> bool:
        """Ask for a turn; the earliest wish counts. False: the queue is full and the wish is dropped."""
        turn = self._turns.get(key)
        if turn is None:
            if len(self._turns) >= BOUND:
                return False
            turn = self._turns[key] = _Turn()
        turn.due = at if turn.due is None else min(turn.due, at)
        return True

    def take(self, now: float) -> K | None:
        """Return the key that has been due longest, and mark it busy; None: none is due."""
        key = min(self._free(), key=self._when, default=None)
        if key is None or self._when(key) > now:
            return None
        turn = self._turns[key]
        turn.due, turn.earliest, turn.busy = None, now + self._pace, True
        return key

    def done(self, key: K) -> None:
        """Give the key back after a good turn."""
        turn = self._turns[key]
        turn.busy, turn.failures = False, 0

    def failed(self, key: K, now: float, jitter: float) -> float:
        """Give the key back after a bad turn; it comes again after the returned delay in seconds.

        ``jitter`` from 0 to 1 spreads retries over the upper half of the delay, so that not all come at once.
        """
        turn = self._turns[key]
        delay = min(LONGEST_RETRY, FIRST_RETRY * 2.0 ** min(turn.failures, 10)) * (0.5 + jitter / 2)
        turn.busy, turn.failures = False, turn.failures + 1
        turn.earliest = now + delay
        turn.due = now + delay if turn.due is None else turn.due
        return delay

    def forget(self, key: K) -> None:
        """Drop a key that concerns nothing any more."""
        turn = self._turns.get(key)
        if turn is not None and not turn.busy:
            del self._turns[key]

    def next_due(self) -> float | None:
        """Return when the next key is due; None: only a wish can change anything."""
        return min(map(self._when, self._free()), default=None)

    def _free(self) -> list[K]:
        return [key for key, turn in self._turns.items() if turn.due is not None and not turn.busy]

    def _when(self, key: K) -> float:
        turn = self._turns[key]
        return max(turn.due or 0.0, turn.earliest)
