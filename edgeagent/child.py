"""Keeps a program running that may hang or crash, and takes the lines it writes. Nothing here ever waits for it.

1. A program that says nothing for too long is killed; one that has ended is started again, later each time unless it
   ran well for a while. One that ends with ``NOTHING_HERE`` has nothing to do for minutes.
2. A process that hangs in the kernel does not even end when it is killed. There is never more than that one: until it
   is gone no other is started.
3. Its lines come through one pipe for all its lives, so whoever waits for them has one descriptor to wait for.

It is used from one thread, which must live as long as the program should: the kernel ends a child with the thread that
started it.
"""

import contextlib
import os
import select
import signal
from collections.abc import Callable, Sequence
from typing import Final

NOTHING_HERE: Final = 3
"""Exit status of a program that finds nothing to do."""
HUNG_AFTER: Final = 10.0
"""Seconds without a line."""
STEADY: Final = 30.0
"""Seconds that it must have run for the next one to start at once."""
DELAYS: Final = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Seconds before the next start, by failures."""
RARELY: Final = 300.0
LONGEST_LINE: Final = 64 * 1024
"""Bytes, of a line and of all that is taken at once; a pipe holds as many."""
MOST_LINES: Final = 1000
"""Taken at once: hundreds wait where we did not run for minutes. What writes without end is ended."""
_NOBODY: Final = 0


class Child:
    """One program, started anew as often as needed. ``command`` gives its arguments."""

    def __init__(self, command: Callable[[], Sequence[str]], hung_after: float = HUNG_AFTER) -> None:
        self._command, self._hung_after = command, hung_after
        self._out, self._into = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._out, False)
        self.pid = _NOBODY
        self._stdin = -1
        self._killed = False
        self._begun = self._heard = self._next = 0.0
        self._failures = 0
        self._rest = b""

    def fileno(self) -> int:
        """Return the descriptor that has something to read when there are lines."""
        return self._out

    def lines(self, now: float) -> list[bytes]:
        """Return what it wrote since the last time, and see that it lives; to be called every second."""
        lines = self._read()
        if lines:
            self._heard = now
        if self.pid == _NOBODY:
            if now >= self._next:
                self._start(now)
        elif (status := _ended(self.pid)) is not None:
            self._over(status, now)
        elif now > self._heard + self._hung_after:
            self._kill()
        return lines

    def rest(self, now: float) -> None:
        """There is nothing to do for it now: end it."""
        self._next = now
        self._kill()

    def stop(self, within: float = 1.0) -> None:
        """End it and let go of it, in ``within`` seconds also where it cannot be ended."""
        if self.pid != _NOBODY:
            self._kill()
            _wait(self.pid, within)
            self._over(0, 0.0)
        os.close(self._out)
        os.close(self._into)

    def _start(self, now: float) -> None:
        theirs, ours = os.pipe2(os.O_CLOEXEC)
        command = list(self._command())
        files = [(os.POSIX_SPAWN_DUP2, theirs, 0), (os.POSIX_SPAWN_DUP2, self._into, 1)]
        try:
            self.pid = os.posix_spawn(command[0], command, os.environ, file_actions=files)
        except OSError:  # no memory, no processes left
            os.close(ours)
            self._failed(now)
            return
        finally:
            os.close(theirs)
        self._stdin, self._killed, self._begun, self._heard, self._rest = ours, False, now, now, b""

    def _over(self, status: int, now: float) -> None:
        os.close(self._stdin)
        steady, self.pid = now >= self._begun + STEADY and not self._killed, _NOBODY
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == NOTHING_HERE:
            self._failures, self._next = 0, now + RARELY
            return
        self._failures = 0 if steady else self._failures
        self._failed(now)

    def _failed(self, now: float) -> None:
        self._next = now + DELAYS[min(self._failures, len(DELAYS) - 1)]
        self._failures += 1

    def _kill(self) -> None:
        if self.pid == _NOBODY:
            return
        self._killed = True
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def _read(self) -> list[bytes]:
        try:
            some = os.read(self._out, LONGEST_LINE)
        except BlockingIOError:
            return []
        *lines, self._rest = (self._rest + some).split(b"\n")
        if len(lines) <= MOST_LINES and len(self._rest) < LONGEST_LINE:
            return lines
        self._rest = b""  # whatever this is, it is not what we started
        self._kill()
        return []


def _ended(pid: int) -> int | None:
    """Return how a process has ended; None: it has not."""
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:  # somebody else has asked
        return 0
    return status if ended else None


def _wait(pid: int, within: float) -> None:
    """Wait for a process to end, not longer than ``within`` seconds."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:  # it has been waited for; or a kernel before 5.3
        return
    try:
        if select.select([descriptor], [], [], within)[0]:
            _ended(pid)
    finally:
        os.close(descriptor)
