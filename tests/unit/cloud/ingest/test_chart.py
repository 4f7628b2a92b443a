"""What a box says of its parts: letters decide, words explain, and neither outlives what it belongs to."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.alerts.fault import Code, Fault, Kind, Subject
from cloud.ingest import chart
from cloud.ingest.chart import Chart
from edgeagent.happening import Happening, Trouble
from edgeagent.wire import Address, Beat, Birth, Event, GpuState, Message, Metrics, WorkloadState

HERE = Address("tc-001", "tc-001-gpu-1")
BOOT = "3f2a9c1d5e6b7a80"
NOW = 1_795_712_345.0
BLANK = Chart()


def birth(*workloads: str, gpus: int = 0, roster: int = 1, session: int = 5, at: float = NOW) -> Birth:
    return Birth(
        boot=BOOT, session=session, seq=0, site=HERE.site, box=HERE.box, roster=roster, workloads=workloads,
        gpus=("L4",) * gpus, at=at,
    )  # fmt: skip


def beat(workloads: str = "", gpus: str = "", troubles: str = "", roster: int = 1, session: int = 5) -> Beat:
    return Beat(BOOT, session, 1, roster, workloads, gpus, 0.1, troubles)


def event(kind: str, part: str = "", **details: str) -> Event:
    return Event(boot=BOOT, session=5, seq=2, kind=kind, part=part, details=details)


def after(messages: Sequence[Message], start: Chart = BLANK, now: float = NOW) -> Chart:
    """The chart after messages that come a second after each other."""
    for number, message in enumerate(messages):
        start = chart.absorb(start, message, now + number)
    return start


def told(known: Chart) -> list[Fault]:
    return list(chart.faults(known, HERE))


def codes(known: Chart) -> list[tuple[Code, str]]:
    return [(fault.code, fault.subject.part) for fault in told(known)]


def test_nothing_is_wrong_with_a_box_of_which_nothing_is_known() -> None:
    assert told(BLANK) == []


def test_letters_are_read_by_the_birth_that_names_their_parts() -> None:
    known = after([birth("prod/a", "prod/b", "prod/c", gpus=2), beat("rct", "ol", "d")])
    assert codes(known) == [
        (Code.WORKLOAD_CRASHED, "prod/b"),
        (Code.WORKLOAD_STALLED, "prod/c"),
        (Code.GPU_LOST, "1"),
        (Code.DISK_FULL, ""),
    ]
    assert told(known)[0].subject == Subject(Kind.WORKLOAD, "tc-001", "tc-001-gpu-1", "prod/b")
    assert told(known)[3].subject == Subject(Kind.BOX, "tc-001", "tc-001-gpu-1")


@pytest.mark.parametrize("state", [WorkloadState.RUNNING, WorkloadState.STARTING, WorkloadState.ENDED, "?"])
def test_a_workload_that_runs_starts_or_was_stopped_on_purpose_is_no_fault(state: str) -> None:
    assert told(after([birth("a", gpus=1), beat(state, "o?", "?")])) == []


def test_every_other_state_has_a_code() -> None:
    fine = {WorkloadState.RUNNING, WorkloadState.STARTING, WorkloadState.ENDED}
    assert set(chart.WORKLOAD_CODES) == set(WorkloadState) - fine
    assert set(chart.GPU_CODES) == set(GpuState) - {GpuState.OK}
    assert set(chart.BOX_CODES) == set(Trouble)


@pytest.mark.parametrize(
    "early", [beat("c", roster=2), beat("c", session=6), beat("c", session=4)], ids=["roster", "newer", "older"]
)
def test_letters_wait_for_the_birth_that_they_name(early: Beat) -> None:
    assert told(after([birth("a"), early])) == []


def test_a_fault_has_the_time_at_which_its_letter_was_first_heard() -> None:
    known = after([birth("a"), beat("r"), beat("c"), beat("c"), beat("cc")])
    assert [fault.since.timestamp() for fault in told(known)] == [NOW + 2]
    assert [fault.since.timestamp() for fault in told(after([beat("t")], known, NOW + 9))] == [NOW + 9]


def test_a_fault_outlives_a_new_session_and_ends_with_its_letter() -> None:
    known = after([birth("a", "b"), beat("cc"), birth("b", session=6)])
    assert codes(known) == [(Code.WORKLOAD_CRASHED, "b")]
    known = chart.absorb(known, beat("c", session=6), NOW + 9)
    assert [fault.since.timestamp() for fault in told(known)] == [NOW + 1]
    assert told(chart.absorb(known, beat("r", session=6), NOW + 10)) == []


def test_a_will_and_what_is_not_about_parts_change_nothing() -> None:
    known = after([birth("a"), beat("c")])
    will = Birth(boot=BOOT, session=5, seq=0, site=HERE.site, box=HERE.box, dead=True)
    for message in (will, event("news", "a"), event(Happening.STARTED, "a"), event(Happening.EXITED, "z")):
        assert chart.absorb(known, message, NOW + 9) is known


@pytest.mark.parametrize("words_first", [True, False])
def test_an_event_explains_a_letter_whichever_comes_first(words_first: bool) -> None:
    both: list[Message] = [event(Happening.EXITED, "a", exit="139", secret="x" * 300), beat("c")]
    known = after([birth("a"), *(both if words_first else reversed(both))])
    assert [dict(fault.details) for fault in told(known)] == [{"exit": "139"}]


def test_words_of_one_fault_are_not_said_of_the_next() -> None:
    known = after([birth("a"), event(Happening.EXITED, "a", exit="1"), beat("c"), beat("r"), beat("t")])
    assert [dict(fault.details) for fault in told(known)] == [{}]
    known = after(
        [birth("a"), event(Happening.EXITED, "a", exit="1"), event(Happening.STALLED, "a", stood="9"), beat("t")]
    )
    assert [dict(fault.details) for fault in told(known)] == [{"stood": "9"}]


def test_words_of_a_lasting_fault_are_completed() -> None:
    more: list[Message] = [
        event(Happening.EXITED, "a", exit="1"),
        beat("c"),
        event(Happening.EXITED, "a", restarts="4"),
        beat("l"),
    ]
    assert [dict(fault.details) for fault in told(after([birth("a"), *more]))] == [{"exit": "1", "restarts": "4"}]


@pytest.mark.parametrize(("part", "words"), [("1", {"xid": "79"}), ("2", {}), ("x", {}), ("01", {}), ("\u0661", {})])
def test_words_about_a_gpu_need_the_index_of_one(part: str, words: dict[str, str]) -> None:
    known = after([birth(gpus=2), event(Happening.XID, part, xid="79"), beat("", "of")])
    assert [dict(fault.details) for fault in told(known)] == [words]


@pytest.mark.parametrize(
    ("kind", "letter", "details"),
    [(Happening.DISK_FULL, "d", {"free": "12"}), (Happening.CONFIG_REFUSED, "c", {"why": "no such file"})],
)
def test_words_about_the_box_itself(kind: Happening, letter: str, details: dict[str, str]) -> None:
    known = after(
        [birth(), event(kind, **details), beat(troubles=letter), birth(roster=2), beat(troubles=letter, roster=2)]
    )
    assert [dict(fault.details) for fault in told(known)] == [details]


def test_long_words_are_cut() -> None:
    known = after([birth("a"), event(Happening.EXITED, "a", text="x" * 500), beat("c")])
    assert len(told(known)[0].details["text"]) == chart.LONGEST_WORDS


def test_a_wrong_clock_is_a_fault_until_it_is_right_again() -> None:
    figures = Metrics(boot=BOOT, session=5, seq=1, values={}, at=NOW - 3600)
    known = chart.absorb(after([birth()]), figures, NOW + 10)
    known = chart.absorb(known, figures, NOW + 20)
    (fault,) = told(known)
    assert (fault.code, fault.details["ahead"], fault.since.timestamp()) == (Code.CLOCK_WRONG, "-3620", NOW + 10)
    assert told(chart.absorb(known, birth(at=NOW + 31), NOW + 30)) == []


def test_where_all_clocks_are_wrong_ours_is() -> None:
    known = after([birth(at=NOW + 3600)])
    assert list(chart.faults(known, HERE, skew=3590.0)) == []
    assert len(list(chart.faults(known, HERE, skew=0.0))) == 1


def test_a_box_without_a_clock_is_not_blamed_for_it() -> None:
    assert told(after([birth(at=0.0)])) == []


LETTERS = st.text("rsclteu?", max_size=4)
MESSAGES = st.lists(
    st.builds(
        beat, LETTERS, st.text("olfu", max_size=3), st.text("dc?", max_size=2), st.integers(1, 2), st.integers(4, 6)
    )
    | st.builds(
        lambda n, g, r, s: birth(*"abcd"[:n], gpus=g, roster=r, session=s), *(st.integers(1, 3),) * 3, st.integers(4, 6)
    )
    | st.builds(event, st.sampled_from([*Happening, "new"]), st.sampled_from("abcd0123z")),
    max_size=20,
)


@given(MESSAGES)
def test_faults_are_of_parts_that_the_newest_birth_names_and_saying_it_twice_changes_nothing(
    messages: list[Message],
) -> None:
    known = after(messages)
    for fault in told(known):
        match fault.subject.kind:
            case Kind.WORKLOAD:
                assert fault.subject.part in known.workloads
            case Kind.GPU:
                assert int(fault.subject.part) < len(known.gpus)
            case _:
                assert fault.subject.part == ""
    if messages and not isinstance(messages[-1], Birth):
        again = chart.absorb(known, messages[-1], NOW + 100)
        assert (again.ills, again.words) == (known.ills, known.words)
