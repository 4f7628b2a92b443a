"""How often one address may be wrong: a burst, then an even rate.

Many boxes of a site come from one address, so only what was refused counts; whoever shares an address with somebody
who is wrong all the time waits with him. The oldest addresses are forgotten first.
"""

from collections import OrderedDict
from typing import Final

BURST: Final = 10
PER_SECOND: Final = 1 / 6
MOST_ADDRESSES: Final = 10_000


class Limits:
    """What each address has left, by a clock that never jumps."""

    def __init__(self) -> None:
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # address: what was left, and when

    def wait(self, address: str, now: float) -> float:
        """Return for how many seconds an address is not heard; zero: it is."""
        return max(0.0, (1 - self._now(address, now)) / PER_SECOND)

    def count(self, address: str, now: float) -> None:
        """Remember that an address was refused."""
        self._left[address] = (self._now(address, now) - 1, now)
        self._left.move_to_end(address)
        if len(self._left) > MOST_ADDRESSES:
            self._left.popitem(last=False)

    def _now(self, address: str, now: float) -> float:
        left, when = self._left.get(address, (float(BURST), now))
        return min(float(BURST), left + (now - when) * PER_SECOND)
