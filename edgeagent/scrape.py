"""Asks workloads for their counters, each in its turn and in threads of its own: one that hangs holds up no other."""

import contextlib
import errno
import http.client
import io
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

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
        text = _fetched(place) if place.host else _file(self._root, place.path)
        value = None if text is None else read_counter(text, place.metric)
        with self._lock:
            self._answers[workload] = Answered(workload, value, self._clock())
            still = self._values.get(workload) == value
            self._values[workload] = value
        if still:
            wake()


def _fetched(place: Place) -> str | None:
    """Return the body that a port answers with; None: it does not, or not in time, or with too much."""
    asked = f"GET {place.path} HTTP/1.0\r\nHost: {place.host}:{place.port}\r\nAccept: text/plain\r\n\r\n"
    deadline = time.monotonic() + PATIENCE
    try:
        with socket.create_connection((place.host, place.port), PATIENCE) as link:
            link.sendall(asked.encode())
            heard = _heard(link, deadline)
        answer = http.client.HTTPResponse(cast("socket.socket", _Heard(heard)), method="GET")
        answer.begin()
        return answer.read().decode(errors="replace") if answer.status == http.client.OK else None
    except (OSError, ValueError, http.client.HTTPException):
        return None


def _heard(link: socket.socket, deadline: float) -> bytes:
    """Return all that comes until the far end closes. Raises OSError when that is too much or takes too long.

    It is read here and parsed later, for http.client waits anew for each line of a header.
    """
    heard = bytearray()
    while len(heard) <= LARGEST:
        link.settimeout(max(0.001, deadline - time.monotonic()))
        if not (chunk := link.recv(65536)):
            return bytes(heard)
        if time.monotonic() > deadline:
            raise TimeoutError
        heard += chunk
    raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))


class _Heard:
    """What was heard, as http.client takes it."""

    def __init__(self, heard: bytes) -> None:
        self._heard = heard

    def makefile(self, _: str) -> io.BytesIO:
        return io.BytesIO(self._heard)


def _file(root: Path, place: str) -> str | None:
    """Return what a plain file holds; None: it is none, too large, or a link is on the way to it."""
    try:
        descriptor = _opened(root, place.strip("/").split("/"))
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


def _opened(root: Path, names: Sequence[str]) -> int:
    """Open a file below ``root`` step by step: whoever owns a folder on the way could make it a link to elsewhere."""
    folder = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    for name in names[:-1]:
        try:
            inner = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        finally:
            os.close(folder)
        folder = inner
    try:
        return os.open(names[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)
