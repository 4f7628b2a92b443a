"""The simulated cluster keeps what it promises: real nodes, real kubelets, faults as ordered, links that are cut."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulator.cluster import Cluster
from simulator.faults import Fault
from simulator.fleet import Box, Role
from simulator.kube import is_ready
from tests.cluster.place import Place
from tests.cluster.waiting import SOON

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("shared")]

Json = dict[str, Any]
Apply = Callable[[Json], None]


def daemons(place: Place, image: str, name: str = "scan", **container: Json) -> Json:
    """A workload on every box of the test."""
    labels = {"app": name}
    spec = {
        "nodeSelector": place.selector,
        "tolerations": [{"operator": "Exists"}],
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 5,
        "containers": [{"name": "main", "image": f"registry.example/{image}", **container}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }


def statuses(place: Place) -> list[Json]:
    """The first container's status of every pod that has one."""
    return [pod["status"]["containerStatuses"][0] for pod in place.pods() if pod["status"].get("containerStatuses")]


def waiting(place: Place) -> set[str]:
    """Why containers wait."""
    return {one["state"]["waiting"]["reason"] for one in statuses(place) if "waiting" in one["state"]}


def all_ready(place: Place) -> bool:
    pods = place.pods()
    return len(pods) == len(place.boxes) and all(is_ready(pod) for pod in pods)


def test_a_box_is_a_node_that_says_where_it_stands_and_what_for(place: Place) -> None:
    for site in place.sites:
        for box in site.boxes:
            node = place.node(box.name)
            labels = node["metadata"]["labels"]
            assert is_ready(node)
            assert labels["edgefleet.io/site"] == labels["topology.kubernetes.io/zone"] == site.name
            assert labels["edgefleet.io/role"] == box.role
            assert labels["kubernetes.io/hostname"] == box.name
            assert "kubeedge" in node["status"]["nodeInfo"]["kubeletVersion"]


def test_a_workload_runs_on_every_box_and_goes_when_it_is_deleted(place: Place, apply: Apply) -> None:
    apply(daemons(place, "scan:1.0"))
    place.until(lambda: all_ready(place), "every box runs scan")
    place.kubectl("delete", "daemonset", "scan", "--wait=false")
    place.until(lambda: not place.pods(), "every pod is gone")


@pytest.mark.fleet(sites=1, boxes=1)
def test_a_crashing_image_is_restarted_with_growing_pauses(place: Place, apply: Apply) -> None:
    apply(daemons(place, "scan:2.0-crash1s-exit137"))
    place.until(lambda: statuses(place) and statuses(place)[0]["restartCount"] >= 2, "restarts are counted")
    place.until(lambda: waiting(place) == {"CrashLoopBackOff"}, "the back-off shows")
    last = statuses(place)[0]["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"]) == (137, "Error")


@pytest.mark.fleet(sites=1, boxes=1)
def test_an_image_that_cannot_be_pulled_is_tried_again_with_pauses(place: Place, apply: Apply) -> None:
    apply(daemons(place, "scan:3.0-pullfail"))
    place.until(lambda: waiting(place) == {"ErrImagePull"}, "the pull fails")
    place.until(lambda: waiting(place) == {"ImagePullBackOff"}, "the back-off shows")


@pytest.mark.fleet(sites=1, boxes=1)
def test_a_pull_takes_its_time_and_stands_still_while_the_link_is_cut(place: Place, apply: Apply) -> None:
    apply(daemons(place, "scan:4.0-pull4s"))
    place.until(lambda: waiting(place) == {"ContainerCreating"}, "the pull goes on")
    place.cluster.cut(place.sites[0].name)
    place.never(lambda: all_ready(place), seconds=8)  # twice what the pull takes
    healed = time.monotonic()
    place.cluster.heal(place.sites[0].name)
    place.until(lambda: all_ready(place), "the pull ends after the cut")
    assert time.monotonic() - healed > 1


PROBES: dict[str, Json | None] = {
    "http": {"httpGet": {"path": "/ready", "port": 8081}},
    "https": {"httpGet": {"path": "/ready", "port": 8443, "scheme": "HTTPS"}},
    "tcp": {"tcpSocket": {"port": 8082}},
    "grpc": {"grpc": {"port": 8083}},
    "exec": {"exec": {"command": ["is-ready"]}},
    "none": None,
}


