"""Process 1 of a real edge box's room: makes the usual places the box's own, then keeps its programs and reaps orphans.

`python -m simulator.edgebox.init FOLDER KEPT ...`, as the first process of new namespaces. What the box keeps over a
power cut lies in FOLDER/disk; KEPT are folders of the machine that stay in sight. Its programs are started, killed and
listed through FOLDER/supervisor.sock (simulator.supervise).
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from simulator.keeper import Keeper

TREE = Path(__file__).resolve().parent.parent.parent
SHIELDED = {  # what the kubelet wants of the kernel and would otherwise set for the whole machine
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1000000,
    "kernel/keys/root_maxbytes": 25000000,
}


def main() -> int:
    """Prepare the room, tell our process id as seen from outside once programs can be started, and reap."""
    folder = Path(sys.argv[1])
    outside = Path("/proc/self").readlink()  # this /proc is still the machine's
    mount("-t", "proc", "proc", "/proc")
    kept = {folder, TREE, Path(sys.prefix), Path(sys.base_prefix), *map(Path, sys.argv[2:])}
    furnish(folder / "disk", kept)
    supervisor = subprocess.Popen([sys.executable, "-m", "simulator.supervise", folder], stdin=subprocess.PIPE)
    while not Keeper(folder).is_alive():
        if supervisor.poll() is not None:
            return 1
        time.sleep(0.02)
    print(outside, flush=True)
    while True:
        ended, status = os.wait()
        if ended == supervisor.pid:
            return os.waitstatus_to_exitcode(status)


def furnish(disk: Path, keep: set[Path]) -> None:
    """Give the box its own /run, /var/lib and /var/log, in which only what is in `keep` is still the machine's."""
    for place in ("lib", "log"):
        (disk / place).mkdir(parents=True, exist_ok=True)
        replace(Path("/var", place), keep, "--bind", str(disk / place))
    replace(Path("/run"), keep, "-t", "tmpfs", "tmpfs")
    for name, value in SHIELDED.items():
        shield = Path("/run/shield", name)
        shield.parent.mkdir(parents=True, exist_ok=True)
        shield.write_text(f"{value}\n")
        mount("--bind", str(shield), f"/proc/sys/{name}")


def replace(place: Path, keep: set[Path], *source: str) -> None:
    """Mount something else on a place; the kept folders that lie in it stay where they are."""
    kept = {path: os.open(path, os.O_PATH) for path in keep if path.is_relative_to(place)}
    mount(*source, str(place))
    for path, opened in kept.items():
        path.mkdir(parents=True, exist_ok=True)
        mount("--rbind", f"/proc/{os.getpid()}/fd/{opened}", str(path))
        os.close(opened)


def mount(*words: str) -> None:
    """Mount for this room only; `unshare` has made all mounts private."""
    subprocess.run(["mount", *words], check=True, timeout=10)  # noqa: S607 - part of every Linux


if __name__ == "__main__":
    sys.exit(main())
