"""Notices as people read them in a chat: what each says, of whom, and whether it is over. No I/O here."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from simulator.rehearsal import Result

TOLD_ONCE: Final = "told-once"
"""Name of the judge of notices."""
_HEADLINE: Final = re.compile(r"#### \[(?P<mark>[^\]]*)\] (?P<title>.*)")
_OVER: Final = frozenset({"RESOLVED", "已恢复"})


@dataclass(frozen=True, slots=True)
class News:
    """One notice of a message; ``at`` in the seconds of the evidence."""

    at: float
    mark: str  # severity and occasion
    title: str
    lines: tuple[str, ...] = ()

    @property
    def over(self) -> bool:
        """Whether it says that something is well again."""
        return self.mark in _OVER

    def names(self, what: str) -> bool:
        """Whether its title names a site or a box; one of a box names its site as well."""
        return re.search(rf"(?<![-\w]){re.escape(what)}(?![-\w])", self.title, re.ASCII) is not None


def read(text: str, at: float) -> tuple[News, ...]:
    """Return the notices of a markdown message, in its order."""
    found: list[News] = []
    for line in text.splitlines():
        if head := _HEADLINE.fullmatch(line):
            found.append(News(at, head["mark"], head["title"]))
        elif found and (said := line.lstrip("->#* ").strip()):
            last = found.pop()
            found.append(News(last.at, last.mark, last.title, (*last.lines, said)))
    return tuple(found)


def bad(news: Iterable[News], name: str, since: float, until: float = float("inf")) -> list[News]:
    """Return what was told to be wrong with a site, its boxes or a box in a span of time."""
    return [one for one in news if not one.over and since <= one.at < until and one.names(name)]


def once(
    promise: str, news: Sequence[News], faults: Sequence[tuple[str, float]], until: float = float("inf")
) -> Result:
    """Judge that of each thing that broke people were told exactly once. ``faults``: its name, and when it broke.

    The time is that of the slowest notice.
    """
    told = {name: bad(news, name, at, until) for name, at in faults}
    silent = [name for name, own in told.items() if not own]
    often = [name for name, own in told.items() if len(own) > 1]
    slowest = max((told[name][0].at - at for name, at in faults if told[name]), default=None)
    happened = f"{len(faults) - len(silent) - len(often)} of {len(faults)} told once"
    if len(faults) == 1 and not silent and not often:
        happened = told[faults[0][0]][0].title
    for names, words in ((silent, "not told"), (often, "told more often")):
        happened += f"; {', '.join(names[:3])} {words}" if names else ""
    return Result(TOLD_ONCE, promise, ok=not silent and not often, happened=happened, seconds=slowest)
