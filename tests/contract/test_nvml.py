"""Who asks the GPU driver: what it tells, and what becomes of it when the driver's library hangs, crashes or lies."""

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from edgeagent import child, nvml
from edgeagent.child import DELAYS, MOST_LINES, RARELY, Child
from edgeagent.facts import Gpu
from edgeagent.gpureader import Reader, command, read_gpus
from edgeagent.gpureading import Health, Reading, parse
from edgeagent.gpus import Gpus, judge, metrics, read, states
from edgeagent.wire import GpuState
from tests.contract.fakenvml import COMPILER, FakeNvml, compiled
from tests.contract.plainbroker import ENOUGH

pytestmark = pytest.mark.skipif(COMPILER is None and not os.environ.get("CI"), reason="no gcc: apt-get install gcc")
HUNG_AFTER = 2 * ENOUGH  # time is skipped, so it costs none
TREE = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("library"))


@pytest.fixture
def driver(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    """The library, where the programs of this test find it."""
    fake = FakeNvml(library, tmp_path / "orders")
    for name, value in fake.environment.items():
        monkeypatch.setenv(name, value)
    return fake


class Watched:
    """A child, and what it told. Its clock is its own: ``skip`` makes time pass."""

    def __init__(self, program: Callable[[], Sequence[str]] = command) -> None:
        self.child = Child(program, HUNG_AFTER)
        self.skipped = 0.0
        self.told: list[Reading | None] = []
        self.pids: list[int] = []

    @property
    def now(self) -> float:
        return time.monotonic() + self.skipped

    def skip(self, seconds: float) -> None:
        self.skipped += seconds

    def turn(self) -> list[Reading | None]:
        """Let it do what a second's turn does; returns what came."""
        select.select([self.child], [], [], 0.02)
        came = [parse(line) for line in self.child.lines(self.now)]
        self.told += came
        if self.child.pid and self.child.pid not in self.pids:
            self.pids.append(self.child.pid)
        return came

    def until(self, true: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + ENOUGH
        while not true():
            assert time.monotonic() < deadline, f"not seen: {what}; told: {self.told[-5:]}"
            self.turn()

    def tells(self, true: Callable[[Reading], bool], what: str) -> Reading:
        """Wait for such an answer, from now on."""
        begun = len(self.told)
        found: list[Reading] = []

        def seen() -> bool:
            found.extend(one for one in self.told[begun:] if one and true(one))
            return bool(found)

        self.until(seen, what)
        return found[0]


@pytest.fixture
def watch() -> Iterator[Callable[..., Watched]]:
    started: list[Watched] = []

    def make(program: Callable[[], Sequence[str]] = command) -> Watched:
        started.append(Watched(program))
        return started[-1]

    yield make
    for one in started:
        one.child.stop()
        assert not any(alive(pid) for pid in one.pids)


def state(pid: int) -> str:
    """The kernel's letter for a process; X: there is none."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return "X"


def alive(pid: int) -> bool:
    return state(pid) not in "ZX"


def answers(reading: Reading) -> dict[str, str]:
    return {one.uuid: one.answer for one in reading.gpus}


def test_the_driver_s_answers_come_over_and_over_the_first_with_health_and_figures(
    driver: FakeNvml, watch: Callable[..., Watched]
) -> None:
    driver.obey("gpus=01 ecc=1")
    watched = watch()
    first = watched.tells(lambda _: True, "an answer")
    one, other = first.gpus
    assert (one.index, one.uuid, one.name, one.pci, one.memory, one.answer) == (
        0, "GPU-0", "Fake L4", "00000000:01:00.0", 24 << 30, "ok",
    )  # fmt: skip
    assert (one.health, other.health) == (Health(0), Health(0, uncorrected=3))
    assert one.figures["DCGM_FI_DEV_FB_USED"] == 8 * 1024
    assert one.figures["DCGM_FI_DEV_GPU_UTIL"] == 40
    assert one.figures["DCGM_FI_DEV_POWER_USAGE"] == 72.5
    assert one.figures["DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS"] == 2
    assert "DCGM_FI_DEV_SM_CLOCK" not in one.figures  # this library lacks the function
    second = watched.tells(lambda reading: reading.gpus[0].health is None, "a short answer")
    assert (second.session, answers(second)) == (first.session, {"GPU-0": "ok", "GPU-1": "ok"})


def test_the_states_of_a_box_follow_from_its_answers(driver: FakeNvml, watch: Callable[..., Watched]) -> None:
    watched, gpus = watch(), Gpus(since=0.0)
    gpus = read(gpus, watched.tells(lambda _: True, "an answer"), now=1.0)
    assert states(gpus, 1.0) == {"Fake L4": GpuState.OK, "Fake L4 (1)": GpuState.OK}
    assert metrics(gpus, 1.0)["DCGM_FI_DEV_GPU_TEMP:1"] == 61
    driver.obey("gpus=01 lost=1")
    gpus = read(gpus, watched.tells(lambda reading: "lost" in answers(reading).values(), "the loss"), now=2.0)
    assert [(one.part, one.details["state"]) for one in judge(gpus, 2.0)[1]] == [("1", "lost")]


@pytest.mark.parametrize(
    ("orders", "health"),
    [
        ("gpus=0 action=0", Health(1)),
        ("gpus=0 old=1", Health(None)),
        ("gpus=0 old=1 ecc=0", Health(None, uncorrected=3)),
    ],
)
def test_what_the_driver_wants_done_is_told(
    driver: FakeNvml, watch: Callable[..., Watched], orders: str, health: Health
) -> None:
    driver.obey(orders)
    assert watch().tells(lambda _: True, "an answer").gpus[0].health == health


def test_a_gpu_that_wants_a_reset_and_one_that_is_lost_say_so_and_the_others_go_on(
    driver: FakeNvml, watch: Callable[..., Watched]
) -> None:
    watched = watch()
    watched.tells(lambda _: True, "an answer")
    driver.obey("gpus=01 reset=0")
    watched.tells(lambda reading: answers(reading) == {"GPU-0": "reset required", "GPU-1": "ok"}, "it wants a reset")
    driver.obey("gpus=01 lost=0")
    watched.tells(lambda reading: answers(reading) == {"GPU-0": "lost", "GPU-1": "ok"}, "it is lost")


def test_another_number_of_gpus_is_seen_in_a_new_conversation(driver: FakeNvml, watch: Callable[..., Watched]) -> None:
    watched = watch()
    first = watched.tells(lambda _: True, "an answer")
    driver.obey("gpus=1")
    second = watched.tells(lambda reading: answers(reading) == {"GPU-1": "ok"}, "one is gone")
    assert second.session > first.session
    driver.obey("gpus=10")
    watched.skip(DELAYS[-1])
    watched.tells(lambda reading: answers(reading) == {"GPU-1": "ok", "GPU-0": "ok"}, "it is back")


@pytest.mark.parametrize("function", ["nvmlInit_v2", "nvmlDeviceGetTemperature"])
def test_a_call_that_never_returns_is_killed_and_asked_anew_until_it_answers(
    driver: FakeNvml, watch: Callable[..., Watched], function: str
) -> None:
    driver.obey(f"gpus=0 hang={function}")
    watched = watch()
    watched.turn()
    for tries in (1, 2):
        until_it_asks(watched.pids[-1])
        watched.skip(HUNG_AFTER + 1)
        watched.turn()
        watched.until(lambda: not watched.child.pid, "it is killed")
        watched.skip(DELAYS[tries])
        watched.turn()
    assert watched.told == []
    driver.obey("gpus=0")
    watched.skip(HUNG_AFTER + 1)
    watched.turn()
    watched.skip(DELAYS[3])
    watched.tells(lambda reading: answers(reading) == {"GPU-0": "ok"}, "an answer")


def test_a_library_that_crashes_takes_its_program_along_and_is_asked_ever_more_rarely(
    driver: FakeNvml, watch: Callable[..., Watched]
) -> None:
    driver.obey("gpus=0 crash=nvmlDeviceGetTemperature")
    watched = watch()
    for tries, delay in enumerate((*DELAYS, DELAYS[-1]), start=1):
        watched.turn()
        assert len(watched.pids) == tries
        watched.until(lambda: not watched.child.pid, "it has crashed")
        if delay:
            watched.skip(delay - ENOUGH)
            watched.turn()
            assert len(watched.pids) == tries
            watched.skip(ENOUGH)
    assert watched.told == []


@pytest.mark.parametrize(
    ("orders", "error"),
    [
        ("gpus=0 init=18", "Driver/library version mismatch"),
        ("gpus=0 count=999", "Unknown Error"),
    ],
)
def test_a_driver_that_cannot_be_asked_says_why_and_is_asked_again(
    driver: FakeNvml, watch: Callable[..., Watched], orders: str, error: str
) -> None:
    driver.obey(orders)
    watched = watch()
    assert watched.tells(lambda _: True, "a word") == replace_session(Reading(error=error), watched)
    driver.obey("gpus=0")
    watched.skip(DELAYS[-1])
    watched.tells(lambda reading: answers(reading) == {"GPU-0": "ok"}, "an answer")


def replace_session(reading: Reading, watched: Watched) -> Reading:
    newest = watched.told[-1]
    assert newest
    return Reading(newest.session, reading.gpus, reading.error)


@pytest.mark.parametrize("orders", ["gpus=0 init=9", "gpus="])
def test_where_there_is_nothing_to_ask_it_is_asked_rarely(
    driver: FakeNvml, watch: Callable[..., Watched], orders: str
) -> None:
    driver.obey(orders)
    watched = watch()
    watched.tells(lambda reading: not reading.gpus, "a word")
    watched.until(lambda: not watched.child.pid, "it has ended")
    watched.skip(RARELY - ENOUGH)
    watched.turn()
    assert not watched.child.pid
    watched.skip(ENOUGH)
    watched.turn()
    assert watched.child.pid


def test_a_box_without_the_library_is_told_so(
    driver: FakeNvml, watch: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(driver.library / "nothing"))
    assert "install the driver's library" in watch().tells(lambda _: True, "a word").error


def test_a_frozen_program_is_replaced(driver: FakeNvml, watch: Callable[..., Watched]) -> None:
    driver.obey("gpus=0")
    watched = watch()
    watched.tells(lambda _: True, "an answer")
    os.kill(watched.child.pid, signal.SIGSTOP)
    watched.until(lambda: state(watched.child.pid) == "T", "it is frozen")
    watched.turn()
    watched.skip(HUNG_AFTER + 1)
    watched.until(lambda: len(watched.pids) == 2, "another one")
    watched.tells(lambda _: True, "an answer")
    assert not alive(watched.pids[0])


def test_a_process_that_cannot_be_killed_is_left_and_no_other_is_started_beside_it(
    driver: FakeNvml, watch: Callable[..., Watched]
) -> None:
    driver.obey("gpus=0 hang=nvmlDeviceGetTemperature")
    watched = watch()
    watched.turn()
    with held(watched.child.pid):
        watched.skip(HUNG_AFTER + 1)
        watched.until(lambda: not alive(watched.child.pid), "it was killed")
        for _ in range(10):
            watched.skip(RARELY)
            watched.turn()
        assert len(watched.pids) == 1
    driver.obey("gpus=0")
    watched.tells(lambda reading: answers(reading) == {"GPU-0": "ok"}, "an answer")
    assert len(watched.pids) == 2


@contextlib.contextmanager
def held(pid: int) -> Iterator[None]:
    """Keep a process from going when it is killed, as a hanging kernel would: whoever traces it hears of it first."""
    seize = f"print(ctypes.CDLL(None).ptrace(0x4206, {pid}, None, None), flush=True)"  # PTRACE_SEIZE
    program = f"import ctypes, sys\n{seize}\nsys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as tracer:
        assert tracer.stdout
        assert tracer.stdout.readline() == b"0\n"
        yield
        assert tracer.stdin
        tracer.stdin.close()


def test_stopping_does_not_wait_for_a_process_that_cannot_be_killed(driver: FakeNvml) -> None:
    driver.obey("gpus=0 hang=nvmlInit_v2")
    watched = Watched()
    watched.turn()
    with held(watched.child.pid):
        begun = time.monotonic()
        watched.child.stop(within=0.1)
        assert time.monotonic() - begun < ENOUGH
    os.waitpid(watched.pids[0], 0)


@pytest.mark.parametrize("orders", ["gpus=0", "gpus=0 hang=nvmlDeviceGetTemperature"])
def test_the_program_ends_with_its_parent_even_within_a_call(driver: FakeNvml, orders: str) -> None:
    driver.obey(orders)
    program = (
        "import select, time\n"
        "from edgeagent.child import Child\n"
        "from edgeagent.gpureader import command\n"
        "child = Child(command)\n"
        "while True:\n"
        "    child.lines(time.monotonic())\n"
        "    print(child.pid, flush=True)\n"
        "    select.select([child], [], [], 1)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=TREE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        descriptor = os.pidfd_open(pid)
        until_it_asks(pid)
        parent.kill()
    assert select.select([descriptor], [], [], ENOUGH)[0], "it lives on"
    os.close(descriptor)


def until_it_asks(pid: int) -> None:
    """Wait until the library is loaded: the program has said before that it goes with its parent."""
    deadline = time.monotonic() + ENOUGH
    while b"libnvidia-ml" not in Path(f"/proc/{pid}/maps").read_bytes():
        assert time.monotonic() < deadline
        select.select([], [], [], 0.01)


def test_the_program_ends_when_its_input_ends_and_when_its_parent_is_another(driver: FakeNvml) -> None:
    assert driver.orders.exists()
    alone = subprocess.run(
        [*command()[:-1], "1"], stdin=subprocess.PIPE, capture_output=True, timeout=ENOUGH, check=True
    )
    assert alone.stdout == b""
    ended = subprocess.run(command(), input=b"", capture_output=True, timeout=ENOUGH, check=True)
    assert [bool(parse(line)) for line in ended.stdout.splitlines()] == [True]


def shell(script: str) -> Callable[[], Sequence[str]]:
    return lambda: ("/bin/sh", "-c", script)


def test_what_is_no_answer_is_dropped_and_what_follows_is_taken(watch: Callable[..., Watched]) -> None:
    junk = r"""Traceback\n\0\377\n{"gpus": 7}\n[[[[\n\n"""
    script = f"""printf '{junk}{{"session": 7}}\\n{{"sess'; sleep 0.1; printf 'ion": 8}}\\n'; exec sleep 60"""
    watched = watch(program=shell(script))
    watched.tells(lambda reading: reading.session == 8, "the last answer")
    assert watched.told == [None, None, None, None, None, Reading(7.0), Reading(8.0)]


@pytest.mark.parametrize("script", ["exec tr '\\0' a < /dev/zero", "exec yes", "exec yes '{\"session\": 1}'"])
def test_a_program_that_writes_without_end_is_ended(watch: Callable[..., Watched], script: str) -> None:
    watched = watch(program=shell(script))
    watched.turn()
    watched.until(lambda: not alive(watched.pids[0]), "it is killed")
    assert len(watched.told) <= MOST_LINES


def test_a_program_that_cannot_be_started_is_tried_again(watch: Callable[..., Watched]) -> None:
    watched = watch(program=lambda: ("/nowhere/python",))
    watched.turn()
    assert watched.child.pid == 0
    watched.turn()


def box(root: Path, *, driver: bool) -> Path:
    (root / "proc/driver/nvidia").mkdir(parents=True)
    if driver:
        (root / "proc/driver/nvidia/version").touch()
    return root


def test_without_a_driver_there_is_no_child_and_with_one_there_is(driver: FakeNvml, tmp_path: Path) -> None:
    driver.obey("gpus=0")
    root = box(tmp_path / "box", driver=False)
    reader, now = Reader(root), 1000.0
    assert [reading.error for reading in reader.readings(now)] == ["no GPU driver is loaded"]
    assert list(reader.readings(now + 100)) == []
    assert not select.select([reader], [], [], 0.0)[0]
    (root / "proc/driver/nvidia/version").touch()
    came = taken(reader, now + 200)
    assert answers(came) == {"GPU-0": "ok"}
    (root / "proc/driver/nvidia/version").unlink()
    assert [reading.error for reading in reader.readings(now + 300)][:1] == ["no GPU driver is loaded"]
    reader.stop()


def taken(reader: Reader, now: float) -> Reading:
    deadline = time.monotonic() + ENOUGH
    while time.monotonic() < deadline:
        for reading in reader.readings(now):
            return reading
        select.select([reader], [], [], 0.05)
    raise AssertionError("no answer")


def test_a_box_s_gpus_are_listed_for_people(driver: FakeNvml) -> None:
    one = Gpu(0, "Fake L4", "GPU-0", 24 << 30)
    assert read_gpus() == (one, replace(one, index=1, uuid="GPU-1"))
    driver.obey("gpus=")
    assert read_gpus() == ()


@pytest.mark.parametrize("orders", ["hang=nvmlInit_v2", "crash=nvmlInit_v2", "init=18", "init=9"])
def test_gpus_that_cannot_be_told_are_none(driver: FakeNvml, orders: str) -> None:
    driver.obey(f"gpus=0 {orders}")
    assert read_gpus(patience=0.5 if "=nvml" in orders else ENOUGH) is None


def test_the_command_lists_gpus_where_a_driver_is_loaded(driver: FakeNvml, tmp_path: Path) -> None:
    assert driver.orders.exists()
    arguments = ["facts", "--output", "json", "--root", str(box(tmp_path / "box", driver=True))]
    ended = subprocess.run(
        [sys.executable, "-m", "edgeagent", *arguments], cwd=TREE, capture_output=True, timeout=ENOUGH, check=False
    )
    told = json.loads(ended.stdout)
    assert [gpu["uuid"] for gpu in told["gpus"]] == ["GPU-0", "GPU-1"]
    assert not any("GPU" in problem for problem in told["problems"])


def test_both_sides_mean_the_same_by_nothing_here_and_the_structures_are_those_of_the_header() -> None:
    assert child.NOTHING_HERE == nvml.NOTHING_HERE
    sizes = [ctypes.sizeof(one) for one in (nvml.Pci, nvml.Memory, nvml.Utilization, nvml.Field)]
    assert sizes == [68, 24, 8, 40]
