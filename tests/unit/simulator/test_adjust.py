"""What a rehearsal changes about a release file, and puts in place before it."""

from typing import Any

import pytest

from simulator.adjust import (
    adjusted,
    before,
    image_of,
    matches,
    patterns,
    release_in,
    seconds,
    share_of,
    stand_in,
    targeted,
)
from simulator.standins import devices, stand_ins
from simulator.tables import FileError

RELEASE: dict[str, Any] = {
    "apiVersion": "edgefleet.io/v1alpha1",
    "kind": "EdgeRelease",
    "metadata": {"name": "scan-2", "namespace": "sorting", "uid": "1"},
    "spec": {
        "workload": {"name": "scan", "image": "registry.example:5000/a/scan:2.0"},
        "targets": {"selector": {"matchLabels": {"role": "scan"}}},
        "stages": [{"name": "canary", "upTo": 1, "soak": "10m"}, {"name": "rest", "upTo": "100%", "soak": "2s"}],
        "budget": {"maxParallelSites": "10%"},
        "health": {"readyFor": "60s", "timeout": "10m"},
        "onFailure": {"retries": 1},
        "windows": [{"from": "22:00", "to": "05:00"}],
        "control": {"paused": True},
    },
}


def test_fast_shortens_by_a_stated_rule_and_says_each_change() -> None:
    made = adjusted(RELEASE, fast=True, real_time=False)
    spec = made.manifest["spec"]
    assert [stage["soak"] for stage in spec["stages"]] == ["5s", "2s"]
    assert spec["health"] == {"readyFor": "3s", "timeout": "120s"}
    assert spec["onFailure"]["retries"] == 0
    assert [change.partition(":")[0] for change in made.changes] == [
        "control",
        "windows",
        "stages.canary.soak",
        "health.readyFor",
        "health.timeout",
        "onFailure.retries",
    ]
    assert made.manifest["metadata"] == {"name": "scan-2", "namespace": "sorting"}


def test_nothing_is_changed_in_silence() -> None:
    plain = {**RELEASE, "spec": {**RELEASE["spec"], "control": {"paused": False}}}
    made = adjusted(plain, fast=False, real_time=True)
    assert made.changes == ()
    assert made.manifest["spec"] == {key: value for key, value in plain["spec"].items() if key != "control"}


def test_what_is_short_already_stays_as_it_is() -> None:
    fast = adjusted(RELEASE, fast=True, real_time=False).manifest
    assert adjusted(fast, fast=True, real_time=False).changes == ()


def test_a_file_holds_exactly_one_release() -> None:
    found = release_in(
        [None, {"kind": "Namespace"}, {"kind": "EdgeRelease", "metadata": {"name": "a"}, "spec": {}}], "f"
    )
    assert found["metadata"] == {"name": "a", "namespace": "default"}


@pytest.mark.parametrize(
    ("documents", "said"),
    [
        ([], "holds 0 EdgeReleases (there is nothing)"),
        ([{"kind": "Pod"}], "there is Pod"),
        ([RELEASE, RELEASE], "holds 2"),
        ([{"kind": "EdgeRelease"}], "metadata.name: is missing"),
        ([{"kind": "EdgeRelease", "metadata": {"name": "a"}}], "spec: is missing"),
    ],
)
def test_another_file_is_refused_with_what_is_in_it(documents: list[Any], said: str) -> None:
    with pytest.raises(FileError) as wrong:
        release_in(documents, "f.yaml")
    assert said in str(wrong.value)
    assert str(wrong.value).startswith("f.yaml: ")


def test_what_runs_before_has_the_same_template_and_a_stand_in_image() -> None:
    made = before(RELEASE, None)
    assert made["metadata"] == {"name": "scan-2-before-rehearsal", "namespace": "sorting"}
    assert made["spec"]["workload"] == {"name": "scan", "image": "registry.example:5000/a/scan:before-rehearsal"}
    assert "windows" not in made["spec"]


def test_a_previous_release_gives_what_runs_before() -> None:
    previous = {"metadata": {"name": "scan-1"}, "spec": {"workload": {"name": "scan", "image": "scan:1"}}}
    made = before(RELEASE, previous)
    assert (made["metadata"]["name"], made["spec"]["workload"]["image"]) == ("scan-1", "scan:1")


@pytest.mark.parametrize(
    ("previous", "said"),
    [
        (
            {"metadata": {"name": "v"}, "spec": {"workload": {"name": "vision"}}},
            "releases workload 'vision', not 'scan'",
        ),
        ({"metadata": {"name": "v"}, "spec": {}}, "releases workload None"),
        ({"metadata": {"name": "scan-2"}, "spec": {"workload": {"name": "scan"}}}, "like the release itself"),
    ],
)
def test_a_previous_release_of_another_kind_is_refused(previous: dict[str, Any], said: str) -> None:
    with pytest.raises(FileError, match=said):
        before(RELEASE, previous)


