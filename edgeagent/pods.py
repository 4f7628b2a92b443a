"""Reads which pods are on the box, from the kubelet's log directory, and waits for their processes to end, by pidfd.

Nobody is asked: ``/var/log/pods/<namespace>_<pod>_<uid>/<container>/<restarts>.log`` names what there is, and each
process's control group names its pod, whatever the runtime, the cgroup version and its driver. Of a pod's containers
the one that began first is the sandbox. Names are hostile: what does not look right is left out, and nothing raises.
"""

import contextlib
import os
import re
import select
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from edgeagent.workloads import MOST_PODS, Pod

LOOK_AGAIN: Final = 20.0
"""Seconds after which processes are read again though nothing told of a change; that costs 10 ms."""
STARTING: Final = 5.0
"""Seconds after a change in which they are read at every look: a log may be there before its process."""
MOST_PROCESSES: Final = 512
"""That are waited for; further ones are unknown."""
MOST_NAMES: Final = 4096
"""Of a directory; a container that is started anew every 5 minutes has as many logs in two weeks, of which few stay."""
_JUST_NOW: Final = 1_000_000_000
"""Nanoseconds in which a directory may change again without another time of change."""

_FOLDER: Final = re.compile(r"(?P<namespace>[^_]{1,63})_(?P<pod>[^_]{1,253})_(?P<uid>[0-9a-f-]{32,36})")
_LOG: Final = re.compile(r"([0-9]{1,9})\.log(?:\..*)?")
_UID: Final = r"[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32}"
_GROUP: Final = re.compile(rf"pod(?P<uid>{_UID})(?:\.slice)?/(?P<container>(?!crio-conmon)[^/\n]+)")


@dataclass(frozen=True, slots=True)
class _Process:
    """A main process of a container. ``watch``: its pidfd; -1: the kernel gives none, and it is looked for."""

    pid: int
    began: int  # ticks since the kernel started
    watch: int


@dataclass(frozen=True, slots=True)
class _Listed:
    """A pod as the log directory has it."""

    namespace: str
    name: str
    restarts: Mapping[str, int]


