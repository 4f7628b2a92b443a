"""Who leads, when several operators run: the one of the highest priority that has signed the peering object lately.

kopf keeps the object and pauses its watches for a leader; what we decide by the clock must pause as well. An operator
that has led and is deposed ends its process: what it holds would be stale if it led again.

An answer of the cluster is good for a while. An operator that lets it grow old - it was frozen, starved, cut off -
may have been replaced meanwhile, even if it is the first again once it has signed anew. So what it decided before is
not written any more, and it begins another term.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

SIGNED_FOR: Final = timedelta(seconds=60)  # kopf's own assumption for a peer that does not say
GOOD_FOR: Final = 10.0  # seconds that an answer about who leads is good for, asked again every two


@dataclass(frozen=True, slots=True)
class Signatures:
    """What the peering object says at one moment."""

    rival: str | None  # a live operator that goes before us; None: there is none
    others: bool  # other operators live
    own: timedelta  # for how long our own signature is good still; zero or less: it is not


@dataclass(frozen=True, slots=True)
class Lead:
    """For how long it is certain that we lead, in seconds of a monotonic clock."""

    term: int = 0  # 0: we have never led; what was decided in one term must not be written in another
    since: float = 0.0
    until: float = 0.0

    def holds(self, now: float) -> bool:
        """Tell whether we lead for certain."""
        return self.since <= now < self.until

    def confirmed(self, said: Signatures, asked: float, answered: float) -> "Lead":
        """Return what holds once the cluster has said that nobody goes before us.

        A term begins when the others, if there are any, have had to ask again, and so know of us.
        """
        until = asked + min(GOOD_FOR, said.own.total_seconds())
        if answered < self.until:
            return replace(self, until=max(until, self.until))
        return Lead(self.term + 1, answered + GOOD_FOR if said.others else answered, until)


def signatures(peers: Mapping[str, Any], identity: str, priority: int, now: datetime) -> Signatures:
    """Return what the peering object says to the operator of that identity and priority.

    ``peers``: the status of the object, identity to ``{priority, lifetime in seconds, lastseen}``.
    """
    readable = _readable(peers)
    live = {name: peer for name, peer in readable.items() if name != identity and _left(peer, now) > timedelta(0)}
    return Signatures(
        rival=next((name for name, peer in live.items() if _priority(peer) >= priority), None),
        others=bool(live),
        own=_left(readable.get(identity, {}), now),
    )


def leader(peers: Mapping[str, Any], now: datetime) -> str | None:
    """Return which of the operators that have signed the peering object leads; None: none of them lives."""
    live = {name: peer for name, peer in _readable(peers).items() if _left(peer, now) > timedelta(0)}
    return max(live, key=lambda name: _priority(live[name]), default=None)


def _readable(peers: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {name: peer for name, peer in sorted(peers.items()) if isinstance(peer, dict)}


def _priority(peer: Mapping[str, Any]) -> int:
    given = peer.get("priority", 0)
    return given if isinstance(given, int) else 0


def _left(peer: Mapping[str, Any], now: datetime) -> timedelta:
    """Return for how long a signature is good still."""
    lifetime = peer.get("lifetime")
    span = timedelta(seconds=lifetime) if isinstance(lifetime, int) else SIGNED_FOR
    try:
        seen = datetime.fromisoformat(str(peer.get("lastseen")))
    except ValueError:
        return timedelta(0)
    return (seen if seen.tzinfo else seen.replace(tzinfo=UTC)) + span - now
