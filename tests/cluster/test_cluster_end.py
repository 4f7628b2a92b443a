"""However a cluster ends, nothing of it goes on; and two clusters on one machine leave each other alone."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.binaries import find_binaries
from simulator.cluster import Cluster, stop
from simulator.fleet import usual_fleet
from simulator.keeper import Keeper, end, spawn
from simulator.progress import ClusterError, silent
from tests.cluster.waiting import until

pytestmark = pytest.mark.cluster

PARENT = """
import sys, time
from pathlib import Path
from simulator.binaries import find_binaries
from simulator.cluster import Cluster
from simulator.fleet import usual_fleet
cluster = Cluster.up(usual_fleet(1, 1), Path(sys.argv[1]))
print(cluster._supervisor.pid, *cluster.keeper.pids().values(), flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("victim", ["parent", "supervisor"])
def test_kill_minus_nine_leaves_nothing_running(tmp_path: Path, victim: str) -> None:
    folder = tmp_path / "a folder with spaces, whose name is so long that no socket's address could hold it" / "cluster"
    folder.mkdir(parents=True)
    command = [sys.executable, "-c", PARENT, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) > 6
        assert all(runs(pid) for pid in pids)
        os.kill(parent.pid if victim == "parent" else pids[0], signal.SIGKILL)
        try:
            until(lambda: not any(map(runs, pids)), "all have ended")
        finally:
            parent.kill()


def runs(pid: int) -> bool:
    """Whether a process is there and not just waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_start_that_is_broken_off_leaves_nothing_running_even_if_it_was_to_be_detached(
    tmp_path: Path, number: signal.Signals
) -> None:
    words = ["cluster", "up", "--sites", "1", "--boxes", "1", "--detach", "--dir", str(tmp_path / "cluster")]
    keeper = Keeper(tmp_path / "cluster")
    with subprocess.Popen([sys.executable, "-m", "simulator", *words], stderr=subprocess.PIPE, text=True) as starting:
        assert starting.stderr is not None
        until(lambda: keeper.is_alive() and len(keeper.pids()) > 1, "the first programs run")
        pids = keeper.pids().values()
        starting.send_signal(number)
        complaint = starting.stderr.read()
    if number is not signal.SIGKILL:
        assert starting.returncode == 130
        assert "Stopped; nothing is left running." in complaint
    until(lambda: not any(map(runs, pids)) and not keeper.is_alive(), "all have ended")


def test_what_has_come_up_only_half_can_be_stopped_and_is_no_riddle(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    keeper, supervisor = spawn(tmp_path)
    try:
        with pytest.raises(ClusterError, match="is not up yet"):
            Cluster.attach(tmp_path).cut("tc-001")
        assert stop(tmp_path)
        assert not keeper.is_alive()
    finally:
        end(keeper, supervisor)
    assert not stop(tmp_path)


def test_a_detached_cluster_can_be_found_again_and_stopped_by_anyone(tmp_path: Path) -> None:
    folder = tmp_path / "cluster"
    with Cluster.up(usual_fleet(1, 1), folder, detached=True) as first:
        pids = first.keeper.pids()
        with pytest.raises(ClusterError, match="is up in"):
            Cluster.up(usual_fleet(1, 1), folder)
        again = Cluster.attach(folder)
        assert again.fleet == first.fleet
        again.cut("tc-001")
        assert first.links()["tc-001"].cut
        again.down()
        assert [pid for pid in pids.values() if runs(pid)] == []
        assert not Keeper(folder).is_alive()
    with pytest.raises(ClusterError, match="no cluster is up"):
        Cluster.attach(folder)


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    precious = tmp_path / "thesis.txt"
    precious.write_text("ten years")
    with pytest.raises(ClusterError, match="not empty"):
        Cluster.up(usual_fleet(1, 1), tmp_path)
    assert precious.read_text() == "ten years"


def test_a_program_that_falls_while_the_cluster_starts_is_named_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, programs = find_binaries(silent), tmp_path / "programs"
    programs.mkdir()
    for name, path in found.programs.items():
        (programs / name).symlink_to(path)
    (programs / "crds").symlink_to(found.crds)
    (programs / "cloudcore").unlink()
    (programs / "cloudcore").write_text("#!/bin/sh\necho no sun today\nexit 3\n")
    (programs / "cloudcore").chmod(0o755)
    monkeypatch.setenv("EDGEFLEET_CLUSTER_BIN", str(programs))
    with pytest.raises(ClusterError, match=r"cloudcore ended with 3(.|\n)*no sun today"):
        Cluster.up(usual_fleet(1, 1), tmp_path / "cluster")
    assert not Keeper(tmp_path / "cluster").is_alive()
