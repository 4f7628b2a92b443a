"""Lets mishaps befall boxes at their times, and tells when each did. Composition; decides nothing."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from edgeagent.wire import Address
from simulator.mishaps import Blow, Change, Turn

if TYPE_CHECKING:
    from concurrent.futures import Future

STRIKE_WITHIN: Final = 10.0
"""Seconds for a change to be made."""


class Hand(Protocol):
    """What can be done to boxes: simulated ones, or real agents."""

    def strike(self, change: Change, where: Iterable[Address], blow: Blow) -> "Future[float]":
        """Do this to these boxes at one moment; the future tells when that was, by the monotonic clock."""
        ...


def play(turns: Sequence[Turn], hand: Hand, struck: Callable[[Turn, float], None], stopping: threading.Event) -> None:
    """Make every change at its time after now, until the last one is made or somebody stops it."""
    begun = time.monotonic()
    for turn in turns:
        if stopping.wait(max(0.0, begun + turn.at - time.monotonic())):
            return
        struck(turn, hand.strike(turn.change, turn.boxes, turn.blow).result(STRIKE_WITHIN))
