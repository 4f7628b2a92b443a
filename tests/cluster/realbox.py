"""One real edge box with everything around it: cluster, registry behind the site's link, operator; and what to ask."""

import os
import platform
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from simulator.cluster import Cluster
from simulator.edgebox.box import BoxError, EdgeBox, lacking, static_busybox
from simulator.edgebox.images import busybox_image
from simulator.fleet import Box, Fleet, Site
from simulator.kube import is_ready
from simulator.programs import Program
from simulator.starting import enrolment_token
from tests.cluster.registry import Registry
from tests.cluster.truth import READY_FILE, Running, Watch, running
from tests.cluster.waiting import until
from tests.contract.cloudside import Cloud
from tests.contract.plainbroker import PlainBroker

TREE = Path(__file__).resolve().parent.parent.parent
SITE = Site("tc-real")
BOX = Box("tc-real-scan-1")
HOST_PORT = 8000
WEB, BELT = "web", "belt"  # web takes a host port, so is recreated; belt takes none, so its versions overlap
RELEASES = "/apis/edgefleet.io/v1alpha1/namespaces/default/edgereleases"
VERSIONS = [str(number) for number in range(1, 10)]
WARMING_SECONDS = 2  # from a container's start to its readiness
SERVE = f"""
trap 'exit 0' TERM
mkdir -p /tmp/www; echo $VERSION > /tmp/www/index.html; httpd -p 8080 -h /tmp/www
sleep {WARMING_SECONDS} & wait $!
touch /{READY_FILE}
while :; do sleep 3600 & wait $!; done
"""
CRASH = "sleep 0.5; exit 3"


def images() -> dict[str, Any]:
    """Every version of both workloads, and one that crashes."""
    busybox = static_busybox() or b""
    scripts = dict.fromkeys(VERSIONS, SERVE) | {"bad": CRASH}
    return {
        f"{workload}:{version}": busybox_image(
            busybox, platform.machine(), ("sh", "-c", script), {"WORKLOAD": workload, "VERSION": version}
        )
        for workload in (WEB, BELT)
        for version, script in scripts.items()
    }


