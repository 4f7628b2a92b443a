"""What an EdgeBox says of a verdict: the words for people, and whether releases can reach the box."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from cloud.fleet.box import BoxStatus, Health
from cloud.fleet.verdict import HEALTH, Reason

DARK: Final = frozenset({Reason.POWER_OR_HANG, Reason.LINK, Reason.SILENT, Reason.SITE_DARK})
"""Reasons for which nothing reaches a box. An agent that is down or was stopped is none: the machine works on."""

LEASE_PREFIX: Final = "edgefleet-monitor-"
"""How the leases of monitors are called; as the witness of a status it names the monitor that wrote it."""


def status_of(reason: Reason, since: datetime, neighbour: str, observer: str) -> BoxStatus:
    """Return what is to be said. ``neighbour``: who had a look, or ``broker``; ``observer``: the monitor's lease."""
    asked = f" Asked: {neighbour}." if neighbour else ""
    return BoxStatus(
        health=HEALTH.get(reason, Health.OFFLINE),
        reason=str(reason),
        message=f"{_SENTENCES[reason]}{asked}",
        since=since,
        witness=observer,
    )


def is_dark(status: BoxStatus) -> bool:
    """Tell whether what a monitor wrote means that nothing reaches the box."""
    return status.health is Health.OFFLINE and status.reason in DARK


_SENTENCES: Final[Mapping[Reason, str]] = {
    Reason.BEATS: "Its agent beats.",
    Reason.PLANNED: "Its agent was stopped on purpose.",
    Reason.POWER_OR_HANG: "The machine does not answer its neighbours either: it has no power or hangs.",
    Reason.LINK: "It answers its neighbours, only its own way to the cloud is cut.",
    Reason.AGENT_DOWN: "The machine answers, the agent on it does not.",
    Reason.SILENT: "It is silent, and nobody at its site can say why.",
    Reason.SITE_DARK: "Its whole site is silent.",
    Reason.POOR_LINK: "It is there, but its beats come late.",
    Reason.CLONED: "Two machines speak under its name.",
}
