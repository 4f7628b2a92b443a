"""What a test has for itself on the shared cluster: a namespace, some sites, and their boxes."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from cloud.rollout.connectivity import STEADY_AFTER
from simulator.cluster import Cluster
from simulator.fleet import Site
from tests.cluster.waiting import SOON, until

LEASE_LABEL = "test.edgefleet.io/lease"  # on each box of the test; select by it, other boxes are not yours
OWN_KEYS = ("labels", "annotations")
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """One test's part of the cluster."""

    cluster: Cluster
    namespace: str
    sites: tuple[Site, ...]
    boxes: tuple[str, ...]

    @property
    def selector(self) -> dict[str, str]:
        """Node labels that choose exactly the boxes of this test."""
        return {LEASE_LABEL: self.namespace}

    def take(self) -> None:
        """Make the namespace and mark the boxes, once they are steady.

        KubeEdge may lose a label that a box is given while it still reports that it has come: the box then refuses pods
        for minutes. The operator waits as well.
        """
        self.cluster.kube.create("/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        self.until(lambda: all(steady(self.node(box)) for box in self.boxes), "the boxes are steady")
        for box in self.boxes:
            self.cluster.kube.merge(f"/api/v1/nodes/{box}", {"metadata": {"labels": self.selector}})

    def give_back(self, before: dict[str, Json]) -> None:
        """Leave everything as it was found; raises ClusterError when a box does not come back."""
        cluster = self.cluster
        for site in self.sites:
            cluster.heal(site.name)
            cluster.degrade(site.name)
        for box in self.boxes:
            cluster.fault(box)
            cluster.start_box(box)
            self.restore(box, before[box])
        self.kubectl("delete", "namespace", self.namespace, "--wait=false")
        cluster.wait_ready(*self.boxes)
        self.until(lambda: not self.pods_on_boxes(), "no pod of the test is left")

    def restore(self, box: str, before: Json) -> None:
        """Take away what was put on a node, and put back what was taken away."""
        now = self.node(box)
        changed = {
            key: {name: before["metadata"].get(key, {}).get(name) for name in {*meta(now, key), *meta(before, key)}}
            for key in OWN_KEYS
        }
        spec = {key: before["spec"].get(key) for key in ("taints", "unschedulable")}
        spec["taints"] = [one for one in spec["taints"] or [] if "node.kubernetes.io" not in one["key"]] or None
        self.cluster.kube.merge(f"/api/v1/nodes/{box}", {"metadata": changed, "spec": spec})

    def node(self, box: str) -> Json:
        """A box's node; raises KeyError when it has none."""
        found = self.cluster.kube.get(f"/api/v1/nodes/{box}")
        if found is None:
            raise KeyError(box)
        return found

    def pods(self) -> list[Json]:
        """All pods of the test's namespace."""
        found = self.cluster.kube.get(f"/api/v1/namespaces/{self.namespace}/pods") or {"items": []}
        items: list[Json] = found["items"]
        return items

    def pods_on_boxes(self) -> list[Json]:
        """Pods of the namespace that a box still has, as the API server knows it."""
        return [pod for pod in self.pods() if pod["spec"].get("nodeName")]

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl as the admin in the test's namespace."""
        words = [str(self.cluster.kubectl), f"--kubeconfig={self.cluster.kubeconfig}", f"--namespace={self.namespace}"]
        done = subprocess.run([*words, *arguments], capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def until(self, fact: Callable[[], object], what: str, seconds: float = SOON) -> None:
        """Return as soon as the fact holds; fails with the pods as they are."""
        until(fact, what, seconds, told=self.told)

    def never(self, fact: Callable[[], object], seconds: float) -> None:
        """Return after so long; fails as soon as the fact holds."""
        with pytest.raises(AssertionError, match="not within"):
            self.until(fact, "it should not", seconds)

    def told(self) -> str:
        """The pods in a few words each."""
        return "\n".join(
            f"{pod['metadata']['name']} on {pod['spec'].get('nodeName')}: {pod['status'].get('phase')} "
            f"{[one['state'] for one in pod['status'].get('containerStatuses', [])]}"
            for pod in self.pods()
        )


def steady(node: Json) -> bool:
    """Whether a node has been Ready for so long that it has nothing new to report."""
    ready = next(one for one in node["status"]["conditions"] if one["type"] == "Ready")
    since = datetime.now(UTC) - datetime.fromisoformat(ready["lastTransitionTime"])
    return ready["status"] == "True" and since > STEADY_AFTER


def meta(node: Json, key: str) -> dict[str, str]:
    """Labels or annotations of an object."""
    found: dict[str, str] = node["metadata"].get(key) or {}
    return found
