"""Boxes on a cluster that is there already: as a guest that asks, and leaves nothing but definitions behind."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.cluster import Cluster
from simulator.existing import endpoint
from simulator.fleet import Fleet, usual_fleet
from simulator.progress import ClusterError, Step
from tests.cluster.waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("existing")]

NAMESPACE = "/api/v1/namespaces/kubeedge"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A control plane of someone else."""
    with Cluster.up(Fleet(()), tmp_path_factory.mktemp("host") / "cluster") as made:
        yield made


def test_a_cluster_that_runs_kubeedge_is_left_alone(host: Cluster, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="two cloudcores fight"):
        Cluster.up(usual_fleet(1, 1), tmp_path / "guest", existing=host.kubeconfig)
    assert host.kube.get(NAMESPACE) is not None


def test_boxes_join_a_cluster_and_leave_it_as_it_was(host: Cluster, tmp_path: Path) -> None:
    for name in ("cloudcore", "controllermanager"):
        host.keeper.signal(name, signal.SIGKILL)
    host.kube.delete(NAMESPACE)
    gone(host)
    told: list[Step] = []
    with Cluster.up(usual_fleet(1, 1), tmp_path / "guest", existing=host.kubeconfig, report=told.append) as guest:
        assert host.kube.ready_nodes() == {"tc-001-scan-1": True}
        assert not {"etcd", "kube-apiserver", "kube-scheduler"} & guest.keeper.pids().keys()
    assert any("which is there already" in step.what for step in told)
    gone(host)
    assert host.kube.ready_nodes() == {}


def gone(host: Cluster) -> None:
    """Return when the namespace has gone: slowly, for everything in it goes first."""
    until(lambda: host.kube.get(NAMESPACE) is None, "the namespace kubeedge goes")


def test_a_kubeconfig_that_leads_nowhere_is_told() -> None:
    with pytest.raises(ClusterError, match="use-context"):
        endpoint(json.loads('{"clusters": null}'), Path("config"))
    with pytest.raises(ClusterError, match="no certificate authority"):
        endpoint({"clusters": [{"cluster": {"server": "https://127.0.0.1:1"}}]}, Path("config"))
