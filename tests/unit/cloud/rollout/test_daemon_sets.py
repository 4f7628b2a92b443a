"""The DaemonSets of versions: kept as long as a box needs them, put back, and removed when nothing does."""

from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any

import pytest

from cloud.rollout.cluster import Verb, Write
from cloud.rollout.reconcile import Look
from cloud.rollout.views import Kind
from tests.contract.fake_cluster import FakeCluster
from tests.unit.cloud.rollout.looking import NOW, SCAN, Pinned, cluster, held, look, settle
from tests.unit.cloud.rollout.raw import raw_daemon_set, raw_node, raw_release


def test_a_daemon_set_that_somebody_deleted_comes_back() -> None:
    fake = cluster()
    fake.create(Kind.RELEASE, raw_release(spec={"stages": [{"name": "all", "soak": "1h"}]}))
    look(fake)
    (made,) = fake.read(Kind.DAEMON_SET)
    fake.remove(Kind.DAEMON_SET, made["metadata"]["name"], "default")
    look(fake, NOW + timedelta(seconds=1))
    assert [one["metadata"]["name"] for one in fake.read(Kind.DAEMON_SET)] == [made["metadata"]["name"]]


def settled_daemon_set() -> tuple[FakeCluster, datetime, Any]:
    fake = cluster("box-1")
    fake.create(Kind.RELEASE, raw_release(spec={"watchAfter": "0s"}))
    now = settle(fake) + timedelta(hours=1)
    (made,) = fake.read(Kind.DAEMON_SET)
    return fake, now, made


def by_hand(of: FakeCluster, made: Any) -> None:  # noqa: ANN401 - JSON
    spec = made["spec"] | {"updateStrategy": {"type": "RollingUpdate"}}
    patch = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": made["metadata"], "spec": spec}
    of.write([Write(Verb.MERGE, Kind.DAEMON_SET, patch)])


def test_a_daemon_set_that_a_box_needs_comes_back_though_its_release_is_done() -> None:
    fake, now, made = settled_daemon_set()
    fake.remove(Kind.DAEMON_SET, made["metadata"]["name"], "default")
    look(fake, now)
    assert [one["spec"] for one in fake.read(Kind.DAEMON_SET)] == [made["spec"]]


def test_a_daemon_set_that_was_changed_by_hand_is_put_back_and_people_are_told() -> None:
    fake, now, made = settled_daemon_set()
    changed = deepcopy(made)
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "evil"
    by_hand(fake, changed)
    taken = look(fake, now)
    assert [one["spec"] for one in fake.read(Kind.DAEMON_SET)] == [made["spec"]]
    assert [one.note.reason for one in taken.decisions] == ["DaemonSetRestored"]
    before = len(fake.writes)
    assert look(fake, now).decisions == []
    assert len(fake.writes) == before


def test_a_daemon_set_that_was_changed_and_changed_back_by_hand_is_left_in_peace_soon() -> None:
    fake, now, made = settled_daemon_set()
    by_hand(fake, made)
    back = {"metadata": made["metadata"] | {"kind": "DaemonSet"}, "spec": made["spec"]}
    fake.write([Write(Verb.MERGE, Kind.DAEMON_SET, back)])
    assert fake.get(Kind.DAEMON_SET, made["metadata"]["name"], "default")["metadata"]["generation"] == 3
    assert [one.note.reason for one in look(fake, now).decisions] == ["DaemonSetRestored"]
    assert look(fake, now).decisions == [], "the annotation alone is put right"
    before = len(fake.writes)
    look(fake, now)
    assert len(fake.writes) == before


@pytest.mark.parametrize(
    "strange",
    [{"name": "theirs"}, {"template": {"spec": {"nodeSelector": {"no": "where"}, "containers": []}}}],
    ids=["name", "template"],
)
def test_a_daemon_set_of_somebody_else_is_no_version_and_never_removed(strange: dict[str, Any]) -> None:
    fake = cluster("box-1")
    for number in range(4):
        fake.create(Kind.DAEMON_SET, raw_daemon_set(f"v{number}", created=f"2026-03-02T10:1{number}:00Z"))
    fake.create(Kind.DAEMON_SET, raw_daemon_set("w", created="2026-03-02T10:00:00Z", **strange))
    fake.create(Kind.RELEASE, raw_release())
    look(fake)
    names = {one["metadata"]["name"] for one in fake.read(Kind.DAEMON_SET)}
    assert {"scan-v0"} & names == set(), "ours is removed"
    assert {"theirs", "scan-w"} & names, "theirs is not"


def test_versions_that_nothing_needs_are_removed_but_for_the_last_three() -> None:
    fake = cluster()
    for number in range(6):
        fake.create(Kind.DAEMON_SET, raw_daemon_set(f"v{number}", created=f"2026-03-02T10:0{number}:00Z"))
    labels = {"run.edgefleet.io/scan.v0": ""}
    fake.create(Kind.NODE, raw_node("box-1", labels=labels, annotations={"previous.edgefleet.io/default.scan": "v1"}))
    look(fake)
    assert {one["metadata"]["labels"]["edgefleet.io/version"] for one in fake.read(Kind.DAEMON_SET)} == {
        "v0",
        "v1",
        "v3",
        "v4",
        "v5",
    }


def test_a_version_that_another_removed_meanwhile_is_no_error() -> None:
    fake = cluster()
    for number in range(5):
        fake.create(Kind.DAEMON_SET, raw_daemon_set(f"v{number}", created=f"2026-03-02T10:0{number}:00Z"))
    known = held(fake).held(SCAN, NOW)
    fake.remove(Kind.DAEMON_SET, "scan-v0", "default")
    Look(known, fake, Pinned(None), NOW).take()


def test_every_version_that_a_box_remembers_is_kept_so_that_releases_can_be_taken_back_one_after_the_other() -> None:
    fake = cluster("box-1")
    for number in range(1, 8):
        made = raw_daemon_set(f"v{number}", created=f"2026-03-02T11:0{number}:00Z")
        fake.create(Kind.DAEMON_SET, made)
    memory = {"previous.edgefleet.io/default.scan": "v2,v1"}
    fake.create(Kind.NODE, raw_node("box-1", labels={"run.edgefleet.io/scan.v3": ""}, annotations=memory))
    look(fake)
    left = [one["metadata"]["name"] for one in fake.read(Kind.DAEMON_SET)]
    assert left == [f"scan-v{number}" for number in (1, 2, 3, 5, 6, 7)]