@pytest.mark.parametrize(
    ("image", "other"),
    [
        ("scan", "scan:before-rehearsal"),
        ("host:5000/scan", "host:5000/scan:before-rehearsal"),
        ("host/scan:2@sha256:abc", "host/scan:before-rehearsal"),
    ],
)
def test_the_stand_in_keeps_the_repository(image: str, other: str) -> None:
    assert stand_in(image) == other


def test_the_image_is_the_releases_own_else_that_of_the_main_container() -> None:
    containers = [{"name": "side", "image": "side:1"}, {"name": "scan", "image": "scan:9"}]
    release = {"spec": {"workload": {"name": "scan", "template": {"spec": {"containers": containers}}}}}
    assert image_of(release) == "scan:9"
    assert image_of(RELEASE) == "registry.example:5000/a/scan:2.0"
    assert patterns("a:1") == ("a:1", "a:1@*")


@pytest.mark.parametrize(
    ("selector", "meets"),
    [
        ({"matchLabels": {"role": "scan"}}, True),
        ({"matchLabels": {"role": "scan", "line": "x"}}, False),
        ({"matchExpressions": [{"key": "role", "operator": "In", "values": ["scan"]}]}, True),
        ({"matchExpressions": [{"key": "role", "operator": "NotIn", "values": ["scan"]}]}, False),
        ({"matchExpressions": [{"key": "role", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "role", "operator": "DoesNotExist"}]}, False),
    ],
)
def test_a_selector_means_what_it_means_in_kubernetes(selector: dict[str, Any], meets: bool) -> None:
    assert matches(selector, {"role": "scan"}) is meets


def test_excluded_boxes_are_not_targeted() -> None:
    targets = {"selector": {"matchLabels": {"role": "scan"}}, "exclude": {"matchLabels": {"old": "yes"}}}
    release = {"spec": {"targets": targets}}
    assert targeted(release, {"role": "scan"})
    assert not targeted(release, {"role": "scan", "old": "yes"})


def test_shares_and_durations_are_read_as_the_operator_reads_them() -> None:
    assert [share_of(share, 12) for share in (3, "10%", "100%", "0%")] == [3, 2, 12, 0]
    assert [seconds(span) for span in ("5s", "10m", "6h", "30d")] == [5, 600, 21600, 2592000]
    with pytest.raises(ValueError, match="pass as a duration"):
        seconds("soon")


def test_everything_a_template_refers_to_gets_a_stand_in_with_the_keys_it_reads() -> None:
    template = {
        "spec": {
            "serviceAccountName": "scanner",
            "priorityClassName": "belt",
            "initContainers": [{"envFrom": [{"secretRef": {"name": "start"}}]}],
            "containers": [
                {
                    "env": [
                        {"name": "A", "value": "1"},
                        {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "b"}}},
                        {"name": "C", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "c"}}},
                    ],
                    "envFrom": [{"configMapRef": {"name": "settings"}}],
                }
            ],
            "volumes": [
                {"name": "v", "configMap": {"name": "settings", "items": [{"key": "d", "path": "d"}]}},
                {"name": "w", "secret": {"secretName": "whole"}},
                {"name": "p", "projected": {"sources": [{"secret": {"name": "part"}}, {"downwardAPI": {}}]}},
                {"name": "e", "emptyDir": {}},
            ],
        }
    }
    made = {(one["kind"], one["metadata"]["name"]): one for one in stand_ins("sorting", template)}
    assert made["ConfigMap", "settings"]["data"] == {"b": "stand-in", "d": "stand-in"}
    assert made["Secret", "keys"]["stringData"] == {"c": "stand-in"}
    assert set(made) == {
        ("ConfigMap", "settings"),
        ("Secret", "keys"),
        ("Secret", "start"),
        ("Secret", "whole"),
        ("Secret", "part"),
        ("ServiceAccount", "scanner"),
        ("PriorityClass", "belt"),
    }


def test_a_plain_template_needs_no_stand_in() -> None:
    assert stand_ins("sorting", {"spec": {"priorityClassName": "system-node-critical"}}) == ()
    assert stand_ins("sorting", {}) == ()


def test_a_volume_claim_is_refused_with_what_to_do() -> None:
    claim = {"spec": {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "x"}}]}}
    with pytest.raises(FileError, match="rehearse with emptyDir"):
        stand_ins("sorting", claim)


def test_devices_are_told_from_cpu_and_memory() -> None:
    resources = {"requests": {"cpu": "1"}, "limits": {"nvidia.com/gpu": "1"}}
    assert devices({"spec": {"containers": [{"resources": resources}]}}) == {"nvidia.com/gpu": "8"}
    assert devices({}) == {}
