"""Decides how the GPUs of a box are: from what their driver answers, from its silence, and from its errors in the log.

1. A GPU is known by its uuid and keeps the index at which it was seen first: one that vanishes is lost and leaves its
   place empty, whatever numbers the driver gives to the others after that. Where fewer are known than there should be,
   the rest are lost as well.
2. A GPU that fell off the bus comes back only in a new session with the driver. One that an Xid calls failing is well
   when the driver, asked later, wants nothing done; a driver too old to say what it wants (before 565) leaves it
   failing until it is loaded anew.
3. What is known to be lost or failing stays so while the driver is silent; of the others nothing is known then.

Times are seconds since the kernel started.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

import msgspec

from edgeagent.gpureading import LOST, MOST, OK, RESET_REQUIRED, Health, Reading, Seen
from edgeagent.happening import Happened, Happening
from edgeagent.kernel import pci_address
from edgeagent.wire import GpuState
from edgeagent.xids import Xid, effect

SILENT: Final = 3.0
"""Seconds without an answer; the driver is asked twice a second."""
FIRST_ANSWER: Final = 10.0
"""Seconds; a driver that has gone to sleep wakes up within 3, on a busy box later."""
SETTLED: Final = 5.0
"""Seconds after an error before the driver's word that nothing is to be done counts: it may be slower than its log."""
QUIET: Final = 60.0
"""Seconds in which the same error of a GPU is not told again: one fault writes a dozen lines."""
FRESH: Final = 25.0
"""Seconds; figures come every 10."""
_GONE: Final = "gone"  # an answer as well: it was not asked, for the driver does not list it


@dataclass(frozen=True, slots=True)
class Known:
    """A GPU that was seen in this boot."""

    index: int
    pci: str  # as the log has it
    name: str
    seen: Seen  # as the newest answer has it
    health: Health | None = None  # as the newest answer to that question has it
    figures: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    measured: float = 0.0


@dataclass(frozen=True, slots=True)
class Fault:
    """A serious error that is not over."""

    xid: Xid
    state: GpuState
    at: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of a GPU, and why."""

    state: GpuState
    why: str = ""


@dataclass(frozen=True, slots=True)
class Gpus:
    """What is known of a box's GPUs. ``expected``: how many there should be."""

    since: float  # when we began to ask
    expected: int = 0
    known: Mapping[str, Known] = field(default_factory=lambda: MappingProxyType({}))  # by uuid
    heard: float | None = None  # None: the driver has not answered yet
    unreachable: int = 0  # counted by the driver, without a uuid
    error: str = ""
    faults: Mapping[str, Fault] = field(default_factory=lambda: MappingProxyType({}))  # by PCI address
    xids: Mapping[Xid, float] = field(default_factory=lambda: MappingProxyType({}))  # told lately, without their text
    last: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # Xid, by PCI address
    told: Mapping[int, GpuState] = field(default_factory=lambda: MappingProxyType({}))  # by index


def read(gpus: Gpus, reading: Reading, now: float) -> Gpus:
    """Take in an answer of the driver."""
    if reading.error:
        return replace(gpus, error=reading.error)
    known = dict(gpus.known)
    for seen in reading.gpus:
        if seen.uuid and (seen.uuid in known or len(known) < MOST):
            known[seen.uuid] = _seen(known, seen, now)
    for uuid in known.keys() - {seen.uuid for seen in reading.gpus}:
        known[uuid] = replace(known[uuid], seen=msgspec.structs.replace(known[uuid].seen, answer=_GONE))
    over = {known[seen.uuid].pci for seen in reading.gpus if seen.uuid in known and _over(gpus, seen, reading, now)}
    return replace(
        gpus, known=known, heard=now, error="", unreachable=sum(not one.uuid for one in reading.gpus),
        faults={pci: fault for pci, fault in gpus.faults.items() if pci not in over},
    )  # fmt: skip


