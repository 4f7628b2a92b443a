"""The upkeep of EdgeBoxes as writes."""

from datetime import UTC, datetime

import pytest

from cloud.rollout import upkeep
from cloud.rollout.cluster import Conflict, Refused, Verb
from cloud.rollout.connectivity import NodeReady
from cloud.rollout.mirror import Mirror
from cloud.rollout.upkeep import REFUSED_AGAIN, keep_boxes
from cloud.rollout.views import Kind
from tests.contract.fake_cluster import FakeCluster
from tests.unit.cloud.rollout.raw import raw_node

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_a_new_box_gets_its_spec_then_its_status_and_then_nothing() -> None:
    fake, seen = FakeCluster(), []
    fake.create(Kind.NODE, raw_node("box-1"))
    for _ in range(3):
        mirror = Mirror(NodeReady())
        for kind in (Kind.NODE, Kind.BOX):
            for raw in fake.read(kind):
                mirror.absorb(kind, raw, NOW)
        keep = keep_boxes(mirror, NOW, {})
        assert not keep.more
        seen.append([(one.verb, one.subresource) for one in keep.writes])
        assert not any(isinstance(answer, Exception) for answer in fake.write(keep.writes))
    assert seen == [[(Verb.APPLY, "")], [(Verb.APPLY, "status")], []]
    assert fake.get(Kind.BOX, "box-1")["status"]["health"] == "Online"


def test_so_many_boxes_are_written_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "BATCH", 2)
    mirror = Mirror(NodeReady())
    for number in range(3):
        mirror.absorb(Kind.NODE, raw_node(f"box-{number}"), NOW)
    keep = keep_boxes(mirror, NOW, {})
    assert [one.name for one in keep.writes] == ["box-0", "box-1"]
    assert keep.more


def test_what_was_refused_is_let_be_until_something_of_it_changes_and_holds_up_no_other() -> None:
    mirror = Mirror(NodeReady())
    for name in ("box-1", "box-2"):
        mirror.absorb(Kind.NODE, raw_node(name), NOW)
    first = keep_boxes(mirror, NOW, {})
    refusals = first.refused([Refused("EdgeBox 'box-1' is invalid"), {}], NOW)
    assert {box: one.words for box, one in refusals.items()} == {"box-1": "EdgeBox 'box-1' is invalid"}
    again = keep_boxes(mirror, NOW, refusals)
    assert [one.name for one in again.writes] == ["box-2"]
    assert again.refused([Conflict("changed")], NOW) == refusals, "it still holds"
    mirror.absorb(Kind.BOX, {"metadata": {"name": "box-1", "uid": "theirs", "resourceVersion": "7"}}, NOW)
    changed = keep_boxes(mirror, NOW, refusals)
    assert {one.name for one in changed.writes} == {"box-1", "box-2"}
    assert changed.refusals == {}


def test_what_was_refused_is_tried_again_after_a_while_though_nothing_of_it_has_changed() -> None:
    mirror = Mirror(NodeReady())
    mirror.absorb(Kind.NODE, raw_node("box-1"), NOW)
    refusals = keep_boxes(mirror, NOW, {}).refused([Refused("no")], NOW)
    assert keep_boxes(mirror, NOW + REFUSED_AGAIN / 2, refusals).writes == ()
    assert len(keep_boxes(mirror, NOW + REFUSED_AGAIN, refusals).writes) == 1
