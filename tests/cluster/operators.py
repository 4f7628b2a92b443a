"""Operators as real processes against the real cluster, under exactly their service account."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from cloud.rollout.cluster import Verb, Write, manifest
from cloud.rollout.kube import KubeCluster, access
from cloud.rollout.views import Kind, Raw
from simulator.cluster import Cluster
from simulator.machine import free_ports

TREE = Path(__file__).resolve().parent.parent.parent
Json = dict[str, Any]
T = TypeVar("T")

RUN = """
import sys
from cloud import settings
from cloud.operator import run
sys.exit(run(settings.load()))
"""


def install(cluster: Cluster) -> None:
    """Apply the manifests as a user would: again until the peering's definition is known. Nothing of it runs."""

    def applied() -> bool:
        command = ["apply", "--server-side", "-k", str(TREE / "manifests/base")]
        return kubectl(cluster, *command, check=False).returncode == 0

    until(applied, 30)
    kubectl(cluster, "-n", "edgefleet", "scale", "deployment/edgefleet-operator", "--replicas=0")


def kubectl(cluster: Cluster, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [str(cluster.kubectl), "--kubeconfig", str(cluster.kubeconfig), *arguments]
    return subprocess.run(command, check=check, timeout=60, capture_output=True, text=True)


def until(question: Callable[[], T | None], seconds: float = 30.0) -> T:
    """Return the first answer that is true. Raises AssertionError when none came in time."""
    end = time.monotonic() + seconds
    while True:
        if answer := question():
            return answer
        assert time.monotonic() < end, f"not so within {seconds} s: {getattr(question, '__name__', question)}"
        time.sleep(0.1)


@dataclass
class Operator:
    """One operator process."""

    kubeconfig: Path
    log: Path
    name: str = "operator"
    settings: dict[str, str] = field(default_factory=dict)
    metrics_port: int = 0
    probe_port: int = 0
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        self.metrics_port, self.probe_port = free_ports(2)
        environment = {
            "PATH": os.environ["PATH"],
            "KUBECONFIG": str(self.kubeconfig),
            "POD_NAME": self.name,
            "EDGEFLEET_METRICS_PORT": str(self.metrics_port),
            "EDGEFLEET_PROBE_PORT": str(self.probe_port),
            "EDGEFLEET_RESOLVE_IMAGES": "false",
            "EDGEFLEET_LEAD_SECONDS": "12",
            **self.settings,
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-c", RUN], cwd=TREE, env=environment, stderr=log)
        return self

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ask it to end; return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=15)

    def lines(self, event: str = "") -> list[Json]:
        found = []
        for line in self.log.read_text().splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return [one for one in found if not event or one["event"] == event]

    def measure(self, name: str) -> float:
        """Return a metric, without labels its sum over them; 0 while the process does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except OSError:
            return 0.0
        lines = [line.rpartition(" ") for line in text.splitlines()]
        return sum(float(value) for told, _, value in lines if name in {told, told.partition("{")[0]})

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()


@dataclass
class Stage:
    """A cluster with everything installed, seen by its administrator."""

    cluster: Cluster
    kube: KubeCluster
    folder: Path
    account: Path  # kubeconfig of the operator's service account

    @classmethod
    def raised(cls, cluster: Cluster, folder: Path) -> Self:
        install(cluster)
        account = cluster.kubeconfig_for("edgefleet", "edgefleet-operator", folder / "operator.kubeconfig")
        return cls(cluster, KubeCluster(access(str(cluster.kubeconfig))), folder, account)

    def operator(self, name: str = "operator", **settings: str) -> Operator:
        """Return an operator that has not started."""
        return Operator(self.account, self.folder / f"{name}-{time.monotonic_ns()}.log", name, settings)

    def release(self, name: str, image: str, namespace: str = "default", **spec: Any) -> None:  # noqa: ANN401 - JSON
        """Create a release that goes to every box at once, but for what is given."""
        workload = {"name": "scan", "image": image, **spec.pop("workload", {})}
        whole = {
            "workload": workload,
            "targets": {"selector": {"matchExpressions": [{"key": "edgefleet.io/site", "operator": "Exists"}]}},
            "stages": [{"name": "all", "soak": "0s"}],
            "budget": {"maxParallelSites": "100%", "maxUnavailablePerSite": "100%"},
            "health": {"readyFor": "1s", "timeout": "1m"},
            **spec,
        }
        made = manifest(Kind.RELEASE, name, namespace, spec=whole)
        self.kube.ask("POST", f"{RELEASES.format(namespace)}", body=made)

    def control(self, name: str, namespace: str = "default", **control: object) -> None:
        patch = manifest(Kind.RELEASE, name, namespace, spec={"control": control})
        answer = self.kube.write([Write(Verb.MERGE, Kind.RELEASE, patch)])[0]
        assert not isinstance(answer, Exception), answer

    def status(self, name: str, namespace: str = "default") -> Json:
        return dict(self.kube.get(f"{RELEASES.format(namespace)}/{name}").get("status") or {})

    def phase(self, name: str, phase: str, seconds: float = 60.0) -> Json:
        """Wait until the release is in that phase; return its status."""
        try:
            return until(lambda: one if (one := self.status(name)).get("phase") == phase else None, seconds)
        except AssertionError as late:
            raise AssertionError(f"{name} is not {phase}: {self.status(name)}") from late

    def images(self, workload: str = "scan") -> dict[str, set[str]]:
        """Return the images of the pods that are on each box and stay, by box."""
        found: dict[str, set[str]] = {name: set() for name in self.boxes()}
        for pod in self.pods(workload):
            if "deletionTimestamp" not in pod["metadata"] and pod["spec"].get("nodeName"):
                found[pod["spec"]["nodeName"]].add(pod["spec"]["containers"][0]["image"])
        return found

    def everywhere(self, image: str, workload: str = "scan") -> bool:
        return all(images == {image} for images in self.images(workload).values())

    def pods(self, workload: str = "scan") -> list[Raw]:
        return [
            pod for pod in self.kube.read(Kind.POD) if pod["metadata"]["labels"]["edgefleet.io/workload"] == workload
        ]

    def boxes(self) -> list[str]:
        return [node["metadata"]["name"] for node in self.kube.read(Kind.NODE)]

    def asked_for(self, workload: str = "scan") -> dict[str, set[str]]:
        """Return the versions that each node's labels ask for."""
        prefix = f"run.edgefleet.io/{workload}."
        return {
            node["metadata"]["name"]: {key.removeprefix(prefix) for key in node["metadata"]["labels"] if prefix in key}
            for node in self.kube.read(Kind.NODE)
        }

    def clear(self) -> None:
        """Take away what a test has left, so that the next one finds bare boxes."""
        for kind in (Kind.RELEASE, Kind.DAEMON_SET):
            for raw in self.kube.read(kind):
                meta = raw["metadata"]
                body = manifest(kind, meta["name"], meta["namespace"], metadata={"uid": meta["uid"]})
                self.kube.write([Write(Verb.DELETE, kind, body)])
        for node in self.kube.read(Kind.NODE):
            meta = node["metadata"]
            metadata = {
                part: {key: None for key in meta.get(part, {}) if key.startswith(OURS)}
                for part in ("labels", "annotations")
            }
            self.kube.write([Write(Verb.MERGE, Kind.NODE, manifest(Kind.NODE, meta["name"], metadata=metadata))])
        until(lambda: not self.kube.read(Kind.POD), 60)


OURS = ("run.edgefleet.io/", "previous.edgefleet.io/", "reverted.edgefleet.io/")
RELEASES = "/apis/edgefleet.io/v1alpha1/namespaces/{}/edgereleases"
