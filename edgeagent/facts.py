"""What a box is: the facts a person asks for before a box joins the fleet, and what is wrong with them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

LOW_DISK: Final = 2 * 1024**3
"""Bytes below which a box has no room for the next image beside the running one; images here are about 1 GiB."""
LOW_MEMORY: Final = 512 * 1024**2
"""Bytes that edgecore and a small workload need together; KubeEdge asks for 256 MiB alone."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One graphics processor as its driver tells of it."""

    index: int
    name: str
    uuid: str
    memory: int  # bytes


@dataclass(frozen=True, slots=True)
class Facts:
    """What the box tells of itself; sizes in bytes."""

    host: str
    arch: str
    kernel: str
    boot_id: str
    cores: int
    memory: int
    disk_free: int  # where images are kept
    edgecore: bool  # the process runs
    container_runtime: str  # path of its socket; empty: none found
    gpus: tuple[Gpu, ...] | None = None  # None: could not be told


def problems(facts: Facts) -> tuple[str, ...]:
    """Return what keeps the box from serving in a fleet, each with its next step; empty: nothing."""
    return tuple(_problems(facts))


def _problems(facts: Facts) -> Iterator[str]:
    if not facts.container_runtime:
        yield "no container runtime answers: install containerd, then run this again"
    if not facts.edgecore:
        yield "edgecore does not run: join the box with keadm join, or start the service edgecore"
    if facts.disk_free < LOW_DISK:
        yield f"only {size(facts.disk_free)} of disk are free: images need {size(LOW_DISK)}; remove unused ones"
    if facts.memory < LOW_MEMORY:
        yield f"the box has {size(facts.memory)} of memory; edgecore and a workload need {size(LOW_MEMORY)}"
    if facts.gpus is None:
        yield "GPUs could not be told: the driver is loaded but does not answer; restart the box or its driver"


def size(amount: int) -> str:
    """Write bytes for people."""
    for unit, step in (("GiB", 1024**3), ("MiB", 1024**2)):
        if amount >= step:
            return f"{amount / step:.1f} {unit}"
    return f"{amount} bytes"
