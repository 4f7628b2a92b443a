"""Names at the broker: a box's is the middle of its topics, and nothing else can look like one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.fleet.errors import SpecError
from cloud.identity.names import LONGEST, box_name, process_name, read_address, read_box_name
from edgeagent.wire import Address, Channel, topic

BOX = Address("tc-001", "scan-1")
NAMES = st.from_regex(r"[a-z0-9]([-.a-z0-9]{0,25}[a-z0-9])?", fullmatch=True)


def test_a_box_s_name_is_the_middle_of_its_topics() -> None:
    assert topic(BOX, Channel.BEAT) == f"edgefleet/v1/{box_name(BOX)}/beat"


@given(NAMES, NAMES)
def test_a_name_leads_back_to_its_box(site: str, box: str) -> None:
    assert read_box_name(box_name(Address(site, box))) == Address(site, box)


@given(st.tuples(NAMES, NAMES), st.tuples(NAMES, NAMES))
def test_no_name_is_the_beginning_of_another_s_topics(one: tuple[str, str], other: tuple[str, str]) -> None:
    if one != other:
        assert not topic(Address(*other), Channel.BEAT).startswith(f"edgefleet/v1/{box_name(Address(*one))}/")


@pytest.mark.parametrize(
    "name",
    ["", "monitor", "19/tc-001", "20/tc-001/scan-1", "19/tc-001/scan-1/x", "19/tc-001/", "19/+/#", "19/tc-001/A"],
)
def test_what_is_no_box_s_name_names_no_box(name: str) -> None:
    assert read_box_name(name) is None


@pytest.mark.parametrize("text", ["tc-001/", "/scan", "a/b/c", "a/+", "a/#", "A/b", "a/b\n", "a/%u", "a/b c"])
def test_a_box_is_written_as_site_and_box(text: str) -> None:
    with pytest.raises(SpecError, match="such as tc-001/scan-1"):
        read_address(text)


def test_a_box_without_its_site_is_refused() -> None:
    assert read_address("tc-001/scan-1") == BOX
    with pytest.raises(SpecError, match="write the site as well"):
        read_address("scan-1")


def test_a_name_that_finds_no_room_in_a_certificate_is_refused_with_what_there_is() -> None:
    assert len(box_name(Address("s" * 30, "b" * 30))) == LONGEST
    with pytest.raises(SpecError, match="have 61 letters, a certificate has room for 60"):
        box_name(Address("s" * 30, "b" * 31))


def test_a_process_has_one_word() -> None:
    assert process_name("monitor-0") == "monitor-0"
    with pytest.raises(SpecError, match="one word"):
        process_name("19/tc-001/scan-1")
