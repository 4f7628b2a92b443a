"""What an EdgeBox says of a verdict, and which monitors are believed."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.fleet.box import BoxStatus, Health
from cloud.fleet.observers import ALIVE_FOR, Observers, renewed
from cloud.fleet.report import DARK, is_dark, status_of
from cloud.fleet.verdict import Reason

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize("reason", Reason)
def test_every_verdict_has_its_words(reason: Reason) -> None:
    status = status_of(reason, NOON, "tc-1-scan-2", "edgefleet-monitor-0")
    assert (status.reason, status.since, status.witness) == (str(reason), NOON, "edgefleet-monitor-0")
    assert status.message.endswith("Asked: tc-1-scan-2.")
    assert is_dark(status) is (reason in DARK)
    assert not status_of(reason, NOON, "", "x").message.endswith("Asked: .")


@pytest.mark.parametrize("reason", [Reason.AGENT_DOWN, Reason.PLANNED, Reason.BEATS, Reason.POOR_LINK])
def test_an_agent_that_is_down_keeps_no_release_from_its_box(reason: Reason) -> None:
    assert not is_dark(status_of(reason, NOON, "", "x"))


def test_what_somebody_else_wrote_is_dark_only_where_it_says_so() -> None:
    assert not is_dark(BoxStatus())
    assert not is_dark(BoxStatus(health=Health.ONLINE, reason="SiteDark"))
    assert not is_dark(BoxStatus(health=Health.OFFLINE, reason="NodeNotReady"))


def test_a_monitor_is_believed_as_long_as_its_lease_changes() -> None:
    seen = renewed(Observers(), {"m-0": "a", "m-1": "a"}, 100.0)
    assert seen.alive(100.0) == {"m-0", "m-1"}, "one that is new to us may live"
    seen = renewed(seen, {"m-0": "b", "m-1": "a"}, 100.0 + ALIVE_FOR - 1)
    assert seen.alive(100.0 + ALIVE_FOR) == {"m-0"}
    seen = renewed(seen, {"m-0": "b", "m-1": "0"}, 100.0 + 2 * ALIVE_FOR)
    assert seen.alive(100.0 + 2 * ALIVE_FOR) == {"m-1"}, "whatever it says: it has changed"
    assert renewed(seen, {}, 200.0).alive(200.0) == frozenset()


@given(st.lists(st.tuples(st.floats(0, 20), st.dictionaries(st.sampled_from("ab"), st.text(max_size=2))), max_size=20))
def test_who_does_not_renew_is_dead_in_time(steps: list[tuple[float, dict[str, str]]]) -> None:
    now, seen = 0.0, Observers()
    for after, leases in steps:
        now += after
        seen = renewed(seen, leases, now)
        assert seen.alive(now) <= leases.keys()
    assert seen.alive(now + ALIVE_FOR + 0.001) == frozenset()
