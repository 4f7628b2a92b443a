"""A notice: one message to a person, in every language that we speak, before any channel has given it its form."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cloud.alerts.fault import Code, Subject


class Language(StrEnum):
    """A language that notices are written in."""

    CHINESE = "zh"
    ENGLISH = "en"


class Severity(StrEnum):
    """How soon somebody has to act."""

    CRITICAL = "critical"  # now, at night as well
    WARNING = "warning"  # today
    INFO = "info"  # good to know


class Occasion(StrEnum):
    """Why people are told."""

    FIRING = "firing"
    CHANGED = "changed"  # told before, and its extent or cause is another one now
    FLAPPING = "flapping"  # comes and goes: nothing more is said until it is stable
    REPEATED = "repeated"  # still so, and nobody has taken it
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Words:
    """What is said, in one language. No markup: a channel adds its own and escapes what is written here."""

    title: str  # one line: what happened, with what, where
    lines: tuple[str, ...]  # what is known: since when, who saw it, what hangs on it
    advice: str  # what to do next; empty: nothing


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to a person."""

    fingerprint: str  # of the alert that it tells of
    serial: int  # 1 for an alert's first notice; fingerprint and serial together are never told twice
    occasion: Occasion
    code: Code
    severity: Severity
    subject: Subject
    roles: tuple[str, ...]  # of the boxes concerned
    since: datetime  # aware
    at: datetime  # aware; when the notice was decided on
    words: Mapping[Language, Words]
    runbook: str  # path below the runbook address; empty: none

    @property
    def key(self) -> str:
        """What a receiver knows a repeated delivery by."""
        return f"{self.fingerprint}#{self.serial}"


@dataclass(frozen=True, slots=True)
class Delivery:
    """Notices that go out as one message."""

    channel: str
    notices: tuple[Notice, ...]
