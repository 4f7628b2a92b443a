"""Who leads, when several operators run: the one of the highest priority that has signed the peering object lately.

kopf keeps the object and pauses its watches for a leader; what we decide by the clock must pause as well. An operator
that has led and is deposed ends its process: what it holds would be stale if it led again.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

SIGNED_FOR = timedelta(seconds=60)  # kopf's own assumption for a peer that does not say


def rival(peers: Mapping[str, Any], identity: str, priority: int, now: datetime) -> str | None:
    """Return the identity of a live operator that goes before us; None: we lead.

    ``peers``: the status of the peering object, identity to ``{priority, lifetime in seconds, lastseen}``.
    """
    return next(
        (
            name
            for name, peer in sorted(peers.items())
            if name != identity and isinstance(peer, dict) and _priority(peer) >= priority and _lives(peer, now)
        ),
        None,
    )


def _priority(peer: Mapping[str, Any]) -> int:
    given = peer.get("priority", 0)
    return given if isinstance(given, int) else 0


def _lives(peer: Mapping[str, Any], now: datetime) -> bool:
    lifetime = peer.get("lifetime")
    span = timedelta(seconds=lifetime) if isinstance(lifetime, int) else SIGNED_FOR
    try:
        seen = datetime.fromisoformat(str(peer.get("lastseen")))
    except ValueError:
        return False
    return (seen if seen.tzinfo else seen.replace(tzinfo=UTC)) + span > now
