"""Who is told, and what nobody is told of."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from cloud.alerts.correlate import correlate
from cloud.alerts.fault import Code, Fault, Kind, Subject
from cloud.alerts.lifecycle import Announcement, Book, Observed, step
from cloud.alerts.notice import Occasion
from cloud.alerts.routing import Receiver, Silence, receivers, silenced

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)  # a Monday; 20:00 in Shanghai
ZONES = {"tc-001": ZoneInfo("Asia/Shanghai")}
ROLES = {"tc-001-scan-1": ["scan"], "tc-001-gpu-1": ["vision"]}
DAY = {"from": "08:00", "to": "20:00", "tz": "UTC"}
NIGHT = {"from": "20:00", "to": "08:00", "tz": "UTC"}


def down(name: str = "tc-001-scan-1") -> Fault:
    return Fault(Code.BOX_DOWN, Subject(Kind.BOX, name[:6], name), NOON)


DARK = Fault(Code.SITE_DARK, Subject(Kind.SITE, "tc-001"), NOON)
CRASH = Fault(Code.WORKLOAD_CRASHED, Subject(Kind.WORKLOAD, "tc-001", "tc-001-scan-1", "scan"), NOON)


def history(fault: Fault, *after: tuple[timedelta, bool]) -> list[Announcement]:
    """What is told of a fault that is there, or not, at these times."""
    book, told = Book(), list[Announcement]()
    for later, there in ((timedelta(), True), *after):
        done = step(book, Observed(correlate([fault] if there else [])), NOON + later)
        book = done.book
        told += [one for message in done.messages for one in message]
    return told


def who(told: Announcement, *plan: dict[str, Any]) -> list[str]:
    given = [Receiver.model_validate({"name": f"r{n}", "channels": ["c"], **one}) for n, one in enumerate(plan)]
    return [one.name for one in receivers(told, given, ROLES, ZONES)]


def fired(fault: Fault) -> Announcement:
    return history(fault)[0]


def test_who_names_nothing_is_told_of_everything() -> None:
    assert who(fired(down()), {}, {}) == ["r0", "r1"]


def test_a_receiver_takes_what_meets_all_that_it_names() -> None:
    assert who(fired(down()), {"sites": ["tc-00*"]}, {"sites": ["tc-002"]}) == ["r0"]
    assert who(fired(down()), {"roles": ["scan"]}, {"roles": ["vision", "gateway"]}) == ["r0"]
    assert who(fired(down()), {"severities": ["critical"]}, {"severities": ["warning", "info"]}) == ["r0"]
    assert who(fired(CRASH), {"severities": ["critical"]}, {"severities": ["warning", "info"]}) == ["r1"]
    assert who(fired(down()), {"sites": ["tc-001"], "roles": ["vision"]}) == []


def test_a_dark_site_is_for_every_role() -> None:
    assert who(fired(DARK), {"roles": ["vision"]}) == ["r0"]


def test_who_is_on_duty_is_told_and_whoever_was_told_hears_of_the_end() -> None:
    evening = history(down(), (timedelta(hours=9), False))
    assert [one.occasion for one in evening] == [Occasion.FIRING, Occasion.RESOLVED]
    assert who(evening[0], {"windows": [DAY]}, {"windows": [NIGHT]}) == ["r0"]
    assert who(evening[1], {"windows": [DAY]}, {"windows": [NIGHT]}) == ["r0"]


def test_what_is_repeated_in_the_night_is_told_to_the_night_too() -> None:
    told = history(down(), (timedelta(hours=9), True))
    assert [one.occasion for one in told] == [Occasion.FIRING, Occasion.REPEATED]
    assert who(told[1], {"windows": [DAY]}, {"windows": [NIGHT]}) == ["r0", "r1"]


def test_a_window_in_the_time_of_the_site_needs_that_time() -> None:
    window = {"windows": [{"from": "19:00", "to": "21:00"}]}
    assert who(fired(down()), window) == ["r0"]
    assert who(fired(down("tc-002-scan-1")), window) == []


def test_who_is_called_later_is_told_what_nobody_has_taken_and_its_end() -> None:
    told = history(down(), (timedelta(minutes=30), True), (timedelta(hours=2), True), (timedelta(hours=3), False))
    occasions = [one.occasion for one in told]
    assert occasions == [Occasion.FIRING, Occasion.REPEATED, Occasion.REPEATED, Occasion.RESOLVED]
    assert [who(one, {}, {"repeats": 1}, {"repeats": 2}) for one in told] == [
        ["r0"], ["r0", "r1"], ["r0", "r1", "r2"], ["r0", "r1", "r2"],
    ]  # fmt: skip


def silence(**given: Any) -> Silence:  # noqa: ANN401 - the fields of a resource
    return Silence.model_validate({"why": "works", "until": NOON + timedelta(hours=1), **given})


@pytest.mark.parametrize(
    ("given", "quiet"),
    [
        ({}, True),
        ({"sites": ["tc-00*"]}, True),
        ({"sites": ["tc-002"]}, False),
        ({"boxes": ["*-scan-1"]}, True),
        ({"boxes": ["*-gpu-1"]}, False),
        ({"codes": ["BoxDown", "SiteDark"]}, True),
        ({"codes": ["SiteDark"]}, False),
        ({"until": NOON}, False),
        ({"until": None, "windows": [DAY]}, True),
        ({"until": None, "windows": [DAY | {"days": ["Mon"]}]}, True),
        ({"until": None, "windows": [NIGHT]}, False),
        ({"until": None, "windows": [DAY | {"days": ["Tue"]}]}, False),
        ({"windows": [DAY]}, True),
        ({"until": NOON, "windows": [DAY]}, False),
    ],
)
def test_a_silence_covers_what_it_names_while_it_holds(given: dict[str, Any], *, quiet: bool) -> None:
    assert silenced(down(), [silence(**given)], ZONES, NOON) is quiet


def test_no_silence_is_none_and_one_of_two_is_enough() -> None:
    assert not silenced(down(), [], ZONES, NOON)
    assert silenced(down(), [silence(until=NOON), silence()], ZONES, NOON)


@pytest.mark.parametrize(
    "given", [{"until": None}, {"why": ""}, {"until": "2026-11-02T12:00:00"}, {"codes": ["Nought"]}]
)
def test_a_silence_that_never_ends_or_says_nothing_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        silence(**given)


def test_a_window_without_a_time_zone_that_exists_is_never_open() -> None:
    assert not silenced(down(), [silence(windows=[DAY | {"tz": "Mars/Olympus"}])], ZONES, NOON)
