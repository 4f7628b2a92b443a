"""Asks again and again which monitors live: what one that has died wrote is not believed for ever."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog

from cloud.fleet.errors import Unavailable
from cloud.fleet.observers import Observers, renewed
from cloud.rollout.cluster import Missing, Refused

EVERY: Final = 5.0
"""Seconds between two questions."""

log = structlog.get_logger("operator")


async def follow(renewals: Callable[[], Awaitable[Mapping[str, str]]], heard: Callable[[frozenset[str]], None]) -> None:
    """Tell ``heard`` after every question which monitors live. While nobody answers they age."""
    observers, trouble = Observers(), ""
    while True:
        leases: Mapping[str, str] = {name: said for name, (said, _) in observers.leases.items()}
        told = ""
        try:
            leases = await renewals()
        except (Missing, Refused, Unavailable) as lost:
            told = str(lost)
            if not trouble:
                log.warning("NoLeases", message=told)
        trouble = told
        now = time.monotonic()
        observers = renewed(observers, leases, now)
        heard(observers.alive(now))
        await asyncio.sleep(EVERY)
