"""How the command line speaks: tables and sentences for people, JSON for programs; colours only on a terminal.

Whoever may write a resource must not get to write on the terminals of those who read it: no control character of a
text but the end of a line reaches one. People see its picture, programs its JSON escape.
"""

import codecs
import errno
import io
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from cloud.cli.columns import Columns
from cloud.rollout.status import Phase, StagePhase

COLOURS: Final[dict[str, str]] = {
    Phase.FAILED: "red",
    Phase.ROLLING_BACK: "red",
    Phase.ROLLED_BACK: "red",
    Phase.PAUSED: "yellow",
    Phase.HALTED: "yellow",
    Phase.AWAITING_APPROVAL: "magenta",
    Phase.AWAITING_WINDOW: "cyan",
    Phase.ROLLING: "blue",
    Phase.SOAKING: "blue",
    Phase.CATCHING_UP: "green",
    Phase.SUCCEEDED: "green",
    Phase.SUPERSEDED: "dim",
    StagePhase.PASSED: "green",
}
PLAIN: Final = {"✓": "+", "▲": "!", "✕": "x", "→": "->", "…": "...", "·": "-"}  # where a letter is lacking
_UNWRITABLE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
_COARSE: Final = 10  # of a unit: the next smaller one says nothing any more
_PIPE_WIDTH: Final = 10_000  # nothing is cut for a program
_PICTURES: Final[Mapping[int, str]] = {  # of control characters: one letter each, so that a text keeps its colours
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) != "\n"},
    0x7F: "\u2421",
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),  # have no picture of their own
}
_ESCAPES: Final[Mapping[int, str]] = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}  # the others JSON escapes


def visible(text: str) -> str:
    """Return a text with pictures in place of control characters; the end of a line stays."""
    return text.translate(_PICTURES)


class _Screen(Console):
    """A console to which no control character of a text gets."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Draw one thing, or a part of one."""
        if isinstance(renderable, Text) and (shown := visible(renderable.plain)) != renderable.plain:
            renderable = renderable.copy()
            renderable.plain = shown
        return super().render(renderable, options)


def console() -> Console:
    """Return the console of standard output; in a pipe it neither cuts, wraps nor colours (NO_COLOR: nor elsewhere)."""
    piped = not sys.stdout.isatty()
    width = _PIPE_WIDTH if piped and "COLUMNS" not in os.environ else None
    return _Screen(highlight=False, markup=False, emoji=False, width=width)


def show(*parts: RenderableType) -> None:
    """Print each part, without the padding that tables leave at the ends of lines."""
    out = console()
    with out.capture() as captured:
        for part in parts:
            told = visible(part) if isinstance(part, str) else part
            out.print(told, soft_wrap=isinstance(part, str) and not out.is_terminal)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
    sys.stdout.flush()


def show_json(value: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """Print a value for programs."""
    sys.stdout.write(_json(value, indent=2) + "\n")
    sys.stdout.flush()


def show_json_line(value: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """Print a value for programs, one a line, at once."""
    sys.stdout.write(_json(value) + "\n")
    sys.stdout.flush()


def _json(value: Any, indent: int | None = None) -> str:  # noqa: ANN401 - as said
    return json.dumps(value, ensure_ascii=False, indent=indent, default=_plain).translate(_ESCAPES)


def _plain(value: object) -> str:
    """Return what JSON has no word for: a moment as in the resources, in UTC."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)


def speak_plainly() -> None:
    """Where the terminal's encoding lacks a letter, write a plain one in its place from now on."""
    codecs.register_error("edgefleet-plain", _spelled)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="edgefleet-plain")


def _spelled(lack: UnicodeError) -> tuple[str, int]:
    if not isinstance(lack, UnicodeEncodeError):
        raise lack
    return "".join(PLAIN.get(letter, "?") for letter in lack.object[lack.start : lack.end]), lack.end


def give_up(lost: OSError) -> None:
    """Say that the answer cannot be written, and have nobody try again at the end. Raises what is no such loss."""
    if lost.errno not in _UNWRITABLE:
        raise lost
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    complain(f"the answer could not be written: {lost.strerror}; make room, or let it go elsewhere")


def complain(text: str) -> None:
    """Say on standard error what went wrong and what to do next."""
    sys.stderr.write(f"{program()}: {visible(text)}\n")


def program() -> str:
    """Return the words by which this command was called, so that every hint can be copied."""
    return "kubectl edgefleet" if Path(sys.argv[0]).name.startswith("kubectl-") else "edgefleet"


def invocation(command: str, namespace: str) -> str:
    """Return a command as it can be copied."""
    return f"{program()} {command}" if command == "doctor" else f"{program()} {command} -n {namespace}"


def table(
    headers: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    right: frozenset[str] = frozenset(),
    loose: frozenset[str] = frozenset(),
    spare: Sequence[str] = (),
) -> Columns:
    """Return a plain table as kubectl prints them; headers in ``right`` stand over numbers.

    ``loose``: those of columns that may wrap; ``spare``: of those that are left out where it is narrow, in this order.
    """
    cells = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
    return Columns(headers, cells, right, loose, spare)


def facts(rows: Iterable[tuple[str, str | Text]]) -> Table:
    """Return two columns, name and value; values wrap below themselves."""
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(no_wrap=True, style="bold")
    made.add_column(overflow="fold")
    for name, value in rows:
        made.add_row(name, value if isinstance(value, Text) else Text(value))
    return made


def coloured(word: str) -> Text:
    """Return a phase in its colour."""
    return Text(word, style=COLOURS.get(word, ""))


def span(length: timedelta) -> str:
    """Write a length of time for people, two units at most: ``45s``, ``12m``, ``3h20m``, ``5d2h``."""
    seconds = max(0, int(length.total_seconds()))
    parts = [(seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    first = next((index for index, (value, _) in enumerate(parts) if value), len(parts) - 1)
    told = parts[first : first + (2 if parts[first][0] < _COARSE else 1)]
    return "".join(f"{value}{unit}" for value, unit in told if value) or "0s"


def clock(moment: datetime, now: datetime) -> str:
    """Write a moment in the reader's own time zone, with the day if it is not today."""
    local = moment.astimezone()
    return f"{local:%H:%M:%S}" if local.date() == now.astimezone().date() else f"{local:%a %d %b %H:%M}"
