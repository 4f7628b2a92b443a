"""Fuzzes the wire, following its branches: ``python tests/fuzz/wire.py -runs=1000000 CORPUS``, options as libFuzzer's.

The first byte of an input chooses the channel; byte 255 stands for a topic instead of a message.
"""

import contextlib
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["edgeagent"]):
    from edgeagent import wire

BOX = wire.Address("tc-001", "tc-001-scan-1")
CHANNELS = tuple(wire.Channel)
TOPIC = 255


def attempt(said: bytes) -> None:
    """Read what was said; anything but a message or a WireError escapes and is reported."""
    if not said:
        return
    with contextlib.suppress(wire.WireError):
        if said[0] == TOPIC:
            name = said[1:].decode(errors="surrogateescape")
            address, channel = wire.read_topic(name)
            same(wire.topic(address, channel), name)
        else:
            channel = CHANNELS[said[0] % len(CHANNELS)]
            message = wire.decode(BOX, channel, said[1:])
            same(wire.decode(BOX, channel, wire.encode(message)), message)


def same(again: object, first: object) -> None:
    """What was read and written is read as the same."""
    if again != first:
        raise AssertionError(f"{first!r} came back as {again!r}")


def seed(corpus: Path, frames: Path) -> None:
    """Begin with what released agents said."""
    corpus.mkdir(exist_ok=True)
    for path in sorted(frames.rglob("*.jsonl")):
        for number, frame in enumerate(path.read_bytes().splitlines()):
            channel = CHANNELS.index(wire.Channel(path.stem))
            (corpus / f"{path.parent.name}-{path.stem}-{number}").write_bytes(bytes([channel]) + frame)
    (corpus / "topic").write_bytes(bytes([TOPIC]) + wire.topic(BOX, wire.Channel.BEAT).encode())


if __name__ == "__main__":
    seed(Path(sys.argv[-1]), Path(__file__).parent.parent / "unit" / "edgeagent" / "frames")
    atheris.Setup(sys.argv, attempt)
    atheris.Fuzz()
