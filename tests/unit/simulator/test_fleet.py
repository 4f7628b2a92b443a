"""Fleets: who stands where, and which fleets cannot be."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.fleet import Box, Fleet, FleetError, Role, Site, node_labels, usual_fleet


@given(sites=st.integers(1, 60), more=st.integers(0, 200))
def test_the_usual_fleet_has_what_was_asked_for_and_a_scan_box_everywhere(sites: int, more: int) -> None:
    fleet = usual_fleet(sites, sites + more)
    assert len(fleet.sites) == sites
    assert len(list(fleet.boxes())) == sites + more
    assert all(site.boxes[0].role is Role.SCAN for site in fleet.sites)
    sizes = [len(site.boxes) for site in fleet.sites]
    assert max(sizes) - min(sizes) <= 1


def test_boxes_are_called_after_site_and_role_and_stand_where_people_expect_them() -> None:
    fleet = usual_fleet(2, 7)
    names = [[box.name for box in site.boxes] for site in fleet.sites]
    assert names == [
        ["tc-001-scan-1", "tc-001-vision-1", "tc-001-gateway-1", "tc-001-scan-2"],
        ["tc-002-scan-1", "tc-002-vision-1", "tc-002-gateway-1"],
    ]


def test_a_fleet_of_a_thousand_sites_sorts_by_name() -> None:
    names = [site.name for site in usual_fleet(1000, 1000).sites]
    assert names == sorted(names)


@pytest.mark.parametrize(
    ("sites", "words"),
    [
        ((Site("A", ()),), "'A' is no name"),
        ((Site("x" * 64, ()),), "is no name"),
        ((Site("a", (Box("b-"),)),), "'b-' is no name"),
        ((Site("a"), Site("a")), "site 'a' is there twice"),
        ((Site("a", (Box("b"),)), Site("c", (Box("b"),))), "box 'b' is there twice"),
    ],
)
def test_a_fleet_that_no_cluster_could_carry_is_refused(sites: tuple[Site, ...], words: str) -> None:
    with pytest.raises(FleetError, match=re.escape(words)):
        Fleet(sites)


@pytest.mark.parametrize(("sites", "boxes", "words"), [(0, 5, "--sites 0"), (5, 4, "--boxes 4 for --sites 5")])
def test_impossible_numbers_are_refused_in_the_words_of_the_options(sites: int, boxes: int, words: str) -> None:
    with pytest.raises(FleetError, match=re.escape(words)):
        usual_fleet(sites, boxes)


def test_a_box_carries_its_site_role_zone_and_region_and_its_own_labels_win() -> None:
    labels = node_labels(Site("tc-001", region="north"), Box("b", Role.VISION, {"gpu": "2", "edgefleet.io/role": "x"}))
    assert labels == {
        "edgefleet.io/site": "tc-001",
        "edgefleet.io/role": "x",
        "topology.kubernetes.io/zone": "tc-001",
        "topology.kubernetes.io/region": "north",
        "gpu": "2",
    }


def test_a_box_is_found_by_name_and_a_stranger_is_named() -> None:
    fleet = usual_fleet(2, 3)
    assert fleet.site_of("tc-001-vision-1").name == "tc-001"
    with pytest.raises(FleetError, match="'nobody' is not in the fleet"):
        fleet.site_of("nobody")
