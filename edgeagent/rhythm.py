"""Decides whether a workload stands still, by a counter of its own that stands for longer than it ever did.

1. What is long is learned from the pauses that ended by themselves: two and a half times the longest of them, which is
   forgotten by half in three days. Nobody is missed before enough was seen.
2. A counter that goes back has begun anew with its process: that is neither progress nor a pause.
3. Who does not answer does not move. An answer may be late on a busy box, so that takes longer.

So a counter that also stands while there is nothing to do, as one of parcels does at night, costs one wrong word and
is then given all night. One that moves whenever the workload is well, as one of frames or loops does, is missed in
seconds. Times are seconds since the kernel started.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

SAMPLE_EVERY: Final = 0.4
"""Seconds between two questions at least; the agent looks around twice a second."""
LEAST: Final = 2.0
"""Seconds without progress before anything is said: four answers that say the same."""
UNANSWERED: Final = 10.0
"""The same for a counter that does not answer."""
PATIENCE: Final = 2.5
"""Times the longest pause that ended by itself; beyond a minute a quarter more is enough."""
LONG: Final = 60.0
LONG_PATIENCE: Final = 1.25
MOVES: Final = 20
"""Answers with progress before a pause means anything."""
HALF_LIFE: Final = 3 * 86400.0
"""Seconds in which half of the longest pause is forgotten."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """What is known of a counter. Empty: it was not asked yet."""

    value: float | None = None  # as the newest answer has it
    moved: float = 0.0  # when it was last seen to have moved
    moves: int = 0  # answers that showed progress
    longest: float = 0.0  # seconds of the longest pause that ended by itself, as it was at `moved`
    silent: bool = False  # the newest question had no answer
    stalled: bool = False


def sampled(rhythm: Rhythm, value: float | None, now: float) -> Rhythm:
    """Take in an answer; None: there was none, or it is no number that a counter can have."""
    if value is None or not math.isfinite(value):
        if rhythm.value is None:
            return rhythm
        rhythm = replace(rhythm, silent=True)
        return replace(rhythm, stalled=rhythm.stalled or now - rhythm.moved > limit(rhythm))
    rhythm = replace(rhythm, silent=False)
    if rhythm.value is None or value < rhythm.value:
        return replace(rhythm, value=value, moved=now, stalled=False)
    if value == rhythm.value:
        return replace(rhythm, stalled=now - rhythm.moved > limit(rhythm))
    pause = now - rhythm.moved
    forgotten = rhythm.longest * 0.5 ** (max(0.0, pause) / HALF_LIFE)
    return replace(
        rhythm, value=value, moved=now, moves=min(rhythm.moves + 1, MOVES), longest=max(forgotten, pause), stalled=False
    )


def begun(rhythm: Rhythm, now: float) -> Rhythm:
    """The workload's process has begun anew: what it was is remembered, its counter begins again."""
    return replace(rhythm, value=None, moved=now, silent=False, stalled=False)


def limit(rhythm: Rhythm) -> float:
    """Return after how many seconds without progress the workload stands still; infinite until enough was seen."""
    if rhythm.moves < MOVES:
        return math.inf
    learned = max(LONG_PATIENCE * rhythm.longest, min(PATIENCE * rhythm.longest, LONG_PATIENCE * LONG))
    return max(UNANSWERED if rhythm.silent else LEAST, learned)
