"""The control group under which all pods of a box are counted, on machines with cgroup v1 and with v2."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from simulator.machine import NotEnoughError

ROOT = Path("/sys/fs/cgroup")
NEEDED = ("cpu", "cpuset", "memory", "pids")  # the kubelet refuses to start without
PREFIX = "edgefleet-box-"  # followed by the process id of the room that it belongs to
REMOVE_SECONDS = 5.0


def hierarchies() -> list[Path]:
    """Where control groups can be made: the one tree of v2, or a folder a controller in v1."""
    if (ROOT / "cgroup.controllers").exists():
        return [ROOT]
    return sorted({path.parent.resolve() for path in ROOT.glob("*/cgroup.procs")})


def unusable() -> str | None:
    """Why no box can be started here; None: it can."""
    trees = hierarchies()
    if trees == [ROOT]:
        offered = (ROOT / "cgroup.controllers").read_text().split()
    else:
        offered = [name for name in NEEDED if (ROOT / name).resolve() in trees]
    if lacking := [name for name in NEEDED if name not in offered]:
        return f"the cgroup controllers {', '.join(lacking)} are not available under {ROOT}"
    return None


def make(name: str) -> None:
    """Make the group; raises NotEnoughError when this machine does not allow it."""
    try:
        for tree in hierarchies():
            if tree == ROOT:
                for controller in NEEDED:
                    (ROOT / "cgroup.subtree_control").write_text(f"+{controller}")
            (tree / name).mkdir(exist_ok=True)
    except OSError as problem:
        raise NotEnoughError(
            f"no cgroup for a real edge box ({problem}): run on a machine, or in a container, with a writable {ROOT}"
        ) from problem


def remove(name: str) -> None:
    """Remove the group with all below it, whose processes have been killed; those may take a moment to vanish."""
    deadline = time.monotonic() + REMOVE_SECONDS
    for group in [group for tree in hierarchies() for group in below(tree / name)]:
        while group.exists():
            try:
                group.rmdir()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


def remove_abandoned() -> None:
    """Remove the groups of rooms that were killed with no time to do it."""
    names = {path.name for tree in hierarchies() for path in tree.glob(f"{PREFIX}*")}
    for name in names:
        if not is_room(name.removeprefix(PREFIX)):
            with contextlib.suppress(OSError):  # still in use: not abandoned for long
                remove(name)


def is_room(pid: str) -> bool:
    """Whether a process lives and is a room, and not one that got the number since."""
    try:
        return b"simulator.edgebox.room" in Path("/proc", pid, "cmdline").read_bytes()
    except OSError:
        return False


def below(group: Path) -> Iterator[Path]:
    """A group and all groups in it, the innermost first."""
    for inner in [path for path in group.glob("*") if path.is_dir()]:
        yield from below(inner)
    if group.exists():
        yield group
