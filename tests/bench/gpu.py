"""What asking a real NVIDIA GPU costs, and that a frozen asker is replaced: ``python -m tests.bench.gpu``, 40 seconds.

It needs a machine with a GPU and its driver, and Python 3.11 with msgspec; no network, no root. It prints one line of
JSON, and ends with 1 where something was not as promised.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgeagent.child import HUNG_AFTER
from edgeagent.gpureader import Reader, read_gpus
from edgeagent.gpus import Gpus, judge, metrics, read, states
from edgeagent.procfs import has_gpu_driver
from edgeagent.wire import GpuState

MEASURED = 21.0  # seconds, with two looks at the figures
ENOUGH = 60.0


class Watch:
    """The agent's side, as its loop would do it."""

    def __init__(self, root: Path) -> None:
        self.reader, self.gpus = Reader(root), Gpus(since=time.monotonic())
        self.changes: list[str] = []
        self.arrivals: list[float] = []

    def turn(self) -> None:
        """Wait for an answer, not longer than a beat, and take it in."""
        select.select([self.reader], [], [], 0.2)
        now = time.monotonic()
        for reading in self.reader.readings(now):
            self.gpus = read(self.gpus, reading, now)
            self.arrivals.append(now)
        self.gpus, happened = judge(self.gpus, now)
        self.changes += [f"{one.part} {one.details['state']}: {one.details['why']}" for one in happened]

    def until(self, true: Callable[[], bool]) -> float:
        """Take turns until something holds; returns how many seconds that took."""
        begun = time.monotonic()
        while not true() and time.monotonic() < begun + ENOUGH:
            self.turn()
        return round(time.monotonic() - begun, 3)

    def all_are(self, state: GpuState) -> bool:
        """Whether there are GPUs, and all of them in this state."""
        return set(states(self.gpus, time.monotonic()).values()) == {state}


def main() -> int:
    """Measure, and print what was found."""
    found: dict[str, Any] = {"listed": [str(gpu) for gpu in read_gpus() or ()], "nvidia-smi": by_the_vendor()}
    watch = Watch(Path("/") if has_gpu_driver() else beside_a_driver(found))
    found["first answer after, s"] = watch.until(lambda: bool(watch.arrivals))
    first, spent = watch.reader.pid, processor(watch.reader.pid)
    found["start, ms of processor"] = round(spent * 1000)
    begun, own = time.monotonic(), time.process_time()
    watch.until(lambda: time.monotonic() > begun + MEASURED)
    lasted = time.monotonic() - begun
    found["child, % of a core"] = round(100 * (processor(first) - spent) / lasted, 3)
    found["agent's side, % of a core"] = round(100 * (time.process_time() - own) / lasted, 3)
    found["child, MB"] = round(resident(first) / 1024**2, 1)
    apart = [later - earlier for earlier, later in zip(watch.arrivals, watch.arrivals[1:], strict=False)]
    found["longest between answers, s"] = round(max(apart, default=0.0), 3)
    found["states"] = dict(states(watch.gpus, time.monotonic()))
    found["health"] = [str(one.health) for one in watch.gpus.known.values()]
    found["metrics"] = metrics(watch.gpus, time.monotonic())
    well = watch.all_are(GpuState.OK)
    os.kill(first, signal.SIGSTOP)
    found["unknown after SIGSTOP, s"] = watch.until(lambda: watch.all_are(GpuState.UNKNOWN))
    found["well again after, s"] = watch.until(lambda: watch.all_are(GpuState.OK))
    replaced = watch.reader.pid != first and watch.all_are(GpuState.OK)
    found["changes"] = watch.changes
    found["stopped after, s"] = stopped(watch)
    sys.stdout.write(json.dumps(found) + "\n")
    return 0 if well and replaced and found["well again after, s"] < HUNG_AFTER + ENOUGH / 2 else 1


def beside_a_driver(found: dict[str, Any]) -> Path:
    """A root where a driver seems loaded, for sandboxes that do not show it; the reader would not ask otherwise."""
    found["driver"] = "not shown in /proc/driver"
    root = Path(tempfile.mkdtemp())
    (root / "proc/driver/nvidia").mkdir(parents=True)
    (root / "proc/driver/nvidia/version").touch()
    return root


def by_the_vendor() -> str:
    """What NVIDIA's own tool says, to compare."""
    if (tool := shutil.which("nvidia-smi")) is None:
        return "absent"
    fields = "index,name,uuid,pci.bus_id,memory.total,memory.used,temperature.gpu,power.draw,driver_version"
    asked = subprocess.run([tool, f"--query-gpu={fields}", "--format=csv,noheader"], capture_output=True, check=False)
    return asked.stdout.decode(errors="replace").strip()


def processor(pid: int) -> float:
    """Seconds of processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Bytes of memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def stopped(watch: Watch) -> float:
    """End; returns how many seconds that took."""
    begun = time.monotonic()
    watch.reader.stop()
    return round(time.monotonic() - begun, 3)


if __name__ == "__main__":
    sys.exit(main())
