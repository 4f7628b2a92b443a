"""One look at a workload, against the fake cluster: the order of writes, and what each failure leaves behind."""

from datetime import timedelta

import pytest

from cloud.fleet.errors import Unavailable
from cloud.rollout.cluster import Conflict, Verb
from cloud.rollout.reconcile import Look
from cloud.rollout.views import Kind
from tests.unit.cloud.rollout.looking import (
    NOW,
    SCAN,
    Pinned,
    Refusing,
    cluster,
    follow_labels,
    held,
    kinds,
    look,
    settle,
    status,
)
from tests.unit.cloud.rollout.raw import raw_node, raw_release


def test_a_new_release_writes_daemon_set_then_status_then_nodes() -> None:
    fake = cluster()
    fake.create(Kind.RELEASE, raw_release())
    taken = look(fake)
    assert kinds(fake.writes) == ["apply DaemonSet", "replace EdgeRelease", "merge Node", "merge Node"]
    assert set(status(fake, "one")["boxes"]) == {"box-1", "box-2"}, "under way in the status before the labels change"
    assert [kind for kind, _ in taken.answers] == [Kind.DAEMON_SET, Kind.RELEASE, Kind.NODE, Kind.NODE]
    assert {decision.note.reason for decision in taken.decisions} >= {"StageStarted"}
    assert fake.events


def test_a_settled_release_is_looked_at_without_a_write() -> None:
    fake = cluster()
    fake.create(Kind.RELEASE, raw_release())
    now = settle(fake)
    assert status(fake, "one")["phase"] == "Succeeded"
    before = len(fake.writes)
    look(fake, now + timedelta(seconds=30))
    assert len(fake.writes) == before


def test_a_status_that_somebody_changed_meanwhile_stops_the_look_before_any_box_moves() -> None:
    fake = cluster(of=Refusing(Kind.RELEASE, Conflict("changed")))
    fake.create(Kind.RELEASE, raw_release())
    with pytest.raises(Conflict):
        look(fake)
    assert "merge Node" not in kinds(fake.writes)


def test_an_operator_that_may_have_been_replaced_while_it_wrote_the_status_moves_no_box() -> None:
    fake = cluster()
    fake.create(Kind.RELEASE, raw_release())
    leads = iter([True, True])  # while the DaemonSet and the status are written
    frozen = Look(held(fake).held(SCAN, NOW), fake, Pinned(None), NOW, lambda: next(leads, False))
    with pytest.raises(Unavailable, match="leads"):
        frozen.take()
    assert set(status(fake, "one")["boxes"]) == {"box-1", "box-2"}
    assert kinds(fake.writes) == ["apply DaemonSet", "replace EdgeRelease"]
    look(fake, NOW + timedelta(seconds=1))
    assert kinds(fake.writes)[2:] == ["replace EdgeRelease", "merge Node", "merge Node"], "whoever leads carries it out"


def test_an_operator_that_may_have_been_replaced_among_its_patches_makes_no_further_one() -> None:
    fake = cluster()
    fake.create(Kind.RELEASE, raw_release())
    leads = iter([True, True, True])
    with pytest.raises(Unavailable):
        Look(held(fake).held(SCAN, NOW), fake, Pinned(None), NOW, lambda: next(leads, False)).take()
    assert kinds(fake.writes)[2:] == ["merge Node"]


def test_no_box_is_moved_on_a_status_that_somebody_has_changed_though_ours_would_stay_the_same() -> None:
    fake = cluster()
    fake.create(Kind.RELEASE, raw_release())
    leads = iter([True, True])
    with pytest.raises(Unavailable):
        Look(held(fake).held(SCAN, NOW), fake, Pinned(None), NOW, lambda: next(leads, False)).take()
    stale = held(fake).held(SCAN, NOW)
    paused = fake.get(Kind.RELEASE, "one", "default")
    paused["spec"]["control"] = {"paused": True}
    fake.create(Kind.RELEASE, paused)
    with pytest.raises(Conflict):
        Look(stale, fake, Pinned(None), NOW).take()
    assert "merge Node" not in kinds(fake.writes)


def test_what_was_written_before_a_failure_is_known() -> None:
    fake = cluster(of=Refusing(Kind.NODE, Unavailable("no answer")))
    fake.create(Kind.RELEASE, raw_release())
    taken = Look(held(fake).held(SCAN, NOW), fake, Pinned(None), NOW)
    with pytest.raises(Unavailable):
        taken.take()
    assert [kind for kind, _ in taken.answers] == [Kind.DAEMON_SET, Kind.RELEASE]


