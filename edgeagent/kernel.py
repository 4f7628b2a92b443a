"""Reads what the kernel's log says of GPUs, memory and disks.

Only what the kernel itself wrote is believed: it gives lines of user space another facility, whatever they say. Lines
of the kernel may still hold words of users (names of processes, labels of disks), so a pattern is met from a line's
first letter on, and such words are but text. Most lines mean nothing to us.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeAlias

from edgeagent.happening import Happened, Happening
from edgeagent.xids import FALLEN, Xid

QUIET: Final = 60.0
"""Seconds in which the same trouble is not told again: a dying disk writes hundreds of lines a second."""
MOST_TROUBLES: Final = 32
"""Different ones within that time; what is beyond is not told, for the box has told enough."""
_LONGEST: Final = 512


@dataclass(frozen=True, slots=True)
class Record:
    """A line of the kernel. ``old``: it was there before we began to listen."""

    text: str
    old: bool = False


@dataclass(frozen=True, slots=True)
class Killed:
    """The kernel killed a process for want of memory, the machine's or a container's."""

    process: str


@dataclass(frozen=True, slots=True)
class DiskError:
    """A disk, or a file system on it, has an error."""

    device: str
    text: str


@dataclass(frozen=True, slots=True)
class DriverLoaded:
    """The GPU driver begins anew: its earlier errors are over."""


Note: TypeAlias = Xid | Killed | DiskError | DriverLoaded

_PCI: Final = r"([0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2})"
_XID: Final = re.compile(
    rf"NVRM: Xid \((?:PCI:)?{_PCI}(?:\.[0-7])?(?: GPU-[^)]{{1,40}})?\): ([0-9]{{1,4}})(?:, |$)(.*)"
)
_FALLEN: Final = re.compile(rf"NVRM: (?:The NVIDIA )?GPU {_PCI}\.[0-7]\b.*fallen off the bus")
_LOADING: Final = re.compile(r"NVRM: loading NVIDIA UNIX ")
_KILLED: Final = re.compile(
    r"(?:Memory cgroup out|Out) of memory(?: \([a-z_]{1,40}\))?: Killed process [0-9]+ \((.{0,64}?)\) total-vm:"
)
_DISK_ERRORS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?:blk_update_request: |print_req_error: )?(?:I/O|critical medium|critical target) error, dev ([a-z0-9-]+),",
        r"Buffer I/O error on dev(?:ice)? ([a-z0-9-]+),",
        r"EXT4-fs error \(device ([a-z0-9-]+)\)",
        r"EXT4-fs \(([a-z0-9-]+)\): Remounting filesystem read-only",
        r"XFS \(([a-z0-9-]+)\): (?:metadata I/O error|Metadata corruption|Corruption|.*[Ss]hutting down filesystem)",
        r"BTRFS (?:error|critical) \(device ([a-z0-9-]+)",
        r"nvme (nvme[0-9]+): (?:I/O .* timeout|controller is down|Device not ready|Removing after probe failure)",
    )
)
_NO_DISK_OF_OURS: Final = re.compile(r"(?:loop|sr|fd|ram|zram|nbd)[0-9]")  # images, what is put in and taken out


def parse(raw: bytes) -> str | None:
    """Return what the kernel wrote in a record of /dev/kmsg; None if somebody else wrote it, or it is no record.

    A record is ``priority,sequence,microseconds,flags;text``, then lines of its own with a device's properties; the
    priority's upper bits are the facility, 0 is the kernel (Documentation/ABI/testing/dev-kmsg).
    """
    head, found, rest = raw.partition(b";")
    priority = head.split(b",", 1)[0]
    if not found or not priority.isdigit() or len(priority) > 4 or int(priority) >> 3:  # noqa: PLR2004 - digits of a priority
        return None
    return rest.partition(b"\n")[0][:_LONGEST].decode(errors="replace")


def note(text: str) -> Note | None:
    """Return what a line of the kernel means to us; None: nothing."""
    if text.startswith("NVRM: "):
        return _of_a_gpu(text)
    if killed := _KILLED.match(text):
        return Killed(killed[1])
    for pattern in _DISK_ERRORS:
        if (found := pattern.match(text)) and not _NO_DISK_OF_OURS.match(found[1]):
            return DiskError(found[1], text)
    return None


def _of_a_gpu(text: str) -> Note | None:
    if xid := _XID.match(text):
        return Xid(pci_address(xid[1]), int(xid[2]), xid[3])
    if fallen := _FALLEN.match(text):
        return Xid(pci_address(fallen[1]), FALLEN, "GPU has fallen off the bus")
    return DriverLoaded() if _LOADING.match(text) else None


def pci_address(text: str) -> str:
    """Return one form of an address: the driver writes 0000:01:00, its library 00000000:01:00.0."""
    domain, _, rest = text.lower().partition(":")
    return f"{domain.lstrip('0'):0>4}:{rest.partition('.')[0]}"


@dataclass(frozen=True, slots=True)
class Told:
    """What was told lately, and when."""

    at: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


def tell(told: Told, trouble: Killed | DiskError, now: float) -> tuple[Told, tuple[Happened, ...]]:
    """Tell a trouble of memory or disks, but not again and again."""
    if isinstance(trouble, Killed):
        key = f"process {trouble.process}"
        happened = Happened(Happening.OUT_OF_MEMORY, details={"process": trouble.process})
    else:
        key = f"disk {trouble.device}"
        happened = Happened(Happening.DISK_ERROR, details={"text": trouble.text})
    lately = {one: at for one, at in told.at.items() if now < at + QUIET}
    if key in lately or len(lately) >= MOST_TROUBLES:
        return Told(lately), ()
    return Told({**lately, key: now}), (happened,)
