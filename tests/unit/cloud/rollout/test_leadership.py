"""An operator writes only while it is certain that it leads, and never what it decided before it was not."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from cloud.fleet.errors import Unavailable
from cloud.rollout.leadership import Deposed, Leadership
from cloud.rollout.peering import GOOD_FOR, Signatures


@dataclass
class Cluster:
    """Says who has signed, at a time of its own."""

    seconds: float = 1000.0
    rival: str | None = None
    others: bool = False
    signed_for: float = 20.0

    def read(self, _now: datetime) -> Signatures:
        return Signatures(self.rival, others=self.others, own=timedelta(seconds=self.signed_for))

    def clock(self) -> float:
        return self.seconds


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def leadership(cluster: Cluster) -> Iterator[Leadership]:
    made = Leadership(cluster.read, cluster.clock)
    yield made
    made.end()


def test_who_is_alone_leads_always() -> None:
    alone = Leadership(None)
    asyncio.run(alone.must_hold())
    assert alone.unbroken()()


def test_what_was_decided_before_a_freeze_is_not_written_after_it(cluster: Cluster, leadership: Leadership) -> None:
    asyncio.run(leadership.must_hold())
    may = leadership.unbroken()
    cluster.seconds += GOOD_FOR - 1
    assert may()
    cluster.seconds += 60
    assert not may(), "nobody was asked since"
    asyncio.run(leadership.must_hold())
    assert leadership.unbroken()(), "it has signed again and goes on"
    assert not may(), "though not with what it decided before"


def test_who_asks_in_time_goes_on_with_what_was_decided(cluster: Cluster, leadership: Leadership) -> None:
    asyncio.run(leadership.must_hold())
    may = leadership.unbroken()
    for _ in range(9):
        cluster.seconds += GOOD_FOR / 2
        asyncio.run(leadership.ask())
    assert may()


def test_who_has_others_beside_it_begins_when_they_must_know(cluster: Cluster, leadership: Leadership) -> None:
    cluster.others = True
    with pytest.raises(Unavailable, match="certain"):
        asyncio.run(leadership.must_hold())
    cluster.seconds += GOOD_FOR / 2
    asyncio.run(leadership.ask())
    cluster.seconds += GOOD_FOR / 2
    asyncio.run(leadership.must_hold())


def test_who_has_not_signed_does_not_lead(cluster: Cluster, leadership: Leadership) -> None:
    cluster.signed_for = 0
    with pytest.raises(Unavailable):
        asyncio.run(leadership.must_hold())


def test_who_is_replaced_ends(cluster: Cluster, leadership: Leadership) -> None:
    cluster.rival = "other"
    with pytest.raises(Deposed, match="operator other leads"):
        asyncio.run(leadership.must_hold())
