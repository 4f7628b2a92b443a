"""Decides who is told of an alert: by site, role, severity and time of day, and later by how long nobody has taken it.

1. A receiver takes what meets all that it names; what it does not name may be anything.
2. Whoever was told of an alert is told of its end, whoever is on duty then.
3. A silence is for faults, not for notices: what is still wrong when it ends is told then. Every silence ends.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Annotated, Final, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, Field

from cloud.alerts.fault import Code, Fault
from cloud.alerts.lifecycle import Announcement
from cloud.alerts.notice import Occasion, Severity
from cloud.fleet.resource import Name, Part, Rule
from cloud.fleet.window import Window, is_open

MOST: Final = 256
Pattern: TypeAlias = Annotated[
    str, Field(min_length=1, max_length=253, description="A name; * stands for any letters.")
]
Patterns: TypeAlias = Annotated[tuple[Pattern, ...], Field(max_length=MOST)]
Zones: TypeAlias = Mapping[str, ZoneInfo]
"""Time zones of sites."""


class Receiver(Part, extra="forbid"):
    """Somebody who is told, over one or more channels."""

    name: Annotated[Name, Field(description="Of the person, group or shift.")]
    channels: Annotated[tuple[Name, ...], Field(min_length=1, max_length=16, description="Names of channels.")]
    sites: Annotated[Patterns, Field(description="Sites; empty: all, and what is of no site.")] = ()
    roles: Annotated[tuple[Name, ...], Field(max_length=MOST, description="Roles of boxes; empty: all.")] = ()
    severities: Annotated[tuple[Severity, ...], Field(max_length=3, description="Empty: all.")] = ()
    windows: Annotated[tuple[Window, ...], Field(max_length=16, description="When on duty; empty: always.")] = ()
    repeats: Annotated[
        int,
        Field(
            ge=0,
            le=10,
            description="Escalation: told from this repetition on of what nobody has taken; 1 is after 30 min, 2 after "
            "1.5 h, 3 after 3.5 h. 0: from the first notice.",
        ),
    ] = 0


class Silence(Part, extra="forbid"):
    """What nobody is told of: for planned work, or because it is known."""

    why: Annotated[str, Field(min_length=1, max_length=256, description="For whoever wonders.")]
    sites: Annotated[Patterns, Field(description="Empty: all.")] = ()
    boxes: Annotated[Patterns, Field(description="Empty: all.")] = ()
    codes: Annotated[tuple[Code, ...], Field(max_length=len(Code), description="Empty: all.")] = ()
    until: Annotated[AwareDatetime | None, Field(description="When it ends; absent: it comes again by windows.")] = None
    windows: Annotated[tuple[Window, ...], Field(max_length=16, description="When it holds; empty: always.")] = ()

    rules = (
        Rule(
            "has(self.until) || (has(self.windows) && size(self.windows) > 0)",
            "every silence ends: give until, or windows",
            lambda self: self.until is not None or bool(self.windows),
            ".until",
        ),
    )


def receivers(
    told: Announcement, plan: Iterable[Receiver], roles: Mapping[str, Collection[str]], zones: Zones
) -> tuple[Receiver, ...]:
    """Return who is told, in the order of the plan. ``roles`` of boxes, by name."""
    concerned = frozenset(role for box in told.alert.members for role in roles.get(box, ()))
    return tuple(one for one in plan if _takes(one, told, concerned) and _on_duty(one, told, zones))


def silenced(fault: Fault, silences: Iterable[Silence], zones: Zones, now: datetime) -> bool:
    """Tell whether nobody is told of a fault now."""
    return any(_covers(one, fault) and _holds(one, zones.get(fault.subject.site), now) for one in silences)


def _takes(receiver: Receiver, told: Announcement, roles: frozenset[str]) -> bool:
    alert = told.alert
    if receiver.repeats and (alert.repeats < receiver.repeats or told.occasion is Occasion.FIRING):
        return False
    return (
        _named(alert.concern.key.site, receiver.sites)
        and (not receiver.roles or not alert.members or not roles.isdisjoint(receiver.roles))
        and (not receiver.severities or alert.entry.severity in receiver.severities)
    )


def _on_duty(receiver: Receiver, told: Announcement, zones: Zones) -> bool:
    if not receiver.windows:
        return True
    alert, zone = told.alert, zones.get(told.alert.concern.key.site)
    moments = [alert.fired] if told.occasion is Occasion.RESOLVED else [alert.fired, alert.last]
    return any(is_open(window, zone, moment) for window in receiver.windows for moment in moments if moment)


def _covers(silence: Silence, fault: Fault) -> bool:
    return (
        _named(fault.subject.site, silence.sites)
        and _named(fault.subject.box, silence.boxes)
        and (not silence.codes or fault.code in silence.codes)
    )


def _holds(silence: Silence, zone: ZoneInfo | None, now: datetime) -> bool:
    if silence.until is not None and now >= silence.until:
        return False
    return not silence.windows or any(is_open(window, zone, now) for window in silence.windows)


def _named(name: str, patterns: Patterns) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)
