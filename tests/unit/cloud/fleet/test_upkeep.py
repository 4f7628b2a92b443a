"""Every node at a site has an EdgeBox that says what the node says; people's additions and retirements are theirs."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from cloud.fleet.box import BoxSpec, BoxStatus, Health
from cloud.fleet.upkeep import Due, Entry, Sighting, due

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SEEN = Sighting(site="tc-1", role="scan", online=True, since=NOW, witness="NodeReady")


def entry(spec: dict[str, Any] | None = None, **status: object) -> Entry:
    known = {"health": "Online", "reason": "NodeReady", "witness": "NodeReady", "observedGeneration": 1, **status}
    whole = {"node": "box-1", "site": "tc-1", "roles": ["scan"], **(spec or {})}
    return Entry(BoxSpec.model_validate(whole), BoxStatus.model_validate(known), 1)


def one(sighting: Sighting, known: Entry | None) -> list[Due]:
    writes, unfit = due({"box-1": sighting}, {"box-1": known} if known else {}, (), NOW)
    assert unfit == []
    return writes


def test_a_new_node_becomes_a_box_with_only_the_fields_that_are_ours() -> None:
    assert one(SEEN, None) == [Due("box-1", {"node": "box-1", "site": "tc-1", "roles": ["scan"]})]
    assert one(replace(SEEN, role=""), None) == [Due("box-1", {"node": "box-1", "site": "tc-1"})]


def test_a_box_that_says_what_its_node_says_is_let_be() -> None:
    assert one(SEEN, entry()) == []
    assert one(SEEN, entry({"expectedGpus": 4})) == []
    assert one(replace(SEEN, role=""), entry({"roles": ["people", "said"]})) == []


def test_a_box_follows_its_node_to_another_site_or_role() -> None:
    assert one(replace(SEEN, site="tc-2"), entry())[0].spec == {"node": "box-1", "site": "tc-2", "roles": ["scan"]}
    assert one(replace(SEEN, role="vision"), entry())[0].spec is not None
    assert one(SEEN, Entry(None, entry().status, 1))[0].spec is not None


def test_a_change_of_health_is_written_once_with_its_witness() -> None:
    (write,) = one(replace(SEEN, online=False), entry())
    assert write.spec is None
    assert write.status is not None
    assert (write.status["health"], write.status["reason"], write.status["witness"]) == (
        "Offline",
        "NodeNotReady",
        "NodeReady",
    )
    assert one(replace(SEEN, online=False), entry(**write.status)) == []


def test_another_witness_is_not_talked_over() -> None:
    assert one(replace(SEEN, online=False), entry(witness="Monitor")) == []


def test_a_monitor_speaks_for_its_boxes_as_long_as_it_lives() -> None:
    known = entry(health="Offline", reason="SiteDark", witness="edgefleet-monitor-0")
    boxes, seen = {"box-1": known}, {"box-1": SEEN}
    assert due(seen, boxes, {"edgefleet-monitor-0"}, NOW) == ([], [])
    ((write,), _) = due(seen, boxes, {"edgefleet-monitor-1"}, NOW)
    assert write.status is not None
    assert (write.status["health"], write.status["witness"]) == ("Online", "NodeReady")
    same = replace(known, status=known.status.model_copy(update={"health": Health.ONLINE}))
    ((write,), _) = due(seen, {"box-1": same}, (), NOW)
    assert write.status is not None, "its words are no longer a monitor's"


def test_a_box_whose_node_is_gone_stays_to_be_seen_and_is_written_once() -> None:
    writes, _ = due({}, {"box-1": entry()}, (), NOW)
    status = writes[0].status
    assert status is not None
    assert (status["health"], status["reason"]) == (Health.OFFLINE.value, "NodeGone")
    assert "kubectl delete edgebox box-1" in status["message"]
    gone = entry(**status)
    assert due({}, {"box-1": gone}, (), NOW) == ([], [])
    assert one(SEEN, gone)[0].status is not None, "it has come back"


def test_a_node_whose_labels_no_box_can_have_is_told_and_keeps_nobody_waiting() -> None:
    writes, unfit = due({"box-1": replace(SEEN, site="No Site"), "box-2": SEEN}, {}, (), NOW)
    assert [write.box for write in writes] == ["box-2"]
    assert [(one.box, "No Site" in one.problem) for one in unfit] == [("box-1", True)]