@dataclass(slots=True)
class Stand:
    """The box, its surroundings, and the version that both workloads should be at."""

    cluster: Cluster
    registry: Registry
    box: EdgeBox
    broker: PlainBroker
    version: str = ""
    figures: dict[str, float] = field(default_factory=dict)

    def release(self, version: str) -> None:
        """Ask the operator to bring both workloads to a version."""
        for workload in (WEB, BELT):
            self.cluster.kube.create(RELEASES, release(workload, version, self.registry.address))
        if version != "bad":
            self.version = version

    def release_next(self) -> str:
        """Ask for the version after the present one; returns the one before."""
        before = self.version
        self.release(str(int(before or "0") + 1))
        return before

    def status(self, workload: str, version: str) -> dict[str, Any]:
        """Where a release stands, in the operator's words; without the pod template, which is long."""
        status = (self.cluster.kube.get(f"{RELEASES}/{workload}-{version}") or {}).get("status", {})
        return {name: value for name, value in status.items() if name != "template"}

    def images(self, version: str) -> list[str]:
        """The images of a version, by name and tag."""
        return sorted(f"{workload}:{version}" for workload in (WEB, BELT))

    def running(self) -> frozenset[Running]:
        """What runs, from the kernel."""
        return running(self.box.cgroup)

    def by_containerd(self) -> list[str]:
        """What runs, from containerd: name and tag of each running container's image; nothing while it is silent."""
        try:
            tasks, containers = (self.box.run("ctr", "-n", "k8s.io", kind, "ls") for kind in ("tasks", "containers"))
        except BoxError:
            return []
        up = {line.split()[0] for line in tasks.splitlines() if line.endswith("RUNNING")}
        known = [line.split() for line in containers.splitlines()]
        digests = [image.partition("@")[2] for container, image, *_ in known if container in up]
        names = {image.manifest: name for name, image in self.registry.images.items()}
        return sorted(names[digest] for digest in digests if digest)  # the pods' pauses were imported, and have none

    def labels(self) -> dict[str, str]:
        """The node's labels that say which versions it is to run."""
        node = self.cluster.kube.get(f"/api/v1/nodes/{BOX.name}") or {}
        labels: dict[str, str] = node["metadata"]["labels"]
        return {name: value for name, value in labels.items() if name.startswith("run.edgefleet.io/")}

    def pods(self) -> list[tuple[str, str]]:
        """What the API server has: the image (name and tag) of each pod, and how it stands."""
        listed = (self.cluster.kube.get("/api/v1/namespaces/default/pods") or {})["items"]
        return sorted(
            (
                pod["spec"]["containers"][0]["image"].rpartition("/")[2].partition("@")[0],
                "going" if "deletionTimestamp" in pod["metadata"] else "ready" if is_ready(pod) else "not ready",
            )
            for pod in listed
        )

    def answer(self) -> str:
        """What the host port answers; empty: nothing."""
        try:
            return self.box.run("busybox", "wget", "-qO-", f"http://127.0.0.1:{HOST_PORT}", seconds=3).strip()
        except BoxError:
            return ""

    def is_at(self, version: str) -> bool:
        """Whether exactly this version of both runs and is ready, in the kernel's eyes."""
        return self.states() == [(BELT, version, True), (WEB, version, True)]

    def settle(self) -> None:
        """Return once exactly the wanted version is everywhere: kernel, containerd, host port and API server."""
        version = self.version
        expected = self.images(version)
        api = [(image, "ready") for image in expected]
        wait(lambda: self.is_at(version), lambda: f"{version} alone, not {self.states()}")
        wait(lambda: self.pods() == api, lambda: f"{api} instead of {self.pods()}")
        wait(lambda: self.by_containerd() == expected, lambda: f"{expected}, not {self.by_containerd()}")
        wait(lambda: self.answer() == version, lambda: f"port {HOST_PORT} to answer {version}")
        assert self.is_at(version), self.states()  # and nothing came in between

    def succeed(self) -> None:
        """Return once the operator says so of both releases, and all of settle() holds as well."""

        def phases() -> list[object]:
            return [self.status(workload, self.version).get("phase") for workload in (WEB, BELT)]

        wait(lambda: phases() == ["Succeeded", "Succeeded"], self.told)
        self.settle()

    def edgecore_is_well(self) -> bool:
        """Whether edgecore has taken the box in hand: the kubelet inside says that it is well."""
        try:
            return self.box.run("busybox", "wget", "-qO-", "http://127.0.0.1:10255/healthz", seconds=3) == "ok"
        except BoxError:
            return False

    def states(self) -> list[tuple[str, str, bool]]:
        """What runs, from the kernel: workload, version, and whether it is ready."""
        return sorted((one.workload, one.version, one.ready) for one in self.running())

    def told(self) -> str:
        """What the operator says of the release that is to come or has failed."""
        return f"the operator, who says {[self.status(name, v) for name in (WEB, BELT) for v in (self.version, 'bad')]}"

    def known_images(self) -> set[str]:
        """The names of the images that containerd has."""
        return set(self.box.run("ctr", "-n", "k8s.io", "images", "ls", "-q").split())

    def certificate(self) -> bytes:
        """What the box got when it enrolled."""
        return (self.box.folder / "disk" / "lib" / "kubeedge" / "server.crt").read_bytes()

    @contextmanager
    def agent(self) -> Iterator[Cloud]:
        """An agent on the box inside the block, and the far end of what it says."""
        folder = self.box.folder / "agent"
        folder.mkdir()
        config = folder / "agent.toml"
        config.write_text(
            f'site = "{SITE.name}"\nbox = "{BOX.name}"\nstate = "{folder}/state"\nlan_port = 0\n'
            f'[broker]\nhost = "127.0.0.1"\nport = {self.broker.port}\n'
        )
        argv = (sys.executable, "-m", "edgeagent", "run", "--config", str(config))
        self.broker.start()
        cloud = Cloud(self.broker)
        try:
            self.box.keeper.start(Program("agent", argv, folder, {"PYTHONPATH": str(TREE)}))
            yield cloud
            self.box.keeper.signal("agent", signal.SIGTERM)
        finally:
            cloud.ear.stop()
            self.broker.stop()

    def watch(self) -> Watch:
        """Look at the box all the time."""
        return Watch(self.box.cgroup)


