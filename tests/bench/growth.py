"""What the operator costs as the fleet grows: boxes exist only in the API, so that ten thousand fit one machine."""

import re
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from simulator.cluster import Cluster
from simulator.fleet import Fleet
from simulator.operating import PROGRAM, Operator, install
from simulator.progress import Step
from tests.bench.figures import Figure

SIZES: Final = (1_000, 10_000)
BOXES_PER_SITE: Final = 5
LOOKS: Final = 12
PATIENCE: Final = 600.0  # seconds
BASE: Final = "/apis/edgefleet.io/v1alpha1"
RELEASE: Final = "growing"


def measure(folder: Path, say: Callable[[Step], None]) -> Iterator[Figure]:
    """Yield memory of the operator and time of one look at each size, and how both grow."""
    with Cluster.up(Fleet(()), folder, report=say) as cluster:
        operator = install(cluster, say)
        # These boxes send no heartbeats: nobody may declare them dead.
        cluster.keeper.signal("kube-controller-manager", signal.SIGSTOP)
        looks, memory, made = {}, {0: _resident(operator)}, 0
        for size in SIZES:
            say(Step(f"{size} boxes"))
            _add_boxes(cluster, range(made, size))
            _wait_for_boxes(cluster, size)
            made = size
            looks[size] = _look_seconds(cluster, operator)
            memory[size] = _resident(operator)
            yield Figure(f"one look at a release of {size} boxes", looks[size] * 1000, "ms")
            yield Figure(f"memory of the operator with {size} boxes", memory[size] / 2**20, "MiB")
    small, large = SIZES
    per_box = (memory[large] - memory[small]) / (large - small) / 1024
    yield Figure("memory a box", per_box, "KiB", 20)
    yield Figure("growth of a look, against linear", looks[large] / looks[small] / (large / small), "ratio", 1.5)


def _add_boxes(cluster: Cluster, numbers: range) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: cluster.kube.create("/api/v1/nodes", _node(number)), numbers))


def _node(number: int) -> dict[str, Any]:
    site = f"tc-{number // BOXES_PER_SITE:04}"
    name = f"{site}-scan-{number % BOXES_PER_SITE}"
    moment = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    ready = {"type": "Ready", "status": "True", "reason": "Pretended", "message": "", "lastTransitionTime": moment}
    return {
        "metadata": {
            "name": name,
            "labels": {"edgefleet.io/site": site, "edgefleet.io/role": "scan", "kubernetes.io/hostname": name},
        },
        "status": {"conditions": [{**ready, "lastHeartbeatTime": moment}]},
    }


def _wait_for_boxes(cluster: Cluster, size: int) -> None:
    """Wait until the operator has an EdgeBox for every node."""
    end = time.monotonic() + PATIENCE
    while True:
        listed = cluster.kube.get(f"{BASE}/edgeboxes", limit=1) or {}
        known = len(listed.get("items", ())) + int(listed.get("metadata", {}).get("remainingItemCount", 0))
        if known >= size:
            return
        if time.monotonic() > end:
            raise RuntimeError(f"only {known} of {size} EdgeBoxes after {PATIENCE} s: read the operator's log")
        time.sleep(1)


def _look_seconds(cluster: Cluster, operator: Operator) -> float:
    """Return the mean time of a look at a release under way: pausing and going on makes the operator look."""
    spec = {
        "workload": {"name": RELEASE, "image": "pretended/growing:1"},
        "targets": {"selector": {"matchLabels": {"edgefleet.io/role": "scan"}}},
        "health": {"timeout": "1d"},
    }
    body = {"apiVersion": "edgefleet.io/v1alpha1", "kind": "EdgeRelease", "metadata": {"name": RELEASE}, "spec": spec}
    path = f"{BASE}/namespaces/default/edgereleases"
    cluster.kube.create(path, body)
    time.sleep(10)  # the canary starts, and what the new boxes brought is worked off
    count, seconds = _looks(operator)
    end = time.monotonic() + PATIENCE
    paused = False
    while _looks(operator)[0] < count + LOOKS:
        if time.monotonic() > end:
            raise RuntimeError(f"the operator did not look {LOOKS} times in {PATIENCE} s: read its log")
        paused = not paused
        cluster.kube.merge(f"{path}/{RELEASE}", {"spec": {"control": {"paused": paused}}})
        time.sleep(1.5)
    later, more = _looks(operator)
    return (more - seconds) / (later - count)


def _looks(operator: Operator) -> tuple[int, float]:
    """Return how many looks ended well so far, and the seconds they took together."""
    with urllib.request.urlopen(f"http://127.0.0.1:{operator.metrics_port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found = {
        what: sum(
            float(number)
            for number in re.findall(rf"^edgefleet_reconcile_seconds_{what}{{.*?}} (\S+)", text, re.MULTILINE)
        )
        for what in ("count", "sum")
    }
    return int(found["count"]), found["sum"]


def _resident(operator: Operator) -> int:
    """Return the operator's resident memory in bytes."""
    pid = operator.cluster.keeper.pids()[PROGRAM]
    status = Path(f"/proc/{pid}/status").read_text()
    match = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    return int(match[1]) * 1024 if match else 0
