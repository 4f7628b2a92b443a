"""When a disk is full, and when it has room again."""

from edgeagent.happening import Happened, Happening, Trouble
from edgeagent.room import FULL, ROOM, Room, judge


def test_a_disk_is_told_as_full_once_and_as_having_room_once_there_is_a_margin() -> None:
    room, told = Room(), list[Happened]()
    for free in (ROOM, FULL, FULL - 1, FULL, ROOM - 1, 0, ROOM, FULL):
        room, happened = judge(room, free)
        told += happened
    assert told == [
        Happened(Happening.DISK_FULL, details={"path": "/", "free": str(FULL - 1)}),
        Happened(Happening.DISK_ROOM, details={"path": "/", "free": str(ROOM)}),
    ]


def test_a_full_disk_is_a_letter_of_the_beat() -> None:
    assert (Room().troubles, judge(Room(), 0)[0].troubles) == ((), (Trouble.DISK_FULL,))
