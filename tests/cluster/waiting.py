"""Waiting for a fact, and how long at most: the limit costs nothing while all is well, and fails nobody who is slow."""

import time
from collections.abc import Callable
from typing import Final

POLL: Final = 0.1  # seconds
SOON: Final = 150.0  # seconds for something quick: the machine may be busy, and KubeEdge may hold a message back for 60
LATE: Final = 400.0  # seconds for a hundred boxes, and for what KubeEdge makes up for only after minutes (seen: 240)


def until(
    fact: Callable[[], object], what: str, seconds: float = SOON, *, told: Callable[[], str] = lambda: ""
) -> None:
    """Return as soon as the fact holds; fail with everything that may explain why it does not."""
    deadline = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}\n{told()}")
        time.sleep(POLL)
