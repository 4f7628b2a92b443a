"""Which monitors live, by the leases that they renew. Nobody's clock is compared with ours: only change counts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

ALIVE_FOR: Final = 30.0
"""Seconds since a lease was seen to change; monitors renew it every 5."""


@dataclass(frozen=True, slots=True)
class Observers:
    """What is known of the leases: of each, what it said last, and when it was first seen to say that."""

    leases: Mapping[str, tuple[str, float]] = field(default_factory=lambda: MappingProxyType({}))

    def alive(self, now: float) -> frozenset[str]:
        """Return those that were renewed of late; one that was never seen before may have been."""
        return frozenset(name for name, (_, at) in self.leases.items() if now - at < ALIVE_FOR)


def renewed(observers: Observers, leases: Mapping[str, str], now: float) -> Observers:
    """Take in what the leases say: name to time of renewal. ``now`` in seconds of a clock that never jumps."""
    known = {
        name: known if (known := observers.leases.get(name)) and known[0] == said else (said, now)
        for name, said in leases.items()
    }
    return Observers(known)