@pytest.mark.fleet(sites=1, boxes=1)
def test_a_container_that_is_never_ready_fails_its_probe_until_it_is_well(place: Place, apply: Apply) -> None:
    place.cluster.fault(place.boxes[0], Fault(image="*/scan:5.*", never_ready=True))
    for kind, probe in PROBES.items():
        container: Json = {"readinessProbe": {**probe, "periodSeconds": 1}} if probe else {}
        apply(daemons(place, f"scan:5.{kind}", name=kind, **container))
    expected = {kind: "running" if probe else "waiting" for kind, probe in PROBES.items()}
    place.until(lambda: states(place) == expected, "all run but the one that has no probe to say it")
    place.never(lambda: any(is_ready(pod) for pod in place.pods()), seconds=4)  # four rounds of the probes
    place.cluster.fault(place.boxes[0])
    place.until(lambda: all(is_ready(pod) for pod in place.pods()), "all are ready once the box is well")
    assert [one["restartCount"] for one in statuses(place)] == [0] * len(PROBES)


def states(place: Place) -> dict[str, str]:
    """What the first container of each workload does."""
    return {
        pod["metadata"]["labels"]["app"]: next(iter(pod["status"]["containerStatuses"][0]["state"]))
        for pod in place.pods()
        if pod["status"].get("containerStatuses")
    }


@pytest.mark.fleet(sites=2, boxes=2)
def test_a_fault_of_one_box_hits_a_running_container_there_and_nowhere_else(place: Place, apply: Apply) -> None:
    apply(daemons(place, "scan:6.0"))
    place.until(lambda: all_ready(place), "every box runs scan")
    sick, well = place.boxes
    place.cluster.fault(sick, Fault(image="*/scan:6.*", crash_after=0, exit_code=3))
    place.until(lambda: max(one["restartCount"] for one in statuses(place)) >= 1, "it crashes")
    place.cluster.fault(sick)
    place.until(lambda: all_ready(place), "it recovers when the fault is gone")
    counts = {p["spec"]["nodeName"]: p["status"]["containerStatuses"][0]["restartCount"] for p in place.pods()}
    assert counts[sick] >= 1
    assert counts[well] == 0


@pytest.mark.fleet(sites=2, boxes=2)
def test_a_cut_site_goes_dark_and_catches_up_when_its_link_heals(place: Place, apply: Apply) -> None:
    apply(daemons(place, "scan:7.0"))
    place.until(lambda: all_ready(place), "every box runs scan")
    dark, lit = place.boxes
    place.cluster.cut(place.sites[0].name)
    place.cluster.wait_not_ready(dark)
    assert place.cluster.kube.ready_nodes()[lit]
    place.kubectl("patch", "daemonset", "scan", "--type=json", "--patch", NEW_IMAGE)
    place.kubectl("delete", "pod", "--field-selector", f"spec.nodeName={lit}", "--wait=false")
    place.until(lambda: "registry.example/scan:7.1" in ready_images(place, lit), "the lit box has 7.1")
    place.kubectl("delete", "pod", "--field-selector", f"spec.nodeName={dark}", "--wait=false")
    assert ready_images(place, dark) != {"registry.example/scan:7.1"}
    place.cluster.heal(place.sites[0].name)
    place.until(lambda: ready_images(place, dark) == {"registry.example/scan:7.1"}, "the dark one follows")
    place.cluster.wait_ready(dark)


NEW_IMAGE = '[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"registry.example/scan:7.1"}]'


def ready_images(place: Place, box: str) -> set[str]:
    """Images of the ready pods on a box."""
    there = [pod for pod in place.pods() if pod["spec"].get("nodeName") == box and is_ready(pod)]
    return {pod["spec"]["containers"][0]["image"] for pod in there}


@pytest.mark.fleet(sites=1, boxes=1)
def test_a_box_that_reboots_in_the_dark_runs_its_pod_again_from_its_own_disk(place: Place, apply: Apply) -> None:
    apply(daemons(place, "scan:8.0"))
    place.until(lambda: all_ready(place), "the box runs scan")
    (before,) = place.pods()
    box = place.boxes[0]
    place.cluster.cut(place.sites[0].name)
    place.cluster.stop_box(box)
    place.cluster.wait_not_ready(box)
    place.cluster.start_box(box)
    log = place.cluster.record.place.box(box) / "pod-logs"
    place.until(lambda: starts(log) == 2, "the pod runs again while the link is cut")
    place.cluster.heal(place.sites[0].name)
    place.cluster.wait_ready(box)
    place.until(lambda: all_ready(place) and statuses(place)[0]["restartCount"] == 1, "it is told")
    assert place.pods()[0]["metadata"]["uid"] == before["metadata"]["uid"]


