"""The monitor's memory on disk: whole after any crash, and nothing lost while the disk is full."""

import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cloud.alerts.correlate import correlate
from cloud.alerts.fault import Code, Fault, Kind, Subject
from cloud.alerts.lifecycle import Book, Observed, dump, step
from cloud.alerts.notice import Delivery, Notice
from cloud.alerts.telling import Setting, notice
from cloud.fleet.errors import SpecError
from cloud.fleet.record import Remembered
from cloud.fleet.verdict import Reason
from cloud.store.statefile import MOST_UNTOLD, Saved, StateFile
from edgeagent.wire import Address

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
HERE = Remembered(Address("tc-001", "tc-001-scan-1"), "0" * 16, 7, Reason.LINK, NOON, "tc-001-scan-2", ("scan",))


def dark(number: int = 1) -> Notice:
    fault = Fault(Code.SITE_DARK, Subject(Kind.SITE, f"tc-{number:03}"), NOON, {"x": "y"})
    return notice(step(Book(), Observed(correlate([fault])), NOON).messages[0][0], Setting())


def test_what_is_kept_is_there_again_and_what_was_delivered_is_not_untold(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "state")
    assert state.load() == Saved()
    one, two = dark(1), dark(2)
    state.keep(dump(Book()), [HERE], [], [Delivery("robot", (one, two)), Delivery("mail", (one,))])
    assert StateFile(tmp_path / "state").load() == Saved(
        dump(Book()), (HERE,), (Delivery("robot", (one, two)), Delivery("mail", (one,)))
    )
    state.delivered("robot", [one])
    assert StateFile(tmp_path / "state").load().untold == (Delivery("robot", (two,)), Delivery("mail", (one,)))
    state.delivered("mail", [one])
    state.delivered("robot", [two])
    assert StateFile(tmp_path / "state").load() == Saved(dump(Book()), (HERE,), ())


def test_a_box_is_kept_as_it_was_last(tmp_path: Path) -> None:
    state = StateFile(tmp_path)
    state.keep(b"1", [HERE], [], [])
    again = Remembered(HERE.address, "1" * 16, 9)
    state.keep(b"2", [again], [], [])
    assert StateFile(tmp_path).load() == Saved(b"2", (again,), ())


def test_a_channel_that_never_delivers_costs_no_more_than_so_many(tmp_path: Path) -> None:
    state = StateFile(tmp_path)
    state.keep(b"", [], [], [Delivery("robot", (dark(),)) for _ in range(MOST_UNTOLD + 10)])
    assert len(StateFile(tmp_path).load().untold) == MOST_UNTOLD


@pytest.mark.parametrize("data", [b"", b"{}x", b"[" * 100_000, b'{"boxes": 1}', b"\xff"])
def test_a_file_that_is_none_of_ours_is_refused_with_the_next_step(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "monitor.json").write_bytes(data)
    with pytest.raises(SpecError, match="move it away to begin anew"):
        StateFile(tmp_path).load()


def test_a_folder_that_cannot_be_used_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "monitor.json").mkdir()
    with pytest.raises(SpecError, match="Is a directory"):
        StateFile(tmp_path).load()


def test_while_it_cannot_be_written_what_was_there_stays_and_the_next_write_brings_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = StateFile(tmp_path)
    state.keep(b"1", [HERE], [], [])
    obstacle = tmp_path / "monitor.new"
    obstacle.mkdir()
    for _ in range(3):
        state.keep(b"2", [], [], [Delivery("robot", (dark(),))])
    assert state.trouble
    assert StateFile(tmp_path).load() == Saved(b"1", (HERE,), ())
    obstacle.rmdir()
    state.keep(b"3", [], [], [])
    assert (state.trouble, StateFile(tmp_path).load().book, len(StateFile(tmp_path).load().untold)) == ("", b"3", 3)
    said = "".join(capsys.readouterr())
    assert (said.count("NotKept"), said.count("KeptAgain")) == (1, 1)


WRITER = """
import sys
from pathlib import Path
from cloud.store.statefile import StateFile
state = StateFile(Path(sys.argv[1]))
state.load()
for number in range(int(sys.argv[2]), 10**9):
    state.keep(str(number).encode(), [], [], [])
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


@pytest.fixture
def chances() -> Iterator[int]:
    chance = random.Random(7)  # noqa: S311 - no secret
    return iter(lambda: chance.randint(1, 30), 0)


def test_after_kill_9_the_newest_or_the_one_that_was_being_written_is_there(
    tmp_path: Path, chances: Iterator[int]
) -> None:
    kept = 0
    for _ in range(4):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(kept)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()) as writer:
            assert writer.stdout
            for _ in range(next(chances)):
                kept = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            kept = max([kept, *map(int, writer.stdout.read().split())])
        assert int(StateFile(tmp_path).load().book) in {kept, kept + 1}
