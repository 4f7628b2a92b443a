"""Joins what was done with what was told: how soon, as what, and what was told of nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from simulator.mishaps import Change, Mishap, Turn
from tests.contract.watched import Told

WITHIN: Final = 60.0  # seconds after which a notice is no longer of this fault
ENDS: Final = 90.0  # seconds after the mending of a fault during which something may still be told of it
NEWS: Final = frozenset({"firing", "flapping", "changed"})
OURSELVES: Final = frozenset({"ObserverDegraded", "ChannelFailing", "FleetDark"})
EXPECTED: Final[Mapping[Mishap, frozenset[str]]] = {
    Mishap.POWER_LOSS: frozenset({"BoxDown"}),
    Mishap.HANG: frozenset({"AgentDown"}),
    Mishap.AGENT_KILLED: frozenset({"AgentDown"}),
    Mishap.LINK_CUT: frozenset({"BoxUnreachable"}),
    Mishap.CRASH: frozenset({"WorkloadCrashed"}),
    Mishap.STALL: frozenset({"WorkloadStalled"}),
    Mishap.GPU_LOST: frozenset({"GpuLost"}),
    Mishap.XID: frozenset({"GpuFailing"}),
    Mishap.CLONE: frozenset({"BoxCloned"}),
}
"""As what a fault is told; of a whole site it is told as dark."""
POOR: Final = "SiteLinkPoor"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault as it happened."""

    kind: str  # of its row in the table
    turn: Turn
    begun: float
    mended: float

    @property
    def site(self) -> str:
        """Where."""
        return self.turn.boxes[0].site

    @property
    def codes(self) -> frozenset[str]:
        """As what it should be told."""
        return frozenset({"SiteDark"}) if self.turn.blow.sites else EXPECTED[self.turn.blow.kind]


@dataclass(frozen=True, slots=True)
class Joined:
    """A fault and what was told of it."""

    fault: Fault
    after: float | None = None  # seconds from fault to notice; None: nobody was told
    right: bool = False  # it was told as what it is
    notices: int = 0  # of its begin: first one and changes
    back: float | None = None  # seconds from its mending to the notice of that


def join(fault: Fault, told: Sequence[Told]) -> Joined:
    """Return what was told of one fault; there was no other at its site in that time."""
    here = [one for one in told if one.site == fault.site and one.code != POOR]
    news = [one for one in here if one.occasion in NEWS and fault.begun <= one.at <= fault.mended + ENDS]
    over = [one for one in here if one.occasion == "resolved" and fault.mended <= one.at <= fault.mended + ENDS]
    if not news or news[0].at > fault.begun + WITHIN:
        return Joined(fault)
    return Joined(
        fault,
        after=news[0].at - fault.begun,
        right=any(one.code in fault.codes for one in news),
        notices=len(news),
        back=over[0].at - fault.mended if over else None,
    )


def false_alarms(told: Iterable[Told], spans: Mapping[str, Sequence[tuple[float, float]]]) -> list[Told]:
    """Return what was told of a site at which nothing was wrong then. ``spans``: when something was, by site."""
    return [
        one
        for one in told
        if one.occasion in NEWS
        and one.code not in OURSELVES | {POOR}
        and not any(begun <= one.at <= ended for begun, ended in spans.get(one.site, ()))
    ]


def is_begin(turn: Turn) -> bool:
    """Tell whether a change is the begin of a fault that is measured one by one."""
    single = turn.blow.times == 1 and turn.blow.kind in EXPECTED
    mends = {
        Change.BOOT, Change.THAW, Change.START_AGENT, Change.HEAL, Change.RUN, Change.MOVE, Change.MEND_GPU,
        Change.REMOVE_CLONE,
    }  # fmt: skip
    return single and turn.change not in mends
