"""Durations, shares and times of day: what is written is what is meant."""

from datetime import time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.fleet.scalars import (
    Share,
    format_duration,
    parse_duration,
    parse_share,
    parse_time_of_day,
    shortened,
)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("0s", timedelta(0)),
        ("90s", timedelta(seconds=90)),
        ("10m", timedelta(minutes=10)),
        ("6h", timedelta(hours=6)),
        ("30d", timedelta(days=30)),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, span: timedelta) -> None:
    assert parse_duration(text) == span
    assert format_duration(span) == text


@given(st.integers(0, 999_999), st.sampled_from("smhd"))
def test_a_duration_that_is_written_is_read_as_it_was(number: int, unit: str) -> None:
    span = parse_duration(f"{number}{unit}")
    assert parse_duration(format_duration(span)) == span
    assert parse_duration(span) is span


@pytest.mark.parametrize("text", ["", "10", "m", "1h30m", "-1s", "01s", "1.5h", "10m\n", "9999999d", 10, None, [[]]])
def test_what_is_no_duration_is_told_how_one_is_written(text: object) -> None:
    with pytest.raises(ValueError, match="write a whole number and s, m, h or d, for example 10m"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "share"), [(3, Share(3)), ("10%", Share(10, percent=True)), ("0%", Share(0, percent=True))]
)
def test_a_share_is_a_number_or_a_percentage(text: object, share: Share) -> None:
    assert parse_share(text) == parse_share(share) == share
    assert str(share) == str(text)


@pytest.mark.parametrize("text", ["3", "101%", "-1%", "007%", -1, 1_000_001, 1.5, True, None, {}, "10%\n"])
def test_what_is_no_share_is_told_how_one_is_written(text: object) -> None:
    with pytest.raises(ValueError, match="for example 3 or 10%"):
        parse_share(text)


def test_a_percentage_of_something_is_at_least_one_and_nothing_stays_nothing() -> None:
    assert [Share(10, percent=True).of(total) for total in (0, 1, 10, 11)] == [0, 1, 1, 2]
    assert [Share(0, percent=True).of(9), Share(4).of(9)] == [0, 4]


def test_a_limit_is_exceeded_only_by_strictly_more_without_rounding() -> None:
    assert not Share(10, percent=True).exceeded_by(1, 10)
    assert Share(10, percent=True).exceeded_by(2, 19)
    assert (Share(2).exceeded_by(2, 9), Share(2).exceeded_by(3, 9)) == (False, True)


def test_a_goal_is_reached_without_rounding_and_never_lies_beyond_all() -> None:
    assert (Share(80, percent=True).reached_by(7, 9), Share(80, percent=True).reached_by(8, 10)) == (False, True)
    assert Share(5).reached_by(3, 3)


@given(st.times().map(lambda moment: moment.replace(second=0, microsecond=0)))
def test_a_time_of_day_that_is_written_is_read_as_it_was(moment: time) -> None:
    assert parse_time_of_day(f"{moment:%H:%M}") == parse_time_of_day(moment) == moment


@pytest.mark.parametrize("text", ["24:00", "7:00", "07:60", "07:00:00", "", 700, None])
def test_what_is_no_time_of_day_is_told_how_one_is_written(text: object) -> None:
    with pytest.raises(ValueError, match="for example 22:00"):
        parse_time_of_day(text)


@pytest.mark.parametrize(
    ("value", "quoted"),
    [("a", "'a'"), ("x" * 99, f"'{'x' * 60}'…"), (7, "7"), (None, "None"), ([[[]]], "a list"), ({}, "an object")],
)
def test_a_message_quotes_a_bad_value_briefly(value: object, quoted: str) -> None:
    assert shortened(value) == quoted
