"""Reading a table of a TOML file: each wish is checked as it is read, and all problems are told at once."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

SPAN = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(ms|s|m|h)")
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
SHARE = re.compile(r"([0-9]{1,2}|100)%")

WORD = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"  # as Kubernetes has it
LABEL_KEY = re.compile(rf"([a-z0-9]([-a-z0-9.]{{0,251}}[a-z0-9])?/)?{WORD}")
LABEL_VALUE = re.compile(f"({WORD})?")

P = TypeVar("P")
D = TypeVar("D")


class FileError(ValueError):
    """A file that cannot be used; one line a problem, each with the place and the next step."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def near(word: str, known: Iterable[str]) -> str:
    """What may have been meant, as the end of a sentence; else everything there is."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=2, cutoff=0.6)
    return f"did you mean {' or '.join(close)}?" if close else f"there is {', '.join(names)}"


@dataclass(slots=True)
class Table:
    """One table being read. `at` says where it stands: `step 2`; problems are shared by all tables of a file."""

    at: str  # empty: the file itself
    entries: Mapping[str, Any]
    problems: list[str]
    read: set[str] = field(default_factory=set)

    def objection(self, key: str, text: str) -> None:
        """Remember a problem with an entry."""
        where = f"{self.at}: {key}" if self.at else key
        self.problems.append(f"{where}: {text}")

    def take(self, key: str, parse: Callable[[Any], P], default: D, *, required: bool = False) -> P | D:
        """The entry as `parse` understands it; the default where it is absent, or wrong, which is then told."""
        self.read.add(key)
        if key not in self.entries:
            if required:
                self.objection(key, "is missing: add it")
            return default
        try:
            return parse(self.entries[key])
        except ValueError as wrong:
            self.objection(key, str(wrong))
            return default

    def tables(self, key: str, name: str) -> list["Table"]:
        """The tables of an array of tables, each called by its name and number."""

        def listed(value: object) -> list[Mapping[str, Any]]:
            if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
                raise ValueError(f"write each as a table headed [[{key}]]")
            return value

        prefix = f"{self.at}: " if self.at else ""
        none: list[Mapping[str, Any]] = []
        return [
            Table(f"{prefix}{name} {number}", entries, self.problems)
            for number, entries in enumerate(self.take(key, listed, none), start=1)
        ]

    def close(self) -> None:
        """Object to every entry that nobody asked for."""
        for key in self.entries.keys() - self.read:
            self.objection(key, f"is unknown; {near(key, self.read)}")


def text(value: object) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f'{value!r}: write a text in quotes, for example "a text"')
    return value.strip()


def texts(value: object) -> tuple[str, ...]:
    """One or more texts."""
    if not isinstance(value, list) or not value or not all(isinstance(one, str) and one for one in value):
        raise ValueError(f'{value!r}: write a list of names, for example ["tc-001", "tc-002"]')
    return tuple(value)


def labels(value: object) -> Mapping[str, str]:
    """Labels and their values, as Kubernetes takes them."""
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise ValueError(f'{value!r}: write labels and their values, for example {{line = "fast"}}')
    for key, one in value.items():
        if not LABEL_KEY.fullmatch(key):
            raise ValueError(f'{key!r} is no key of a label: write for example line, or "example.com/line"')
        try:
            label_value(one)
        except ValueError as wrong:
            raise ValueError(f"{key}: {wrong}") from wrong
    return value


def label_value(value: object) -> str:
    """What a label can have as its value."""
    if not isinstance(value, str) or not LABEL_VALUE.fullmatch(value):
        raise ValueError(f"{value!r}: write letters, digits, dashes, dots and underscores, at most 63, such as fast-1")
    return value


def span(value: object) -> float:
    """A length of time in seconds."""
    found = SPAN.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f'{value!r}: write a number and ms, s, m or h, for example "30s"')
    return float(found[1]) * UNITS[found[2]]


def whole(least: int, most: int) -> Callable[[object], int]:
    """A whole number within bounds, both included."""

    def parse(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"{value!r}: write a whole number from {least} to {most}")
        return value

    return parse


def percentage(value: object) -> float:
    """A share written as a percentage, returned as a number from 0 to 1."""
    found = SHARE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f'{value!r}: write a percentage, for example "5%"')
    return int(found[1]) / 100


def one_of(known: Iterable[str]) -> Callable[[object], str]:
    """One of the words."""
    words = tuple(known)

    def parse(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"{value!r} is unknown; {near(str(value), words)}")
        return value

    return parse
