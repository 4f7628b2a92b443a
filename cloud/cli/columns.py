"""A table that fits the terminal: names stay whole, sentences wrap, and what is least missed goes first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

_GAP: Final = 2  # cells between two columns
_NARROWEST: Final = 8  # cells that a column of sentences or of lists can do with


@dataclass(frozen=True, slots=True)
class Columns:
    """Headers and rows; drawn in the width that there is."""

    headers: Sequence[str]
    rows: Sequence[Sequence[Text]]
    right: frozenset[str]  # headers over numbers
    loose: frozenset[str]  # headers of columns that wrap; the others do so only if even without `spare` they do not fit
    spare: Sequence[str]  # headers of columns that are left out where it is narrow, in this order

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        kept = self.fitting(options.max_width)
        whole = self._width(kept) <= options.max_width
        made = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
        for header in kept:
            made.add_column(
                header,
                justify="right" if header in self.right else "left",
                overflow="fold",
                no_wrap=whole and header not in self.loose,
            )
        for row in self.rows:
            made.add_row(*(cell for header, cell in zip(self.headers, row, strict=True) if header in kept))
        yield made

    def fitting(self, width: int) -> list[str]:
        """Return the headers of the columns that have room."""
        kept = list(self.headers)
        for header in self.spare:
            if self._width(kept) <= width:
                break
            kept.remove(header)
        return kept

    def _width(self, headers: Iterable[str]) -> int:
        """Return how many cells these columns take at least, if only loose ones wrap."""
        needed = [self._need(position, header) for position, header in enumerate(self.headers) if header in headers]
        return sum(needed) + _GAP * (len(needed) - 1)

    def _need(self, position: int, header: str) -> int:
        widest = max([cell_len(header), *(row[position].cell_len for row in self.rows)])
        return min(widest, max(_NARROWEST, cell_len(header))) if header in self.loose else widest
