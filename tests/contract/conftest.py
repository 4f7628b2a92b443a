"""The real side of the contracts: a control plane without boxes, with our resources installed."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.rollout.kube import KubeCluster, access
from simulator.cluster import Cluster
from simulator.fleet import Fleet

TREE = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="session")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeCluster]:
    """Yield the real cluster as its administrator sees it."""
    with Cluster.up(Fleet(()), tmp_path_factory.mktemp("contract")) as cluster:
        kubectl = [str(cluster.kubectl), "--kubeconfig", str(cluster.kubeconfig)]
        subprocess.run([*kubectl, "apply", "--server-side", "-k", str(TREE / "crds")], check=True, timeout=60)
        established = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"]
        subprocess.run([*kubectl, *established], check=True, timeout=60)
        port = KubeCluster(access(str(cluster.kubeconfig)))
        yield port
        port.close()
