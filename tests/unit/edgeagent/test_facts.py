"""What a box tells of itself, and the command that tells it."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edgeagent.facts import Facts, problems, size
from edgeagent.procfs import has_gpu_driver, read_facts

GOOD = Facts(
    host="tc-001-scan-1",
    arch="x86_64",
    kernel="6.1",
    boot_id="b",
    cores=4,
    memory=8 * 1024**3,
    disk_free=20 * 1024**3,
    edgecore=True,
    container_runtime="/run/containerd/containerd.sock",
    gpus=(),
)


def test_a_box_that_can_serve_has_no_problem() -> None:
    assert problems(GOOD) == ()


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        (replace(GOOD, container_runtime=""), "containerd"),
        (replace(GOOD, edgecore=False), "keadm join"),
        (replace(GOOD, disk_free=1024**3), "1.0 GiB of disk"),
        (replace(GOOD, memory=256 * 1024**2), "256.0 MiB of memory"),
        (replace(GOOD, gpus=None), "GPUs"),
    ],
)
def test_each_problem_names_the_thing_and_the_next_step(facts: Facts, word: str) -> None:
    (problem,) = problems(facts)

    assert word in problem
    assert ": " in problem or ";" in problem


def test_sizes_read_well() -> None:
    assert [size(3 * 1024**3), size(5 * 1024**2), size(12)] == ["3.0 GiB", "5.0 MiB", "12 bytes"]


def box(root: Path, meminfo: str = "MemTotal:  2048 kB\n") -> Path:
    (root / "proc/1").mkdir(parents=True)
    (root / "proc/1/comm").write_text("edgecore\n")
    (root / "proc/meminfo").write_text(meminfo)
    (root / "run/containerd").mkdir(parents=True)
    return root


def test_a_mounted_host_is_read_in_place_of_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = box(tmp_path)
    monkeypatch.chdir(root / "run/containerd")  # a socket's path is at most 108 bytes
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("containerd.sock")
        facts = read_facts((), root)

    assert (facts.memory, facts.edgecore, facts.boot_id) == (2048 * 1024, True, "")
    assert facts.container_runtime == "/run/containerd/containerd.sock"


@pytest.mark.parametrize("meminfo", ["", "MemTotal:\n", "MemTotal: lots kB\n", "\x00\xff"])
def test_what_cannot_be_read_is_absent_and_never_an_error(tmp_path: Path, meminfo: str) -> None:
    facts = read_facts(None, box(tmp_path, meminfo))

    assert facts.memory == 0


def test_an_empty_root_is_read_without_an_error(tmp_path: Path) -> None:
    assert read_facts((), tmp_path / "nothing").disk_free == 0
    assert not has_gpu_driver(tmp_path)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "edgeagent", *arguments], capture_output=True, text=True, check=False)


def test_the_command_tells_the_facts_as_json_and_fails_when_something_is_wrong(tmp_path: Path) -> None:
    ended = run("facts", "--output", "json", "--root", str(box(tmp_path)))

    assert ended.returncode == 1
    told = json.loads(ended.stdout)
    assert told["edgecore"] is True
    assert any("containerd" in problem for problem in told["problems"])


def test_wrong_usage_is_told_apart_from_a_bad_box() -> None:
    assert run("fax").returncode == 2
    assert "examples:" in run("--help").stdout


def test_a_root_that_is_not_there_is_wrong_usage_and_no_bad_box(tmp_path: Path) -> None:
    ended = run("facts", "--root", str(tmp_path / "nope"))
    assert ended.returncode == 2
    assert "is no folder: name the one where the host's file system is mounted" in ended.stderr


def test_a_terminal_without_our_letters_gets_plain_ones(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "edgeagent", "facts", "--root", str(box(tmp_path))]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "\nx " in ended.stdout


def test_an_answer_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgeagent", "facts", "--root", str(tmp_path)]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("edgeagent: the answer could not be written: No space left on device")
