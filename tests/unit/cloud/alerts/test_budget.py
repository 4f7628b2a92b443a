"""How often a channel speaks, and what is left of a flood."""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from cloud.alerts.budget import digest, full, kept
from cloud.alerts.fault import Code, Kind, Subject
from cloud.alerts.notice import Notice, Occasion, Severity

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


def said(name: str, severity: Severity = Severity.CRITICAL, occasion: Occasion = Occasion.FIRING) -> Notice:
    site = Subject(Kind.SITE, name)
    return Notice(name, 1, occasion, Code.SITE_DARK, severity, site, (), NOON, NOON, {}, "")


@given(st.integers(1, 60), st.lists(st.floats(0, 30), max_size=120))
def test_in_no_minute_go_more_than_twice_what_is_allowed_and_in_the_long_run_no_more(
    a_minute: int, pauses: list[float]
) -> None:
    now, bucket, sent = 0.0, full(a_minute, 0.0), list[float]()
    for pause in pauses:
        now += pause
        if not bucket.wait(now):
            bucket = bucket.taken(now)
            sent.append(now)
    assert len(sent) <= a_minute + now * a_minute / 60 + 1e-6


def test_who_waits_as_told_may_go() -> None:
    bucket = full(20, 0.0)
    for _ in range(20):
        assert bucket.wait(0.0) == 0
        bucket = bucket.taken(0.0)
    wait = bucket.wait(0.0)
    assert round(wait, 6) == 3.0
    assert bucket.wait(wait) == 0


def test_where_there_is_no_limit_nobody_waits() -> None:
    bucket = full(None, 0.0)
    assert (bucket.wait(0.0), bucket.taken(0.0)) == (0.0, bucket)


def test_of_too_many_the_least_goes_first_and_a_critical_begin_last() -> None:
    end, warning, old, new = (
        said("a", occasion=Occasion.RESOLVED), said("b", Severity.WARNING), said("c"), said("d"),
    )  # fmt: skip
    everything = (old, warning, end, new)
    assert kept(everything, 4) == everything
    assert kept(everything, 3) == (old, warning, new)
    assert kept(everything, 2) == (old, new)
    assert kept(everything, 1) == (new,)


def test_a_digest_tells_the_gravest_first_and_of_each_alert_the_newest_alone() -> None:
    fired, warning = said("a"), said("b", Severity.WARNING)
    over = replace(fired, occasion=Occasion.RESOLVED, serial=2)
    assert digest((warning, fired)) == (fired, warning)
    assert digest((fired, warning, over)) == (warning, over)