def test_a_move_is_one_patch_of_labels_and_memory() -> None:
    fake = cluster("box-1")
    fake.create(Kind.RELEASE, raw_release("one"))
    now = settle(fake)
    first = status(fake, "one")["version"]
    workload = {"name": "scan", "image": "scan:2", "cutover": "Recreate"}
    fake.create(Kind.RELEASE, raw_release("two", created="2026-03-02T11:30:00Z", spec={"workload": workload}))
    before = len(fake.writes)
    look(fake, now)
    (patch,) = [one for one in fake.writes[before:] if one.kind is Kind.NODE]
    second = status(fake, "two")["version"]
    assert patch.verb is Verb.MERGE
    assert patch.manifest["metadata"]["labels"] == {
        f"run.edgefleet.io/scan.{first}": None,
        f"run.edgefleet.io/scan.{second}": "",
    }
    assert patch.manifest["metadata"]["annotations"] == {
        "previous.edgefleet.io/default.scan": first,
        "moved.edgefleet.io/default.scan": "uid-two,uid-one",
    }


def test_an_older_release_counts_the_boxes_that_a_newer_one_has_moved_in_the_same_look() -> None:
    fake = cluster()
    for name, wave in (("box-1", "a"), ("box-2", "b")):
        fake.create(Kind.NODE, raw_node(name, labels={"wave": wave}))
    budget = {"maxParallelSites": "100%", "maxUnavailablePerSite": 1}
    fake.create(Kind.RELEASE, raw_release("one"))
    now = settle(fake)
    workload = {"name": "scan", "cutover": "Recreate"}
    everywhere = {"workload": {**workload, "image": "scan:2"}, "budget": budget}
    first_wave = {
        "workload": {**workload, "image": "scan:3"},
        "budget": budget,
        "targets": {"selector": {"matchLabels": {"wave": "a"}}},
    }
    fake.create(Kind.RELEASE, raw_release("two", created="2026-03-02T11:30:00Z", spec=everywhere))
    fake.create(Kind.RELEASE, raw_release("three", created="2026-03-02T11:40:00Z", spec=first_wave))
    before = len(fake.writes)
    look(fake, now)
    assert [one.name for one in fake.writes[before:] if one.kind is Kind.NODE] == ["box-1"]
    settle(fake, now)
    assert [one.name for one in fake.writes[before:] if one.kind is Kind.NODE] == ["box-1", "box-2"]


def test_an_older_release_plans_on_a_box_as_a_newer_one_has_left_it_in_the_same_look() -> None:
    fake = cluster("box-1")
    fake.create(Kind.RELEASE, raw_release("one"))
    now = settle(fake)
    fake.create(Kind.RELEASE, raw_release("two", created="2026-03-02T11:30:00Z"))
    now = settle(fake, now)
    two = fake.get(Kind.RELEASE, "two", "default")
    two["spec"]["control"] = {"abort": "Rollback"}
    fake.create(Kind.RELEASE, two)
    look(fake, now)
    assert status(fake, "one")["counts"]["targeted"] == 1, "the box is its own again at once"
    assert status(fake, "one")["counts"]["pending"] == 0


def test_rollback_is_remembered_on_the_box_and_forgotten_with_the_next_move() -> None:
    fake = cluster("box-1")
    fake.create(Kind.RELEASE, raw_release("one"))
    now = settle(fake)
    fake.create(Kind.RELEASE, raw_release("two", created="2026-03-02T11:30:00Z"))
    now = settle(fake, now)
    two = fake.get(Kind.RELEASE, "two", "default")
    two["spec"]["control"] = {"abort": "Rollback"}
    two["metadata"]["generation"] = 2
    uid = fake.create(Kind.RELEASE, two)["metadata"]["uid"]
    now = settle(fake, now)
    assert status(fake, "two")["phase"] == "RolledBack"
    assert fake.get(Kind.NODE, "box-1")["metadata"]["annotations"]["reverted.edgefleet.io/default.scan"] == uid
    fake.create(Kind.RELEASE, raw_release("three", created="2026-03-02T11:40:00Z"))
    settle(fake, now)
    assert "reverted.edgefleet.io/default.scan" not in fake.get(Kind.NODE, "box-1")["metadata"]["annotations"]


def test_the_next_look_is_when_the_first_of_all_reasons_is_due() -> None:
    fake = cluster("box-1")
    fake.create(Kind.NODE, raw_node("box-2", since="2026-03-02T11:59:55Z"))
    assert look(fake).recheck_after == timedelta(seconds=5)
    fake.create(Kind.RELEASE, raw_release(spec={"health": {"readyFor": "2s"}}))
    look(fake)
    follow_labels(fake)
    after = look(fake, NOW + timedelta(seconds=1)).recheck_after
    assert after is not None
    assert after <= timedelta(seconds=4)


def test_what_was_told_of_a_release_that_went_back_stays_when_the_one_before_it_goes_back_too() -> None:
    fake, now = cluster(), NOW
    for number, name in enumerate(("zero", "one", "two")):
        fake.create(Kind.RELEASE, raw_release(name, created=f"2026-03-02T11:0{number}:00Z"))
        now = settle(fake, now)
    for name in ("two", "one"):
        made = fake.get(Kind.RELEASE, name, "default")
        made["spec"]["control"], made["metadata"]["generation"] = {"abort": "Rollback"}, 2
        fake.create(Kind.RELEASE, made)
        now = settle(fake, now)
    assert [status(fake, name)["counts"]["rolledBack"] for name in ("two", "one")] == [2, 2]
