"""Kubernetes objects become evidence."""

from typing import Any

from simulator import seeing
from simulator.evidence import Node, Pod, Told, Version


def test_a_node_tells_its_site_role_and_what_its_labels_ask_for() -> None:
    labels = {"edgefleet.io/site": "s1", "edgefleet.io/role": "scan", "run.edgefleet.io/scan.ab12": "", "x": "y"}
    raw = {
        "metadata": {"name": "b1", "labels": labels},
        "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "X", "status": "False"}]},
    }
    assert seeing.node(raw, 3.0) == Node(3.0, "b1", "s1", "scan", ready=True, wanted=frozenset({("scan", "ab12")}))


def test_a_node_of_which_nothing_is_known_counts_as_dark() -> None:
    assert not seeing.node({"metadata": {"name": "b1"}}, 0).ready


def test_a_pod_tells_whether_it_runs() -> None:
    labels = {"edgefleet.io/workload": "scan", "edgefleet.io/version": "ab12"}
    raw: dict[str, Any] = {
        "metadata": {"uid": "u", "labels": labels},
        "spec": {"nodeName": "b1", "containers": [{"image": "scan:1"}]},
        "status": {"containerStatuses": [{"state": {"running": {}}, "restartCount": 2}]},
    }
    assert seeing.pod(raw, 1.0) == Pod(1.0, "u", "b1", "scan", "ab12", "scan:1", running=True, ready=False, restarts=2)
    del raw["status"], raw["spec"]["nodeName"]
    assert seeing.pod(raw, 1.0, gone=True).gone


def test_a_daemonset_tells_which_release_brought_it() -> None:
    raw = {
        "metadata": {
            "labels": {"edgefleet.io/workload": "scan", "edgefleet.io/version": "ab12"},
            "annotations": {"edgefleet.io/release": "scan-2", "edgefleet.io/exclusive": "true"},
        },
        "spec": {"template": {"spec": {"containers": [{"image": "scan:2"}]}}},
    }
    assert seeing.version(raw) == Version("ab12", "scan", "scan-2", "scan:2", exclusive=True)


def test_a_release_tells_its_stages_counts_and_failures() -> None:
    status = {
        "phase": "Paused",
        "counts": {"targeted": 3, "done": "1/3"},
        "stages": [{"name": "canary", "phase": "Rolling", "sites": ["s1"]}],
        "breach": {"message": "too many"},
        "failures": [
            {"cause": "Crash", "boxes": 1, "example": "b1", "message": "ended with 137"},
            {"cause": "Pull", "boxes": 2, "example": "b2"},
        ],
    }
    raw = {"metadata": {"name": "r"}, "spec": {"workload": {"name": "scan"}}, "status": status}
    seen = seeing.release(raw, 1.0)
    assert (seen.phase, seen.counts, seen.breach) == ("Paused", {"targeted": 3}, "too many")
    assert seen.failures == ("Crash: b1 ended with 137", "Pull: 2 boxes, for example b2")
    assert seen.stages[0].sites == ("s1",)


def test_a_release_of_which_the_operator_has_said_nothing_is_silent() -> None:
    seen = seeing.release({"metadata": {"name": "r"}, "spec": {"workload": {"name": "scan"}}}, 1.0)
    assert (seen.phase, seen.stages, seen.breach) == ("", (), "")


def test_an_event_tells_its_release_and_whether_it_warns() -> None:
    raw = {"involvedObject": {"name": "r"}, "reason": "BoxFailed", "message": "b1 failed", "type": "Warning"}
    assert seeing.told(raw, 1.0) == Told(1.0, "r", "BoxFailed", "b1 failed", warning=True)
