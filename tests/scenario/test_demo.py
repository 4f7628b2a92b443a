"""What a person sees of the demo, and that nothing is left of it however it ends."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenario.conftest import Fleetsim, surroundings

SMALL = ("--sites", "3", "--boxes", "4")
GONE_SECONDS = 20.0

pytestmark = pytest.mark.timeout(600)


@pytest.mark.cluster
def test_the_story_ends_with_nought_and_each_promise_has_its_row(fleetsim: Fleetsim) -> None:
    done = fleetsim("demo", "--once", *SMALL)
    told = done.stdout
    assert done.returncode == 0, told + done.stderr
    assert "18 of 18 expectations held" in told
    assert "✕  " not in told.partition("What was promised")[2]
    told_in_order = (
        "3 transfer centres with 4 edge boxes are online",
        "1 site has gone dark",
        "scan 2.0: waits for a person's approval",
        "approves: all other sites may follow",
        "cut in the middle of it",
        "[CRITICAL] Box tc-003-scan-1 at tc-003 is silent",
        "2 sites are online again",
        "scan 2.0: done on 3 boxes",
        "vision 2.0-bad: stopped: ",
        "[WARNING] The agent on box tc-002-scan-1 at tc-002 is down",
        "[RESOLVED] The agent on box tc-002-scan-1 at tc-002 is down",
        "[WARNING] sorting/scan crashed on box tc-001-scan-1 at tc-001",
        "[CRITICAL] sorting/vision stands still on box tc-001-vision-1 at tc-001",
        "Box tc-001-vision-1 at tc-001",
        "What was promised, and what was seen",
        "Everything is stopped.",
    )
    places = [told.find(words) for words in told_in_order]
    assert -1 not in places, told
    assert places == sorted(places), told
    assert max(len(line) for line in told.partition("What was promised")[0].splitlines()) < 200
    assert "\x1b" not in told


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("until", "number"),
    [
        ("etcd and the API server", signal.SIGINT),
        ("boxes Ready", signal.SIGTERM),
        ("the operator", signal.SIGINT),
        ("scan 1.0 is released", signal.SIGKILL),
        ("has gone dark", signal.SIGHUP),
    ],
)
def test_nothing_is_left_running_whenever_and_however_it_is_ended(
    tmp_path: Path, until: str, number: signal.Signals
) -> None:
    with started(tmp_path) as demo:
        wait_for(demo, until)
        family = descendants(demo.pid)
        assert family, "nothing had been started yet"
        demo.send_signal(number)
        _, complaint = demo.communicate(timeout=60)
    if number is not signal.SIGKILL:
        assert demo.returncode == 130
        assert complaint.strip() == "Stopped; nothing is left running."
    assert left_of(family) == {}


def test_a_fleet_that_does_not_fit_is_refused_before_anything_starts(fleetsim: Fleetsim) -> None:
    done = fleetsim("demo", "--sites", "16000", "--boxes", "16001")
    assert done.returncode == 1
    assert re.search(r"16001 boxes take about [\d,]+ MB of memory, and [\d,]+ MB are free", done.stderr), done.stderr
    done = fleetsim("demo", "--sites", "5", "--boxes", "5")
    assert "ask for more boxes" in done.stderr


@contextlib.contextmanager
def started(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A demo that was just started, and killed after the block if it still runs."""
    argv = [sys.executable, "-m", "simulator", "demo", *SMALL]
    demo = subprocess.Popen(
        argv, cwd=folder, env=surroundings(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield demo
    finally:
        demo.kill()
        demo.wait()


def wait_for(demo: subprocess.Popen[str], words: str) -> None:
    """Read what the demo says until it has said these words."""
    assert demo.stdout is not None
    said = []
    for line in demo.stdout:
        said.append(line)
        if words in line:
            return
    raise AssertionError("".join(said) + (demo.stderr.read() if demo.stderr else ""))


def descendants(pid: int) -> dict[int, str]:
    """Every process below a process, by its id, with when it began: an id may be given again."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := status_of(int(entry.name))):
            children.setdefault(int(stat[1]), []).append(int(entry.name))
    found: dict[int, str] = {}
    todo = list(children.get(pid, []))
    while todo:
        one = todo.pop()
        if stat := status_of(one):
            found[one] = stat[19]
        todo += children.get(one, [])
    return found


def status_of(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; empty: the process is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def left_of(family: dict[int, str]) -> dict[int, list[str]]:
    """Those that still run after a while; one that only waits to be reaped runs no more."""
    until = time.monotonic() + GONE_SECONDS
    while True:
        stats = {pid: status_of(pid) for pid in family}
        left = {pid: stat for pid, stat in stats.items() if stat and stat[0] not in "ZX" and stat[19] == family[pid]}
        if not left or time.monotonic() > until:
            return left
        os.sched_yield()
