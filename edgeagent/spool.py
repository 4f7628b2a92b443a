"""Keeps on disk what could not be sent: a bounded queue that outlives kill -9, a reboot and a full disk.

A folder of numbered segments of one record a line, each with its checksum; a torn or foreign line is skipped and
counted. When the folder is full the oldest segment goes. Where the disk takes nothing, the newest are held in memory.
"""

import contextlib
import errno
import os
import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from edgeagent.outbox import Untold

SEGMENT: Final = 256 * 1024
"""Bytes of a segment: what is lost at once when the spool is full, about 20 minutes of figures."""
SEGMENTS: Final = 64
"""16 MiB: a day and a half of figures every ten seconds, or 100,000 events."""
IN_MEMORY: Final = 1024
_LONGEST: Final = 64 * 1024


class Spool:
    """What waits to be told. One thread uses it; nothing here raises because of the disk."""

    def __init__(self, folder: Path, segments: int = SEGMENTS) -> None:
        self._folder, self._most = folder, segments
        self.dropped = 0  # records lost since the start: no room, or unreadable
        self.trouble = ""  # why the disk takes nothing; empty: it does
        self._memory: deque[Untold] = deque()  # newer than all on disk
        self._waiting: deque[Untold] = deque()  # the oldest segment, as far as it is not told
        self._reading: int | None = None  # its number
        self._size = 0  # bytes of the newest segment
        self._counts: dict[int, int] = {}  # records by segment
        self._take_stock()

    def __len__(self) -> int:
        rest = sum(count for number, count in self._counts.items() if number != self._reading)
        return len(self._waiting) + rest + len(self._memory)

    def keep(self, one: Untold, *, sure: bool) -> None:
        """Keep a record; ``sure``: it must outlive a loss of power from now on."""
        if self._memory and not self._flushed():
            self._remember(one)
            return
        if not self._written((one,), sure=sure):
            self._remember(one)

    def oldest(self, most: int) -> tuple[Untold, ...]:
        """Return the oldest records; they stay until they are told."""
        self._open_oldest()
        if self._reading is None:
            return tuple(self._memory)[:most]
        return tuple(self._waiting)[:most]

    def told(self, count: int) -> None:
        """Forget the oldest: they were told. After a crash those of a segment that was not finished are told again."""
        source = self._memory if self._reading is None else self._waiting
        for _ in range(min(count, len(source))):
            source.popleft()
        if self._reading is not None and not self._waiting:
            self._removed(self._reading)

    def _take_stock(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            numbers = sorted(int(path.stem) for path in self._folder.glob("[0-9]*.log") if path.stem.isdigit())
        except OSError as wrong:
            self.trouble = str(wrong.strerror)
            return
        for number in numbers:
            self._counts[number] = sum(1 for _ in self._records(number))
        self._size = SEGMENT  # a new process begins a new segment: the end of the last one may be torn

    def _written(self, records: tuple[Untold, ...], *, sure: bool) -> bool:
        data = b"".join(_line(one) for one in records)
        if not self._counts or self._size + len(data) > SEGMENT:
            self._begin()
        number = max(self._counts)
        try:
            with self._path(number).open("ab", buffering=0) as file:
                whole = file.write(data) == len(data)
                if sure:
                    os.fdatasync(file.fileno())
        except OSError as wrong:
            self.trouble, self._size = str(wrong.strerror), SEGMENT
            return False
        if not whole:  # the disk had room for a part; that is skipped when it is read
            self.trouble, self._size = os.strerror(errno.ENOSPC), SEGMENT
            return False
        self.trouble = ""
        self._size += len(data)
        self._counts[number] += len(records)
        return True

    def _begin(self) -> None:
        """Begin a segment; make room for it where there is none."""
        while len(self._counts) >= self._most:
            oldest = min(self._counts)
            self.dropped += len(self._waiting) if oldest == self._reading else self._counts[oldest]
            self._removed(oldest)
        self._counts[max(self._counts, default=0) + 1] = 0
        self._size = 0

    def _remember(self, one: Untold) -> None:
        self._memory.append(one)
        while len(self._memory) > IN_MEMORY:
            self._memory.popleft()
            self.dropped += 1

    def _flushed(self) -> bool:
        """Bring what is in memory to disk, in order, if the disk takes it again."""
        if not self._written(tuple(self._memory), sure=True):
            return False
        self._memory.clear()
        return True

    def _open_oldest(self) -> None:
        while self._reading is None and self._counts:
            number = min(self._counts)
            if self._counts[number] == 0 and number == max(self._counts):
                return
            if number == max(self._counts):
                self._size = SEGMENT  # what comes now goes into the next one
            self._waiting = deque(self._records(number))
            self._reading = number
            if not self._waiting:
                self._removed(number)

    def _records(self, number: int) -> Iterator[Untold]:
        """Yield what a segment holds; nothing of one that cannot be read."""
        with contextlib.suppress(OSError), self._path(number).open("rb") as file:
            while line := file.readline(_LONGEST):
                record = _parsed(line)
                if record is None:
                    self.dropped += 1
                else:
                    yield record

    def _removed(self, number: int) -> None:
        with contextlib.suppress(OSError):
            self._path(number).unlink(missing_ok=True)
        self._counts.pop(number, None)
        if number == self._reading:
            self._reading = None
            self._waiting.clear()

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:012}.log"


def _line(one: Untold) -> bytes:
    text = msgspec.json.encode(one)
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _parsed(line: bytes) -> Untold | None:
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        return None
    try:
        return msgspec.json.decode(text, type=Untold)
    except (ValueError, RecursionError):
        return None
