"""When a cutover may start: across midnight, across both changes of the clock, in each site's own time."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.fleet.window import Window
from cloud.rollout.windows import NoZone, OddZone, never_fits, next_start, sites_without_zone, zone_problems
from tests.unit.cloud.rollout.laws import is_open
from tests.unit.cloud.rollout.scripts import ZONES

SHANGHAI, NEW_YORK = ZoneInfo("Asia/Shanghai"), ZoneInfo("America/New_York")
TEN_MINUTES = timedelta(minutes=10)


def window(opens: str, closes: str, *days: str, tz: str = "Site") -> Window:
    return Window.model_validate({"from": opens, "to": closes, "days": days, "tz": tz})


def start(*windows: Window, zone: ZoneInfo | None, now: datetime, needs: timedelta = TEN_MINUTES) -> str:
    """Return the local time of the next start, for people."""
    found = next_start(windows, zone, now, needs)
    assert found is not None
    return f"{found.astimezone(zone or UTC):%a %H:%M}"


def local(zone: ZoneInfo, text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def test_without_windows_a_cutover_may_start_at_once() -> None:
    now = datetime(2026, 3, 2, 12, tzinfo=UTC)
    assert next_start((), None, now, TEN_MINUTES) == now


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-03-02T21:59", "Mon 22:00"),
        ("2026-03-02T22:00", "Mon 22:00"),
        ("2026-03-02T23:59", "Mon 23:59"),
        ("2026-03-03T03:50", "Tue 03:50"),
        ("2026-03-03T03:51", "Tue 22:00"),  # ten minutes no longer fit
        ("2026-03-03T04:00", "Tue 22:00"),
    ],
)
def test_a_window_may_cross_midnight(now: str, expected: str) -> None:
    assert start(window("22:00", "04:00"), zone=SHANGHAI, now=local(SHANGHAI, now)) == expected


def test_the_day_is_that_on_which_the_window_opens() -> None:
    friday = window("22:00", "04:00", "Fri")
    assert start(friday, zone=SHANGHAI, now=local(SHANGHAI, "2026-03-07T01:00")) == "Sat 01:00"
    assert start(friday, zone=SHANGHAI, now=local(SHANGHAI, "2026-03-06T01:00")) == "Fri 22:00"
    assert start(friday, zone=SHANGHAI, now=local(SHANGHAI, "2026-03-07T05:00")) == "Fri 22:00"


def test_the_hour_that_spring_skips_is_not_there_to_be_used() -> None:
    short = window("01:30", "03:30")  # one hour long in the night to 8 March 2026
    assert start(short, zone=NEW_YORK, now=local(NEW_YORK, "2026-03-08T01:30")) == "Sun 01:30"
    needs = timedelta(minutes=61)
    assert start(short, zone=NEW_YORK, now=local(NEW_YORK, "2026-03-08T01:00"), needs=needs) == "Mon 01:30"


def test_a_window_that_opens_within_the_skipped_hour_opens_once_it_is_over() -> None:
    skipped = window("02:30", "05:00")
    assert start(skipped, zone=NEW_YORK, now=local(NEW_YORK, "2026-03-08T00:00")) == "Sun 03:30"


def test_the_hour_that_autumn_repeats_is_part_of_the_window() -> None:
    long = window("00:30", "02:30")  # three hours long in the night to 1 November 2026
    needs = timedelta(minutes=180)
    assert start(long, zone=NEW_YORK, now=local(NEW_YORK, "2026-10-31T12:00"), needs=needs) == "Sun 00:30"


def test_each_site_has_its_own_night_unless_the_window_names_a_zone() -> None:
    now = datetime(2026, 3, 2, 14, tzinfo=UTC)  # 22:00 in Shanghai, 09:00 in New York
    assert next_start((window("22:00", "04:00"),), SHANGHAI, now, TEN_MINUTES) == now
    assert next_start((window("22:00", "04:00"),), NEW_YORK, now, TEN_MINUTES) == local(NEW_YORK, "2026-03-02T22:00")
    named = window("22:00", "04:00", tz="Asia/Shanghai")
    assert next_start((named,), NEW_YORK, now, TEN_MINUTES) == now


def test_the_earliest_of_several_windows_counts() -> None:
    pair = (window("22:00", "04:00"), window("12:00", "13:00"))
    assert start(*pair, zone=SHANGHAI, now=local(SHANGHAI, "2026-03-02T05:00")) == "Mon 12:00"


def test_a_window_too_short_for_what_is_needed_never_opens() -> None:
    short = window("12:00", "12:05")
    assert next_start((short,), SHANGHAI, datetime(2026, 3, 2, tzinfo=UTC), TEN_MINUTES) is None
    assert never_fits((short, window("23:58", "00:08")), TEN_MINUTES) == (short,)


def test_a_window_in_the_time_of_a_site_that_has_none_is_an_error_of_its_own() -> None:
    now = datetime(2026, 3, 2, tzinfo=UTC)
    with pytest.raises(NoZone):
        next_start((window("22:00", "04:00"),), None, now, TEN_MINUTES)
    assert sites_without_zone((window("22:00", "04:00"),), {"a", "b"}, {"a": SHANGHAI}) == ("b",)
    assert sites_without_zone((window("22:00", "04:00", tz="UTC"),), {"a", "b"}, {}) == ()


def test_a_zone_that_does_not_exist_is_named() -> None:
    wrong = window("22:00", "04:00", tz="Asia/Atlantis")
    assert zone_problems((wrong, window("22:00", "04:00"), window("22:00", "04:00", tz="UTC"))) == ("Asia/Atlantis",)
    with pytest.raises(OddZone, match="Asia/Atlantis"):
        next_start((wrong,), SHANGHAI, datetime(2026, 3, 2, tzinfo=UTC), TEN_MINUTES)


def test_a_window_that_cannot_be_told_closes_no_other() -> None:
    now = datetime(2026, 3, 2, 12, tzinfo=UTC)
    wrong, right = window("22:00", "04:00", tz="Asia/Atlantis"), window("11:00", "13:00", tz="UTC")
    assert next_start((wrong, right), None, now, TEN_MINUTES) == now
    assert next_start((window("22:00", "04:00"), right), None, now, TEN_MINUTES) == now
    with pytest.raises(NoZone):
        next_start((wrong, window("22:00", "04:00")), None, now, TEN_MINUTES)


def test_a_weekly_window_that_spring_makes_too_short_once_is_found_a_week_later() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    sunday = window("01:30", "03:00", "Sun", tz="Europe/Berlin")  # half an hour long on 29 March 2026
    monday = local(berlin, "2026-03-23T12:00")
    assert next_start((sunday,), None, monday, timedelta(hours=1)) == local(berlin, "2026-04-05T01:30")


TIMES = st.integers(0, 95).map(lambda quarter: f"{quarter // 4:02}:{quarter % 4 * 15:02}")


@given(
    st.tuples(TIMES, TIMES).filter(lambda pair: pair[0] != pair[1]),
    st.lists(st.sampled_from(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")), unique=True, max_size=3),
    st.sampled_from(ZONES).map(ZoneInfo),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(lambda moment: moment.replace(tzinfo=UTC)),  # noqa: DTZ001 - given one
)
def test_every_start_that_is_promised_is_inside_by_the_clock_on_the_wall(
    times: tuple[str, str], days: list[str], zone: ZoneInfo, now: datetime
) -> None:
    one = window(*times, *days)
    found = next_start((one,), zone, now, TEN_MINUTES)
    assert found is not None
    assert now <= found <= now + timedelta(days=8, hours=1)
    assert is_open(one, zone, found, found + TEN_MINUTES)
    assert next_start((one,), zone, found, TEN_MINUTES) == found


@pytest.mark.parametrize(
    ("zone", "day", "opens", "closes", "last"),
    [
        ("America/New_York", "2026-03-08", "01:00", "02:30", "01:20"),
        ("America/New_York", "2026-03-08", "02:10", "02:50", None),
        ("Australia/Lord_Howe", "2026-10-04", "01:00", "02:10", "01:30"),
    ],
)
def test_a_window_that_closes_in_the_hour_that_spring_leaves_out_closes_before_it(
    zone: str, day: str, opens: str, closes: str, last: str | None
) -> None:
    there = ZoneInfo(zone)
    midnight = local(there, f"{day}T00:00")
    minutes = [midnight + timedelta(minutes=one) for one in range(360)]
    allowed = [one for one in minutes if next_start((window(opens, closes),), there, one, TEN_MINUTES) == one]
    assert (f"{allowed[-1].astimezone(there):%H:%M}" if allowed else None) == last
