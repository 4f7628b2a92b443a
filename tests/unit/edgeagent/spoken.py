"""What a box says, as it is read at the far end, and the clocks by which it says it."""

from collections.abc import Iterable

from edgeagent.outbox import Now, Parcel
from edgeagent.wire import Address, Message, decode, read_topic

HERE = Address("tc-001", "tc-001-scan-1")


def at(elapsed: float) -> Now:
    return Now(elapsed, 1.8e9 + elapsed)


def read(parcels: Iterable[Parcel]) -> list[Message]:
    return [decode(*read_topic(one.topic), one.payload) for one in parcels]
