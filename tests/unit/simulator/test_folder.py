"""The folder of a cluster: one start at a time, nothing of others removed, and what a full disk is called."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from simulator import faults
from simulator.cluster import Cluster
from simulator.fleet import usual_fleet
from simulator.folder import SCARCE, claimed, clear, shortage
from simulator.progress import ClusterError
from simulator.starting import write_secret


def left_by_a_cluster(folder: Path) -> None:
    (folder / "logs").mkdir(parents=True)
    (folder / "logs" / "supervisor.log").touch()


def test_a_second_start_in_a_folder_is_told_of_the_first_and_removes_nothing_of_it(tmp_path: Path) -> None:
    left_by_a_cluster(tmp_path)
    with claimed(tmp_path), pytest.raises(ClusterError, match=f"a cluster is being started in {tmp_path}: wait"):
        Cluster.up(usual_fleet(1, 1), tmp_path)
    assert (tmp_path / "logs" / "supervisor.log").exists()


def test_a_folder_is_free_again_after_a_start_however_that_ended(tmp_path: Path) -> None:
    with pytest.raises(KeyError), claimed(tmp_path / "new"):
        raise KeyError
    with claimed(tmp_path / "new"):
        pass


def test_a_folder_that_is_emptied_stays_locked(tmp_path: Path) -> None:
    left_by_a_cluster(tmp_path)
    (tmp_path / "away").symlink_to("/nowhere")
    with claimed(tmp_path):
        clear(tmp_path)
        assert [path.name for path in tmp_path.rglob("*")] == ["logs"]
        with pytest.raises(ClusterError, match="being started"), claimed(tmp_path):
            pass


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/x")):
        said = f"{folder} cannot be used: .*: give an empty or new folder"
        with pytest.raises(ClusterError, match=said), claimed(folder):
            pass


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("secret", lambda folder: write_secret(folder / "secret", "much")),
        ("faults.json.new", lambda folder: faults.write(folder, ())),
    ],
)
def test_a_file_for_which_there_is_no_room_is_named(tmp_path: Path, name: str, write: Callable[[Path], None]) -> None:
    (tmp_path / name).symlink_to("/dev/full")
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)) as lost:
        write(tmp_path)
    assert lost.value.filename == str(tmp_path / name)


def test_a_disk_is_called_full_where_etcd_finds_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=SCARCE))
    assert shortage(tmp_path) == ""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3 * 2**20))
    assert shortage(tmp_path) == f"the disk of {tmp_path} is full (3 MB are free), so make room there; "
