"""Whether this machine has the memory that a simulated fleet takes; reads /proc/meminfo."""

from pathlib import Path
from typing import Final

MEMINFO: Final = Path("/proc/meminfo")
CLOUD_MB: Final = 1100  # measured: control plane, KubeEdge's cloud side, operator, after a release over 130 boxes
BOX_MB: Final = 20  # measured: a hollow node with a pod or two, private memory


def shortage(boxes: int, available_mb: int) -> str:
    """What is said of too little memory; empty where there is enough."""
    needed = CLOUD_MB + BOX_MB * boxes
    if available_mb >= needed:
        return ""
    fit = (available_mb - CLOUD_MB) // BOX_MB
    advice = f"ask for at most {fit} boxes, or close something" if fit > 0 else "close something"
    return f"{boxes} boxes take about {needed:,} MB of memory, and {available_mb:,} MB are free: {advice}"


def available() -> int:
    """Megabytes that can be had without swapping."""
    for line in MEMINFO.read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) // 1024
    raise RuntimeError(f"{MEMINFO} does not say MemAvailable: this is no Linux since 3.14")
