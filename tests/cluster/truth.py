"""What really runs on a box: from the kernel, at once and without asking any program of the box.

A container is a control group; what it is follows from the environment of its processes, whether it is ready from the
file that the workload's own readiness probe looks for.
"""

import contextlib
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from simulator.edgebox import cgroups

READY_FILE = "tmp/ready"  # in the container
LOOK_SECONDS = 0.02
FIRST = -15  # niceness of who looks: on a busy machine too, nothing happens between two looks that nobody saw


@dataclass(frozen=True, slots=True, order=True)
class Running:
    """One running container of a workload."""

    workload: str
    version: str  # of the image it was started from
    ready: bool
    pid: int  # of its main process

    def is_a(self, workload: str, version: str) -> bool:
        """Whether it is of this workload and version."""
        return (self.workload, self.version) == (workload, version)


def running(cgroup: str) -> frozenset[Running]:
    """Every running container of a workload below a control group."""
    found = set()
    for group, _, files in os.walk(cgroups.hierarchies()[0] / cgroup):  # one that vanishes meanwhile is left out
        if "cgroup.procs" in files and (one := first_known(Path(group, "cgroup.procs"))):
            found.add(one)
    return frozenset(found)


def first_known(listed: Path) -> Running | None:
    """The container of a control group; None: no workload's, or it has just ended."""
    with contextlib.suppress(OSError):
        pids = sorted(map(int, listed.read_text().split()))  # the main process is the oldest, a probe's comes and goes
        return next(filter(None, map(look, pids)), None)
    return None


def look(pid: int) -> Running | None:
    """The container that a process belongs to; None: of no workload, or ended, or on its way to its program."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
        variables = dict(line.split("=", 1) for line in environment if "=" in line)
        ready = Path(f"/proc/{pid}", "root", READY_FILE).exists()
    except OSError:
        return None
    if "WORKLOAD" not in variables or "VERSION" not in variables:
        return None
    return Running(variables["WORKLOAD"], variables["VERSION"], ready, pid)


@dataclass(slots=True)
class Watch:
    """Looks at a box again and again while the with block lasts; what it saw can be asked at any time."""

    cgroup: str
    seen: list[tuple[float, frozenset[Running]]] = field(default_factory=list)  # time.monotonic(), changes only
    longest_gap: float = 0.0  # seconds between two looks
    _end: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        if self._thread:
            self._thread.join()

    def _look(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), FIRST)  # on Linux of this thread alone
        last, ended = time.monotonic(), False
        while not ended:
            ended = self._end.wait(LOOK_SECONDS)
            now, before = time.monotonic(), self.seen[-1][1] if self.seen else None
            if (found := running(self.cgroup)) != before:
                self.seen.append((now, found))
            self.longest_gap, last = max(self.longest_gap, now - last), now

    def most_at_once(self, workload: str) -> int:
        """The largest number of containers that ran at one time."""
        return max(sum(one.workload == workload for one in found) for _, found in self.seen)

    def fewest_ready(self, workload: str) -> int:
        """The smallest number of ready containers at one time."""
        return min(sum(one.ready for one in found if one.workload == workload) for _, found in self.seen)

    def first_ready(self, workload: str, version: str) -> float:
        """When a version was ready for the first time."""
        return next(
            at
            for at, found in self.seen
            if any(x.ready and (x.workload, x.version) == (workload, version) for x in found)
        )

    def last_of(self, workload: str, version: str) -> float:
        """When a version was gone for good."""
        there = [any(x.is_a(workload, version) for x in found) for _, found in self.seen]
        return self.seen[len(there) - there[::-1].index(True)][0]
