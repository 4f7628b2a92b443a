"""What a plan asks to be done; values only."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from cloud.rollout.status import ReleaseStatus


class Severity(StrEnum):
    """Kubernetes' two types of events."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class Note:
    """One decision to be told as a Kubernetes Event on the release."""

    reason: str  # CamelCase, stable
    message: str
    severity: Severity = Severity.NORMAL


@dataclass(frozen=True, slots=True)
class Move:
    """One patch of one node: labels of versions to add and to remove, and what to remember with it."""

    box: str
    add: frozenset[str] = frozenset()
    remove: frozenset[str] = frozenset()
    previous: tuple[str, ...] | None = None  # versions to remember, newest first; None: leave what is remembered
    reverted: str | None = None  # uid of the release it is taken back from; None: leave, "" forget
    moved_by: tuple[str, ...] | None = None  # uids of releases to remember, newest first; None: leave
    why: str = ""

    def on(self, versions: frozenset[str]) -> frozenset[str]:
        """Return the versions a box has after the patch that had these before."""
        return (versions - self.remove) | self.add


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, in this order: write the status, then move the boxes, then tell."""

    status: ReleaseStatus
    moves: tuple[Move, ...] = ()
    notes: tuple[Note, ...] = ()
    recheck_after: timedelta | None = None  # None: only an event can change anything
