"""Decisions become few Events, and the same decision always the same one."""

from datetime import UTC, datetime

from cloud.rollout.actions import Note, Severity
from cloud.rollout.parsing import parse
from cloud.rollout.telling import MOST, events
from cloud.rollout.views import Kind, ReleaseView
from tests.unit.cloud.rollout.raw import raw_release

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def view(name: str = "one") -> ReleaseView:
    made = parse(Kind.RELEASE, raw_release(name))
    assert isinstance(made, ReleaseView)
    return made


def test_an_event_points_at_its_release_and_has_the_apis_size() -> None:
    (event,) = events(view("n" * 253), [Note("BoxFailed", "m" * 5000, Severity.WARNING)], NOW)
    assert len(event["metadata"]["name"]) <= 253
    assert len(event["message"]) <= 1024
    assert (event["type"], event["reason"]) == ("Warning", "BoxFailed")
    assert event["involvedObject"]["uid"] == f"uid-{'n' * 253}"
    assert event["lastTimestamp"] == "2026-03-02T12:00:00Z"


def test_the_same_note_has_the_same_name_at_any_time_and_another_note_another() -> None:
    later = NOW.replace(hour=15)
    first, again = (events(view(), [Note("A", "x")], when)[0]["metadata"]["name"] for when in (NOW, later))
    assert first == again
    assert first != events(view(), [Note("A", "y")], NOW)[0]["metadata"]["name"]


def test_many_notes_of_one_reason_become_one_event() -> None:
    told = events(view(), [Note("BoxFailed", f"box-{number}") for number in range(100)] + [Note("Other", "x")], NOW)
    assert [event["message"] for event in told] == ["box-0; box-1; box-2; and 97 more", "x"]


def test_no_more_than_a_few_events_are_told_at_one_time() -> None:
    assert len(events(view(), [Note(f"Reason{number}", "x") for number in range(50)], NOW)) == MOST
