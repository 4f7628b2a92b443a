"""What the detector concludes about a box: its health, why, since when, and who saw it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cloud.fleet.box import Health


class Reason(StrEnum):
    """Why a box has the health it has. Machines match these words; they never change."""

    BEATS = "Beats"
    PLANNED = "Planned"  # it said that it stops
    POWER_OR_HANG = "PowerOrHang"  # the machine does not answer its neighbours
    LINK = "Link"  # it answers its neighbours, only its way to us is cut
    AGENT_DOWN = "AgentDown"  # the machine answers, the agent on it does not
    SILENT = "Silent"  # there is nobody at the site who could say which of these
    SITE_DARK = "SiteDark"  # the whole site fell silent
    POOR_LINK = "PoorLink"  # it is there, but its beats come late
    CLONED = "Cloned"  # two machines speak under its name


HEALTH: Final = {
    Reason.BEATS: Health.ONLINE,
    Reason.POOR_LINK: Health.DEGRADED,
    Reason.CLONED: Health.DEGRADED,
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The conclusion about one box. ``since`` in seconds of the listening clock."""

    reason: Reason
    since: float
    witness: str = ""  # the neighbour that was asked, or ``broker``; empty: its own silence or beats

    @property
    def health(self) -> Health:
        """Return what follows for whoever only asks whether the box can be reached."""
        return HEALTH.get(self.reason, Health.OFFLINE)