def _seen(known: Mapping[str, Known], seen: Seen, now: float) -> Known:
    before = known.get(seen.uuid)
    if before is None:
        index = _place({one.index for one in known.values()}, seen.index)
        before = Known(index, pci_address(seen.pci), seen.name, seen)
    if seen.health is None:
        return before if before.seen == seen else replace(before, seen=seen)
    return replace(before, seen=seen, health=seen.health, figures=seen.figures, measured=now)


def _place(taken: set[int], wanted: int) -> int:
    return wanted if wanted not in taken else next(index for index in range(MOST) if index not in taken)


def _over(gpus: Gpus, seen: Seen, reading: Reading, now: float) -> bool:
    fault = gpus.faults.get(pci_address(seen.pci)) if gpus.faults else None
    if fault is None or seen.answer != OK:
        return False
    if fault.state is GpuState.LOST:
        return reading.session > fault.at
    return seen.health is not None and seen.health.action == 0 and now >= fault.at + SETTLED


def reported(gpus: Gpus, xid: Xid, now: float, *, old: bool = False) -> tuple[Gpus, tuple[Happened, ...]]:
    """Take in an error that the driver reports. An ``old`` one, from before we began, counts and is not told."""
    gpus = replace(gpus, faults=_faults(gpus, xid, 0.0 if old else now))
    if xid.pci in gpus.last or len(gpus.last) < MOST:
        gpus = replace(gpus, last={**gpus.last, xid.pci: xid.number})
    lately = {one: at for one, at in gpus.xids.items() if now < at + QUIET}
    key = replace(xid, text="")
    if old or key in lately or len(lately) >= MOST:
        return replace(gpus, xids=lately), ()
    known = next((one for one in gpus.known.values() if one.pci == xid.pci), None)
    part = str(known.index) if known else ""
    told = Happened(Happening.XID, part, {"xid": str(xid.number), "text": xid.text, "pci": xid.pci})
    return replace(gpus, xids={**lately, key: now}), (told,)


def _faults(gpus: Gpus, xid: Xid, at: float) -> Mapping[str, Fault]:
    state, before = effect(xid), gpus.faults.get(xid.pci)
    if state is None or (before and before.state is GpuState.LOST and state is not GpuState.LOST):
        return gpus.faults
    rest = {pci: fault for pci, fault in gpus.faults.items() if pci != xid.pci}
    return rest if state is GpuState.OK or len(rest) >= MOST else {**rest, xid.pci: Fault(xid, state, at)}


def reloaded(gpus: Gpus) -> Gpus:
    """The driver was loaded anew: its errors are over."""
    return replace(gpus, faults=MappingProxyType({}))


def judge(gpus: Gpus, now: float) -> tuple[Gpus, tuple[Happened, ...]]:
    """Tell which GPUs have changed since the last time."""
    states = {index: verdict for index, _, verdict in _judged(gpus, now)}
    happened = tuple(
        Happened(Happening.GPU_CHANGED, str(index), {"state": verdict.state.name.lower(), "why": verdict.why})
        for index, verdict in states.items()
        if verdict.state is not gpus.told.get(index, GpuState.OK)
    )
    return replace(gpus, told={index: verdict.state for index, verdict in states.items()}), happened


def states(gpus: Gpus, now: float) -> Mapping[str, GpuState]:
    """Return how each GPU is, by name, in the order of index without a gap."""
    return {name: verdict.state for _, name, verdict in _judged(gpus, now)}


def metrics(gpus: Gpus, now: float) -> Mapping[str, float]:
    """Return the figures of all GPUs, named as dcgm-exporter names them, the index after a colon."""
    fresh = [
        one for one in gpus.known.values() if one.measured and now < one.measured + FRESH and one.seen.answer == OK
    ]
    figures = {f"{name}:{one.index}": value for one in fresh for name, value in one.figures.items()}
    xids = {f"DCGM_FI_DEV_XID_ERRORS:{one.index}": float(gpus.last.get(one.pci, 0)) for one in gpus.known.values()}
    return figures | xids


