"""Whether so many sites are silent at once that the fault is on our side of their uplinks: the cloud's own, a peer's.

The listening clock sees our own process and broker; this sees what lies beyond: a hundred uplinks do not break in the
same second. While it holds no site is blamed, and one thing is said once: the fleet is dark.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from cloud.fleet.life import Life

TOGETHER: Final = 1.5
"""Periods of silence of every box of a site from which it may be falling: before any box is suspected."""
FEWEST: Final = 3
"""Sites: two may share a provider, or a coincidence."""
BLAMED: Final = 0.5
"""Share of the sites that we hear from which their silence is our fault."""
CLEARED: Final = 0.25
"""Share below which those that are still silent are judged by themselves."""


def falling(lives: Mapping[str, Life], now: float) -> bool | None:
    """Tell whether every box of a site is silent now; None: there is none that beat and did not take its leave."""
    quiet = [now - life.heard >= TOGETHER * life.period for life in lives.values() if life.proven and not life.goodbye]
    return all(quiet) if quiet else None


def doubted(sites: Iterable[bool | None], *, before: bool) -> bool:
    """Tell whether we rather doubt ourselves. ``sites``: whether each is falling; those dark before are left out.

    ``before``: what was answered last; who begins to doubt needs more for it than who goes on.
    """
    known = [site for site in sites if site is not None]
    fallen = sum(known)
    if before:
        return fallen > CLEARED * len(known)
    return fallen >= FEWEST and fallen > BLAMED * len(known)
