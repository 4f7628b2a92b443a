"""Whether we ourselves hear well: a clock that runs only while we do, so that no box is blamed for our deafness.

1. Whoever was held up (a stopped process, a busy machine), has no broker, or does not hear the echo of its own voice,
   is deaf: the listening clock stands still.
2. It stands still for some time more: boxes that lost the broker as well have to find it again.
3. A box's silence is counted by this clock alone. A fault that comes while we are deaf is told when we hear again.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

HELD_UP_AFTER: Final = 1.0
"""Seconds between two looks, or that a message waited in line; we look ten times a second."""
NO_ECHO_AFTER: Final = 1.0
"""Seconds without our own voice, which goes out four times a second. With a beat's period, 1 s, before it, it must be
less than the 2.5 s after which a box is suspected."""
BROKER_LOST_AFTER: Final = 5.0
"""Seconds of a broker's silence from which on boxes may have given it up as well: their keep-alive."""
SETTLE: Final = 8.0
"""Seconds after the broker came back: the longest back-off of an agent, 5 s, a connection, and its first beat."""
CATCH_UP: Final = 2.0
"""Seconds after we were held up: what came meanwhile is in line, and every box beats once more."""
TOLD_AFTER: Final = 3.0
"""Seconds of deafness that a person is told of; a hiccup is not worth it."""
STARTING: Final = 20.0
"""Seconds of deafness that nobody is told of at the start: the broker may start as well, and boxes have to find it."""


class Deaf(StrEnum):
    """Why we do not hear well."""

    HELD_UP = "HeldUp"  # this process did not run, or does not keep up
    NO_BROKER = "NoBroker"
    NO_ECHO = "NoEcho"  # the broker answers, and does not deliver


@dataclass(frozen=True, slots=True)
class Listening:
    """What we know of our own hearing. All but ``clock`` are seconds of the machine's monotonic clock."""

    looked: float  # when we last looked
    clock: float = 0.0  # seconds that we have listened well
    linked: float | None = None  # since when the broker listens to us; None: it does not
    echoed: float = 0.0  # when we last heard ourselves
    settled: float = 0.0  # from when on silence counts again
    deaf: Deaf | None = Deaf.NO_BROKER  # None: we hear well
    since: float = 0.0  # of ``deaf``, or since when we hear well

    def told(self) -> Deaf | None:
        """Return why people should know that we are deaf; None: we are not, or not for long."""
        patience = TOLD_AFTER if self.clock else STARTING
        return self.deaf if self.looked - self.since >= patience else None


def begin(now: float) -> Listening:
    """Return the hearing of a process that has just started and has no broker yet."""
    return Listening(looked=now, since=now)


def linked(listening: Listening, now: float) -> Listening:
    """Note that the broker listens to us."""
    return replace(listening, linked=now, echoed=now, settled=max(listening.settled, now + SETTLE))


def unlinked(listening: Listening) -> Listening:
    """Note that the broker does not listen to us any more."""
    return replace(listening, linked=None)


def echoed(listening: Listening, at: float) -> Listening:
    """Note that we heard ourselves."""
    return replace(listening, echoed=max(listening.echoed, at))


def looked(listening: Listening, now: float, waited: float = 0.0) -> Listening:
    """Let the clock run up to now, if we heard well since the last look. ``waited``: seconds of the oldest in line."""
    gap = max(0.0, now - listening.looked)
    reason, settled = _reason(listening, now, max(gap, waited)), listening.settled
    if reason is Deaf.HELD_UP:
        settled = max(settled, now + CATCH_UP)
    elif reason is Deaf.NO_ECHO:
        lost = now - listening.echoed > BROKER_LOST_AFTER
        settled = max(settled, now + (SETTLE if lost else CATCH_UP))
    deaf = reason or (listening.deaf or Deaf.HELD_UP if now < settled else None)
    since = listening.since if bool(deaf) is bool(listening.deaf) else listening.looked
    clock = listening.clock if deaf else listening.clock + gap
    return replace(listening, looked=now, clock=clock, settled=settled, deaf=deaf, since=since)


def _reason(listening: Listening, now: float, stood: float) -> Deaf | None:
    if listening.linked is None:
        return Deaf.NO_BROKER
    if stood > HELD_UP_AFTER:
        return Deaf.HELD_UP
    return Deaf.NO_ECHO if now - listening.echoed > NO_ECHO_AFTER else None
