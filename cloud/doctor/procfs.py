"""Reads a machine: procfs, the disk, the programs on PATH."""

import os
import shutil
import sys
from pathlib import Path
from typing import Final

from cloud.doctor.machine import MachineFacts

EDGE_BOX_PACKAGES: Final = {  # Debian package: the program or file that shows it is not needed
    "containerd": "containerd",
    "runc": "runc",
    "containernetworking-plugins": "/usr/lib/cni/ptp",
    "iptables": "iptables",
    "busybox-static": "busybox",
}


def examine_machine() -> MachineFacts:
    """Return what this machine is and has."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "edgefleet"
    return MachineFacts(
        python=sys.version_info[:3],
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory=free_memory(),
        disk=shutil.disk_usage(next(folder for folder in (cache, *cache.parents) if folder.exists())).free,
        cache=str(cache),
        inotify_instances=number_in(Path("/proc/sys/fs/inotify/max_user_instances")),
        uv=shutil.which("uv"),
        go=shutil.which("go"),
        gcc=shutil.which("gcc"),
        debian=shutil.which("apt-get") is not None,
        root=os.geteuid() == 0,
        routed=has_default_route(),
        missing=tuple(name for name, sign in EDGE_BOX_PACKAGES.items() if not is_here(sign)),
    )


def free_memory() -> int:
    """Return the bytes that programs can still have: the kernel's estimate, or what is left of a container's limit."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    lines = read(Path("/proc/meminfo")).splitlines()
    available = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), pages)
    control_group = Path("/sys/fs/cgroup")
    limit, used = number_in(control_group / "memory.max"), number_in(control_group / "memory.current")
    return available if limit is None or used is None else min(available, max(0, limit - used))


def has_default_route() -> bool:
    """Return whether there is a default route; an IPv6 one leads to a gateway, or it is the loopback's."""
    nothing = "0" * 32
    four = (line.split() for line in read(Path("/proc/net/route")).splitlines()[1:])
    six = (line.split() for line in read(Path("/proc/net/ipv6_route")).splitlines())
    gates = (line[4] for line in six if line[:2] == [nothing, "00"])
    return any(line[1] == nothing[:8] for line in four) or any(gate != nothing for gate in gates)


def is_here(sign: str) -> bool:
    """Return whether a program is on PATH or where Debian keeps those for root, or a file exists."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    return shutil.which(sign, path=path) is not None or Path(sign).is_file()


def number_in(path: Path) -> int | None:
    """Return the number a file holds, None where there is no such file or it says something else."""
    text = read(path).strip()
    return int(text) if text.isdecimal() else None


def read(path: Path) -> str:
    """Return a file's text, empty where there is none to read."""
    try:
        return path.read_text()
    except OSError:
        return ""
