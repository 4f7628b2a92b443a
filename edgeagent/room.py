"""Whether a box's disk is full, with a margin, so that a disk at the limit is not told again and again."""

from dataclasses import dataclass
from typing import Final

from edgeagent.happening import Happened, Happening, Trouble

FULL: Final = 200 * 1024**2
"""Bytes left at which workloads begin to fail in odd ways; a log file of theirs fills that within the hour."""
ROOM: Final = 2 * FULL


@dataclass(frozen=True, slots=True)
class Room:
    """What is left on the disk where images and logs are."""

    path: str = "/"
    full: bool = False

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """What a beat says of it."""
        return (Trouble.DISK_FULL,) if self.full else ()


def judge(room: Room, free: int) -> tuple[Room, tuple[Happened, ...]]:
    """Return the room after a look that found so many bytes free, and what has changed."""
    full = free < (ROOM if room.full else FULL)
    if full is room.full:
        return room, ()
    kind = Happening.DISK_FULL if full else Happening.DISK_ROOM
    return Room(room.path, full), (Happened(kind, details={"path": room.path, "free": str(free)}),)
