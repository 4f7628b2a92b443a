"""Whoever is refused too often waits; whoever is right, and whoever else, does not."""

import pytest

from cloud.identity import limits
from cloud.identity.limits import BURST, PER_SECOND, Limits


def test_an_address_that_is_wrong_too_often_waits_and_no_other() -> None:
    these = Limits()
    for _ in range(BURST):
        assert these.wait("a", 0.0) == 0
        these.count("a", 0.0)
    assert these.wait("a", 0.0) == pytest.approx(1 / PER_SECOND)
    assert these.wait("a", 1 / PER_SECOND) == pytest.approx(0)
    assert these.wait("b", 0.0) == 0


def test_time_gives_back_what_was_taken_and_no_more() -> None:
    these = Limits()
    these.count("a", 0.0)
    for _ in range(BURST):
        assert these.wait("a", 1e9) == 0
        these.count("a", 1e9)
    assert these.wait("a", 1e9) > 0


def test_the_oldest_addresses_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_ADDRESSES", 2)
    these = Limits()
    for address in ("a", "b", "a", "c"):
        for _ in range(BURST):
            these.count(address, 0.0)
    assert [these.wait(address, 0.0) > 0 for address in "abc"] == [True, False, True]
