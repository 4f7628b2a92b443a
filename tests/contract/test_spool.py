"""What an agent keeps on disk: it outlives kill -9, a torn file, a full disk, and never grows without bound."""

import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from edgeagent.outbox import Untold
from edgeagent.spool import IN_MEMORY, SEGMENT, Spool

BOOT = "0" * 16


def one(number: int, text: str = "") -> Untold:
    return Untold(BOOT, float(number), 1.8e9 + number, "xid", details={"text": text} if text else {})


def numbers(spool: Spool, most: int = 10_000) -> list[int]:
    """All that is kept, told one parcel after the other."""
    found: list[int] = []
    while len(found) < most and (oldest := spool.oldest(32)):
        found += [int(untold.elapsed) for untold in oldest]
        spool.told(len(oldest))
    return found


def fill(spool: Spool, count: int, text: str = "", start: int = 0) -> None:
    for number in range(start, start + count):
        spool.keep(one(number, text), sure=False)


def test_what_is_kept_comes_out_in_order_and_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    fill(spool, 100)
    assert (len(spool), spool.oldest(2)) == (100, (one(0), one(1)))
    assert (numbers(spool), len(spool), spool.oldest(5), spool.dropped) == (list(range(100)), 0, (), 0)
    assert list(tmp_path.iterdir()) == []


def test_what_comes_while_old_things_are_told_comes_after_them(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    fill(spool, 5)
    spool.oldest(3)
    fill(spool, 5, start=5)
    spool.told(3)
    assert (len(spool), numbers(spool)) == (7, [3, 4, 5, 6, 7, 8, 9])


def test_another_process_finds_what_was_kept(tmp_path: Path) -> None:
    fill(Spool(tmp_path), 10)
    again = Spool(tmp_path)
    fill(again, 10, start=10)
    assert (len(again), numbers(again)) == (20, list(range(20)))


def test_a_torn_or_foreign_line_costs_itself_alone(tmp_path: Path) -> None:
    fill(Spool(tmp_path), 10)
    (path,) = tmp_path.iterdir()
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = b"nonsense\n"
    lines[5] = lines[5].replace(b"xid", b"xxx")
    lines[9] = lines[9][:20]
    path.write_bytes(b"".join(lines))
    (tmp_path / "notes.txt").write_text("not ours")
    (tmp_path / "x1.log").write_text("not ours")
    again = Spool(tmp_path)
    fill(again, 1, start=10)
    assert numbers(again) == [0, 1, 2, 4, 6, 7, 8, 10]
    assert again.dropped >= 3


def test_a_full_spool_loses_the_oldest_and_counts_them(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segments=3)
    fill(spool, 4000, "x" * 400)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 3 * SEGMENT
    kept = numbers(spool)
    assert kept == list(range(4000 - len(kept), 4000))
    assert spool.dropped == 4000 - len(kept) > 0


def test_a_full_spool_that_is_being_told_loses_what_was_not_told_yet(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segments=2)
    fill(spool, 10, "x" * 400)
    spool.oldest(4)
    spool.told(4)
    fill(spool, 2000, "x" * 400, start=10)
    kept = numbers(spool)
    assert kept[-1] == 2009
    assert len(kept) + spool.dropped == 2006


def test_a_folder_that_cannot_be_written_costs_only_what_memory_cannot_hold(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    spool = Spool(tmp_path / "file" / "spool")
    fill(spool, IN_MEMORY + 10)
    assert spool.trouble
    assert (len(spool), spool.dropped) == (IN_MEMORY, 10)
    assert numbers(spool) == list(range(10, IN_MEMORY + 10))


def test_a_disk_that_is_full_and_has_room_again_keeps_the_order(tmp_path: Path) -> None:
    program = f"""
        import resource, signal
        from pathlib import Path
        from tests.contract.test_spool import fill, numbers
        from edgeagent.spool import Spool
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        spool = Spool(Path({str(tmp_path)!r}))
        fill(spool, 10)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
        fill(spool, 20, start=10)
        assert spool.trouble, "the disk is full"
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        fill(spool, 10, start=30)
        assert not spool.trouble
        assert len(spool) == 40, len(spool)
        assert numbers(spool) == list(range(40))
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=60, cwd=Path.cwd())


def test_a_spool_that_shrinks_under_it_does_not_end_the_agent(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    fill(spool, 10)
    for path in tmp_path.iterdir():
        path.unlink()
    assert numbers(spool) == []
    fill(spool, 2)
    assert numbers(spool) == [0, 1]


WRITER = """
import sys
from pathlib import Path
from edgeagent.outbox import Untold
from edgeagent.spool import Spool
spool = Spool(Path(sys.argv[1]))
for number in range(int(sys.argv[2]), 10**9):
    spool.keep(Untold("0" * 16, float(number), 0.0, "xid", details={"text": "x" * 300}), sure=number % 50 == 0)
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


@pytest.mark.parametrize("seed", range(6))
def test_what_was_kept_before_kill_9_is_there_after_it(tmp_path: Path, seed: int) -> None:
    chance, kept = random.Random(seed), -1  # noqa: S311 - no secret
    for _ in range(3):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(kept + 1)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()) as writer:
            assert writer.stdout
            for _ in range(chance.randint(1, 400)):
                kept = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            kept = max([kept, *map(int, (line for line in writer.stdout.read().splitlines() if line))])
    found = numbers(Spool(tmp_path), 10**6)
    assert set(range(kept + 1)) <= set(found)
    assert found == sorted(found)
    assert len(found) - len(set(found)) <= 3, "the record that was written and not yet told of is written again"


def test_nothing_is_left_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    spool = Spool(tmp_path)
    fill(spool, 1000, "x" * 400)
    numbers(spool, 500)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
