"""The monitor's own memory: one file that holds what a monitor must know when it starts, whatever else is away.

It is written whole, beside the old one, and put in its place: a crash leaves the one or the other. Book and notices are
in it together, so that what was decided is either told or known to be untold.
"""

import contextlib
import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import structlog

from cloud.alerts.notice import Delivery, Notice
from cloud.fleet.errors import SpecError
from cloud.fleet.record import Remembered, Transition

log = structlog.get_logger("statefile")

MOST_UNTOLD: Final = 1000
"""Notices that wait for a channel and outlive a crash; beyond it the oldest go."""


class Saved(msgspec.Struct, frozen=True):
    """What a monitor knew last."""

    book: bytes = b""  # empty: there was none
    boxes: tuple[Remembered, ...] = ()
    untold: tuple[Delivery, ...] = ()


class StateFile:
    """Keeps what is known in a folder. ``trouble``: why it cannot be written now; empty: it can."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "monitor.json"
        self._lock = threading.Lock()
        self._book = b""
        self._boxes: dict[str, Remembered] = {}
        self._untold: list[Delivery] = []
        self.trouble = ""

    def load(self) -> Saved:
        """Return what was kept; nothing where there is no file. Raises SpecError for one that is none of ours."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return Saved()
        except OSError as wrong:
            raise SpecError(f"{self._path}: {wrong.strerror}") from wrong
        try:
            saved = msgspec.json.decode(data, type=Saved)
        except (ValueError, RecursionError) as wrong:
            raise SpecError(f"{self._path}: is no memory of a monitor ({wrong}); move it away to begin anew") from wrong
        self._book, self._untold = saved.book, list(saved.untold)
        self._boxes = {str(one.address): one for one in saved.boxes}
        return saved

    def keep(
        self, book: bytes, boxes: Iterable[Remembered], _: Iterable[Transition], notices: Iterable[Delivery]
    ) -> None:
        """Keep what has changed; where the disk takes nothing, with the next change that it takes."""
        with self._lock:
            self._book = book
            self._boxes.update({str(one.address): one for one in boxes})
            self._untold = [*self._untold, *notices][-MOST_UNTOLD:]
            self._write()

    def delivered(self, channel: str, notices: Sequence[Notice]) -> None:
        """Note that a channel has these; from any thread."""
        keys = {one.key for one in notices}
        with self._lock:
            self._untold = [left for one in self._untold if (left := _left(one, channel, keys)).notices]
            self._write()

    def _write(self) -> None:
        data = msgspec.json.encode(Saved(self._book, tuple(self._boxes.values()), tuple(self._untold)))
        fresh = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with fresh.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        except OSError as wrong:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
            self._say(wrong.strerror or "cannot be written")
        else:
            self._say("")

    def _say(self, trouble: str) -> None:
        """Log when the file cannot be written any more, and when it can again."""
        if trouble and trouble != self.trouble:
            log.error("NotKept", path=str(self._path), message=trouble)
        elif self.trouble and not trouble:
            log.info("KeptAgain", path=str(self._path))
        self.trouble = trouble


def _left(delivery: Delivery, channel: str, keys: set[str]) -> Delivery:
    if delivery.channel != channel:
        return delivery
    return Delivery(channel, tuple(one for one in delivery.notices if one.key not in keys))
