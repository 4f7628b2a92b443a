"""A fault: one thing that is wrong with one subject now, as the detector concludes it or a box tells it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType


class Kind(StrEnum):
    """What a subject is; a fault of a wider kind hides those of the narrower ones inside it."""

    FLEET = "fleet"
    SITE = "site"
    BOX = "box"
    WORKLOAD = "workload"
    GPU = "gpu"
    CHANNEL = "channel"  # one way to tell people, for example a DingTalk robot


class Code(StrEnum):
    """What is wrong; stable, for machines match it. What is said of each stands in the catalogue."""

    OBSERVER_DEGRADED = "ObserverDegraded"  # we ourselves do not hear well; verdicts are frozen
    FLEET_DARK = "FleetDark"  # most sites fell silent together: the cloud's own uplink or broker, not the sites
    SITE_DARK = "SiteDark"
    SITE_LINK_POOR = "SiteLinkPoor"  # beats get lost or late, but the site is there
    BOX_DOWN = "BoxDown"  # power or hang: the machine answers nobody on its LAN
    BOX_UNREACHABLE = "BoxUnreachable"  # the machine answers on its LAN, only its own way to the cloud is cut
    BOX_SILENT = "BoxSilent"  # nobody at the site can tell which of the two
    AGENT_DOWN = "AgentDown"  # the machine answers, the agent on it does not
    BOX_CLONED = "BoxCloned"  # two machines speak under one name
    CLOCK_WRONG = "ClockWrong"
    DISK_FULL = "DiskFull"
    CONFIG_REFUSED = "ConfigRefused"  # the agent keeps the configuration it had
    WORKLOAD_CRASHED = "WorkloadCrashed"
    WORKLOAD_CRASH_LOOPING = "WorkloadCrashLooping"
    WORKLOAD_STALLED = "WorkloadStalled"  # the process lives, its counter stands still
    WORKLOAD_MISSING = "WorkloadMissing"
    GPU_LOST = "GpuLost"
    GPU_FAILING = "GpuFailing"  # an Xid or ECC errors that need somebody
    GPU_UNKNOWN = "GpuUnknown"  # the driver does not answer
    CHANNEL_FAILING = "ChannelFailing"


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """What a fault is about. ``site`` is empty for the fleet and for channels, ``box`` for a whole site."""

    kind: Kind
    site: str = ""
    box: str = ""
    part: str = ""  # name of the workload or channel, index of the GPU

    def __str__(self) -> str:
        return "/".join(name for name in (self.site, self.box, self.part) if name) or "fleet"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong now.

    ``details`` are for people: ``exit``, ``restarts``, ``counter``, ``stood`` (seconds), ``witness``, ``xid``,
    ``loss``, ``why``, ``free``; a fault has those that make sense for it.
    """

    code: Code
    subject: Subject
    since: datetime  # aware
    details: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def fingerprint(self) -> str:
        """The same for the same fault at any time: ``BoxDown/tc-001/tc-001-scan-1``."""
        return f"{self.code}/{self.subject}"
