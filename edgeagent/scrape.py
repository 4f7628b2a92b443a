"""Asks workloads for their counters, each in its turn and in threads of its own: one that hangs holds up no other."""

import contextlib
import http.client
import os
import stat
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgeagent.counter import LARGEST, Place, read_counter, read_place
from edgeagent.rhythm import SAMPLE_EVERY

PATIENCE: Final = 0.5
"""Seconds for an answer; more is none."""
AT_ONCE: Final = 4
MOST: Final = 64
"""Counters; further ones are not asked for."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What a workload's counter said; None: nothing. ``at`` in seconds since the kernel started."""

    workload: str
    value: float | None
    at: float


class Counters:
    """The counters of a box's workloads. ``root``: where the host's file system is mounted."""

    def __init__(self, root: Path, clock: Callable[[], float]) -> None:
        self._root, self._clock = root, clock
        self._places: dict[str, Place] = {}
        self._lock = threading.Lock()
        self._answers: dict[str, Answered] = {}  # the newest of each
        self._values: dict[str, float | None] = {}
        self._asking: set[str] = set()
        self._due: dict[str, float] = {}
        self._pool: ThreadPoolExecutor | None = None

    def configure(self, places: Mapping[str, str]) -> None:
        """Ask for these from now on; a place that cannot be read is left out."""
        self._places = {}
        for workload, text in list(places.items())[:MOST]:
            with contextlib.suppress(ValueError):
                self._places[workload] = read_place(text)

    def ask(self, now: float, wake: Callable[[], None]) -> None:
        """Ask those whose turn it is; ``wake`` is called from another thread for one that stands."""
        for workload, place in self._places.items():
            if workload in self._asking or now < self._due.get(workload, 0.0):
                continue
            self._asking.add(workload)
            self._due[workload] = now + SAMPLE_EVERY
            self._pool = self._pool or ThreadPoolExecutor(AT_ONCE, "counter")
            self._pool.submit(self._answer, workload, place, wake)

    def take(self) -> list[Answered]:
        """Return what was answered since the last time."""
        with self._lock:
            answers, self._answers = list(self._answers.values()), {}
        self._asking.difference_update(one.workload for one in answers)
        return [one for one in answers if one.workload in self._places]

    def stop(self) -> None:
        """Ask nobody any more."""
        if self._pool:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _answer(self, workload: str, place: Place, wake: Callable[[], None]) -> None:
        """In a thread of its own."""
        text = _fetched(place) if place.host else _file(self._root / place.path.lstrip("/"))
        value = None if text is None else read_counter(text, place.metric)
        with self._lock:
            self._answers[workload] = Answered(workload, value, self._clock())
            still = self._values.get(workload) == value
            self._values[workload] = value
        if still:
            wake()


def _fetched(place: Place) -> str | None:
    """Return the body that a port answers with; None: it does not, or not in time, or with too much."""
    deadline = time.monotonic() + PATIENCE
    link = http.client.HTTPConnection(place.host, place.port, timeout=PATIENCE)
    try:
        link.request("GET", place.path, headers={"Accept": "text/plain", "Connection": "close"})
        answer = link.getresponse()
        if answer.status != http.client.OK:
            return None
        body = b""
        while chunk := answer.read1(65536):
            body += chunk
            if len(body) > LARGEST or time.monotonic() > deadline:
                return None
        return body.decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return None
    finally:
        link.close()


def _file(path: Path) -> str | None:
    """Return what a plain file holds; None: it is none, or too large."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        body = os.read(descriptor, LARGEST + 1)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return body.decode(errors="replace") if len(body) <= LARGEST else None
