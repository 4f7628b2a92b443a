"""A simulated box: it says what a real one would, of whatever befalls it."""

from dataclasses import replace
from itertools import chain, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.happening import Happening
from edgeagent.outbox import PARCEL, Now, Portrait, Vitals
from edgeagent.wire import (
    Ask,
    Backlog,
    Beat,
    Birth,
    Channel,
    Event,
    Finding,
    GpuState,
    Metrics,
    WorkloadState,
    encode,
    topic,
)  # fmt: skip
from simulator import device as boxes
from simulator.device import LONGEST_RTO, MINIMUM_RTO, MOST_KEPT, Condition, Device
from simulator.mishaps import Blow, Change, Mishap
from tests.unit.edgeagent.spoken import HERE, at, read

WHOLE = Vitals({"scan": WorkloadState.RUNNING, "sync": WorkloadState.RUNNING}, {"L4": GpuState.OK})
NOTHING = Blow(0.0, Mishap.HANG)


def connected() -> Device:
    return boxes.opened(boxes.device(Portrait(HERE, "0" * 16), WHOLE, 0.0), 1, at(10.0))[0]


def test_a_box_has_a_boot_of_its_own_and_may_have_a_wrong_calendar() -> None:
    one = replace(boxes.device(Portrait(HERE, "0" * 16), WHOLE, 100.0), ahead=3600.0)
    assert boxes.now_of(one, 130.0, 1.8e9) == Now(30.0, 1.8e9 + 3600.0)
    assert boxes.now_of(one, 99.0, 1.8e9).elapsed == 0.0
    assert boxes.opening(one, at(30.0))[0] == 30_000


def test_a_box_says_what_it_is_and_beats() -> None:
    one, first = boxes.opened(boxes.device(Portrait(HERE, "0" * 16), WHOLE, 0.0), 1, at(10.0))
    birth, beat = read(first)
    assert (isinstance(birth, Birth), isinstance(beat, Beat)) == (True, True)
    one, later = boxes.ticked(one, at(11.0), {"node_load1": 1.0})
    assert [type(message) for message in read(later)] == [Beat, Metrics]
    one, later = boxes.ticked(one, at(11.5), {})
    assert later == ()
    assert [type(message) for message in read(boxes.ticked(one, at(12.0), {})[1])] == [Beat]


@pytest.mark.parametrize(
    ("change", "kind", "part", "workloads", "gpus"),
    [
        (Change.CRASH, Happening.EXITED, "scan", "cr", "o"),
        (Change.RUN, Happening.STARTED, "scan", "rr", "o"),
        (Change.STALL, Happening.STALLED, "scan", "tr", "o"),
        (Change.MOVE, Happening.RESUMED, "scan", "rr", "o"),
        (Change.LOSE_GPU, Happening.GPU_CHANGED, "0", "rr", "l"),
        (Change.REPORT_XID, Happening.XID, "0", "rr", "f"),
        (Change.MEND_GPU, Happening.GPU_CHANGED, "0", "rr", "o"),
    ],
)
def test_what_befalls_a_part_is_told_by_an_event_at_once_and_by_the_next_beat(
    change: Change, kind: Happening, part: str, workloads: str, gpus: str
) -> None:
    one, parcels = boxes.befallen(connected(), change, NOTHING, at(10.05))
    event, *_ = read(parcels)
    assert isinstance(event, Event)
    assert (event.kind, event.part) == (kind, part)
    beat = read(boxes.ticked(one, at(11.0), {})[1])[0]
    assert isinstance(beat, Beat)
    assert (beat.workloads, beat.gpus) == (workloads, gpus)


@pytest.mark.parametrize("change", [Change.CRASH, Change.LOSE_GPU, Change.CUT])
def test_nothing_befalls_a_part_that_is_not_there(change: Change) -> None:
    one = connected()
    assert boxes.befallen(one, change, replace(NOTHING, part="none"), at(11.0)) == (one, ())


