"""All that sees the box, as one: workloads, GPUs, the kernel's log, the disk, the load. Composition; decides nothing.

Used from one thread, which lives as long as the agent: the child that asks for GPUs ends with the thread that began it.
"""

import math
import select
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from edgeagent import gpus, kernel, procfs, room, workloads
from edgeagent.gpureader import Reader
from edgeagent.gpus import Gpus
from edgeagent.happening import Happened
from edgeagent.kernel import DriverLoaded, Record, Told, note
from edgeagent.kmsg import Kmsg
from edgeagent.outbox import Now, Vitals
from edgeagent.pods import Pods
from edgeagent.room import Room
from edgeagent.scrape import Counters
from edgeagent.wire import Config
from edgeagent.workloads import CERTAIN, Workloads
from edgeagent.xids import Xid

DISK_EVERY: Final = 10.0
"""Seconds between two looks at the disk."""
POLL: Final = 0.5
MARGIN: Final = 0.02
"""Seconds beyond the moment that is waited for."""


class Senses:
    """What the agent sees of the machine that it runs on."""

    def __init__(self, root: Path, now: Now) -> None:
        self._root = root
        self._gpus, self._told, self._room, self._room_due = Gpus(since=now.elapsed), Told(), Room(), 0.0
        self._workloads = Workloads()
        self._reader, self._log, self._pods = Reader(root), Kmsg(root / "dev/kmsg"), Pods(root)
        self._counters, self._wake = Counters(root, elapsed), _nobody
        self._watcher: threading.Thread | None = None
        self._stopping = threading.Event()

    def start(self, wake: Callable[[], None]) -> None:
        """Begin to look."""
        self._wake = wake
        self._watcher = threading.Thread(target=self._watch, args=(wake,), name="watcher", daemon=True)
        self._watcher.start()

    def configure(self, config: Config) -> None:
        """Take in what is expected of the box."""
        self._gpus = replace(self._gpus, expected=config.expected_gpus)
        self._workloads = workloads.expecting(self._workloads, config.expected, elapsed())
        self._counters.configure(config.progress)

    def look(self, now: Now) -> tuple[Vitals, tuple[Happened, ...]]:
        """Return how the box is, and what has happened since the last look."""
        happened = [
            *self._of_pods(now.elapsed),
            *self._of_log(now.elapsed),
            *self._of_gpus(now.elapsed),
            *self._of_disk(now.elapsed),
        ]
        vitals = Vitals(
            workloads.states(self._workloads),
            gpus.states(self._gpus, now.elapsed),
            procfs.load(),
            self._room.troubles,
        )
        return vitals, tuple(happened)

    def figures(self, now: Now) -> dict[str, float]:
        """Return the figures of the box, by their names."""
        return procfs.figures(self._root) | dict(gpus.metrics(self._gpus, now.elapsed))

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        self._counters.stop()
        self._reader.stop()
        if self._watcher:
            self._watcher.join(1.0)
        self._log.close()
        self._pods.close()

    def _of_pods(self, now: float) -> tuple[Happened, ...]:
        for one in self._counters.take():
            self._workloads = workloads.measured(self._workloads, one.workload, one.value, one.at)
        self._counters.ask(now, self._wake)
        self._workloads, happened = workloads.judge(self._workloads, self._pods.look(now), now)
        return happened

    def _of_log(self, now: float) -> Iterator[Happened]:
        for record in self._log.records():
            yield from self._noted(record, now)

    def _noted(self, record: Record, now: float) -> tuple[Happened, ...]:
        match note(record.text):
            case None:
                return ()
            case Xid() as xid:
                self._gpus, happened = gpus.reported(self._gpus, xid, now, old=record.old)
                return happened
            case DriverLoaded():
                self._gpus = gpus.reloaded(self._gpus)
                return ()
            case trouble if not record.old:
                self._told, happened = kernel.tell(self._told, trouble, now)
                return happened
            case _:
                return ()

    def _of_gpus(self, now: float) -> tuple[Happened, ...]:
        for reading in self._reader.readings(now):
            self._gpus = gpus.read(self._gpus, reading, now)
        self._gpus, happened = gpus.judge(self._gpus, now)
        return happened

    def _of_disk(self, now: float) -> tuple[Happened, ...]:
        if now < self._room_due:
            return ()
        self._room_due = now + DISK_EVERY
        self._room, happened = room.judge(self._room, procfs.disk_free(self._root))
        return happened

    def _watch(self, wake: Callable[[], None]) -> None:
        """Wake the agent when there is something to read; edge by edge, for the agent reads in its own time."""
        with select.epoll() as ready:
            ends = self._pods.fileno()
            for descriptor in (self._reader.fileno(), self._log.fileno(), ends):
                if descriptor >= 0:
                    ready.register(descriptor, select.EPOLLIN | select.EPOLLET)
            again = math.inf  # when the end of a process can be judged
            while not self._stopping.is_set():
                told = ready.poll(max(0.0, min(POLL, again - time.monotonic())))
                if any(descriptor == ends for descriptor, _ in told):
                    again = time.monotonic() + CERTAIN + MARGIN
                if told or time.monotonic() >= again:
                    wake()
                if time.monotonic() >= again:
                    again = math.inf


def elapsed() -> float:
    """Return the seconds since the kernel started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _nobody() -> None:
    """Nobody is to be woken yet."""
