"""Telling a story on the terminal: one line a fact with its time, a live line below, a table at the end.

Where output is no terminal there is no live line; a pipe gets every line whole, without colours.
"""

import os
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from simulator.course import Line, Sign
from simulator.progress import Step

GLYPHS: Final = {
    Sign.STEP: ("▸", "cyan"),
    Sign.GOOD: ("✓", "green"),
    Sign.BAD: ("✕", "red"),
    Sign.DARK: ("○", "yellow"),
    Sign.WAIT: ("…", "magenta"),
    Sign.NOTE: ("·", "dim"),
    Sign.NEWS: ("✉", "yellow"),
}
PLAIN: Final = {
    Sign.STEP: ">",
    Sign.GOOD: "+",
    Sign.BAD: "x",
    Sign.DARK: "o",
    Sign.WAIT: "?",
    Sign.NOTE: "-",
    Sign.NEWS: "!",
}
PIPE_WIDTH: Final = 10_000  # nothing is wrapped for a program
WIDEST: Final = 120  # columns; longer lines are hard to read
MARGIN: Final = 10  # columns before a sentence: time, glyph and blanks
BAR: Final = 20  # columns of a progress bar
LINE_EVERY_SECONDS: Final = 10.0  # of a counted step, where there is no live line


class Narrator(AbstractContextManager["Narrator"]):
    """Prints the story; use as a context, so that the live line is gone whatever happens."""

    def __init__(self) -> None:
        piped = not sys.stdout.isatty()
        fixed = PIPE_WIDTH if piped and "COLUMNS" not in os.environ else None
        self.console = Console(highlight=False, markup=False, emoji=False, width=fixed)
        if fixed is None and self.console.width > WIDEST:
            self.console = Console(highlight=False, markup=False, emoji=False, width=WIDEST)
        self._plain = not can_print("✓▸█─✉", self.console.encoding)
        self._live: Live | None = None
        self.began = time.monotonic()
        self._step = ""  # the one told last
        self._told = 0.0  # when
        if self.console.is_terminal:
            self._live = Live(console=self.console, transient=True, refresh_per_second=8)

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def say(self, at: float, sign: Sign, text: str) -> None:
        """Tell a fact; `at` in seconds."""
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_column(width=6, justify="right", style="dim", no_wrap=True)
        grid.add_column(width=1, no_wrap=True)
        grid.add_column(overflow="fold")
        glyph, style = GLYPHS[sign]
        grid.add_row(clock(at), Text(PLAIN[sign] if self._plain else glyph, style), Text(self._spelled(text)))
        self._print(grid)

    def tell(self, lines: Iterable[Line]) -> None:
        """Tell facts in order."""
        for line in lines:
            self.say(line.at, line.sign, line.text)

    def heading(self, text: str) -> None:
        """Begin a chapter."""
        self._print(Text(f"\n{self._spelled(text)}", "bold"))

    def line(self, text: str = "", style: str = "") -> None:
        """Print a line without a time."""
        self._print(Text(self._spelled(text), style))

    def progress(self, text: str, done: int = 0, total: int = 0) -> None:
        """Show what goes on in the live line; nothing where there is none."""
        if self._live is None:
            return
        said = Text(f"        {self._spelled(text)} ", "dim")
        if total:
            said.append(self._bar(done, total), "cyan")
            said.append(f" {done}/{total}", "dim")
        said.truncate(self.console.width - 3, overflow="ellipsis")
        self._live.update(Spinner("line", said), refresh=False)

    def quiet(self) -> None:
        """Take the live line away until there is something to show."""
        if self._live:
            self._live.update(Text(""), refresh=True)

    def step(self, step: Step) -> None:
        """A report of the cluster: in the live line; where there is none as lines, a counted step every ten seconds."""
        self.progress(step.what, step.done, step.total)
        at = time.monotonic() - self.began
        if self._live is None and (step.what != self._step or at - self._told > LINE_EVERY_SECONDS):
            self._step, self._told = step.what, at
            self.say(at, Sign.NOTE, f"{step.what}: {step.done} of {step.total}" if step.total else step.what)

    def table(self, title: str, headers: Sequence[str], rows: Iterable[tuple[bool, Sequence[str]]]) -> None:
        """A row an expectation, its mark first: whether it held, and the cells under the headers."""
        made = Table(title=None, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", expand=False)
        made.add_column("", width=1, no_wrap=True)
        for number, header in enumerate(headers):
            last = number == len(headers) - 1
            made.add_column(
                header, justify="right" if last else "left", no_wrap=last, overflow="fold", ratio=None if last else 1
            )
        for ok, cells in rows:
            sign = Sign.GOOD if ok else Sign.BAD
            glyph, style = GLYPHS[sign]
            marked = Text(PLAIN[sign] if self._plain else glyph, style)
            made.add_row(marked, *(Text(self._spelled(cell), "" if ok else style) for cell in cells))
        self.heading(title)
        self._print(made)

    def _bar(self, done: int, total: int) -> str:
        full = round(BAR * min(done, total) / total)
        filled, empty = ("#", "-") if self._plain else ("█", "░")
        return filled * full + empty * (BAR - full)

    def _spelled(self, text: str) -> str:
        """The text in letters that the terminal has."""
        if not self._plain:
            return text
        return text.replace("→", "->").replace("…", "...").encode("ascii", "replace").decode()

    def _print(self, what: Table | Text) -> None:
        """Print without the blanks that tables leave at the ends of lines, at once."""
        if self.console.is_terminal:
            self.console.print(what)
            return
        with self.console.capture() as captured:
            self.console.print(what)
        sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
        sys.stdout.flush()


def can_print(sample: str, encoding: str) -> bool:
    """Whether the terminal has these letters."""
    try:
        sample.encode(encoding)
    except (LookupError, UnicodeError):
        return False
    return True


def clock(seconds: float) -> str:
    """Minutes and seconds, with a sign before the beginning: 1:05."""
    whole = int(abs(seconds))
    return f"{'-' if seconds <= -1 else ''}{whole // 60}:{whole % 60:02}"


def length(seconds: float | None) -> str:
    """How long something took, for a table; a dash where it has no length."""
    if seconds is None:
        return "-"
    if seconds < 10:  # noqa: PLR2004 - reads better so
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 100 else f"{int(seconds) // 60} min {int(seconds) % 60:02} s"  # noqa: PLR2004 - reads better so
