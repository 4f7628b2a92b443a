"""Follows the kernel's log: /dev/kmsg gives one record a read, and never waits.

What is there when the log is opened is old: it happened before the agent began, or was told by the agent before. What
the kernel overwrote before it was read is skipped. A box that does not let us read its log has a silent one.
"""

import os
from pathlib import Path
from typing import Final

from edgeagent.kernel import Record, parse

MOST_AT_ONCE: Final = 1000
"""Records of one go, 10 ms: a flood does not hold up the beats."""
_LARGEST: Final = 16 * 1024  # the kernel's records have 8 KiB at most


class Kmsg:
    """What the kernel wrote. ``problem``: why it cannot be read; empty: it can."""

    def __init__(self, path: Path = Path("/dev/kmsg")) -> None:
        self.problem = ""
        self.overwritten = 0  # how often
        self._old = True
        self._log = -1
        try:
            self._log = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as wrong:
            self.problem = f"{path} cannot be read: {wrong.strerror}"

    def fileno(self) -> int:
        """Return the descriptor that has something to read when there are records; -1 where there is a problem."""
        return self._log

    def records(self) -> list[Record]:
        """Return what the kernel wrote since the last time."""
        found: list[Record] = []
        for _ in range(MOST_AT_ONCE if self._log >= 0 else 0):
            raw = self._next()
            if not raw:
                self._old = False
                break
            if (text := parse(raw)) is not None:
                found.append(Record(text, self._old))
        return found

    def _next(self) -> bytes:
        """Return the next record, one that is none where the kernel could not give it, nothing where there are none."""
        try:
            return os.read(self._log, _LARGEST)
        except BlockingIOError:
            return b""
        except BrokenPipeError:  # EPIPE: overwritten before it was read
            self.overwritten += 1
        except OSError as wrong:
            self.problem = f"the kernel's log cannot be read: {wrong.strerror}"
        return b"-"

    def close(self) -> None:
        """Let go of the log."""
        if self._log >= 0:
            os.close(self._log)
            self._log = -1
