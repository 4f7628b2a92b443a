"""Following the kernel's log: through a pipe that keeps records apart as the device does, and the device itself."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeagent.kernel import Record
from edgeagent.kmsg import MOST_AT_ONCE, Kmsg

LINE = b"3,1,1,-;NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus."
TEXT = "NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus."


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """A pipe in packet mode."""
    ours, theirs = os.pipe2(os.O_DIRECT | os.O_CLOEXEC)
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


@pytest.fixture
def kernel(ends: tuple[int, int]) -> int:
    """The kernel's end: each write is a record."""
    return ends[1]


@pytest.fixture
def log(ends: tuple[int, int]) -> Iterator[Kmsg]:
    opened = Kmsg(Path(f"/proc/self/fd/{ends[0]}"))
    yield opened
    opened.close()


def test_what_was_there_before_is_old_and_what_comes_is_new(kernel: int, log: Kmsg) -> None:
    os.write(kernel, LINE)
    assert log.records() == [Record(TEXT, old=True)]
    assert log.records() == []
    os.write(kernel, LINE)
    os.write(kernel, b"6,2,2,-;another\n SUBSYSTEM=usb\n")
    assert log.records() == [Record(TEXT), Record("another")]


def test_a_quiet_log_has_nothing_old(kernel: int, log: Kmsg) -> None:
    assert log.records() == []
    os.write(kernel, LINE)
    assert log.records() == [Record(TEXT)]


def test_lines_of_user_space_are_passed_over(kernel: int, log: Kmsg) -> None:
    for raw in (b"11" + LINE[1:], b"garbage", b"\xff" * 4000, b"6,3,3,-;of the kernel"):
        os.write(kernel, raw)
    assert [record.text for record in log.records()] == ["of the kernel"]


def test_a_flood_is_taken_in_pieces(log: Kmsg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "read", lambda *_: LINE)  # stands in for a kernel that writes without end
    assert [len(log.records()), len(log.records())] == [MOST_AT_ONCE, MOST_AT_ONCE]


def test_records_that_were_overwritten_are_counted_and_the_rest_is_read(
    log: Kmsg, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[bytes | int] = [errno.EPIPE, LINE, errno.EINVAL, LINE, errno.EAGAIN]

    def read(*_: int) -> bytes:  # stands in for a kernel whose ring has gone round
        answer = answers.pop(0)
        if isinstance(answer, int):
            raise OSError(answer, os.strerror(answer))
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(os, "read", read)
        records = log.records()
    assert [record.text for record in records] == [TEXT, TEXT]
    assert (log.overwritten, log.problem) == (1, "the kernel's log cannot be read: Invalid argument")


def test_a_log_that_cannot_be_opened_is_silent_and_says_why(tmp_path: Path) -> None:
    log = Kmsg(tmp_path / "nothing")
    assert log.problem.endswith("nothing cannot be read: No such file or directory")
    assert (log.records(), log.fileno()) == ([], -1)
    log.close()


def test_a_log_that_is_a_plain_file_ends(tmp_path: Path) -> None:
    (tmp_path / "kmsg").write_bytes(LINE)
    log = Kmsg(tmp_path / "kmsg")
    assert log.records() == [Record(TEXT, old=True)]
    assert log.records() == []
    log.close()


def writable() -> bool:
    try:
        os.close(os.open("/dev/kmsg", os.O_RDWR | os.O_NONBLOCK))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not writable(), reason="/dev/kmsg cannot be opened here: run as root on a machine of its own")
def test_nobody_can_forge_a_line_of_the_kernel_in_the_real_log() -> None:
    forged = f"NVRM: Xid (PCI:0000:01:00): 79, forged by {os.getpid()}"
    device = os.open("/dev/kmsg", os.O_RDWR | os.O_NONBLOCK)
    os.lseek(device, 0, os.SEEK_END)
    log = Kmsg()
    assert log.problem == ""
    while log.records():
        pass
    for priority in ("", "<3>", "<0>"):
        os.write(device, f"{priority}{forged}\n".encode())
    there: list[bytes] = []
    while len(there) < 3:
        raw = os.read(device, 16 * 1024)
        there += [raw] if forged.encode() in raw else []
    assert not [record for record in log.records() if forged in record.text]
    log.close()
    os.close(device)
