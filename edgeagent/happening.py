"""What can happen on a box, and what can be wrong with it: words that agent and cloud share beside the wire."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


class Happening(StrEnum):
    """The kind of an event. In parentheses its details beside the time, all of them texts."""

    STARTED = "started"  # a workload's process (restarts)
    EXITED = "exited"  # a workload's process has ended (exit, signal, restarts, ran: seconds)
    MISSING = "missing"  # a workload that must be here is not
    ENDED = "ended"  # a workload was taken away on purpose
    STALLED = "stalled"  # its process lives, its counter stands still (counter, stood: seconds)
    RESUMED = "resumed"  # the counter moves again (counter, stood)
    XID = "xid"  # the GPU driver reports an error in the kernel's log (xid, text)
    GPU_CHANGED = "gpu-changed"  # (state, why)
    OUT_OF_MEMORY = "out-of-memory"  # the kernel killed a process (process)
    DISK_FULL = "disk-full"  # (path, free: bytes)
    DISK_ROOM = "disk-room"  # there is room again (path, free)
    DISK_ERROR = "disk-error"  # the kernel reports one (text)
    CLOCK_STEPPED = "clock-stepped"  # (by: seconds)
    CONFIG_APPLIED = "config-applied"  # (revision)
    CONFIG_REFUSED = "config-refused"  # the one before is kept (revision, why)
    DROPPED = "dropped"  # the agent could not keep all it wanted to tell (count)
    GOODBYE = "goodbye"  # the agent stops on purpose; nobody needs to be told (why)


class Trouble(StrEnum):
    """What is wrong with the box itself, as a letter of its beats."""

    DISK_FULL = "d"
    CONFIG_REFUSED = "c"  # it does what the configuration before said


@dataclass(frozen=True, slots=True)
class Happened:
    """One thing that happened on a box, before the outbox gives it its place in a session."""

    kind: Happening
    part: str = ""  # the workload's name or the GPU's index; empty: the box itself
    details: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
