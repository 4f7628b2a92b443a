"""What is one concern, and what is only the effect of a wider one."""

from datetime import UTC, datetime, timedelta

import pytest

from cloud.alerts.catalogue import CATALOGUE, Family
from cloud.alerts.correlate import Concern, Key, correlate, key_of
from cloud.alerts.fault import Code, Fault, Kind, Subject

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
FLEET = Fault(Code.FLEET_DARK, Subject(Kind.FLEET), NOON)
OURSELVES = Fault(Code.OBSERVER_DEGRADED, Subject(Kind.FLEET), NOON)
CHANNEL = Fault(Code.CHANNEL_FAILING, Subject(Kind.CHANNEL, part="duty"), NOON)


def site(code: Code = Code.SITE_DARK, name: str = "tc-001") -> Fault:
    return Fault(code, Subject(Kind.SITE, name), NOON)


def box(code: Code = Code.BOX_DOWN, name: str = "tc-001-scan-1", after: int = 0) -> Fault:
    return Fault(code, Subject(Kind.BOX, name[:6], name), NOON + timedelta(seconds=after), {"witness": name[-1]})


def scan(code: Code = Code.WORKLOAD_CRASHED, name: str = "tc-001-scan-1", part: str = "scan") -> Fault:
    return Fault(code, Subject(Kind.WORKLOAD, name[:6], name, part), NOON)


def gpu(index: str, name: str = "tc-001-gpu-1") -> Fault:
    return Fault(Code.GPU_LOST, Subject(Kind.GPU, name[:6], name, index), NOON)


def told(*faults: Fault) -> dict[str, int]:
    """The concerns that stand for themselves, and how many effects each has."""
    return {str(one.key): one.effects for one in correlate(faults) if not one.hidden}


def hidden(*faults: Fault) -> list[str]:
    return [str(one.key) for one in correlate(faults) if one.hidden]


def test_every_code_is_in_the_catalogue_and_ranks_tell_the_codes_of_a_family_apart() -> None:
    assert CATALOGUE.keys() == set(Code)
    places = [(entry.family, entry.rank) for entry in CATALOGUE.values()]
    assert len(places) == len(set(places))
    assert {entry.family for entry in CATALOGUE.values()} == set(Family)


def test_no_faults_are_no_concerns() -> None:
    assert correlate([]) == ()


def test_a_fault_alone_is_a_concern_with_all_that_is_known_of_it() -> None:
    fault = box()
    assert correlate([fault], {"tc-001-scan-1": "default/scan-7", "tc-002-scan-1": "default/scan-8"}) == (
        Concern(
            Key(Family.BOX, "tc-001"),
            Code.BOX_DOWN,
            fault.subject,
            NOON,
            ("tc-001-scan-1",),
            {"witness": "1"},
            release="default/scan-7",
        ),
    )


def test_boxes_of_one_site_are_one_concern_that_says_the_gravest_and_the_earliest() -> None:
    found = correlate([box(Code.AGENT_DOWN, "tc-001-scan-1"), box(Code.BOX_DOWN, "tc-001-scan-2", after=9)])
    assert [(one.code, one.since, one.members, one.details) for one in found] == [
        (Code.BOX_DOWN, NOON, ("tc-001-scan-1", "tc-001-scan-2"), {"witness": "2"})
    ]
    assert found[0].subject == Subject(Kind.BOX, "tc-001")


def test_of_equally_grave_ones_the_earliest_speaks() -> None:
    found = correlate([box(name="tc-001-scan-1", after=3), box(name="tc-001-scan-2")])
    assert found[0].details == {"witness": "2"}


def test_workloads_are_told_apart_by_name_and_gpus_are_not_told_apart() -> None:
    assert told(scan(), scan(part="vision"), scan(name="tc-001-scan-2")) == {
        "Workload/tc-001/scan": 0,
        "Workload/tc-001/vision": 0,
    }
    (both,) = correlate([gpu("0"), gpu("1")])
    assert (both.subject, both.members) == (Subject(Kind.GPU, "tc-001", "tc-001-gpu-1"), ("tc-001-gpu-1",))
    (same,) = correlate([gpu("0"), gpu("0", "tc-001-gpu-2")])
    assert same.subject == Subject(Kind.GPU, "tc-001", "", "0")


def test_a_box_that_is_away_hides_what_is_on_it_and_nothing_beside_it() -> None:
    assert told(box(), scan(), scan(name="tc-001-scan-2", part="vision")) == {
        "Box/tc-001": 1,
        "Workload/tc-001/vision": 0,
    }
    assert hidden(box(), scan()) == ["Workload/tc-001/scan"]


def test_a_concern_that_stands_for_itself_somewhere_counts_only_what_is_not_hidden() -> None:
    found = {str(one.key): one.members for one in correlate([box(), scan(), scan(name="tc-001-scan-2")])}
    assert found == {"Box/tc-001": ("tc-001-scan-1",), "Workload/tc-001/scan": ("tc-001-scan-2",)}


def test_a_dark_site_hides_all_that_is_at_it() -> None:
    assert told(site(), box(), scan(), site(Code.SITE_LINK_POOR), box(name="tc-002-scan-1")) == {
        "Site/tc-001": 3,
        "Box/tc-002": 0,
    }


def test_a_dark_fleet_hides_all_sites_and_nothing_hides_what_is_about_ourselves() -> None:
    assert told(FLEET, site(), box(), scan(name="tc-002-scan-1"), OURSELVES, CHANNEL) == {
        "Fleet": 3,
        "Observer": 0,
        "Channel/duty": 0,
    }


@pytest.mark.parametrize("fault", [FLEET, site(), box(), scan(), gpu("0"), CHANNEL])
def test_a_key_names_the_family_first(fault: Fault) -> None:
    assert str(key_of(fault)).split("/")[0] == CATALOGUE[fault.code].family


def test_the_order_in_which_faults_come_changes_nothing() -> None:
    faults = [site(), box(), box(name="tc-002-scan-1"), scan(), scan(name="tc-002-scan-1"), gpu("0"), gpu("1")]
    assert correlate(faults) == correlate(reversed(faults))
