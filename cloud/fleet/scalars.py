"""What the scalar fields of our resources mean: durations, shares of a total, times of day."""

import math
import re
from dataclasses import dataclass
from datetime import time, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, PlainSerializer, WithJsonSchema
from pydantic_core.core_schema import CoreSchema, no_info_after_validator_function

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = r"^((0|[1-9][0-9]{0,6})[smh]|(0|[1-9][0-9]{0,5})d)$"  # bounded: now + a few of them is still a date
_PERCENT = r"^(0|[1-9][0-9]?|100)%$"
_TIME_OF_DAY = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
_MOST = 1_000_000  # of anything that is counted
_QUOTED = 60  # characters of a bad value in a message


def shortened(value: object) -> str:
    """Return what somebody wrote as a message quotes it: not at any length, and nothing nested."""
    match value:
        case str():
            return repr(value) if len(value) <= _QUOTED else f"{value[:_QUOTED]!r}…"
        case int() | float() | None:
            return repr(value)
        case dict():
            return "an object"
        case _:
            return f"a {type(value).__name__}"


@dataclass(frozen=True, slots=True)
class Spelled:
    """Annotation of a text that must match a pattern; whoever gets it wrong reads how it is written.

    The API server answers a schema's ``pattern`` with the bare expression, so the schema gets a rule instead.
    """

    pattern: str  # anchored at both ends
    words: str  # how it is written, and an example

    def schema(self) -> dict[str, Any]:
        """Return the rule as a part of a custom resource's schema."""
        return {"x-kubernetes-validations": [{"rule": f"self.matches(r'{self.pattern}')", "message": self.words}]}

    def check(self, text: str) -> str:
        """Return the text if it matches. Raises ValueError that says how it is written."""
        if not re.fullmatch(self.pattern, text):
            raise ValueError(f"{shortened(text)}: {self.words}")
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        return no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(core) | self.schema()


def parse_duration(text: object) -> timedelta:
    """Read ``30s``, ``10m``, ``6h`` or ``30d``. Raises ValueError that says how a duration is written."""
    if isinstance(text, timedelta):
        return text
    if not isinstance(text, str):
        raise ValueError(f"{shortened(text)}: {_DURATION_SPELLED.words}")  # noqa: TRY004 - pydantic turns only ValueError into its own
    written = _DURATION_SPELLED.check(text)
    return timedelta(seconds=int(written[:-1]) * _UNITS[written[-1]])


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
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given <= _MOST:
        return Share(given)
    if isinstance(given, str) and re.fullmatch(_PERCENT, given):
        return Share(int(given[:-1]), percent=True)
    raise ValueError(f"{shortened(given)}: {_SHARE_WORDS}")


def parse_time_of_day(text: object) -> time:
    """Read ``22:00``. Raises ValueError that says how a time of day is written."""
    if isinstance(text, time):
        return text
    if not isinstance(text, str):
        raise ValueError(f"{shortened(text)}: {_TIME_OF_DAY_SPELLED.words}")  # noqa: TRY004 - as for durations
    written = _TIME_OF_DAY_SPELLED.check(text)
    return time(int(written[:2]), int(written[3:]))


def cel_seconds(field: str) -> str:
    """Return the CEL expression of a duration field's length in seconds; 0 where it is no duration.

    CEL's own ``duration()`` knows no days.
    """
    number, unit = f"{field}.substring(0, {field}.size() - 1)", f"{field}.substring({field}.size() - 1)"
    units = ", ".join(f"'{name}': {seconds}" for name, seconds in _UNITS.items())
    return f"({field}.matches(r'{_DURATION}') ? int({number}) * {{{units}}}[{unit}] : 0)"


def cel_percent(field: str) -> str:
    """Return the CEL expression that tells whether a share is a percentage."""
    return f"type({field}) == string && {field}.matches(r'{_PERCENT}')"


_DURATION_SPELLED = Spelled(_DURATION, "write a whole number and s, m, h or d, for example 10m")
_TIME_OF_DAY_SPELLED = Spelled(_TIME_OF_DAY, "write hours and minutes as HH:MM, for example 22:00")
_SHARE_WORDS = f"write a number from 0 to {_MOST} or a percentage from 0% to 100%, for example 3 or 10%"
_SHARE_SCHEMA: dict[str, Any] = {
    "x-kubernetes-int-or-string": True,
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "maxLength": 7,
    "x-kubernetes-validations": [
        {
            "rule": f"type(self) == int ? self >= 0 && self <= {_MOST} : self.matches(r'{_PERCENT}')",
            "message": _SHARE_WORDS,
        }
    ],
}

Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration),
    WithJsonSchema({"type": "string", "maxLength": 8, **_DURATION_SPELLED.schema()}),
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
    WithJsonSchema({"type": "string", "maxLength": 5, **_TIME_OF_DAY_SPELLED.schema()}),
]
