"""Reads the machine: /proc, the file system, sockets. Nothing raises: what cannot be read is told as absent."""

import contextlib
import os
import platform
import shutil
from pathlib import Path

from edgeagent.facts import Facts, Gpu

_SOCKETS = ("run/containerd/containerd.sock", "run/crio/crio.sock", "run/cri-dockerd.sock")
_IMAGES = ("var/lib/containerd", "var/lib", "")


def read_facts(gpus: tuple[Gpu, ...] | None, root: Path = Path("/")) -> Facts:
    """Return what the machine tells of itself; ``root`` is where the host's file system is mounted."""
    return Facts(
        host=platform.node(),
        arch=platform.machine(),
        kernel=platform.release(),
        boot_id=_text(root / "proc/sys/kernel/random/boot_id"),
        cores=len(os.sched_getaffinity(0)),
        memory=_memory(_text(root / "proc/meminfo")),
        disk_free=disk_free(root),
        edgecore=any(_text(name) == "edgecore" for name in _processes(root)),
        container_runtime=next((f"/{name}" for name in _SOCKETS if (root / name).is_socket()), ""),
        gpus=gpus,
    )


def boot_id() -> str:
    """Return 16 hex digits that the kernel chose when it started; zeros if it does not say."""
    return _text(Path("/proc/sys/kernel/random/boot_id")).replace("-", "")[:16] or "0" * 16


def load() -> float:
    """Return the mean number of running processes over a minute, for each core."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)


def figures(root: Path = Path("/")) -> dict[str, float]:
    """Return figures of the machine under the names that node_exporter gives them."""
    found = {"node_load1": os.getloadavg()[0]}
    wanted = {"MemTotal": "node_memory_MemTotal_bytes", "MemAvailable": "node_memory_MemAvailable_bytes"}
    for line in _text(root / "proc/meminfo").splitlines():
        name, _, value = line.partition(":")
        if name in wanted and value.split() and value.split()[0].isdigit():
            found[wanted[name]] = float(value.split()[0]) * 1024
    found["node_filesystem_avail_bytes"] = float(disk_free(root))
    return found


def disk_free(root: Path = Path("/")) -> int:
    """Return the bytes that are free where images are kept; 0 if that cannot be told."""
    for name in _IMAGES:
        if (root / name).is_dir():
            with contextlib.suppress(OSError):
                return shutil.disk_usage(root / name).free
    return 0


def has_gpu_driver(root: Path = Path("/")) -> bool:
    """Tell whether a GPU driver is loaded; without one there is nothing to ask."""
    return (root / "proc/driver/nvidia/version").exists()


def _processes(root: Path) -> list[Path]:
    try:
        return [entry / "comm" for entry in (root / "proc").iterdir() if entry.name.isdigit()]
    except OSError:
        return []


def _memory(meminfo: str) -> int:
    """Return MemTotal in bytes; 0 if the text does not say."""
    for line in meminfo.splitlines():
        name, _, value = line.partition(":")
        if name == "MemTotal":
            number = value.split()[0] if value.split() else ""
            return int(number) * 1024 if number.isdigit() else 0
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
