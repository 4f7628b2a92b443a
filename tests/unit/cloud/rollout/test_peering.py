"""Who leads."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloud.rollout.peering import rival

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
    assert rival(peers, "me", 5, NOW) == leader
