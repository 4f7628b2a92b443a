"""How long a release takes on real KubeEdge boxes, against label patches by hand and a stock DaemonSet, in one run.

KubeEdge 1.23.1 keeps a box waiting for 60 s at some 0.4 % of all moves, whoever moves it (simulator/patience.py says
why): about every third round over a hundred boxes lasts a minute longer for one of them. So the best of some rounds is
compared, for all that a machine and KubeEdge do besides only adds.
"""

import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cloud.rollout.release import Release, ReleaseSpec
from cloud.rollout.template import Rendered, daemonset, node_label, render, resolve
from simulator.cluster import Cluster
from simulator.fleet import usual_fleet
from simulator.operating import Operator, install
from simulator.patience import STALL_SECONDS
from simulator.progress import Step
from tests.bench.figures import Figure

BOXES: Final = 100
DARK: Final = 12
ROUNDS: Final = 5
AGAIN: Final = 2  # rounds of what is compared with nothing
PATIENCE: Final = 300.0  # seconds
STOCK_PATIENCE: Final = 60.0  # seconds a stock update is given where it is expected to hang
HANDS: Final = 8  # parallel patches, as many as the operator's
NAMESPACE: Final = "bench"
RELEASES: Final = f"/apis/edgefleet.io/v1alpha1/namespaces/{NAMESPACE}/edgereleases"
SETS: Final = f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets"


def measure(folder: Path, say: Callable[[Step], None]) -> Iterator[Figure]:
    """Yield the figures of releases over a hundred boxes, one at each site."""
    with Cluster.up(usual_fleet(BOXES, BOXES), folder, report=say) as cluster:
        operator = install(cluster, say)
        cluster.kube.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        bench = Bench(cluster, operator, [box.name for _, box in cluster.fleet.boxes()])
        bench.release("release", "0", bench.boxes)  # also downloads nothing later: images are pretended
        by_hand = Hands(bench)
        by_hand.move(0)
        ours, raw, patches = [], [], bench.node_patches()
        for turn in range(1, ROUNDS + 1):
            say(Step(f"release against label patches, round {turn} of {ROUNDS}"))
            ours.append(bench.release("release", str(turn), bench.boxes))
            raw.append(by_hand.move(turn))
        patches = bench.node_patches() - patches
        best = f"best of {ROUNDS}"
        yield Figure(f"{BOXES} boxes released in one stage, {best}", min(ours), "s")
        yield Figure(f"{BOXES} boxes moved by raw label patches, {best}", min(raw), "s")
        yield Figure("release against raw label patches", min(ours) / min(raw), "ratio", 1.25)
        yield Figure("node patches a moved box", patches / ROUNDS / BOXES, "writes", 1.0)
        stalled = sum(seconds > STALL_SECONDS for seconds in (*ours, *raw))
        yield Figure(
            f"rounds of {len(ours) + len(raw)} in which KubeEdge kept a box for {STALL_SECONDS} s", stalled, "rounds"
        )
        yield from _with_stock(bench, say)


def _with_stock(bench: "Bench", say: Callable[[Step], None]) -> Iterator[Figure]:
    say(Step("a stock DaemonSet's rolling update"))
    stock = Stock(bench)
    stock.update("0", bench.boxes, PATIENCE)
    seconds = min(stock.update(f"lit-{turn}", bench.boxes, PATIENCE)[0] for turn in range(AGAIN))
    yield Figure(f"stock rolling update of {BOXES} boxes, maxUnavailable 10%, best of {AGAIN}", seconds, "s")
    dark = bench.boxes[-DARK:]
    lit = bench.boxes[:-DARK]
    say(Step(f"{DARK} sites go dark"))
    bench.cluster.cut(*(name.removesuffix("-scan-1") for name in dark))
    bench.cluster.wait_not_ready(*dark)
    seconds = min(bench.release("release", f"dark-{turn}", lit) for turn in range(AGAIN))
    yield Figure(f"{len(lit)} boxes released while {DARK} are dark, best of {AGAIN}", seconds, "s")
    seconds, missing = stock.update("dark", lit, STOCK_PATIENCE)
    name = f"boxes a stock update has not reached after {seconds:.0f} s, {DARK} dark"
    yield Figure(name, missing, "boxes")


