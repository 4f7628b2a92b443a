"""Fields of the API's objects, which anybody may have written: of the wrong shape they count as absent."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from cloud.rollout.views import Raw

MOST: Final = 2**31 - 1  # of anything that is counted; the API's integers go no further where it is honest
DIGITS: Final = 20  # of a revision at most: the API server counts them in 64 bits


def dict_at(raw: Raw, name: str) -> dict[str, Any]:
    """Return a mapping; what is none is empty."""
    found = raw.get(name)
    return found if isinstance(found, dict) else {}


def dicts_at(raw: Raw, name: str) -> list[dict[str, Any]]:
    """Return the mappings of a list; what is none is left out."""
    found = raw.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def text_at(raw: Raw, name: str) -> str:
    """Return a text; what is none is empty."""
    found = raw.get(name)
    return found if isinstance(found, str) else ""


def number_at(raw: Raw, name: str) -> int:
    """Return a count: what is none, or below 0, is 0."""
    found = raw.get(name)
    return min(max(found, 0), MOST) if isinstance(found, int) else 0


def counted(text: str) -> int:
    """Return the count that is written there: what is none, or longer than a revision can be, is 0."""
    return int(text) if text.isdecimal() and len(text) <= DIGITS else 0


def strings_at(raw: Raw, name: str) -> dict[str, str]:
    """Return a map of strings; ten thousand nodes share most keys and values, so each is kept once."""
    pairs = dict_at(raw, name).items()
    return {once(key): once(value) for key, value in pairs if isinstance(value, str)}


def time_at(raw: Raw, name: str) -> datetime | None:
    """Return a moment, in UTC where no zone is told; None: there is none that can be read."""
    try:
        moment = datetime.fromisoformat(text_at(raw, name))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


@lru_cache(maxsize=50_000)
def once(text: str) -> str:
    """Return the first string seen that equals this one."""
    return text
