"""Who leads."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloud.rollout.peering import GOOD_FOR, Lead, Signatures, signatures

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def peer(priority: int, seconds_ago: float = 0, lifetime: int = 20) -> dict[str, Any]:
    seen = (NOW - timedelta(seconds=seconds_ago)).isoformat()
    return {"priority": priority, "lifetime": lifetime, "lastseen": seen}


@pytest.mark.parametrize(
    ("peers", "leader"),
    [
        ({}, None),
        ({"me": peer(9)}, None),
        ({"other": peer(4)}, None),
        ({"other": peer(6)}, "other"),
        ({"other": peer(5)}, "other"),  # equal: better both wait than both act
        ({"other": peer(6, seconds_ago=21)}, None),
        ({"other": peer(6, seconds_ago=19)}, "other"),
        ({"other": {"priority": 6, "lastseen": (NOW - timedelta(seconds=59)).isoformat()}}, "other"),
        ({"other": {"priority": 6, "lastseen": "2026-03-02T11:59:50"}}, "other"),
        ({"other": {"priority": 6, "lastseen": "yesterday"}}, None),
        ({"other": {"lastseen": NOW.isoformat()}}, None),
        ({"other": {"priority": "high", "lastseen": NOW.isoformat()}}, None),
        ({"other": "junk"}, None),
    ],
)
def test_the_live_operator_of_the_highest_priority_leads(peers: dict[str, Any], leader: str | None) -> None:
    assert signatures(peers, "me", 5, NOW).rival == leader


def test_our_own_signature_is_good_for_its_lifetime() -> None:
    assert signatures({"me": peer(5, seconds_ago=15)}, "me", 5, NOW).own == timedelta(seconds=5)
    assert signatures({"me": peer(5, seconds_ago=25)}, "me", 5, NOW).own == timedelta(seconds=-5)
    assert signatures({"other": peer(4)}, "me", 5, NOW).own == timedelta(0), "we have not signed"


def test_others_are_those_whose_signature_is_good() -> None:
    assert not signatures({"me": peer(5), "dead": peer(4, seconds_ago=21)}, "me", 5, NOW).others
    assert signatures({"me": peer(5), "standby": peer(4)}, "me", 5, NOW).others


def mine(seconds: float, *, others: bool = False) -> Signatures:
    return Signatures(None, others=others, own=timedelta(seconds=seconds))


def test_nobody_leads_before_the_cluster_has_said_so() -> None:
    assert not Lead().holds(1000)


def test_an_answer_is_good_from_when_it_was_asked_for_and_no_longer_than_our_signature() -> None:
    lead = Lead().confirmed(mine(99), asked=100, answered=103)
    assert (lead.holds(103), lead.holds(99.9 + GOOD_FOR), lead.holds(100 + GOOD_FOR)) == (True, True, False)
    assert not Lead().confirmed(mine(4), asked=100, answered=103).holds(104)
    assert not Lead().confirmed(mine(0), asked=100, answered=100).holds(100)


def test_leading_goes_on_in_one_term_while_each_answer_comes_before_the_last_one_is_old() -> None:
    lead = Lead().confirmed(mine(15), asked=100, answered=101)
    again = lead.confirmed(mine(15), asked=105, answered=107)
    assert (again.term, again.holds(112)) == (lead.term, True)
    late = again.confirmed(mine(2), asked=106, answered=108)
    assert late == again, "an answer that says less takes nothing back"


def test_an_operator_that_was_frozen_begins_another_term_though_it_has_signed_again() -> None:
    lead = Lead().confirmed(mine(15), asked=100, answered=100)
    woken = lead.confirmed(mine(20), asked=160, answered=160)
    assert woken.term != lead.term
    assert woken.holds(160), "nobody else was there to lead"


def test_a_term_begins_only_when_others_have_had_to_ask_again() -> None:
    first = Lead().confirmed(mine(20, others=True), asked=160, answered=161)
    assert (first.holds(160 + GOOD_FOR), first.term) == (False, 1)
    second = first.confirmed(mine(20, others=True), asked=168, answered=169)
    assert (second.holds(161 + GOOD_FOR), second.term) == (True, 1)