class Bench:
    """The cluster, and what every competitor is judged by: ready pods of the right version on every box, no other."""

    def __init__(self, cluster: Cluster, operator: Operator, boxes: list[str]) -> None:
        self.cluster = cluster
        self.operator = operator
        self.boxes = boxes

    def release(self, workload: str, tag: str, boxes: list[str]) -> float:
        """Create a release of one stage without soak; return the seconds until its boxes run it and nothing else."""
        body = {
            "apiVersion": "edgefleet.io/v1alpha1",
            "kind": "EdgeRelease",
            "metadata": {"name": f"{workload}-{tag}"},
            "spec": spec(workload, tag),
        }
        began = time.monotonic()
        self.cluster.kube.create(RELEASES, body)
        missing = self.settle(workload, f"pretended/{workload}:{tag}", boxes, PATIENCE)
        taken = time.monotonic() - began
        if missing:
            raise RuntimeError(f"release {tag} is not on {len(missing)} boxes after {PATIENCE} s: {missing[:5]}")
        return taken

    def settle(self, workload: str, image: str, boxes: list[str], patience: float) -> list[str]:
        """Wait until these boxes run the image and no other of the workload; return those that never did."""
        end = time.monotonic() + patience
        while True:
            missing = self.missing(workload, image, boxes)
            if not missing or time.monotonic() > end:
                return missing
            time.sleep(0.2)

    def missing(self, workload: str, image: str, boxes: list[str]) -> list[str]:
        """Return the boxes that do not run exactly this image, by the pods the API server has."""
        runs: dict[str, list[tuple[str, bool]]] = {}
        path = f"/api/v1/namespaces/{NAMESPACE}/pods"
        query = {"labelSelector": f"edgefleet.io/workload={workload}", "resourceVersion": "0"}
        for pod in (self.cluster.kube.get(path, **query) or {}).get("items", []):
            ready = any(
                one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", ())
            )
            found = (pod["spec"]["containers"][0]["image"], ready and "deletionTimestamp" not in pod["metadata"])
            runs.setdefault(pod["spec"].get("nodeName", ""), []).append(found)
        return [box for box in boxes if runs.get(box) != [(image, True)]]

    def node_patches(self) -> int:
        """Return how many patches of nodes by the operator the API server has taken; others taint silent nodes."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.operator.metrics_port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        counted = re.findall(r"^edgefleet_writes_total\{(.*)\} (\S+)", text, re.MULTILINE)
        return sum(int(float(count)) for labels, count in counted if 'kind="Node"' in labels)


def spec(workload: str, tag: str) -> dict[str, Any]:
    """Return a release of one stage that waits for nothing; one pod at a time, as label patches have it."""
    return {
        "workload": {"name": workload, "image": f"pretended/{workload}:{tag}", "cutover": "Recreate"},
        "targets": {"selector": {"matchLabels": {"edgefleet.io/role": "scan"}}},
        "stages": [{"name": "all", "upTo": "100%", "soak": "0s"}],
        "budget": {"maxParallelSites": "100%", "maxUnavailablePerSite": "100%"},
        "health": {"readyFor": "0s", "timeout": "5m"},
        "offline": {"minOnline": "10%"},
    }


class Hands:
    """Somebody who patches the labels of all boxes at once and knows no care: the least it can take."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.before = ""  # version the boxes have

    def move(self, tag: int) -> float:
        """Move every box to a new version; return the seconds until it runs everywhere and nothing else does."""
        release = Release(
            namespace=NAMESPACE,
            name=f"hands-{tag}",
            uid="none",
            created=datetime.now(UTC),
            spec=ReleaseSpec.model_validate(spec("hands", str(tag))),
        )
        workload = release.spec.workload
        rendered: Rendered = render(NAMESPACE, workload, resolve(workload, None))[-1]
        began = time.monotonic()
        kube = self.bench.cluster.kube
        kube.create(SETS, daemonset(release, rendered))
        labels: dict[str, str | None] = {node_label("hands", rendered.hash): ""}
        if self.before:
            labels[node_label("hands", self.before)] = None
        with ThreadPoolExecutor(HANDS) as pool:
            list(
                pool.map(
                    lambda box: kube.merge(f"/api/v1/nodes/{box}", {"metadata": {"labels": labels}}), self.bench.boxes
                )
            )
        missing = self.bench.settle("hands", f"pretended/hands:{tag}", self.bench.boxes, PATIENCE)
        if missing:
            raise RuntimeError(f"by hand, {len(missing)} boxes did not move in {PATIENCE} s: {missing[:5]}")
        self.before = rendered.hash
        return time.monotonic() - began


class Stock:
    """What Kubernetes has of its own: one DaemonSet that replaces its pods in a rolling update."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def update(self, tag: str, boxes: list[str], patience: float) -> tuple[float, int]:
        """Set the image; return the seconds until these boxes run it, or were waited for, and how many do not."""
        kube = self.bench.cluster.kube
        labels = {"edgefleet.io/workload": "stock"}
        image = f"pretended/stock:{tag}"
        container = {"name": "stock", "image": image}
        body = {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "stock"},
            "spec": {
                "selector": {"matchLabels": labels},
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "containers": [container],
                        "automountServiceAccountToken": False,
                        "tolerations": [{"operator": "Exists"}],
                        "nodeSelector": {"edgefleet.io/role": "scan"},
                    },
                },
            },
        }
        began = time.monotonic()
        if kube.create(SETS, body) is None:
            kube.merge(f"{SETS}/stock", {"spec": {"template": {"spec": {"containers": [container]}}}})
        missing = self.bench.settle("stock", image, boxes, patience)
        return time.monotonic() - began, len(missing)
