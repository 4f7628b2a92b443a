"""How a box keeps its link to the broker: how long it waits for it, and when it tries again."""

from typing import Final

KEEPALIVE: Final = 5
"""Seconds; the broker gives a silent box up after 1.5 times as much and up to 5 s, and the box gives up a broker that
leaves two pings without an answer."""
CONNECT_WITHIN: Final = 5.0
"""Seconds for the connection, again for TLS, again for the broker's first word."""
STEADY: Final = 5.0
"""Seconds that a session must have lasted for the next one to be tried at once."""
DELAYS: Final = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Seconds between attempts, ±25 %: a site that returns is heard within 5 s, and a fleet does not come in step."""


def failures(before: int, lasted: float) -> int:
    """Return how many attempts in a row have failed, after one whose session lasted so many seconds; 0: it had none."""
    return 0 if lasted >= STEADY else before + 1


def delay(failed: int, chance: float) -> float:
    """Return how many seconds to wait before the next attempt; ``chance`` is a number from 0 to 1."""
    return DELAYS[min(failed, len(DELAYS) - 1)] * (0.75 + 0.5 * chance)
