"""What counts as standing still: never what the counter did before by itself, soon what it never did."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.rhythm import HALF_LIFE, LEAST, LONG_PATIENCE, MOVES, UNANSWERED, Rhythm, begun, limit, sampled


def after(samples: list[tuple[float, float | None]], rhythm: Rhythm | None = None) -> Rhythm:
    rhythm = rhythm or Rhythm()
    for at, value in samples:
        rhythm = sampled(rhythm, value, at)
    return rhythm


def steady(step: float = 0.5, many: int = 200, start: float = 0.0) -> Rhythm:
    return after([(start + number * step, float(number)) for number in range(many)])


def stalls_after(rhythm: Rhythm, value: float | None, step: float = 0.5, most: float = 1e6) -> float:
    """Seconds from the last progress to the word."""
    at = rhythm.moved
    while at < rhythm.moved + most:
        at += step
        rhythm = sampled(rhythm, value, at)
        if rhythm.stalled:
            return at - rhythm.moved
    return math.inf


def test_a_steady_counter_that_stops_is_told_within_three_seconds() -> None:
    rhythm = steady()
    assert limit(rhythm) == LEAST
    assert stalls_after(rhythm, rhythm.value) <= 3.0


def test_a_slow_one_is_given_the_longest_pause_two_and_a_half_times() -> None:
    rhythm = steady(step=8.0)
    assert limit(rhythm) == 20.0
    assert limit(replace(rhythm, longest=50.0)) == 75.0
    assert limit(replace(rhythm, longest=3600.0)) == 4500.0


def test_nothing_is_said_before_enough_was_seen() -> None:
    assert limit(steady(many=MOVES)) == math.inf
    assert limit(steady(many=MOVES + 1)) < math.inf
    assert stalls_after(steady(many=5), 4.0, most=5000) == math.inf


def test_a_night_is_wrong_once_and_then_known() -> None:
    rhythm = steady()
    dusk, value = rhythm.moved, rhythm.value or 0
    assert stalls_after(rhythm, value) < 3
    rhythm = after([(dusk + 8 * 3600, value + 1)], rhythm)
    assert not rhythm.stalled
    assert stalls_after(rhythm, value + 1, step=60) > 9 * 3600


def test_a_pause_of_long_ago_is_forgotten_by_half_in_three_days() -> None:
    rhythm = replace(steady(), longest=4000.0)
    at, value = rhythm.moved, rhythm.value or 0
    rhythm = after([(at + quarter * 900, value + quarter) for quarter in range(1, 4 * 72 + 1)], rhythm)
    assert rhythm.longest == pytest.approx(2000, rel=0.01)


def test_a_counter_that_goes_back_has_begun_anew() -> None:
    rhythm = sampled(steady(), 0.0, 500.0)
    assert (rhythm.value, rhythm.moved, rhythm.stalled) == (0.0, 500.0, False)
    assert rhythm.longest < 1.0


def test_a_process_that_begins_anew_is_not_held_to_its_old_counter() -> None:
    rhythm = begun(replace(steady(), stalled=True), 300.0)
    assert not rhythm.stalled
    assert not sampled(rhythm, None, 400.0).stalled, "it may take its time to answer"
    assert limit(rhythm) == LEAST


def test_who_does_not_answer_stands_still_later_and_is_not_missed_before_it_ever_did() -> None:
    rhythm = steady()
    assert UNANSWERED < stalls_after(rhythm, None) <= UNANSWERED + 0.5
    assert stalls_after(Rhythm(), None, most=1000) == math.inf
    back = sampled(replace(rhythm, silent=True, stalled=True), (rhythm.value or 0) + 1, rhythm.moved + 20)
    assert not back.stalled


def test_what_is_no_number_is_no_answer() -> None:
    assert sampled(steady(), math.nan, 200.0).silent
    assert sampled(steady(), math.inf, 200.0).silent


@given(st.lists(st.floats(0.2, 5000), min_size=30, max_size=80), st.floats(0, 1e9))
def test_no_pause_is_told_that_is_not_longer_than_all_of_late(pauses: list[float], start: float) -> None:
    at, rhythm, told = start, Rhythm(), []
    for number, pause in enumerate(pauses):
        rhythm = sampled(rhythm, float(number), at)
        at += pause
        if sampled(rhythm, float(number), at).stalled:
            told.append(number)
    for number in told:
        known = (
            pause * 0.5 ** (sum(pauses[index + 1 : number]) / HALF_LIFE) for index, pause in enumerate(pauses[:number])
        )
        assert pauses[number] > LONG_PATIENCE * max(known, default=0) * 0.99


@given(st.lists(st.tuples(st.floats(0, 100), st.none() | st.floats(allow_nan=True)), max_size=60))
def test_the_limit_is_always_a_span_of_time(steps: list[tuple[float, float | None]]) -> None:
    at, rhythm = 0.0, Rhythm()
    for step, value in steps:
        at += step
        rhythm = sampled(rhythm, value, at)
        assert limit(rhythm) >= LEAST
        assert rhythm.moved <= at


@given(st.lists(st.floats(0, 1e5), min_size=2, max_size=20, unique=True))
def test_who_paused_longer_is_given_more(longest: list[float]) -> None:
    limits = [limit(Rhythm(0.0, 0.0, MOVES, one)) for one in sorted(longest)]
    assert all(one <= other for one, other in pairwise(limits))