def starts(logs: Path) -> int:
    """How often containers of a box have been started, by their own output."""
    return sum("started" in line for log in logs.glob("*scan*/main/*.log") for line in log.read_text().splitlines())


@pytest.mark.fleet(sites=1, boxes=1)
def test_a_frozen_box_is_given_up_and_comes_back(place: Place) -> None:
    place.cluster.stop_box(place.boxes[0], freeze=True)
    place.cluster.wait_not_ready(place.boxes[0])
    place.cluster.start_box(place.boxes[0])
    place.cluster.wait_ready(place.boxes[0])


@pytest.mark.fleet(sites=1, boxes=1)
def test_a_reimaged_box_enrols_again_and_its_node_keeps_labels_and_pods(place: Place, apply: Apply) -> None:
    apply(daemons(place, "scan:9.0"))
    place.until(lambda: all_ready(place), "the box runs scan")
    box = place.boxes[0]
    folder = place.cluster.record.place.box(box)
    certificate = (folder / "server.crt").read_bytes()
    place.cluster.stop_box(box)
    place.cluster.wait_not_ready(box)
    place.cluster.reimage_box(box)
    place.until((folder / "server.crt").exists, "it has a certificate")
    assert (folder / "server.crt").read_bytes() != certificate
    place.until(lambda: starts(folder / "pod-logs") == 1, "the pod is started on the new disk")
    place.cluster.wait_ready(box)
    assert place.node(box)["metadata"]["labels"].items() >= place.selector.items()
    place.until(lambda: all_ready(place), "the pod is ready")


def test_a_service_account_may_do_what_it_was_given_and_no_more(place: Place, tmp_path: Path) -> None:
    place.kubectl("create", "serviceaccount", "reader")
    place.kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods")
    place.kubectl("create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={place.namespace}:reader")
    path = place.cluster.kubeconfig_for(place.namespace, "reader", tmp_path / "reader")
    place.kubectl("--kubeconfig", str(path), "get", "pods")
    with pytest.raises(AssertionError, match="forbidden"):
        place.kubectl("--kubeconfig", str(path), "get", "nodes")


@pytest.mark.fleet(sites=1, boxes=1)
def test_a_prepull_job_brings_an_image_to_a_box(place: Place, apply: Apply) -> None:
    image = f"registry.example/prepulled:{place.namespace}"
    template = {"images": [image], "nodeNames": [place.boxes[0]], "concurrency": 1, "timeoutSeconds": int(SOON)}
    name = f"prepull-{place.namespace}"
    apply(
        {
            "apiVersion": "operations.kubeedge.io/v1alpha2",
            "kind": "ImagePrePullJob",
            "metadata": {"name": name},
            "spec": {"imagePrePullTemplate": template},
        }
    )
    path = f"/apis/operations.kubeedge.io/v1alpha2/imageprepulljobs/{name}"
    place.until(lambda: phase(place, path) == "Completed", f"the job is done: {phase(place, path)}")
    place.cluster.kube.delete(path)
    assert image in (place.cluster.record.place.box(place.boxes[0]) / "runtime.json").read_text()


def phase(place: Place, path: str) -> str:
    """How far a node job has come."""
    found = place.cluster.kube.get(path) or {}
    return str(found.get("status", {}).get("phase"))


@pytest.mark.fleet(sites=1, boxes=1)
def test_a_box_can_be_added_to_a_running_fleet(place: Place) -> None:
    site = place.sites[0].name
    name = f"{site}-late-{place.namespace}"
    place.cluster.add_box(site, Box(name, Role.GATEWAY, {"rack": "3"}))
    labels = place.node(name)["metadata"]["labels"]
    assert (labels["edgefleet.io/role"], labels["edgefleet.io/site"], labels["rack"]) == ("gateway", site, "3")
    place.cluster.remove_box(name)
    assert place.cluster.kube.get(f"/api/v1/nodes/{name}") is None


def test_no_folder_of_the_machine_is_touched(cluster: Cluster) -> None:
    shared = [Path(name) for name in ("/var/lib/kubeedge", "/var/log/containers", "/var/lib/kubelet", "/etc/kubeedge")]
    began = (cluster.record.place.pki / "apiserver.crt").stat().st_mtime
    assert [path for path in shared if path.exists() and path.stat().st_mtime >= began] == []
