"""What lines of the kernel's log mean, and who is not believed."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgeagent.happening import Happened, Happening
from edgeagent.kernel import (
    MOST_TROUBLES,
    QUIET,
    DiskError,
    DriverLoaded,
    Killed,
    Note,
    Told,
    note,
    parse,
    pci_address,
    tell,
)
from edgeagent.wire import GpuState
from edgeagent.xids import Xid, effect

FELL = "NVRM: Xid (PCI:0000:01:00): 79, pid=1, name=a, GPU has fallen off the bus."


def test_a_line_of_the_kernel_is_believed_with_its_text_alone() -> None:
    assert parse(b"3,2140,8758026344,-;NVRM: Xid\n SUBSYSTEM=pci\n DEVICE=+pci:0000:01:00.0\n") == "NVRM: Xid"
    assert parse(b"3,2140,8758026344,-,caller=T1;a; b") == "a; b"


@pytest.mark.parametrize(
    "raw",
    [
        b"11,5,1,-;NVRM: Xid (PCI:0000:01:00): 79, forged",  # LOG_USER, level 3
        b"30,5,1,-;the daemons' facility",
        b"",
        b"3,5,1,-",
        b";",
        b"-3,5,1,-;negative",
        b"\xb2,5,1,-;a digit of another alphabet",
        b"33333333333333333333333,5,1,-;too long for a priority",
    ],
)
def test_what_user_space_wrote_and_what_is_no_record_is_not_believed(raw: bytes) -> None:
    assert parse(raw) is None


@given(st.binary())
@example(b"3,1,1,-;" + b"\xff" * 5000)
def test_no_bytes_are_too_strange_to_read(raw: bytes) -> None:
    text = parse(raw)
    assert text is None or len(text) <= 512
    note(text or "")


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        (FELL, Xid("0000:01:00", 79, "pid=1, name=a, GPU has fallen off the bus.")),
        ("NVRM: Xid (PCI:0000:2b:00): 119, Timeout", Xid("0000:2b:00", 119, "Timeout")),
        ("NVRM: Xid (0000:01:00): 31, Ch 0000000b", Xid("0000:01:00", 31, "Ch 0000000b")),
        ("NVRM: Xid (PCI:10000:01:00 GPU-I:02 GPU-CI:00): 13, pid=7", Xid("10000:01:00", 13, "pid=7")),
        ("NVRM: Xid (PCI:0000:c6:00): 45", Xid("0000:c6:00", 45, "")),
        ("NVRM: GPU 0000:2b:00.0: GPU has fallen off the bus.", Xid("0000:2b:00", 79, "GPU has fallen off the bus")),
        (
            "NVRM: The NVIDIA GPU 0000:b3:00.0\\x0aNVRM: (PCI ID: 10de:20b2) has\\x0aNVRM: fallen off the bus",
            Xid("0000:b3:00", 79, "GPU has fallen off the bus"),
        ),
        ("NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  570.86.15", DriverLoaded()),
        ("NVRM: GPU at PCI:0000:01:00: GPU-bc0fa0b9", None),
        ("NVRM: Xid (PCI:0000:01:00): abc, pid=1", None),
        ("Out of memory: Killed process 812 (python3) total-vm:13824kB, anon-rss:9kB", Killed("python3")),
        ("Memory cgroup out of memory: Killed process 9 (a) b) total-vm:1kB", Killed("a) b")),
        ("Out of memory (oom_kill_allocating_task): Killed process 9 (x) total-vm:1kB", Killed("x")),
        ("I/O error, dev sda, sector 2048 op 0x0:(READ) flags 0x0", DiskError("sda", "")),
        ("blk_update_request: I/O error, dev nvme0n1, sector 1", DiskError("nvme0n1", "")),
        ("critical medium error, dev sdb, sector 1 op 0x0:(READ)", DiskError("sdb", "")),
        ("Buffer I/O error on dev dm-0, logical block 0, async page read", DiskError("dm-0", "")),
        ("EXT4-fs error (device sda1): ext4_find_entry:1455: inode #2", DiskError("sda1", "")),
        ("EXT4-fs (sda1): Remounting filesystem read-only", DiskError("sda1", "")),
        ("XFS (dm-1): Metadata corruption detected at xfs_agf", DiskError("dm-1", "")),
        ("BTRFS error (device sda2: state EA): parent transid", DiskError("sda2", "")),
        ("nvme nvme0: I/O 22 QID 3 timeout, aborting", DiskError("nvme0", "")),
        ("EXT4-fs (sda1): mounted filesystem with ordered data mode", None),
        ("I/O error, dev sr0, sector 0", None),
        ("I/O error, dev loop4, sector 0", None),
        ("usb 1-1: new high-speed USB device number 2", None),
        # a process may call itself what it likes, in 15 letters, and the kernel then begins a line with that
        ("NVRM: Xid (PCI:[4711]: segfault at 0 ip 0 sp 0 error 4", None),
        (f"usb 1-1: Product: {FELL}", None),
    ],
)  # fmt: skip
def test_a_line_means(text: str, meaning: Note | None) -> None:
    if isinstance(meaning, DiskError):
        meaning = DiskError(meaning.device, text)
    assert note(text) == meaning


@pytest.mark.parametrize("text", ["0000:01:00", "00000000:01:00.0", "0000:01:00.0"])
def test_an_address_has_one_form(text: str) -> None:
    assert pci_address(text) == "0000:01:00"
    assert pci_address("00010000:3B:00.0") == "10000:3b:00"


@pytest.mark.parametrize(
    ("number", "text", "state"),
    [
        (79, "", GpuState.LOST),
        (48, "", GpuState.FAILING),
        (119, "", GpuState.FAILING),
        (13, "", None),
        (63, "", None),
        (94, "", None),
        (999, "", None),
        (154, "GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)", GpuState.FAILING),
        (154, "GPU recovery action changed from 0x2 (OS Reboot) to 0x0 (None)", GpuState.OK),
        (154, "something else", None),
    ],
)
def test_an_error_makes_of_its_gpu(number: int, text: str, state: GpuState | None) -> None:
    assert effect(Xid("0000:01:00", number, text)) is state


def test_a_trouble_is_told_once_in_a_while_and_others_beside_it() -> None:
    told, happened = tell(Told(), Killed("vision"), now=10.0)
    assert happened == (Happened(Happening.OUT_OF_MEMORY, details={"process": "vision"}),)
    assert tell(told, Killed("vision"), now=10.0 + QUIET - 1)[1] == ()
    told, happened = tell(told, DiskError("sda", "I/O error"), now=11.0)
    assert happened == (Happened(Happening.DISK_ERROR, details={"text": "I/O error"}),)
    assert tell(told, DiskError("sda", "another sector"), now=12.0)[1] == ()
    assert len(tell(told, Killed("vision"), now=10.0 + QUIET)[1]) == 1


def test_a_flood_of_different_troubles_is_not_told_without_end() -> None:
    told, count = Told(), 0
    for number in range(10 * MOST_TROUBLES):
        told, happened = tell(told, Killed(f"p{number}"), now=1.0)
        count += len(happened)
    assert count == len(told.at) == MOST_TROUBLES
