"""We doubt ourselves first: while we are deaf nobody's silence counts."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.fleet import listening as ears
from cloud.fleet.listening import CATCH_UP, SETTLE, Deaf, Listening, begin, echoed, linked, looked, unlinked


def listened(listening: Listening, seconds: float, *, echo: bool = True, every: float = 0.1) -> Listening:
    """Look ten times a second and hear ourselves, or not."""
    end = listening.looked + seconds
    while listening.looked < end - 1e-9:
        now = min(listening.looked + every, end)
        listening = looked(echoed(listening, now) if echo else listening, now)
    return listening


def well() -> Listening:
    """Hearing well since 1,008 seconds."""
    return listened(linked(begin(1000.0), 1000.0), SETTLE + 1)


def test_the_clock_stands_until_boxes_had_time_to_find_the_broker() -> None:
    start = begin(1000.0)
    assert (listened(start, 60.0).clock, listened(start, 60.0).deaf) == (0.0, Deaf.NO_BROKER)
    assert listened(linked(start, 1000.0), SETTLE - 0.2).clock == 0.0
    assert well().clock == pytest.approx(1.0, abs=0.2)
    assert well().deaf is None


def test_a_lost_broker_stops_the_clock_at_once_and_for_some_time_after_its_return() -> None:
    gone = listened(unlinked(well()), 30.0)
    assert (gone.clock, gone.deaf, gone.told()) == (well().clock, Deaf.NO_BROKER, Deaf.NO_BROKER)
    back = listened(linked(gone, gone.looked), SETTLE - 0.2)
    assert (back.clock, back.deaf) == (gone.clock, Deaf.NO_BROKER)
    assert listened(back, 1.0).clock > gone.clock


def test_a_broker_that_delivers_nothing_stops_the_clock_before_any_box_is_suspected() -> None:
    deaf = listened(well(), 30.0, echo=False)
    assert deaf.deaf is Deaf.NO_ECHO
    assert deaf.clock - well().clock <= ears.NO_ECHO_AFTER + 0.2
    hiccup = listened(listened(well(), 2.0, echo=False), CATCH_UP + 0.2)
    assert hiccup.deaf is None
    assert listened(deaf, SETTLE - 0.2).deaf is Deaf.NO_ECHO
    assert listened(deaf, SETTLE + 0.2).deaf is None


@pytest.mark.parametrize("gap", [1.5, 10.0, 3600.0])
def test_time_in_which_we_did_not_run_is_nobody_s_silence(gap: float) -> None:
    before = well()
    woken = looked(before, before.looked + gap)
    assert (woken.clock, woken.deaf) == (before.clock, Deaf.HELD_UP)
    assert listened(woken, CATCH_UP - 0.2).clock == before.clock
    assert listened(woken, CATCH_UP + 1.0).clock > before.clock


def test_a_line_that_is_not_kept_up_with_is_deafness_too() -> None:
    assert looked(well(), well().looked + 0.1, waited=1.5).deaf is Deaf.HELD_UP


def test_a_short_pause_is_none() -> None:
    paused = looked(echoed(well(), well().looked + 0.9), well().looked + 0.9)
    assert paused.deaf is None
    assert paused.clock == pytest.approx(well().clock + 0.9)


def test_people_are_told_of_lasting_deafness_only() -> None:
    assert listened(unlinked(well()), 1.0).told() is None
    assert listened(unlinked(well()), 3.2).told() is Deaf.NO_BROKER
    stopped = looked(well(), well().looked + 10.0)
    assert stopped.told() is Deaf.HELD_UP
    assert well().told() is None


def test_the_reason_of_today_is_told_and_since_when_we_are_deaf_at_all() -> None:
    gone = listened(unlinked(well()), 5.0)
    back = listened(linked(gone, gone.looked), 3.0, echo=False)
    assert (back.deaf, back.since) == (Deaf.NO_ECHO, gone.since)


def test_a_clock_that_is_set_back_does_not_turn_ours_back() -> None:
    assert looked(well(), well().looked - 5.0).clock == well().clock


TURNS = st.lists(st.tuples(st.sampled_from(["look", "echo", "link", "unlink"]), st.floats(0.0, 5.0)), max_size=40)


@given(TURNS)
def test_the_clock_never_runs_faster_than_time_nor_back_and_not_while_we_are_deaf(
    turns: list[tuple[str, float]],
) -> None:
    listening, now = begin(0.0), 0.0
    for turn, passed in turns:
        now += passed
        before = listening
        match turn:
            case "look":
                listening = looked(listening, now)
                assert 0.0 <= listening.clock - before.clock <= now - before.looked + 1e-9
                assert listening.deaf is None or listening.clock == before.clock
            case "echo":
                listening = echoed(listening, now)
            case "link":
                listening = linked(listening, now)
            case _:
                listening = unlinked(listening)
                assert looked(listening, now).deaf is Deaf.NO_BROKER
    assert replace(listening, looked=now).told() is None or listening.deaf
