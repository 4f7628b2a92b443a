"""Windows of time that come again: when a cutover may start, when somebody is on duty, when a site is worked on."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from pydantic import Field

from cloud.fleet.resource import ZONE_SPELLED, Part, Rule
from cloud.fleet.scalars import TimeOfDay
from cloud.fleet.site import zone_of

SITE_ZONE: Final = "Site"
"""In place of a time zone: that of each site."""
LOOK_AHEAD: Final = timedelta(days=15)
"""A change of the clock may swallow a weekly window: two weeks and a day."""


class Day(StrEnum):
    """A day of the week."""

    MON = "Mon"
    TUE = "Tue"
    WED = "Wed"
    THU = "Thu"
    FRI = "Fri"
    SAT = "Sat"
    SUN = "Sun"


DAYS: Final = tuple(Day)
DIFFERENT: Final = (
    Rule(
        "self.from != self.to",
        "must differ from `from`: for a whole day leave windows out, else write a later or earlier time",
        lambda window: window.from_ != window.to,
        ".to",
    ),
)


class Window(Part):
    """A span of time that comes again, every day or on some days of the week."""

    days: Annotated[
        tuple[Day, ...],
        Field(
            max_length=7,
            description="Days on which the window opens; empty: every day.",
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = ()
    from_: Annotated[TimeOfDay, Field(alias="from", description="Opening time, for example 22:00.")]
    to: Annotated[TimeOfDay, Field(description="Closing time; at or before `from`, it closes on the next day.")]
    tz: Annotated[
        str,
        Field(
            min_length=1,
            max_length=64,
            description="IANA time zone, or `Site` for the time zone of each site.",
        ),
        ZONE_SPELLED,
    ] = SITE_ZONE

    rules = DIFFERENT


def occurrences(window: Window, zone: ZoneInfo, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield opening and closing time, in UTC, of each time the window is open from yesterday on."""
    today = now.astimezone(zone).date()
    for offset in range(-1, LOOK_AHEAD.days + 1):
        day = today + timedelta(days=offset)
        if window.days and DAYS[day.weekday()] not in window.days:
            continue
        yield _moment(day, window, zone), _moment(day, window, zone, closing=True)


def _moment(day: date, window: Window, zone: ZoneInfo, *, closing: bool = False) -> datetime:
    at = window.to if closing else window.from_
    if closing and window.to <= window.from_:
        day += timedelta(days=1)
    moment = datetime.combine(day, at, tzinfo=zone)
    skipped = moment.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != moment.replace(tzinfo=None)
    if closing and skipped:  # the clocks jump over that time: rather closed early than late
        moment = moment.replace(fold=1)
    return moment.astimezone(UTC)


def is_open(window: Window, site_zone: ZoneInfo | None, now: datetime) -> bool:
    """Tell whether a window is open now; one whose time cannot be told is not."""
    zone = site_zone if window.tz == SITE_ZONE else zone_of(window.tz)
    if zone is None:
        return False
    return any(opens <= now < closes for opens, closes in islice(occurrences(window, zone, now), 2))
