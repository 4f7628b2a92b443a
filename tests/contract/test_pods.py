"""Pods as they are read off a machine: a made-up log directory, and real processes that end."""

import os
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeagent import pods as reading
from edgeagent.pods import STARTING, Pods
from edgeagent.workloads import MOST_PODS, Pod
from tests.contract.plainbroker import ENOUGH

UID = "0f8fad5b-d9cb-469f-a165-70867728950e"
OTHER = "1f8fad5b-d9cb-469f-a165-70867728950e"
GROUPS = {  # how control groups are called by cgroup version and driver
    "v2 systemd": "0::/kubepods.slice/kubepods-x.slice/kubepods-x-pod{low}.slice/cri-containerd-{id}.scope",
    "v2 cgroupfs": "0::/kubepods/besteffort/pod{uid}/{id}",
    "v1": "12:pids:/kubepods/burstable/pod{uid}/{id}\n1:name=systemd:/kubepods/burstable/pod{uid}/{id}",
    "from a container": "0::/../../kubepods/pod{uid}/{id}/nested",
    "docker": "0::/kubepods.slice/kubepods-pod{low}.slice/docker-{id}.scope",
}


class Machine:
    """A root folder with pods whose processes are children of the test."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.children: list[subprocess.Popen[bytes]] = []
        (root / "proc").mkdir()
        self.logs = root / "var/log/pods"
        self.logs.mkdir(parents=True)

    def log(self, container: str, number: int = 0, uid: str = UID, pod: str = "scan-x7k2p") -> None:
        folder = self.logs / f"sorting_{pod}_{uid}" / container
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.log").touch()

    def run(self, group: str, container: str = "c" * 64, uid: str = UID) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(["/bin/sleep", "600"])
        self.children.append(child)
        place = self.root / f"proc/{child.pid}"
        place.mkdir()
        (place / "stat").symlink_to(f"/proc/{child.pid}/stat")
        (place / "cgroup").write_text(group.format(uid=uid, low=uid.replace("-", "_"), id=container) + "\n")
        return child

    def end(self, child: subprocess.Popen[bytes]) -> None:
        child.kill()
        child.wait(ENOUGH)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    one = Machine(tmp_path)
    yield one
    for child in one.children:
        child.kill()
        child.wait(ENOUGH)


@pytest.fixture
def pods(machine: Machine) -> Iterator[Pods]:
    one = Pods(machine.root)
    yield one
    one.close()


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS.keys())
def test_the_container_that_began_first_is_the_sandbox(machine: Machine, pods: Pods, group: str) -> None:
    machine.log("scan", 2)
    machine.log("scan", 10)
    machine.run(group, "s" * 64)
    (machine.logs / f"sorting_scan-x7k2p_{UID}/scan/11.log.20261127-101010.gz").touch()
    (machine.logs / f"sorting_scan-x7k2p_{UID}/scan/readme").touch()
    assert pods.look(0.0) == (Pod(UID, "sorting", "scan-x7k2p", {"scan": 11}, sandbox=True),)
    main = machine.run(group, "m" * 64)
    (seen,) = pods.look(1.0)
    assert (seen.sandbox, seen.processes) == (True, frozenset({main.pid}))


@pytest.mark.parametrize("pidfd", [True, False])
def test_an_end_is_seen_at_once(machine: Machine, pods: Pods, monkeypatch: pytest.MonkeyPatch, *, pidfd: bool) -> None:
    def too_old(_: int) -> int:
        raise OSError

    if not pidfd:
        monkeypatch.setattr(reading.os, "pidfd_open", too_old)  # type: ignore[attr-defined]
    machine.log("scan")
    machine.run(GROUPS["v1"], "s" * 64)
    main = machine.run(GROUPS["v1"], "m" * 64)
    assert pods.look(0.0)[0].processes == {main.pid}
    assert pods.look(STARTING + 1)[0].processes == {main.pid}
    main.kill()
    if pidfd:
        assert select.select([pods.fileno()], [], [], ENOUGH)[0]
    main.wait(ENOUGH)
    (seen,) = pods.look(STARTING + 2)
    assert (seen.sandbox, seen.processes) == (True, frozenset())
    assert not select.select([pods.fileno()], [], [], 0)[0], "nothing is told twice"
    again = machine.run(GROUPS["v1"], "n" * 64)
    assert pods.look(STARTING + 3)[0].processes == {again.pid}


def test_a_pod_that_is_gone_is_not_waited_for(machine: Machine, pods: Pods) -> None:
    for uid in (UID, OTHER):
        machine.log("scan", uid=uid)
        machine.run(GROUPS["v2 cgroupfs"], "s" * 64, uid)
        machine.run(GROUPS["v2 cgroupfs"], "m" * 64, uid)
    before = open_files()
    assert {one.uid for one in pods.look(0.0)} == {UID, OTHER}
    assert open_files() == before + 4
    folder = machine.logs / f"sorting_scan-x7k2p_{OTHER}"
    (folder / "scan/0.log").unlink()
    (folder / "scan").rmdir()
    folder.rmdir()
    assert [one.uid for one in pods.look(1.0)] == [UID]
    assert open_files() == before + 2


def test_of_a_containers_processes_only_the_main_one_counts(machine: Machine, pods: Pods) -> None:
    machine.log("scan")
    machine.run(GROUPS["v1"], "s" * 64)
    main = machine.run(GROUPS["v1"], "m" * 64)
    late = machine.run(GROUPS["v1"], "m" * 64)  # as a probe's process, which the runtime began
    assert pods.look(0.0)[0].processes == {main.pid}
    machine.end(late)
    assert pods.look(1.0)[0].processes == {main.pid}


def test_what_does_not_look_right_is_left_out(machine: Machine, pods: Pods) -> None:
    for name in ("x", "a_b", "a_b_c", f"a_b_{UID}_d", f"_b_{UID}", f"a_b_{UID.upper()}", "a_b_" + "0" * 40):
        (machine.logs / name).mkdir()
    (machine.logs / f"sorting_file_{OTHER}").touch()
    (machine.logs / os.fsdecode(b"a_\xff_" + UID.encode())).mkdir()
    (machine.root / "proc/999999").mkdir()
    (machine.root / "proc/999998").mkdir()
    (machine.root / "proc/999998/cgroup").write_bytes(b"\xff" * 100 + b"pod" + UID.encode() + b"/c")
    (machine.root / "proc/999998/stat").write_text("1 (a) b) S")
    seen = pods.look(0.0)
    assert {one.name for one in seen} == {"file", "\udcff"}
    assert not any(one.processes or one.sandbox for one in seen)


def test_a_machine_without_a_kubelet_has_no_pods(tmp_path: Path) -> None:
    pods = Pods(tmp_path / "nothing")
    assert pods.look(0.0) == ()
    pods.close()


def test_more_pods_than_a_box_has_are_cut(machine: Machine, pods: Pods) -> None:
    for number in range(MOST_PODS + 50):
        (machine.logs / f"a_b{number:04}_{number:08}-d9cb-469f-a165-70867728950e").mkdir()
    seen = pods.look(0.0)
    assert len(seen) == MOST_PODS
    assert seen == pods.look(1.0)


def test_a_directory_that_has_not_changed_is_not_read_again(
    machine: Machine, pods: Pods, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.log("scan")
    for place in (machine.logs, *machine.logs.rglob("*")):
        os.utime(place, (1, 1))
    first = pods.look(0.0)
    read: list[Path] = []

    def names(place: Path) -> Iterator[str]:
        read.append(place)
        return iter(())

    monkeypatch.setattr(reading, "_names", names)
    assert pods.look(1000.0) == first
    assert read == [machine.root / "proc"]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
