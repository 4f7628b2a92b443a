"""What simpler detectors would have said, from the same beats and wills, as values and nothing else.

A baseline looks at one box alone: each begin of a silence that it takes for a death is one alarm. Times are seconds of
the monotonic clock.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import NormalDist, fmean, pstdev
from typing import Final, TypeAlias

WINDOW: Final = 100  # intervals that phi is learned from
LEAST_DEVIATION: Final = 0.1  # seconds; as Akka's default
THRESHOLD: Final = 8.0


@dataclass(slots=True)
class Record:
    """What was heard of one box: when it spoke, and when the broker spoke its will."""

    spoke: list[float] = field(default_factory=list)
    wills: list[float] = field(default_factory=list)


Baseline: TypeAlias = Callable[[Record, float], Iterator[float]]
"""Yields the moments of alarm until the end of the run, in their order."""


def will_only(record: Record, end: float) -> Iterator[float]:
    """Believe the broker."""
    yield from (will for will in record.wills if will <= end)


def fixed(seconds: float) -> Baseline:
    """Believe every silence of so many seconds."""

    def alarms(record: Record, end: float) -> Iterator[float]:
        for before, after in pairwise((*record.spoke, end)):
            if after - before > seconds:
                yield before + seconds

    return alarms


def phi_accrual(record: Record, end: float) -> Iterator[float]:
    """Believe a silence that is as unlikely as one in 10^8 by the gaps before it.

    Hayashibara et al., The phi accrual failure detector, SRDS 2004; normal distribution, the last hundred gaps.
    """
    sigmas = -NormalDist().inv_cdf(10**-THRESHOLD)
    gaps: list[float] = []
    for before, after in pairwise((*record.spoke, end)):
        if len(gaps) >= 2:
            recent = gaps[-WINDOW:]
            patience = fmean(recent) + sigmas * max(LEAST_DEVIATION, pstdev(recent))
            if after - before > patience:
                yield before + patience
        gaps.append(after - before)


BASELINES: Final[Mapping[str, Baseline]] = {
    "will only, keepalive 5 s": will_only,
    "fixed 40 s": fixed(40.0),
    "fixed 3 s, unconfirmed": fixed(3.0),
    "phi accrual, threshold 8": phi_accrual,
}


def first_after(moments: Sequence[float], at: float, within: float) -> float | None:
    """Return how long after a moment the next one came; None: not within so many seconds."""
    place = bisect_right(moments, at)
    return moments[place] - at if place < len(moments) and moments[place] - at <= within else None


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of them does not exceed, by nearest rank; not a number of none."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)] if ranked else math.nan
