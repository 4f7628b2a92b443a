"""What is kept of boxes: how each was last known, and every change of a verdict."""

from dataclasses import dataclass
from datetime import datetime

from cloud.fleet.verdict import Reason, Verdict
from edgeagent.wire import Address


@dataclass(frozen=True, slots=True)
class Transition:
    """The conclusion about a box has changed."""

    address: Address
    before: Reason
    verdict: Verdict
    at: datetime  # when it was concluded
    since: datetime  # since when it holds: for a silence, when the box last spoke


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is kept of a box, so that a monitor that starts knows it."""

    address: Address
    boot: str = ""
    session: int = 0
    reason: Reason = Reason.BEATS
    since: datetime | None = None  # None: it beats
    witness: str = ""
    roles: tuple[str, ...] = ()
    lan: tuple[str, ...] = ()
    port: int = 0
