"""Runs edgefleet on a simulated cluster: installs its resources and rights, starts its operator beside the cluster.

The operator is a process of its own and acts under its own service account, as it does in a real installation. It is
kept by the cluster's supervisor, so it ends with the cluster.
"""

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from simulator.cluster import Cluster
from simulator.fleet import Site
from simulator.machine import free_ports
from simulator.programs import Program
from simulator.progress import ClusterError, Report, Step
from simulator.starting import wait_until

TREE: Final = Path(__file__).resolve().parent.parent  # the checkout, or where the packages are installed
NAMESPACE: Final = "edgefleet"
ACCOUNT: Final = "edgefleet-operator"
PROGRAM: Final = "operator"  # its name in the supervisor and of its log
NOT_HERE: Final = frozenset({"Deployment", "PodDisruptionBudget", "NetworkPolicy"})  # it is a process, not a pod
KUBECTL_SECONDS: Final = 120  # of one call; on an idle machine 1
STARTING_SECONDS: Final = 60.0
SITES: Final = "/apis/edgefleet.io/v1alpha1/edgesites"


@dataclass(frozen=True, slots=True)
class Operator:
    """The operator that runs beside a cluster."""

    cluster: Cluster
    metrics_port: int
    probe_port: int

    def is_well(self) -> bool:
        """Whether it answers its health probe."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.probe_port}/healthz", timeout=2, trust_env=False).is_success
        except httpx.HTTPError:
            return False


def install(cluster: Cluster, report: Report) -> Operator:
    """Install edgefleet and start its operator; returns when it is at work. Raises ClusterError."""
    report(Step("edgefleet's custom resources and rights"))
    install_resources(cluster)
    introduce(cluster, cluster.fleet.sites)
    report(Step("the operator"))
    return start_operator(cluster)


def install_resources(cluster: Cluster) -> None:
    """Apply what manifests/base holds, but for the pods: the kinds first, then what needs them. Raises ClusterError."""
    wanted = objects(cluster)
    kinds = [one for one in wanted if one["kind"] == "CustomResourceDefinition"]
    apply(cluster, kinds)
    kubectl(cluster, "wait", "--for=condition=Established", "crd", *(one["metadata"]["name"] for one in kinds))
    apply(cluster, [one for one in wanted if one not in kinds])


def apply(cluster: Cluster, wanted: Iterable[Mapping[str, Any]]) -> None:
    """Apply objects. Raises ClusterError."""
    kubectl(cluster, "apply", "--server-side", "--filename=-", stdin=yaml.safe_dump_all(wanted))


def objects(cluster: Cluster) -> list[dict[str, Any]]:
    """What manifests/base holds, but for what only makes sense where the operator is a pod."""
    built = kubectl(cluster, "kustomize", str(manifests() / "base"))
    return [one for one in yaml.safe_load_all(built) if one and one["kind"] not in NOT_HERE]


def manifests() -> Path:
    """The folder of manifests, beside the packages of the source tree. Raises ClusterError."""
    folder = TREE / "manifests"
    if not (folder / "base" / "kustomization.yaml").exists():
        raise ClusterError(f"{folder} is not there: run from a checkout of the edgefleet repository")
    return folder


def start_operator(cluster: Cluster) -> Operator:
    """Start the process with a kubeconfig of its service account. Raises ClusterError."""
    folder = cluster.record.place.folder / PROGRAM
    folder.mkdir(exist_ok=True)
    cluster.kubeconfig_for(NAMESPACE, ACCOUNT, folder / "kubeconfig")
    metrics, probe = free_ports(2)
    env = {
        "KUBECONFIG": str(folder / "kubeconfig"),
        "EDGEFLEET_METRICS_PORT": str(metrics),
        "EDGEFLEET_PROBE_PORT": str(probe),
        "EDGEFLEET_RESOLVE_IMAGES": "false",  # the boxes pretend, so no registry is asked
        **search_path(),
    }
    cluster.keeper.start(Program(PROGRAM, (sys.executable, "-m", "cloud", "operator"), folder, env))
    operator = Operator(cluster, metrics, probe)
    wait_until(operator.is_well, "the operator's health", STARTING_SECONDS, cluster.keeper)
    return operator


def search_path() -> dict[str, str]:
    """Where Python finds edgefleet, this tree first; what it prints is in the log at once."""
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(TREE), os.environ.get("PYTHONPATH")])),
        "PYTHONUNBUFFERED": "1",
    }


def introduce(cluster: Cluster, sites: Iterable[Site]) -> None:
    """Make an EdgeSite for each site, with its time zone and region."""
    for site in sites:
        body = {
            "apiVersion": "edgefleet.io/v1alpha1",
            "kind": "EdgeSite",
            "metadata": {"name": site.name},
            "spec": {"timeZone": site.time_zone, "region": site.region},
        }
        cluster.kube.create(SITES, body)


def kubectl(cluster: Cluster, *arguments: str, stdin: str | None = None) -> str:
    """Run the cluster's own kubectl. Raises ClusterError with its words."""
    environment = {"KUBECONFIG": str(cluster.kubeconfig), "PATH": os.environ.get("PATH", "")}
    try:
        done = subprocess.run(
            [str(cluster.kubectl), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env=environment | {"HOME": str(cluster.record.place.folder)},
            timeout=KUBECTL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise ClusterError(f"kubectl {arguments[0]} took more than {KUBECTL_SECONDS} s: is the machine idle?") from late
    if done.returncode:
        raise ClusterError(f"kubectl {arguments[0]}: {done.stderr.strip()}")
    return str(done.stdout)
