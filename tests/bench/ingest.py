"""What a message costs the monitor, as the number of boxes grows: its own turn, in this process, without a broker."""

import time
import tracemalloc
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from cloud.alerts.lifecycle import Book
from cloud.ingest.heard import Echo, Heard, Linked
from cloud.ingest.service import fresh_hearing
from cloud.ingest.watch import Around, Watch
from edgeagent.outbox import Now, Portrait, Vitals
from edgeagent.pulse import Pulse, begin, observed, opened, ticked
from edgeagent.wire import Address, GpuState, WorkloadState
from tests.bench.figures import Figure

SIZES: Final = (1_000, 10_000, 30_000)
BOXES_PER_SITE: Final = 5
ROUNDS: Final = 3
LARGE: Final = 100_000
Box: TypeAlias = tuple[Pulse, Sequence[Heard]]
"""A box, and what it said last."""
WHOLE: Final = Vitals({"scan": WorkloadState.RUNNING, "sync": WorkloadState.RUNNING}, {"L4": GpuState.OK})


def measure() -> Iterator[Figure]:
    """Yield the cost of a beat at each size, its growth, and what both mean for a hundred thousand boxes."""
    cost, memory = {}, 0.0
    for size in SIZES:
        cost[size], memory = _cost(size)
        yield Figure(f"ingest: one beat at {size} boxes", cost[size] * 1e6, "µs")
    yield Figure(
        f"ingest: growth of a beat's cost, {SIZES[0]} to {SIZES[-1]} boxes",
        cost[SIZES[-1]] / cost[SIZES[0]],
        "ratio",
        2,
    )
    yield Figure("ingest: beats a second of one core", 1 / cost[SIZES[-1]], "beats/s")
    yield Figure(f"ingest: cores for {LARGE} boxes at 1 Hz, cost x boxes", cost[SIZES[-1]] * LARGE, "cores")
    yield Figure("ingest: memory a box", memory / 1024, "KiB")


def _cost(size: int) -> tuple[float, float]:
    """Return seconds of processor a beat, and bytes a box."""
    pulses = [_born(number) for number in range(size)]
    tracemalloc.start()
    watch = Watch(fresh_hearing(), Book(), 0.0)
    watch.turn([Linked(0.0, linked=True)], 0.0, 1.8e9, Around())
    sounds = [one for _, said in pulses for one in said]
    before = tracemalloc.get_traced_memory()[0]
    _turns(watch, sounds, 0.0)
    memory = (tracemalloc.get_traced_memory()[0] - before) / size
    tracemalloc.stop()
    spent = 0.0
    for second in range(1, ROUNDS + 1):
        beats, pulses = _beats(pulses, float(second))
        begun = time.process_time()
        _turns(watch, beats, float(second))
        spent += time.process_time() - begun
    return spent / ROUNDS / size, memory


def _turns(watch: Watch, sounds: Sequence[Heard], second: float) -> None:
    """Take in a second's messages in fifty turns, as a busy monitor does."""
    step = max(1, len(sounds) // 50)
    for place in range(0, len(sounds), step):
        now = second + 0.1 + 0.9 * place / len(sounds)
        part = sounds[place : place + step]
        watch.turn([Echo(now, now), *part], now, 1.8e9 + now, Around())


def _born(number: int) -> Box:
    site = f"tc-{number // BOXES_PER_SITE:05}"
    address = Address(site, f"{site}-scan-{number % BOXES_PER_SITE}")
    fresh = observed(begin(Portrait(address, f"{number:016x}")), WHOLE, Now(10.0, 1.8e9)).pulse
    move = opened(fresh, 1, Now(10.0, 1.8e9))
    return move.pulse, [Heard(0.05, one.topic, one.payload) for one in move.send]


def _beats(pulses: list[Box], second: float) -> tuple[list[Heard], list[Box]]:
    now = Now(10.0 + second, 1.8e9 + second)
    moves = [ticked(pulse, now) for pulse, _ in pulses]
    heard = [Heard(second + 0.05, one.topic, one.payload) for move in moves for one in move.send]
    return heard, [(move.pulse, ()) for move in moves]
