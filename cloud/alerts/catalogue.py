"""The alerts as data: how grave each is, how long it must last, of which family it is.

Codes of one family are one alert that changes: a box that was unreachable and is down now is told as a change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from cloud.alerts.fault import Code
from cloud.alerts.notice import Severity


class Family(StrEnum):
    """What is one alert, whatever is found out about it in the end."""

    OBSERVER = "Observer"
    FLEET = "Fleet"
    SITE = "Site"
    SITE_LINK = "SiteLink"
    BOX = "Box"
    CLONE = "Clone"
    CLOCK = "Clock"
    DISK = "Disk"
    CONFIG = "Config"
    WORKLOAD = "Workload"
    GPU = "Gpu"
    CHANNEL = "Channel"


@dataclass(frozen=True, slots=True)
class Entry:
    """What holds for one code."""

    family: Family
    severity: Severity
    rank: int = 0  # within the family: a change to a higher one is told
    hold: timedelta = timedelta(0)  # it must last so long before anybody is told; the detector has confirmed most
    clear: timedelta = timedelta(0)  # it must be gone so long before that is told
    runbook: str = ""  # path below the runbooks' address


_MINUTE: Final = timedelta(minutes=1)
_CRITICAL, _WARNING, _INFO = Severity.CRITICAL, Severity.WARNING, Severity.INFO

CATALOGUE: Final[Mapping[Code, Entry]] = MappingProxyType(
    {
        Code.OBSERVER_DEGRADED: Entry(Family.OBSERVER, _CRITICAL, runbook="observer"),
        Code.FLEET_DARK: Entry(Family.FLEET, _CRITICAL, runbook="fleet-dark"),
        Code.SITE_DARK: Entry(Family.SITE, _CRITICAL, runbook="site-dark"),
        Code.SITE_LINK_POOR: Entry(
            Family.SITE_LINK, _WARNING, hold=_MINUTE, clear=15 * _MINUTE, runbook="site-link-poor"
        ),
        Code.BOX_SILENT: Entry(Family.BOX, _CRITICAL, rank=0, runbook="box-silent"),
        Code.AGENT_DOWN: Entry(Family.BOX, _WARNING, rank=1, runbook="agent-down"),
        Code.BOX_UNREACHABLE: Entry(Family.BOX, _CRITICAL, rank=2, runbook="box-unreachable"),
        Code.BOX_DOWN: Entry(Family.BOX, _CRITICAL, rank=3, runbook="box-down"),
        Code.BOX_CLONED: Entry(Family.CLONE, _WARNING, clear=5 * _MINUTE, runbook="box-cloned"),
        Code.CLOCK_WRONG: Entry(Family.CLOCK, _INFO, hold=5 * _MINUTE, clear=_MINUTE, runbook="clock-wrong"),
        Code.DISK_FULL: Entry(Family.DISK, _WARNING, hold=timedelta(seconds=10), clear=_MINUTE, runbook="disk-full"),
        Code.CONFIG_REFUSED: Entry(Family.CONFIG, _WARNING, runbook="config-refused"),
        Code.WORKLOAD_MISSING: Entry(Family.WORKLOAD, _CRITICAL, rank=0, runbook="workload-missing"),
        Code.WORKLOAD_STALLED: Entry(Family.WORKLOAD, _CRITICAL, rank=1, runbook="workload-stalled"),
        Code.WORKLOAD_CRASHED: Entry(Family.WORKLOAD, _WARNING, rank=2, runbook="workload-crashed"),
        Code.WORKLOAD_CRASH_LOOPING: Entry(Family.WORKLOAD, _CRITICAL, rank=3, runbook="workload-crash-looping"),
        Code.GPU_UNKNOWN: Entry(Family.GPU, _WARNING, rank=0, hold=timedelta(seconds=10), runbook="gpu-unknown"),
        Code.GPU_FAILING: Entry(Family.GPU, _CRITICAL, rank=1, runbook="gpu-failing"),
        Code.GPU_LOST: Entry(Family.GPU, _CRITICAL, rank=2, runbook="gpu-lost"),
        Code.CHANNEL_FAILING: Entry(Family.CHANNEL, _WARNING, hold=_MINUTE, clear=_MINUTE, runbook="channel-failing"),
    }
)

OF_OURSELVES: Final = frozenset({Family.OBSERVER, Family.CHANNEL})
"""Families that nothing hides: they are about whoever watches."""
