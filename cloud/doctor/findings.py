"""A finding: one thing that was looked at, whether it will do, why that matters and what to do next."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  # works, with less
    BLOCKED = "blocked"  # does not work


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one subject; ``why`` and ``next_step`` are empty where all is well."""

    subject: str  # a stable word that machines match
    level: Level
    what: str
    why: str = ""
    next_step: str = ""

    def dump(self) -> Mapping[str, Any]:
        """Return the finding for JSON."""
        return {
            "subject": self.subject,
            "level": self.level,
            "what": self.what,
            "why": self.why,
            "nextStep": self.next_step,
        }


def unreadable(subject: str, resource: str) -> Finding:
    """Return the finding that this could not be looked at."""
    what, why = (
        f"you may not list {resource}, or there are none to list",
        "this part of the cluster could not be judged",
    )
    return Finding(subject, Level.WARNING, what, why, "ask for read access")
