"""What NVIDIA's Xid errors mean for a GPU, as data.

Source: NVIDIA's Xid catalogue (docs.nvidia.com/deploy/xid-errors) and what it asks for at once. Errors that it answers
with a reset of the GPU or of the machine are here. All others are told and change nothing: those of applications (13,
31, 43, 45, 68), memory that the GPU has repaired (63) or kept apart (94), and where sources disagree (109 is an
application's error for NVIDIA's device plugin): if such a one is serious after all, the driver says so by Xid 154.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from edgeagent.wire import GpuState

FALLEN: Final = 79
RECOVERY_ACTION_CHANGED: Final = 154


@dataclass(frozen=True, slots=True)
class Xid:
    """An error of a GPU, as the driver wrote it into the kernel's log."""

    pci: str  # domain, bus, device: 0000:01:00
    number: int
    text: str


SERIOUS: Final[Mapping[int, GpuState]] = MappingProxyType({
    46: GpuState.FAILING,  # the GPU stopped processing
    48: GpuState.FAILING,  # double bit ECC error
    54: GpuState.FAILING,  # auxiliary power is not connected
    62: GpuState.FAILING,  # a micro-controller of the GPU halted
    64: GpuState.FAILING,  # bad memory could not be replaced; 63: it could
    74: GpuState.FAILING,  # NVLink error
    FALLEN: GpuState.LOST,  # fallen off the bus
    95: GpuState.FAILING,  # memory error that was not contained; 94: it was
    110: GpuState.FAILING,  # security fault
    119: GpuState.FAILING,  # the GPU's system processor does not answer
    120: GpuState.FAILING,  # error of the GPU's system processor
    136: GpuState.FAILING,  # a link could not be trained
    140: GpuState.FAILING,  # ECC error without recovery
    143: GpuState.FAILING,  # the GPU could not be initialised
    155: GpuState.FAILING,  # NVLink error that software defines
    158: GpuState.FAILING,  # fatal timeout of the GPU
    167: GpuState.FAILING,  # fatal timeout of PCIe
    169: GpuState.FAILING,  # a micro-controller of the GPU halted
})  # fmt: skip
_ACTION: Final = re.compile(r"recovery action changed from 0x[0-9a-f]{1,8} \([^)]*\) to 0x([0-9a-f]{1,8})", re.ASCII)


def effect(xid: Xid) -> GpuState | None:
    """Return what an error makes of its GPU. None: nothing; OK: the driver takes back what it asked for."""
    if xid.number != RECOVERY_ACTION_CHANGED:
        return SERIOUS.get(xid.number)
    if (action := _ACTION.search(xid.text)) is None:
        return None
    return GpuState.FAILING if int(action[1], 16) else GpuState.OK