def release(workload: str, version: str, registry: str) -> dict[str, Any]:
    """One stage, no soak; a box that the bad version fails returns at once.

    A good one may restart: where edgecore is killed between making a container and starting it, its successor makes
    a second one, and counts that as a restart.
    """
    container = {
        "name": workload,
        "image": f"{registry}/{workload}:{version}",
        "ports": [{"containerPort": 8080, "hostPort": HOST_PORT}] if workload == WEB else [],
        "readinessProbe": {"exec": {"command": ["test", "-f", f"/{READY_FILE}"]}, "periodSeconds": 1},
    }
    pod = {"automountServiceAccountToken": False, "terminationGracePeriodSeconds": 5, "containers": [container]}
    return {
        "apiVersion": "edgefleet.io/v1alpha1",
        "kind": "EdgeRelease",
        "metadata": {"name": f"{workload}-{version}", "namespace": "default"},
        "spec": {
            "workload": {"name": workload, "template": {"spec": pod}},
            "targets": {"selector": {"matchLabels": {"edgefleet.io/site": SITE.name}}},
            "stages": [{"name": "all", "upTo": "100%", "soak": "0s"}],
            "health": {"readyFor": "2s", "timeout": "10m", "maxRestarts": 0 if version == "bad" else 2},
            "onFailure": {"retries": 0},
        },
    }


def need_a_box() -> None:
    """Skip, or fail in CI, where there can be no box."""
    if missing := lacking():
        told = f"one real edge box was not tried: {'; '.join(missing)}"
        pytest.fail(told) if os.environ.get("CI") else pytest.skip(told)


@contextmanager
def stand(folder: Path) -> Iterator[Stand]:
    """Everything up, version 1 asked for; all of it ends with the block, or with this process."""
    with Cluster.up(Fleet((SITE,)), folder / "cluster") as cluster, Registry(images()) as registry:
        start_operator(cluster, folder)
        place, near = cluster.record.place, cluster.open_target(SITE.name, "registry", registry.address)
        broker = PlainBroker(folder)
        ports = {
            registry.port: near,
            broker.port: cluster.open_target(SITE.name, "mqtt", f"127.0.0.1:{broker.port}"),
        }
        uplink, token = cluster.record.uplinks[SITE.name], enrolment_token(cluster.kube) or ""
        with EdgeBox(folder / "box", place, SITE, BOX, uplink, token, ports).on() as box:
            cluster.wait_ready(BOX.name)
            yield Stand(cluster, registry, box, broker)


def start_operator(cluster: Cluster, folder: Path) -> None:
    """The product's own operator, alone and without ports."""
    crds = f"apply --server-side -k {shlex.quote(str(TREE))}/crds"
    for words in (crds, "wait --for=condition=Established crd --all"):
        argv = [str(cluster.kubectl), "--kubeconfig", str(cluster.kubeconfig), *shlex.split(words)]
        subprocess.run(argv, check=True, capture_output=True, timeout=60)
    settings = {"PEERING": "", "METRICS_PORT": "0", "PROBE_PORT": "0", "PACE_SECONDS": "0.2"}
    env = {f"EDGEFLEET_{name}": value for name, value in settings.items()}
    env |= {"KUBECONFIG": str(cluster.kubeconfig), "PYTHONPATH": str(TREE)}
    cluster.keeper.start(Program("operator", (sys.executable, "-m", "cloud", "operator"), folder / "operator", env))


def wait(fact: Callable[[], bool], what: Callable[[], str]) -> float:
    """Return how long it took until the fact held; fails with what was waited for."""
    begun = time.monotonic()
    until(fact, "what the box was waited for", told=what)
    return time.monotonic() - begun
