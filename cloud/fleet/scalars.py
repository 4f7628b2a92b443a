"""What the scalar fields of our resources mean: durations, shares of a total, times of day."""

import math
import re
from dataclasses import dataclass
from datetime import time, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = r"^(0|[1-9][0-9]{0,6})(s|m|h|d)$"
_PERCENT = r"^(0|[1-9][0-9]?|100)%$"
_TIME_OF_DAY = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"


def parse_duration(text: object) -> timedelta:
    """Read ``30s``, ``10m``, ``6h`` or ``30d``. Raises ValueError that says how a duration is written."""
    if isinstance(text, timedelta):
        return text
    match = re.fullmatch(_DURATION, text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is not a duration: write a whole number and s, m, h or d, for example 10m")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def format_duration(span: timedelta) -> str:
    """Write a duration in the largest unit that keeps it whole: 10 minutes is ``10m``, 90 seconds ``90s``."""
    seconds = int(span.total_seconds())
    unit = next((unit for unit in "dhm" if seconds and seconds % _UNITS[unit] == 0), "s")
    return f"{seconds // _UNITS[unit]}{unit}"


@dataclass(frozen=True, slots=True)
class Share:
    """A number of things, or a percentage of all of them."""

    value: int
    percent: bool = False

    def of(self, total: int) -> int:
        """Return how many of ``total`` this is: percentages round up, to 1 at least; 0 stays 0."""
        return math.ceil(total * self.value / 100) if self.percent else self.value

    def exceeded_by(self, part: int, total: int) -> bool:
        """Tell whether ``part`` of ``total`` is strictly more than this share, without rounding."""
        return part * 100 > self.value * total if self.percent else part > self.value

    def reached_by(self, part: int, total: int) -> bool:
        """Tell whether ``part`` of ``total`` is at least this share, without rounding."""
        return part * 100 >= self.value * total if self.percent else part >= min(self.value, total)

    def __str__(self) -> str:
        return f"{self.value}%" if self.percent else str(self.value)


def parse_share(given: object) -> Share:
    """Read ``3`` or ``"10%"``. Raises ValueError that says how a share is written."""
    if isinstance(given, Share):
        return given
    if isinstance(given, int) and not isinstance(given, bool) and given >= 0:
        return Share(given)
    if isinstance(given, str) and re.fullmatch(_PERCENT, given):
        return Share(int(given[:-1]), percent=True)
    raise ValueError(f"{given!r} is neither a number from 0 up nor a percentage from 0% to 100%, for example 3 or 10%")


def parse_time_of_day(text: object) -> time:
    """Read ``22:00``. Raises ValueError that says how a time of day is written."""
    if isinstance(text, time):
        return text
    if not isinstance(text, str) or not re.fullmatch(_TIME_OF_DAY, text):
        raise ValueError(f"{text!r} is not a time of day: write hours and minutes, for example 22:00")
    return time(int(text[:2]), int(text[3:]))


_SHARE_SCHEMA: dict[str, Any] = {
    "x-kubernetes-int-or-string": True,
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "maxLength": 4,
    "x-kubernetes-validations": [
        {
            "rule": f"type(self) == int ? self >= 0 : self.matches('{_PERCENT}')",
            "message": "must be a number from 0 up or a percentage from 0% to 100%, for example 3 or 10%",
        }
    ],
}

Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration),
    WithJsonSchema({"type": "string", "maxLength": 8, "pattern": _DURATION}),
]
IntOrPercent = Annotated[
    Share,
    BeforeValidator(parse_share),
    PlainSerializer(lambda share: str(share) if share.percent else share.value),
    WithJsonSchema(_SHARE_SCHEMA),
]
TimeOfDay = Annotated[
    time,
    BeforeValidator(parse_time_of_day),
    PlainSerializer(lambda moment: f"{moment:%H:%M}"),
    WithJsonSchema({"type": "string", "maxLength": 5, "pattern": _TIME_OF_DAY}),
]