def _judged(gpus: Gpus, now: float) -> Iterator[tuple[int, str, Verdict]]:
    by_index = {one.index: one for one in gpus.known.values()}
    addresses = {one.pci for one in by_index.values()}
    strange = [fault for pci, fault in sorted(gpus.faults.items()) if pci not in addresses]
    names = set[str]()
    for index in range(_places(gpus, len(strange), now)):
        known = by_index.get(index)
        name = _name(index, known.name if known else "", names)
        names.add(name)
        yield index, name, _verdict(gpus, known, now) if known else _vacant(gpus, strange)


def _places(gpus: Gpus, strange: int, now: float) -> int:
    """Count the GPUs that are here or should be; before the driver's first word nobody is missed yet."""
    if gpus.heard is None:
        return min(gpus.expected, MOST) if gpus.error or now > gpus.since + FIRST_ANSWER else 0
    highest = max((one.index for one in gpus.known.values()), default=-1)
    return min(max(gpus.expected, highest + 1, len(gpus.known) + max(gpus.unreachable, strange)), MOST)


def _name(index: int, model: str, taken: set[str]) -> str:
    model = model[:26] or f"GPU {index}"
    return model if model not in taken else f"{model} ({index})"


def _vacant(gpus: Gpus, strange: list[Fault]) -> Verdict:
    if gpus.heard is None:
        return Verdict(GpuState.UNKNOWN, gpus.error or "the driver does not answer")
    if strange:
        return _named(strange.pop(0))
    return Verdict(GpuState.LOST, "the driver does not list it")


def _named(fault: Fault) -> Verdict:
    return Verdict(fault.state, f"Xid {fault.xid.number} at {fault.xid.pci}: {fault.xid.text}"[:256])


def _verdict(gpus: Gpus, known: Known, now: float) -> Verdict:
    return next(_objections(gpus, known, now), Verdict(GpuState.OK))


def _objections(gpus: Gpus, known: Known, now: float) -> Iterator[Verdict]:
    """Yield what speaks against a GPU, the gravest first."""
    fault, answer = gpus.faults.get(known.pci), known.seen.answer
    if fault and fault.state is GpuState.LOST:
        yield _named(fault)
    if answer in _LOST:
        yield Verdict(GpuState.LOST, _LOST[answer])
    if fault:
        yield _named(fault)
    if answer == RESET_REQUIRED:
        yield Verdict(GpuState.FAILING, "the driver wants it reset")
    if known.health:
        yield from _ills(known.health)
    if gpus.error:
        yield Verdict(GpuState.UNKNOWN, gpus.error)
    if gpus.heard is None or now > gpus.heard + SILENT:
        yield Verdict(GpuState.UNKNOWN, "the driver does not answer")
    if answer != OK:
        yield Verdict(GpuState.UNKNOWN, f"the driver says: {answer}")


def _ills(health: Health) -> Iterator[Verdict]:
    if health.action:
        wanted = _ACTIONS.get(health.action, f"recovery action {health.action}")
        yield Verdict(GpuState.FAILING, f"the driver wants {wanted}")
    if health.remap_failed:
        yield Verdict(GpuState.FAILING, "bad memory of the GPU could not be replaced")
    if health.action is None and health.uncorrected:
        yield Verdict(GpuState.FAILING, f"{health.uncorrected} memory errors that could not be corrected")


_LOST: Final[Mapping[str, str]] = {LOST: "the driver has lost it", _GONE: "the driver no longer lists it"}
_ACTIONS: Final[Mapping[int, str]] = {  # nvmlDeviceGpuRecoveryAction_t
    1: "the GPU reset", 2: "the box rebooted", 3: "its workloads stopped", 4: "its workloads stopped and the GPU reset",
    6: "its bus reset", 7: "the box rebooted",
}  # fmt: skip
