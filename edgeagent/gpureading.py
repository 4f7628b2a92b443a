"""What the program that asks the GPU driver says, line by line: parsed once, and everything of it has a bound."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

MOST: Final = 64
OK: Final = "ok"
LOST: Final = "lost"
RESET_REQUIRED: Final = "reset required"
"""What a GPU answers; anything else is the driver's words."""

Short = Annotated[str, Meta(max_length=256)]
Figure = Annotated[float, Meta(ge=-1e18, le=1e18)]
Amount = Annotated[int, Meta(ge=0, le=2**62)]


class Health(Struct, frozen=True):
    """What the driver says of a GPU's hardware."""

    action: int | None = None  # what is to be done, 0 nothing, 1 reset it, 2 reboot, ...; None: the driver does not say
    remap_failed: bool = False  # bad memory could not be replaced
    uncorrected: Amount = 0  # memory errors since the driver was loaded


class Seen(Struct, frozen=True):
    """One GPU in an answer of the driver."""

    index: Annotated[int, Meta(ge=0, lt=MOST)]
    uuid: Short = ""  # empty: counted, but cannot be reached
    name: Short = ""
    pci: Short = ""
    memory: Amount = 0  # bytes
    answer: Short = OK  # lost, reset required, or the driver's own words
    health: Health | None = None  # None: not asked this time, as figures
    figures: Annotated[dict[Short, Figure], Meta(max_length=32)] = {}


class Reading(Struct, frozen=True):
    """An answer of the driver. ``session``: when this conversation with it began."""

    session: float = 0.0
    gpus: Annotated[tuple[Seen, ...], Meta(max_length=MOST)] = ()
    error: Short = ""  # why it could not be asked; empty: it was


_READING: Final = msgspec.json.Decoder(Reading)


def parse(line: bytes) -> Reading | None:
    """Return what a line of the asking program says; None if it is none of its lines."""
    try:
        return _READING.decode(line)
    except (ValueError, RecursionError):
        return None
