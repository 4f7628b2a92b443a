"""What the operator holds is never older than what it was told, by a watch or by the answer to its own write."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloud.rollout.connectivity import STEADY_AFTER, NodeReady, ReadySign, Verdict
from cloud.rollout.mirror import UPKEEP, Mirror
from cloud.rollout.parsing import mark
from cloud.rollout.views import Kind
from tests.unit.cloud.rollout.raw import raw_daemon_set, raw_node, raw_pod, raw_release, raw_site

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SCAN = ("default", "scan")
TEMPLATE = {"spec": {"containers": [{"name": "scan", "image": "scan:1"}]}}


def mirror(*objects: tuple[Kind, dict[str, Any]]) -> Mirror:
    made = Mirror(NodeReady())
    for kind, raw in objects:
        made.absorb(kind, raw, NOW)
    return made


def versions(held: Mirror) -> set[str]:
    return {version for view, _ in held.nodes().values() for version in view.versions.get("scan", ())}


def test_an_event_that_is_older_than_our_own_write_changes_nothing() -> None:
    held = mirror((Kind.NODE, raw_node(revision=1)))
    held.absorb(Kind.NODE, raw_node(revision=7, labels={"run.edgefleet.io/scan.new": ""}), NOW)
    assert held.absorb(Kind.NODE, raw_node(revision=3), NOW) == frozenset()
    assert versions(held) == {"new"}
    held.absorb(Kind.NODE, raw_node(revision=8), NOW)
    assert versions(held) == set()


def test_the_answer_to_a_write_does_not_bring_back_what_was_deleted_meanwhile() -> None:
    held = mirror((Kind.NODE, raw_node()))
    held.drop(Kind.NODE, ("", "box-1"), "uid-box-1")
    assert not held.holds(Kind.NODE, mark(raw_node(revision=2)))


def test_the_answer_to_a_write_is_not_taken_for_another_object_of_that_name() -> None:
    held = mirror((Kind.NODE, raw_node(uid="new")))
    assert not held.holds(Kind.NODE, mark(raw_node(revision=9, uid="old")))
    assert held.holds(Kind.NODE, mark(raw_node(revision=9, uid="new")))


def test_a_late_deletion_of_an_older_object_leaves_the_newer_one() -> None:
    held = mirror((Kind.NODE, raw_node(uid="new")))
    assert held.drop(Kind.NODE, ("", "box-1"), "old") == frozenset()
    assert held.drop(Kind.NODE, ("", "box-9"), "") == frozenset()
    assert set(held.nodes()) == {"box-1"}


def test_a_heartbeat_wakes_nobody_and_a_change_wakes_every_workload() -> None:
    held = mirror((Kind.RELEASE, raw_release()), (Kind.NODE, raw_node()))
    assert held.absorb(Kind.NODE, raw_node(revision=2), NOW) == frozenset()
    assert held.absorb(Kind.NODE, raw_node(revision=3, ready=False), NOW) == {SCAN, UPKEEP}
    assert held.absorb(Kind.SITE, raw_site(), NOW) == {SCAN}
    assert held.absorb(Kind.BOX, {"metadata": {"name": "box-1", "resourceVersion": "1"}}, NOW) == {UPKEEP}


def test_a_pod_wakes_its_own_workload_only() -> None:
    held = mirror((Kind.RELEASE, raw_release()))
    assert held.absorb(Kind.POD, raw_pod(workload="vision"), NOW) == {("default", "vision")}
    moved = raw_pod(workload="scan", revision=2)
    assert held.absorb(Kind.POD, moved, NOW) == {SCAN, ("default", "vision")}
    assert held.drop(Kind.POD, ("default", "scan-a-1"), "") == {SCAN}


def test_everything_of_a_workload_is_gathered_and_nothing_of_another() -> None:
    held = mirror(
        (Kind.NODE, raw_node(labels={"run.edgefleet.io/scan.a": "", "run.edgefleet.io/scan.other": ""})),
        (Kind.NODE, raw_node("box-2", ready=False, annotations={"reverted.edgefleet.io/default.scan": "uid-one"})),
        (Kind.POD, raw_pod()),
        (Kind.POD, raw_pod("vision-a-1", workload="vision")),
        (Kind.DAEMON_SET, raw_daemon_set("a")),
        (Kind.DAEMON_SET, raw_daemon_set("v", workload="vision")),
        (Kind.RELEASE, raw_release("two", created="2026-03-02T11:30:00Z", status={"template": TEMPLATE})),
        (Kind.RELEASE, raw_release("one")),
        (Kind.RELEASE, raw_release("broken", spec={"targets": {}})),
        (Kind.SITE, raw_site()),
        (Kind.SITE, raw_site("tc-2", zone="nowhere")),
    ).held(SCAN, NOW)
    fleet = held.fleet
    assert [view.mark.key[1] for view in held.releases] == ["broken", "one", "two"]
    assert [standing.release.name for standing in fleet.standings] == ["one", "two"]
    assert [len(standing.variants) for standing in fleet.standings] == [0, 1]
    assert [box.name for box in fleet.boxes] == ["box-1", "box-2"]
    assert fleet.boxes[0].versions == {"a"}, "a version of a namesake in another namespace is not ours"
    assert [pod.name for pod in fleet.boxes[0].pods] == ["scan-a-1"]
    assert (fleet.boxes[1].online, fleet.boxes[1].reverted) == (False, "uid-one")
    assert set(fleet.versions) == {"a", *fleet.standings[1].variants}
    assert set(fleet.zones) == {"tc-1"}


@pytest.mark.parametrize("site", ["A_Site", "a.b", "", "-"])
def test_a_node_whose_site_is_no_name_stays_out_of_the_fleet_that_is_planned(site: str) -> None:
    odd = raw_node("odd", labels={"edgefleet.io/site": site, "run.edgefleet.io/scan.a": ""})
    fleet = mirror((Kind.NODE, raw_node()), (Kind.NODE, odd), (Kind.DAEMON_SET, raw_daemon_set())).held(SCAN, NOW).fleet
    assert [box.name for box in fleet.boxes] == ["box-1"]
    assert [(box.name, box.versions) for box in fleet.unfit] == [("odd", frozenset("a"))]


def test_an_audit_finds_ghosts_and_what_was_missed() -> None:
    held = mirror((Kind.NODE, raw_node()), (Kind.NODE, raw_node("box-2", revision=2)), (Kind.NODE, raw_node("box-3")))
    before = held.marks(Kind.NODE)
    held.absorb(Kind.NODE, raw_node("box-5"), NOW)  # made while the list was under way
    listed = [raw_node(revision=4), raw_node("box-2", uid="anew"), raw_node("box-4")]
    drift = held.drift(Kind.NODE, before, [mark(raw) for raw in listed])
    assert set(drift.ghosts) == {("", "box-2"), ("", "box-3")}
    assert set(drift.missed) == {("", "box-1"), ("", "box-4")}
    assert drift
    assert not mirror().drift(Kind.NODE, {}, [])


def unparsable(raw: dict[str, Any]) -> dict[str, Any]:
    """The next state of an object, and one that no program of ours can read."""

    class Trap(dict[str, Any]):
        def get(self, key: str, _default: object = None) -> Any:  # noqa: ANN401 - JSON
            if key in {"spec", "status"}:
                raise RecursionError("too deep")
            return super().get(key)

    meta = raw["metadata"]
    return Trap({**raw, "metadata": {**meta, "resourceVersion": str(int(meta["resourceVersion"]) + 1)}})


def test_an_object_that_cannot_be_read_stays_as_it_was_and_does_not_count_as_missed() -> None:
    held, trap = mirror((Kind.NODE, raw_node())), unparsable(raw_node())
    with pytest.raises(RecursionError) as bug:
        held.absorb(Kind.NODE, trap, NOW)
    assert not held.passed_over(Kind.NODE, mark(trap))
    assert held.pass_over(Kind.NODE, trap, bug.value, NOW) == frozenset()
    assert held.passed_over(Kind.NODE, mark(trap))
    assert set(held.nodes()) == {"box-1"}
    assert not held.drift(Kind.NODE, {}, [mark(trap)])
    assert held.drift(Kind.NODE, {}, [mark(raw_node(revision=3))]).missed, "a newer state of it is to come"
    held.absorb(Kind.NODE, raw_node(revision=3), NOW)
    assert not held.passed_over(Kind.NODE, mark(trap)), "it can be read again"


def test_an_object_that_could_never_be_read_is_forgotten_when_it_is_deleted() -> None:
    held, trap = mirror(), unparsable(raw_pod())
    held.pass_over(Kind.POD, trap, RecursionError(), NOW)
    assert not held.drift(Kind.POD, {}, [mark(trap)])
    held.drop(Kind.POD, mark(trap).key, "")
    assert held.drift(Kind.POD, {}, [mark(trap)]).missed


def test_a_release_that_cannot_be_read_is_known_to_be_there_so_that_none_of_its_boxes_is_taken_back() -> None:
    held = mirror((Kind.NODE, raw_node()), (Kind.RELEASE, raw_release("one")))
    raw = raw_release("two", created="2026-03-02T11:30:00Z")
    assert held.pass_over(Kind.RELEASE, raw, RecursionError("too deep"), NOW) == {SCAN}
    two = held.held(SCAN, NOW).releases[-1]
    assert (two.release, two.unreadable) == (None, "status: cannot be read: RecursionError: too deep")
    assert set(held.held(SCAN, NOW).fleet.unread) == {"uid-two"}
    assert not held.drift(Kind.RELEASE, {}, [mark(raw)])


def test_the_last_release_takes_its_workload_with_it() -> None:
    held = mirror((Kind.RELEASE, raw_release()))
    assert held.workloads() == {SCAN}
    assert [view.mark.key[1] for view in held.releases()] == ["one"]
    held.drop(Kind.RELEASE, ("default", "one"), "uid-one")
    assert held.workloads() == frozenset()


def test_a_box_that_returned_just_now_is_not_steady_and_says_when_it_will_be() -> None:
    held = mirror((Kind.NODE, raw_node(ready=False)))
    held.absorb(Kind.NODE, raw_node(revision=2, since="1999-01-01T00:00:00Z"), NOW)
    now = NOW + timedelta(seconds=3)
    assert not held.held(SCAN, now).fleet.boxes[0].steady
    assert held.held(SCAN, now).steady_in == STEADY_AFTER - timedelta(seconds=3)
    assert held.held(SCAN, NOW + STEADY_AFTER).fleet.boxes[0].steady
    assert held.held(SCAN, NOW + STEADY_AFTER).steady_in is None


def test_a_box_made_anew_is_judged_anew() -> None:
    held = mirror((Kind.NODE, raw_node(since="2026-03-02T11:10:00Z")))
    held.absorb(Kind.NODE, raw_node(revision=2, uid="reimaged", since="2026-03-02T11:50:00Z"), NOW)
    _, verdict = held.nodes()["box-1"]
    assert verdict.since == datetime(2026, 3, 2, 11, 50, tzinfo=UTC)


def test_the_clock_of_a_box_is_believed_only_about_the_past() -> None:
    tomorrow = NOW + timedelta(days=1)
    assert NodeReady().judge(ReadySign(ready=True, since=tomorrow), None, NOW).since == NOW
    known = Verdict(online=True, since=NOW, witness="NodeReady")
    assert NodeReady().judge(ReadySign(ready=True, since=tomorrow), known, tomorrow) == known
    assert NodeReady().judge(ReadySign(ready=False, since=NOW), known, tomorrow) == Verdict(
        online=False, since=tomorrow, witness="NodeReady"
    )


def test_of_two_pods_of_a_workload_the_one_that_is_left_stays() -> None:
    held = mirror((Kind.NODE, raw_node()), (Kind.POD, raw_pod(name="old")), (Kind.POD, raw_pod(name="new")))
    held.absorb(Kind.RELEASE, raw_release(), NOW)
    held.drop(Kind.POD, ("default", "old"), "")
    (box,) = held.held(SCAN, NOW).fleet.boxes
    assert [pod.name for pod in box.pods] == ["new"]


OBSERVER = "edgefleet-monitor-0"


def raw_box(reason: str = "SiteDark", *, revision: int = 1, witness: str = OBSERVER) -> dict[str, Any]:
    health = "Online" if reason == "Beats" else "Offline"
    return {
        "metadata": {"name": "box-1", "uid": "uid-edgebox", "resourceVersion": str(revision), "generation": 1},
        "spec": {"node": "box-1", "site": "tc-1"},
        "status": {"health": health, "reason": reason, "witness": witness, "since": "2026-03-02T11:59:00Z"},
    }


def told(held: Mirror) -> tuple[bool, str]:
    _, verdict = held.nodes()["box-1"]
    return verdict.online, verdict.witness


def test_a_monitor_that_lives_makes_a_box_dark_at_once_and_lets_it_go() -> None:
    held = mirror((Kind.RELEASE, raw_release()), (Kind.NODE, raw_node()))
    assert held.heard_from(frozenset({OBSERVER}), NOW) == {UPKEEP}
    assert held.absorb(Kind.BOX, raw_box(), NOW) == {SCAN, UPKEEP}
    assert told(held) == (False, OBSERVER)
    assert held.absorb(Kind.BOX, raw_box("Beats", revision=2), NOW) == {SCAN, UPKEEP}
    assert told(held) == (True, "NodeReady")
    assert held.absorb(Kind.BOX, raw_box("AgentDown", revision=3), NOW) == {UPKEEP}, "the machine runs on"
    assert told(held)[0]


def test_a_monitor_that_has_died_is_not_believed() -> None:
    held = mirror((Kind.RELEASE, raw_release()), (Kind.NODE, raw_node()), (Kind.BOX, raw_box()))
    assert told(held) == (True, "NodeReady")
    assert held.heard_from(frozenset({OBSERVER}), NOW) == {SCAN, UPKEEP}
    assert not told(held)[0]
    assert held.heard_from(frozenset({OBSERVER}), NOW) == frozenset()
    assert held.heard_from(frozenset(), NOW) == {SCAN, UPKEEP}
    assert told(held)[0]


def test_that_a_box_is_there_needs_kubernetes_as_well() -> None:
    held = mirror((Kind.NODE, raw_node(ready=False)), (Kind.BOX, raw_box("Beats")))
    held.heard_from(frozenset({OBSERVER}), NOW)
    assert told(held) == (False, "NodeReady")


def test_a_verdict_on_a_box_without_a_node_waits_for_it() -> None:
    held = mirror((Kind.BOX, raw_box()))
    assert held.heard_from(frozenset({OBSERVER}), NOW) == {UPKEEP}
    held.absorb(Kind.NODE, raw_node(), NOW)
    assert told(held) == (False, OBSERVER)
