"""Progress on a person's terminal, or as plain lines in a log; always on standard error, results go elsewhere."""

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from simulator.progress import Report, Step

LINE_EVERY_SECONDS = 10.0
UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE})


@contextmanager
def telling() -> Iterator[Report]:
    """A report for the steps inside the block."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield Lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bars(progress)


def cannot_write(lost: OSError) -> None:
    """Say which file cannot be written, or that output cannot, which nobody then tries again at the end.

    Raises what is no such loss.
    """
    if lost.errno not in UNWRITABLE:
        raise lost
    what, then = f"{lost.filename}: cannot be written", "make room on its disk"
    if lost.filename is None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        what, then = "output could not be written", "make room, or let it go elsewhere"
    with suppress(OSError):  # a closed terminal has nobody to tell either
        print(f"fleetsim: {what}: {lost.strerror}; {then}", file=sys.stderr)


class Bars:
    """One bar for the step that goes on; a step that is through, or cannot be counted, becomes a line above it."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.task: TaskID | None = None
        self.what = ""

    def __call__(self, step: Step) -> None:
        """Show the step."""
        if not step.total:
            self.drop()
            self.progress.console.print(f"{step.what}{f': {step.done}' if step.done else ''}", markup=False)
            return
        if self.task is None or step.what != self.what:
            self.drop()
            self.task, self.what = self.progress.add_task(step.what, total=step.total), step.what
        self.progress.update(self.task, completed=step.done, total=step.total)
        if step.done == step.total:
            self.progress.console.print(f"{step.what}: {step.done} of {step.total}", markup=False)
            self.drop()

    def drop(self) -> None:
        """Take the bar away."""
        if self.task is not None:
            self.progress.remove_task(self.task)
            self.task = None


class Lines:
    """A line for each step, and one every ten seconds while a step is counted."""

    def __init__(self) -> None:
        self.what = ""
        self.said_at = 0.0

    def __call__(self, step: Step) -> None:
        """Say the step, unless it was just said."""
        now = time.monotonic()
        through = step.total and step.done == step.total
        if step.what == self.what and not through and now - self.said_at < LINE_EVERY_SECONDS:
            return
        self.what, self.said_at = "" if through else step.what, now
        count = f": {step.done} of {step.total}" if step.total else f": {step.done}" if step.done else ""
        print(f"{step.what}{count}", file=sys.stderr, flush=True)