class Pods:
    """The pods of a box. ``root``: where the host's file system is mounted."""

    def __init__(self, root: Path) -> None:
        self._logs, self._proc = root / "var/log/pods", root / "proc"
        self._ends = select.epoll()
        self._names: dict[str, tuple[int, tuple[str, ...]]] = {}
        self._pods: dict[str, _Listed] = {}
        self._mains: dict[str, dict[str, _Process]] = {}  # by pod and container
        self._sandboxes: dict[str, str] = {}  # by pod; stays when the process has ended
        self._due = 0.0
        self._busy = 0.0

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when a process ends."""
        return self._ends.fileno()

    def look(self, now: float) -> tuple[Pod, ...]:
        """Return the pods that there are; ``now`` in seconds of a clock that never jumps."""
        before, self._pods = self._pods, dict(self._listed())
        ended = self._reap()
        if ended or before != self._pods:
            self._busy = now + STARTING
        if ended or now < self._busy or now >= self._due:
            self._due = now + LOOK_AGAIN
            self._read()
        return tuple(self._pod(uid, one) for uid, one in self._pods.items())

    def close(self) -> None:
        """Wait for nobody any more."""
        for one in self._all():
            if one.watch >= 0:
                os.close(one.watch)
        self._mains = {}
        self._ends.close()

    def _pod(self, uid: str, listed: _Listed) -> Pod:
        mains, sandbox = self._mains.get(uid, {}), self._sandboxes.get(uid)
        processes = frozenset(one.pid for container, one in mains.items() if container != sandbox)
        return Pod(uid, listed.namespace, listed.name, listed.restarts, sandbox in mains, processes)

    def _listed(self) -> Iterator[tuple[str, _Listed]]:
        before, self._names = self._names, {}
        for folder in sorted(self._list(self._logs, before))[:MOST_PODS]:
            if found := _FOLDER.fullmatch(folder):
                place = self._logs / folder
                restarts = {name: self._restarts(place / name, before) for name in self._list(place, before)[:64]}
                yield found["uid"], _Listed(found["namespace"], found["pod"], restarts)

    def _restarts(self, place: Path, before: Mapping[str, tuple[int, tuple[str, ...]]]) -> int:
        numbers = (found[1] for name in self._list(place, before) if (found := _LOG.fullmatch(name)))
        return max(map(int, numbers), default=0)

    def _list(self, place: Path, before: Mapping[str, tuple[int, tuple[str, ...]]]) -> tuple[str, ...]:
        """Return the names in a directory; it is read again only when it has changed."""
        key = str(place)
        try:
            changed = place.stat().st_mtime_ns
            known = before.get(key)
            if known is None or known[0] != changed:
                known = changed, tuple(islice(_names(place), MOST_NAMES))
        except OSError:
            return ()
        old = time.time_ns() - changed > _JUST_NOW
        self._names[key] = known if old else (-1, known[1])
        return known[1]

    def _reap(self) -> bool:
        """Forget the processes that have ended; tells whether there were any."""
        with contextlib.suppress(OSError):
            ready = {descriptor for descriptor, _ in self._ends.poll(0)}
            gone = [
                (uid, container, one)
                for uid, mains in self._mains.items()
                for container, one in mains.items()
                if one.watch in ready or (one.watch < 0 and self._began(one.pid) != one.began)
            ]
            for uid, container, one in gone:
                self._forget(uid, container, one)
            return bool(gone)
        return False

    def _forget(self, uid: str, container: str, one: _Process) -> None:
        del self._mains[uid][container]
        if one.watch >= 0:
            with contextlib.suppress(OSError):
                self._ends.unregister(one.watch)
            os.close(one.watch)

    def _read(self) -> None:
        """Find the main process of every container of a pod that is listed."""
        groups: dict[tuple[str, str], list[int]] = {}
        for pid in self._pids():
            uid, container = self._group(pid)
            if uid in self._pods:
                groups.setdefault((uid, container), []).append(pid)
        for (uid, container), pids in groups.items():
            if container not in self._mains.get(uid, {}) and len(list(self._all())) < MOST_PROCESSES:
                self._follow(uid, container, pids)
        for uid in self._mains.keys() - self._pods.keys():
            for container, one in list(self._mains[uid].items()):
                self._forget(uid, container, one)
            del self._mains[uid]
        for uid, mains in self._mains.items():
            if uid not in self._sandboxes and mains:
                self._sandboxes[uid] = min(mains, key=lambda container: (mains[container].began, mains[container].pid))
        self._sandboxes = {uid: container for uid, container in self._sandboxes.items() if uid in self._pods}

    def _follow(self, uid: str, container: str, pids: list[int]) -> None:
        """Wait for the main process of a container: the oldest of those that nobody in it began."""
        ages = [(self._began(pid), pid) for pid in pids if self._parent(pid) not in pids]
        began, pid = min((age for age in ages if age[0]), default=(0, 0))
        if not pid:
            return
        watch = -1
        with contextlib.suppress(OSError):  # a kernel before 5.3, no descriptor left, or it has ended
            watch = os.pidfd_open(pid)
        if self._group(pid) != (uid, container) or self._began(pid) != began:  # another has its number by now
            if watch >= 0:
                os.close(watch)
            return
        if watch >= 0:
            self._ends.register(watch, select.EPOLLIN)
        self._mains.setdefault(uid, {})[container] = _Process(pid, began, watch)

    def _all(self) -> Iterable[_Process]:
        return (one for mains in self._mains.values() for one in mains.values())

    def _pids(self) -> list[int]:
        try:
            return [int(name) for name in _names(self._proc) if name.isdecimal()]
        except OSError:
            return []

    def _group(self, pid: int) -> tuple[str, str]:
        """Return the pod and the container that a process belongs to; empty: none."""
        found = _GROUP.search(self._text(pid, "cgroup"))
        return (found["uid"].replace("_", "-"), found["container"]) if found else ("", "")

    def _began(self, pid: int) -> int:
        """Return when a process began, in ticks; 0: it is not there, or is only waiting to be buried."""
        fields = self._stat(pid)
        return int(fields[19]) if len(fields) > 19 and fields[0] not in {"Z", "X"} else 0  # noqa: PLR2004 - proc(5): starttime

    def _parent(self, pid: int) -> int:
        fields = self._stat(pid)
        return int(fields[1]) if len(fields) > 1 else 0

    def _stat(self, pid: int) -> list[str]:
        """Return the fields of a process after its name, which may hold blanks and brackets."""
        return self._text(pid, "stat").rpartition(")")[2].split()

    def _text(self, pid: int, name: str) -> str:
        try:
            with open(f"{self._proc}/{pid}/{name}", "rb") as file:  # noqa: PTH123 - a hundred times a second: twice as fast
                return file.read(8192).decode(errors="replace")
        except OSError:
            return ""


def _names(place: Path) -> Iterator[str]:
    with os.scandir(place) as entries:
        yield from (entry.name for entry in entries)
