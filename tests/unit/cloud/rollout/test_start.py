"""What a release brings to boxes is settled when it starts: template, image, digest."""

from datetime import timedelta
from typing import Any

import pytest

from cloud.rollout.views import Kind
from tests.contract.fake_cluster import FakeCluster
from tests.unit.cloud.rollout.looking import (
    NOW,
    Pinned,
    cluster,
    edited,
    follow_labels,
    held,
    kinds,
    look,
    settle,
    status,
)
from tests.unit.cloud.rollout.raw import raw_daemon_set, raw_node, raw_release


def test_a_release_of_an_image_keeps_the_template_of_the_one_before() -> None:
    fake = cluster()
    template = {"spec": {"containers": [{"name": "scan", "image": "x"}], "hostNetwork": True}}
    fake.create(
        Kind.RELEASE, raw_release("one", spec={"workload": {"name": "scan", "image": "scan:1", "template": template}})
    )
    fake.create(Kind.RELEASE, raw_release("two", created="2026-03-02T11:30:00Z"))
    look(fake)
    assert status(fake, "two")["previousRelease"] == "one"
    spec = status(fake, "two")["template"]["spec"]
    assert (spec["hostNetwork"], spec["containers"][0]["image"]) == (True, "scan:two")


def test_a_release_of_an_image_keeps_the_template_of_a_daemon_set_when_its_release_is_gone() -> None:
    fake = cluster()
    template = {
        "metadata": {"labels": {"edgefleet.io/workload": "scan", "edgefleet.io/version": "a", "team": "sorting"}},
        "spec": {
            "containers": [{"name": "scan", "image": "scan:0"}],
            "hostPID": True,
            "nodeSelector": {"run.edgefleet.io/scan.a": ""},
            "tolerations": [{"operator": "Exists"}],
            "affinity": {"podAntiAffinity": {}},
        },
    }
    fake.create(Kind.DAEMON_SET, raw_daemon_set("a", template=template, release="zero"))
    fake.create(Kind.RELEASE, raw_release("one"))
    look(fake)
    settled = status(fake, "one")["template"]
    assert status(fake, "one")["previousRelease"] == "zero"
    assert settled["metadata"] == {"labels": {"team": "sorting"}}
    assert settled["spec"] == {"containers": [{"name": "scan", "image": "scan:one"}], "hostPID": True}


def test_the_tag_is_settled_once_and_every_box_gets_that_digest() -> None:
    fake, registry = cluster(), Pinned()
    fake.create(Kind.RELEASE, raw_release())
    look(fake, registry=registry)
    look(fake, NOW + timedelta(seconds=1), registry=registry)
    assert registry.asked == ["scan:one"]
    assert status(fake, "one")["resolvedImage"] == "scan:one@sha256:1"
    (made,) = fake.read(Kind.DAEMON_SET)
    assert made["spec"]["template"]["spec"]["containers"][0]["image"] == "scan:one@sha256:1"


def test_a_cutover_that_cannot_work_fails_with_the_field_and_starts_after_a_correction() -> None:
    fake = cluster()
    container = {"name": "scan", "image": "scan:1", "ports": [{"hostPort": 80}]}
    workload = {"name": "scan", "template": {"spec": {"containers": [container]}}, "cutover": "Surge"}
    fake.create(Kind.RELEASE, raw_release(spec={"workload": workload}))
    look(fake)
    assert "spec.workload.cutover" in status(fake, "one")["message"]
    made = fake.get(Kind.RELEASE, "one", "default")
    made["spec"]["workload"]["cutover"] = "Recreate"
    made["metadata"]["generation"] = 2
    fake.create(Kind.RELEASE, made)
    look(fake)
    assert status(fake, "one")["phase"] == "Rolling"
    assert all(one["type"] != "Stalled" or one["status"] == "False" for one in status(fake, "one")["conditions"])


def test_what_is_edited_before_the_release_starts_is_what_boxes_get() -> None:
    fake = cluster("box-1")
    fake.create(Kind.RELEASE, raw_release(spec={"control": {"paused": True}}))
    look(fake)
    first = status(fake, "one")["version"]
    edited(fake, workload={"name": "scan", "image": "scan:right"}, control={"paused": True})
    look(fake)
    second = status(fake, "one")["version"]
    assert second != first
    edited(fake, control={})
    now = settle(fake)
    assert status(fake, "one")["template"]["spec"]["containers"][0]["image"] == "scan:right"
    assert fake.get(Kind.NODE, "box-1")["metadata"]["labels"].keys() >= {f"run.edgefleet.io/scan.{second}"}
    edited(fake, control={"emergency": {"by": "Mei", "reason": "x"}})
    look(fake, now)
    assert status(fake, "one")["version"] == second, "it has started: what it settled on stands"


def test_a_box_that_is_ill_on_the_version_of_before_the_edit_is_not_moved_ahead_of_its_stage() -> None:
    fake = cluster("box-1")
    asking = {"stages": [{"name": "all", "soak": "0s", "approval": True}]}
    fake.create(Kind.RELEASE, raw_release(spec=asking))
    look(fake)
    labels = {f"run.edgefleet.io/scan.{status(fake, 'one')['version']}": ""}
    fake.create(Kind.NODE, raw_node("box-1", labels=labels))
    look(fake)
    assert status(fake, "one")["boxes"]
    edited(fake, workload={"name": "scan", "image": "scan:right"})
    look(fake)
    assert not status(fake, "one").get("boxes")
    assert "merge Node" not in kinds(fake.writes)