def test_a_clock_that_jumps_says_so_and_beats_on() -> None:
    one, parcels = boxes.befallen(connected(), Change.STEP_CLOCK, replace(NOTHING, by=3600.0), at(10.5))
    event = read(parcels)[0]
    assert isinstance(event, Event)
    assert (event.kind, event.details, event.at) == (Happening.CLOCK_STEPPED, {"by": "3600"}, 1.8e9 + 3610.5)
    assert one.ahead == 3600.0
    assert boxes.befallen(one, Change.SET_CLOCK, replace(NOTHING, by=3600.0), at(10.6))[0].ahead == 0.0
    assert len(boxes.ticked(one, at(11.0), {})[1]) == 2


def test_what_happens_in_the_dark_is_told_after_the_first_beat_and_forgotten_when_it_has_arrived() -> None:
    dark = boxes.closed(connected())
    for change in (Change.CRASH, Change.RUN) * PARCEL:
        dark, parcels = boxes.befallen(dark, change, NOTHING, at(20.0))
        assert parcels == ()
    assert len(dark.kept) == 2 * PARCEL
    one, _ = boxes.opened(dark, 2, at(30.0))
    one, parcels = boxes.ticked(one, at(31.0), {})
    beat, old, _ = read(parcels)
    assert isinstance(beat, Beat)
    assert isinstance(old, Backlog)
    assert (len(old.kept), old.left) == (PARCEL, PARCEL)
    assert boxes.delivered(one, 9999).kept == one.kept
    arrived = boxes.delivered(one, next(parcel.token for parcel in parcels if parcel.token))
    assert arrived.kept == one.kept[PARCEL:]
    assert boxes.closed(one).kept == one.kept


def test_of_too_much_the_oldest_goes() -> None:
    dark = boxes.closed(connected())
    for change in (Change.CRASH, Change.RUN) * MOST_KEPT:
        dark = boxes.befallen(dark, change, NOTHING, at(20.0))[0]
    assert (len(dark.kept), dark.dropped) == (MOST_KEPT, MOST_KEPT)


def test_a_machine_that_starts_anew_is_whole_and_has_another_boot() -> None:
    broken = boxes.befallen(boxes.closed(connected()), Change.CRASH, NOTHING, at(20.0))[0]
    fresh = boxes.booted(replace(broken, condition=Condition.OFF, ahead=60.0), "1" * 16, 500.0)
    assert (fresh.condition, fresh.ahead, fresh.booted) == (Condition.WORKING, 0.0, 500.0)
    assert (fresh.pulse.vitals, fresh.pulse.outbox.portrait.boot) == (WHOLE, "1" * 16)
    assert fresh.kept == broken.kept


@pytest.mark.parametrize(
    ("condition", "finding"),
    [
        (None, Finding.NOTHING),
        (Condition.OFF, Finding.NOTHING),
        (Condition.FROZEN, Finding.MACHINE),
        (Condition.AGENT_DOWN, Finding.MACHINE),
        (Condition.WORKING, Finding.AGENT),
    ],
)
def test_a_neighbour_finds_what_is_at_work(condition: Condition | None, finding: Finding) -> None:
    assert boxes.found(None if condition is None else replace(connected(), condition=condition)) is finding


def test_a_question_is_answered() -> None:
    question = encode(Ask(nonce="n", box="tc-001-scan-2", lan=("192.0.2.1",)))
    one, parcels, ask = boxes.received(connected(), topic(HERE, Channel.ASK), question, at(11.0))
    assert (parcels, ask and ask.nonce) == ((), "n")
    assert read(boxes.answered(one, "n", Finding.MACHINE)[1])[0].found is Finding.MACHINE  # type: ignore[union-attr]


@given(st.integers(0, 30))
def test_a_segment_waits_longer_the_more_often_it_is_lost_and_never_without_end(times: int) -> None:
    chances = chain(repeat(0.0, times), repeat(1.0))
    waited = boxes.stall(0.5, lambda: next(chances))
    assert waited == sum(min(MINIMUM_RTO * 2**time, LONGEST_RTO) for time in range(times))
