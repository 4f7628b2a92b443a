"""The supervisor and its near side, with small programs in place of a cluster's."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from simulator.keeper import Keeper, end, spawn
from simulator.programs import Program
from simulator.progress import ClusterError
from simulator.starting import wait_until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cluster" / "logs").mkdir(parents=True)
    return tmp_path / "cluster"


@pytest.fixture
def keeper(folder: Path) -> Iterator[Keeper]:
    keeper, supervisor = spawn(folder)
    yield keeper
    end(keeper, supervisor)


def script(folder: Path, words: str) -> Program:
    return Program("etcd", ("/bin/sh", "-c", words), folder / "etcd")


def ended(keeper: Keeper) -> bool:
    return bool(keeper.ended())


def test_what_a_program_leaves_for_the_moment_lies_in_its_own_folder(
    keeper: Keeper, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", "/elsewhere")
    keeper.start(script(folder, 'mktemp; echo "$HOME"; exec sleep 60'))
    log = keeper.log_of("etcd")
    wait_until(lambda: log.read_text().count("\n") > 1, "its words", 10, keeper)
    temporary, home = log.read_text().split()
    assert (Path(temporary).parent, home) == (folder / "etcd" / "tmp", str(folder / "etcd"))


def test_a_program_that_ends_on_a_full_disk_is_told_with_the_disk_first(
    keeper: Keeper, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))
    keeper.start(script(folder, "echo panic: goroutine 1; exit 2"))
    with pytest.raises(ClusterError) as told:
        wait_until(lambda: False, "a ready API server", 10, keeper)
    first, *more = str(told.value).splitlines()
    assert first == (
        f"the disk of {folder} is full (1 MB are free), so make room there; "
        "etcd ended with 2 while waiting for a ready API server:"
    )
    assert more[0] == "  panic: goroutine 1"


@pytest.mark.parametrize("passing", [True, False])
def test_only_the_folder_of_a_passing_cluster_goes_with_whoever_started_it(folder: Path, *, passing: bool) -> None:
    _, supervisor = spawn(folder, passing=passing)
    (folder / "kubeconfig").touch()
    close(supervisor)
    assert folder.exists() is not passing


def test_the_folder_of_a_passing_cluster_that_is_shut_down_is_left_to_whoever_did_it(folder: Path) -> None:
    end(*spawn(folder, passing=True))
    assert folder.exists()


def close(supervisor: subprocess.Popen[bytes]) -> None:
    """End it as the end of its parent does."""
    assert supervisor.stdin is not None
    supervisor.stdin.close()
    supervisor.wait(timeout=30)
