"""Whether a box can be reached: by the node's Ready condition, and by a monitor that hears the box's own beats.

Kubernetes is tens of seconds behind, so a box counts as dark as soon as the condition is anything but True. A monitor
knows of a silence within seconds, so its word that a box is dark counts at once; that one is there again needs both.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

STEADY_AFTER: Final = timedelta(seconds=10)  # a link that flaps comes and goes within seconds; such a box is let be


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a box is online, since when, and who says so."""

    online: bool
    since: datetime
    witness: str

    def steady(self, now: datetime) -> bool:
        """Tell whether the box has been online long enough to be touched."""
        return self.online and now - self.since >= STEADY_AFTER

    def steady_at(self, now: datetime) -> datetime | None:
        """Return when an online box will be steady; None if it is already, or is dark."""
        due = self.since + STEADY_AFTER
        return due if self.online and due > now else None


@dataclass(frozen=True, slots=True)
class ReadySign:
    """What a node says of itself."""

    ready: bool
    since: datetime  # by the clock of whoever wrote it, for a ready node the box's own: may be wrong
    witness: str = "NodeReady"


class Connectivity(Protocol):
    """Says whether a box is online."""

    def judge(self, sign: ReadySign, known: Verdict | None, now: datetime) -> Verdict:
        """Return the verdict on a box; ``known`` is the last one, None if the box was never seen by us."""
        ...


class NodeReady:
    """Kubernetes' own verdict."""

    def judge(self, sign: ReadySign, known: Verdict | None, now: datetime) -> Verdict:
        """Return online exactly when the node is Ready.

        A change that we see ourselves is dated by our clock, for the box's may be wrong by years. What was so before
        we looked is dated as written, but never later than now.
        """
        if known is not None:
            return known if known.online is sign.ready else Verdict(sign.ready, now, sign.witness)
        return Verdict(sign.ready, min(sign.since, now), sign.witness)
