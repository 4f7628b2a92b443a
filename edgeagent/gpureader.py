"""Has the GPU driver asked by a child process, and takes its answers; without a driver there is no child."""

import os
import select
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from edgeagent.child import Child
from edgeagent.facts import Gpu
from edgeagent.gpureading import Reading, parse
from edgeagent.procfs import has_gpu_driver

PATIENCE: Final = 10.0
"""Seconds; a healthy driver that has gone to sleep answers within 3."""
LOOK_EVERY: Final = 5.0
"""Seconds between looks for a driver."""


class Reader:
    """Answers of the driver, for as long as there is one. ``root`` is where the host's file system is mounted."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root, self._child = root, Child(command)
        self._driver: bool | None = None  # None: nobody has looked yet
        self._looked = 0.0

    def fileno(self) -> int:
        """Return the descriptor that has something to read when there are answers."""
        return self._child.fileno()

    @property
    def pid(self) -> int:
        """The process that asks; 0: there is none now."""
        return self._child.pid

    def readings(self, now: float) -> Iterator[Reading]:
        """Yield the answers since the last time; to be called every second. ``now`` in seconds that never jump."""
        if self._driver is None or now >= self._looked + LOOK_EVERY:
            before, self._driver, self._looked = self._driver, has_gpu_driver(self._root), now
            if before is not self._driver and not self._driver:
                self._child.rest(now)
                yield Reading(error="no GPU driver is loaded")
        if self._driver or self._child.pid:
            yield from (reading for line in self._child.lines(now) if (reading := parse(line)))

    def stop(self) -> None:
        """End the child."""
        self._child.stop()


def command() -> Sequence[str]:
    """Return the program that asks: alone, without what the environment would add, in 10 MB."""
    return (sys.executable, "-I", "-S", str(Path(__file__).with_name("nvml.py")), str(os.getpid()))


def read_gpus(patience: float = PATIENCE) -> tuple[Gpu, ...] | None:
    """Return the GPUs by index; None if the driver, or the library to ask it with, gives no answer."""
    child = Child(command, hung_after=patience)
    deadline = time.monotonic() + patience
    try:
        while (now := time.monotonic()) < deadline:
            for line in child.lines(now):
                if reading := parse(line):
                    return _listed(reading)
            select.select([child], [], [], min(0.1, deadline - now))
    finally:
        child.stop()
    return None


def _listed(reading: Reading) -> tuple[Gpu, ...] | None:
    if reading.error:
        return None
    return tuple(Gpu(one.index, one.name, one.uuid, one.memory) for one in reading.gpus if one.uuid)
