"""A real edge box leaves nothing on the machine, however the process that switched it on ends."""

import os
import signal
import subprocess
import sys
from enum import StrEnum
from pathlib import Path

import pytest

from simulator.edgebox import cgroups
from tests.cluster.realbox import need_a_box
from tests.cluster.waiting import until

pytestmark = [pytest.mark.edgebox, pytest.mark.xdist_group("real box")]  # which takes part in what is looked at

ALL = {"containerd", "containerd-shim", "sleep"}  # programs of a box in which a container runs
TREE = Path(__file__).resolve().parent.parent.parent
OWNER = """
import sys
from pathlib import Path
from simulator.edgebox.box import EdgeBox
from simulator.edgebox.settings import PAUSE
from simulator.fleet import Box, Site
from simulator.programs import Place, Ports, Timing, Uplink

folder = Path(sys.argv[1])
nobody = Place({"edgecore": Path("/bin/false")}, folder, folder, Ports(1, 1, 1, 1, 1, 1, 1), "", Timing())
box = EdgeBox(folder / "a box", nobody, Site("tc"), Box("tc-1"), Uplink(1, 1, 1), "")
box.power_on()
box.run("ctr", "-n", "k8s.io", "run", "--detach", "--null-io", "--cgroup", f"/{box.cgroup}/pod/one", PAUSE, "one")
print(box.cgroup, flush=True)
sys.stdin.read()
box.power_off()
"""


def owner(folder: Path) -> "subprocess.Popen[str]":
    """Another process, which switches a box on with a container in it and says its control group."""
    return subprocess.Popen(
        [sys.executable, "-c", OWNER, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(TREE)},
    )


class End(StrEnum):
    """How a box ends."""

    POWER_OFF = "switched off"
    OWNER_KILLED = "kill -9 of the process that switched it on"
    ROOM_KILLED = "kill -9 of the process that keeps it"


@pytest.mark.parametrize("end", End)
def test_nothing_is_left_of_a_box(tmp_path: Path, end: End, capfd: pytest.CaptureFixture[str]) -> None:
    need_a_box()
    before = traces()
    with owner(tmp_path) as process:
        try:
            group = process.stdout.readline().strip() if process.stdout else ""
            assert group, capfd.readouterr().err
            room = int(group.removeprefix(cgroups.PREFIX))
            until(lambda: set(family(room).values()) >= ALL, "a container runs", told=lambda: str(family(room)))
            inside = family(room)
            assert traces() == before  # even while it runs: mounts, interfaces and kernel settings are its own
            match end:
                case End.POWER_OFF:
                    process.communicate(timeout=30)
                case End.OWNER_KILLED:
                    process.kill()
                case End.ROOM_KILLED:
                    os.kill(room, signal.SIGKILL)
            until(lambda: not alive(inside), "all have ended", told=lambda: str(alive(inside)))
            if end is End.ROOM_KILLED:
                cgroups.remove_abandoned()  # what the next start does
            until(lambda: not any(list(tree.glob(group)) for tree in cgroups.hierarchies()), f"{group} has gone")
        finally:
            process.kill()
    assert traces() == before


def family(ancestor: int) -> dict[int, str]:
    """A process and all that descend from it: name by process id."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = {ancestor}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid: name for pid in found if (name := name_of(pid))}


def alive(family: dict[int, str]) -> dict[int, str]:
    """Those of the family that have not ended."""
    return {pid: name for pid, name in family.items() if name_of(pid) == name}


def name_of(pid: int) -> str:
    """The name of a process; empty: it has ended, though its parent may not have heard of it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return "" if stat.rpartition(")")[2].split()[0] == "Z" else stat.partition("(")[2].rpartition(")")[0]


def traces() -> dict[str, object]:
    """What a box could leave on the machine beside processes and control groups."""
    settings = ("kernel/panic", "kernel/panic_on_oops", "vm/overcommit_memory", "net/ipv4/ip_forward")
    return {
        "mounts": Path("/proc/self/mountinfo").read_text(),
        "interfaces": sorted(path.name for path in Path("/sys/class/net").iterdir()),
        "kernel": {name: Path("/proc/sys", name).read_text() for name in settings},
        "run": sorted(path.name for path in Path("/run").iterdir()),
        "lib": sorted(path.name for path in Path("/var/lib").iterdir()),
        "opt": Path("/opt/containerd").exists() or Path("/opt/cni").exists(),
    }