def test_a_cutover_that_works_with_the_edited_template_is_not_judged_by_the_one_of_before() -> None:
    fake = cluster()
    port = {"name": "scan", "image": "scan:1", "ports": [{"hostPort": 80}]}
    workload = {"name": "scan", "template": {"spec": {"containers": [port]}}}
    fake.create(Kind.RELEASE, raw_release(spec={"workload": workload, "control": {"paused": True}}))
    look(fake)
    plain = {"spec": {"containers": [{"name": "scan", "image": "scan:1"}]}}
    edited(fake, workload={"name": "scan", "template": plain, "cutover": "Surge"}, control={})
    look(fake)
    assert status(fake, "one")["phase"] == "Rolling"


def template(mark: str) -> dict[str, Any]:
    return {"metadata": {"labels": {"mark": mark}}, "spec": {"containers": [{"name": "scan", "image": "scan:1"}]}}


def of_template(mark: str) -> dict[str, Any]:
    return {"workload": {"name": "scan", "template": template(mark)}}


def mark_of(fake: FakeCluster, name: str) -> str:
    return str(status(fake, name)["template"]["metadata"]["labels"]["mark"])


BREACH = {"at": "2026-03-02T11:10:00Z", "stage": "all", "failed": 1, "attempted": 1, "message": "1 of 1"}


@pytest.mark.parametrize(
    ("spec", "change"),
    [
        ({}, {"phase": "Failed"}),
        ({}, {"breach": BREACH}),
        ({"control": {"abort": "Rollback"}}, {}),
        ({}, {}),
    ],
    ids=["refused", "breached", "rolled back", "not completed"],
)
def test_an_image_keeps_the_template_of_the_newest_release_that_completed(
    spec: dict[str, Any], change: dict[str, Any]
) -> None:
    fake = cluster()
    fake.create(Kind.RELEASE, raw_release("one", spec=of_template("good")))
    now = settle(fake)
    begun = {"template": template("bad"), "startedAt": "2026-03-02T11:10:00Z", "observedGeneration": 1, **change}
    later = raw_release("two", created="2026-03-02T11:10:00Z", spec=of_template("bad") | spec, status=begun)
    fake.create(Kind.RELEASE, later)
    fake.create(Kind.RELEASE, raw_release("three", created="2026-03-02T11:30:00Z"))
    look(fake, now)
    assert (mark_of(fake, "three"), status(fake, "three")["previousRelease"]) == ("good", "one")


def test_where_no_release_has_completed_an_image_keeps_the_template_that_most_boxes_run() -> None:
    fake = cluster()
    fake.create(Kind.RELEASE, raw_release("one", spec=of_template("running") | {"control": {"paused": True}}))
    fake.create(Kind.DAEMON_SET, raw_daemon_set("old", template=template("old"), created="2026-03-02T11:59:00Z"))
    look(fake)
    labels = {f"run.edgefleet.io/scan.{status(fake, 'one')['version']}": ""}
    for name in ("box-1", "box-2"):
        fake.create(Kind.NODE, raw_node(name, labels=labels))
    fake.create(Kind.NODE, raw_node("box-3", labels={"run.edgefleet.io/scan.old": ""}))
    follow_labels(fake)
    asking = {"control": {"paused": True}}
    fake.create(Kind.RELEASE, raw_release("two", created="2026-03-02T11:30:00Z", spec=asking))
    look(fake)
    assert (mark_of(fake, "two"), status(fake, "two")["previousRelease"]) == ("running", "one")


def test_a_version_that_only_a_failed_release_made_is_no_example() -> None:
    fake = cluster()
    failed = {"template": template("bad"), "phase": "Failed", "observedGeneration": 1}
    fake.create(Kind.RELEASE, raw_release("one", spec=of_template("bad"), status=failed))
    (view,) = held(fake).releases()
    fake.create(Kind.DAEMON_SET, raw_daemon_set(view.rendered[-1].hash, template=template("bad")))
    fake.create(Kind.RELEASE, raw_release("two", created="2026-03-02T11:30:00Z"))
    look(fake)
    assert status(fake, "two").get("previousRelease", "") == ""


def test_a_release_that_has_completed_is_an_example_though_boxes_have_failed_since() -> None:
    fake = cluster()
    fake.create(Kind.RELEASE, raw_release("one", spec=of_template("old")))
    now = settle(fake)
    done = {
        "template": template("good"),
        "startedAt": "2026-03-02T11:10:00Z",
        "completedAt": "2026-03-02T11:20:00Z",
        "observedGeneration": 1,
        "breach": BREACH,
    }
    later = raw_release("two", created="2026-03-02T11:10:00Z", spec=of_template("good"), status=done)
    fake.create(Kind.RELEASE, later)
    fake.create(Kind.RELEASE, raw_release("three", created="2026-03-02T11:30:00Z"))
    look(fake, now)
    assert (mark_of(fake, "three"), status(fake, "three")["previousRelease"]) == ("good", "two")
