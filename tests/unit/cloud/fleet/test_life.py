"""What was heard of a box: order is never trusted, a will counts for its own session only, clones are seen."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cloud.fleet import life as lives
from cloud.fleet.life import RETURN, Life, Said, absorb, recall
from edgeagent.happening import Happening
from edgeagent.wire import Beat, Birth, Event

A, B, C = "a" * 16, "b" * 16, "c" * 16


def beat(seq: int, session: int = 1, boot: str = A) -> Beat:
    return Beat(boot, session, seq, 1)


def birth(session: int = 1, boot: str = A, *, seq: int = 0, dead: bool = False, period: float = 1.0) -> Birth:
    return Birth(
        boot=boot, session=session, seq=seq, site="tc-001", box="box-1", dead=dead, period=period, lan=("10.0.0.5",),
        port=7946,
    )  # fmt: skip


def event(seq: int, kind: str = Happening.EXITED, session: int = 1) -> Event:
    return Event(boot=A, session=session, seq=seq, kind=kind)


def after(said: Sequence[Said], start: Life | None = None, at: float = 100.0) -> Life:
    """The life after messages that come a second after each other."""
    for number, message in enumerate(said):
        start = absorb(start, message, at + number).life
    assert start is not None
    return start


def test_a_box_that_speaks_is_proven_and_its_birth_tells_where_neighbours_find_it() -> None:
    life = after([birth(period=0.5), beat(1)])
    assert (life.proven, life.heard, life.seq, life.period) == (True, 101.0, 1, 0.5)
    assert (life.lan, life.port) == (("10.0.0.5",), 7946)


def test_a_box_lives_though_its_birth_has_not_come_yet() -> None:
    assert after([beat(7)]).proven


@pytest.mark.parametrize("again", [beat(3), beat(2), birth()])
def test_a_double_changes_nothing(again: Said) -> None:
    life = after([birth(), beat(1), beat(2), beat(3)])
    assert absorb(life, again, 200.0) == lives.Absorbed(life, news=False)


def test_what_was_overtaken_is_news_once_and_does_not_turn_time_back() -> None:
    life = after([birth(), beat(1), beat(5)])
    late = absorb(life, event(3), 103.0)
    assert (late.news, late.life.seq) == (True, 5)
    assert not absorb(late.life, event(3), 104.0).news


@pytest.mark.parametrize(("behind", "news"), [(lives.WINDOW - 1, True), (lives.WINDOW, False)])
def test_what_is_too_old_to_be_told_from_a_double_is_none(behind: int, *, news: bool) -> None:
    life = after([birth(), beat(500)])
    assert absorb(life, event(500 - behind), 200.0).news is news


def test_a_new_session_begins_anew_and_the_old_one_is_over() -> None:
    life = after([birth(), beat(1), birth(2), beat(1, 2)])
    assert (life.session, life.seq) == (2, 1)
    assert absorb(life, beat(2, 1), 200.0) == lives.Absorbed(life, news=False)


def test_a_will_counts_for_the_session_that_speaks_now() -> None:
    life = after([birth(), beat(1), birth(dead=True)])
    assert (life.will, life.heard, life.broke_off(1.5)) == (102.0, 101.0, True)
    assert absorb(life, birth(dead=True), 300.0).life.will == 102.0


@pytest.mark.parametrize("will", [birth(1, dead=True), birth(3, dead=True), birth(2, boot=B, dead=True)])
def test_a_will_of_any_other_session_changes_nothing(will: Birth) -> None:
    life = after([birth(), birth(2), beat(1, 2)])
    assert absorb(life, will, 200.0).life == life


def test_a_will_that_came_too_early_is_forgotten_when_the_session_speaks() -> None:
    assert after([birth(), birth(dead=True), beat(1)]).will is None


def test_a_will_after_a_long_silence_says_no_more_than_the_silence() -> None:
    life = after([birth(), beat(1)])
    assert not absorb(life, birth(dead=True), 109.0).life.broke_off(1.5)


def test_a_box_that_took_leave_has_no_will_and_is_back_with_its_next_session() -> None:
    life = after([birth(), event(1, Happening.GOODBYE)])
    assert (life.goodbye, absorb(life, birth(dead=True), 102.0).life.will) == (True, None)
    assert not after([birth(2)], life, 110.0).goodbye


def test_a_box_that_left_before_we_listened_is_not_missed() -> None:
    last = replace(birth(dead=True), planned=True)
    assert absorb(None, last, 100.0, retained=True).life.goodbye
    left = absorb(after([birth()]), last, 101.0)
    assert (left.life.goodbye, left.life.will, left.news) == (True, None, False)


@pytest.mark.parametrize("dead", [True, False])
def test_what_the_broker_had_kept_proves_nothing(*, dead: bool) -> None:
    kept = absorb(None, birth(dead=dead), 100.0, retained=True)
    assert (kept.life.proven, kept.life.heard, kept.news) == (False, 100.0 + RETURN, not dead)
    assert not kept.life.broke_off(1.5)


def test_a_kept_birth_does_not_undo_what_was_heard_since() -> None:
    life = after([birth(2), beat(1, 2)])
    assert absorb(life, birth(1), 200.0, retained=True) == lives.Absorbed(life, news=False)
    again = absorb(life, birth(2), 200.0, retained=True)
    assert (again.life, again.news) == (life, True)


def test_a_box_that_is_known_from_before_has_some_time_to_speak() -> None:
    life = recall(A, 1, 50.0, (("10.0.0.5",), 7946))
    assert (life.heard, life.proven, life.lan) == (50.0 + RETURN, False, ("10.0.0.5",))
    spoken = absorb(life, beat(9), 51.0).life
    assert (spoken.heard, spoken.proven) == (51.0, True)


def test_one_that_was_known_by_name_only_takes_the_first_boot_that_speaks() -> None:
    assert after([beat(9)], recall("", 0, 50.0)).boot == A


def test_a_machine_that_was_started_anew_is_no_clone() -> None:
    life = after([birth(), birth(boot=B), birth(boot=C), birth(boot="d" * 16)])
    assert (life.boot, life.flips, life.cloned(104.0)) == ("d" * 16, 0, False)


def test_two_machines_under_one_name_are_seen_after_a_few_messages_and_never_silence_each_other() -> None:
    life = after([birth(), birth(boot=B), beat(1), beat(1, boot=B)])
    assert (life.cloned(103.0), life.heard) == (True, 103.0)
    assert not life.cloned(103.0 + lives.CLONE_FORGOTTEN)
    later = after([beat(2), beat(2, boot=B)], life, 300.0)
    assert (later.flips, later.cloned(301.0)) == (2, True)
    assert after([beat(2)], life, 300.0).flips == 1


def test_a_single_late_word_of_the_boot_before_is_no_clone() -> None:
    assert not after([birth(), birth(boot=B), beat(1), beat(1, boot=C)]).cloned(104.0)


def test_the_share_of_late_beats_is_learned_and_bounded() -> None:
    life = after([birth(), beat(1), beat(2)])
    assert life.late == 0.0
    life = absorb(life, beat(3), 104.0).life
    assert life.late == pytest.approx(1 / lives.MEMORY)
    for number in range(4, 100):
        life = absorb(life, beat(number), 104.0 + 2 * number).life
    assert life.late == lives.MOST_LATE


def test_the_time_between_sessions_is_nobody_s_late_beat() -> None:
    assert after([birth(), beat(1), birth(2), birth(3), beat(1, 3)]).late == 0.0


def test_a_thousand_lives_fit_into_a_megabyte() -> None:
    life = after([birth(), beat(1)])
    assert life.__sizeof__() <= 200


SAID = st.builds(beat, st.integers(0, 70), st.integers(1, 3), st.sampled_from([A, B])) | st.builds(
    birth, st.integers(1, 3), st.sampled_from([A, B]), seq=st.integers(0, 3), dead=st.booleans()
)


@given(st.lists(st.tuples(SAID, st.booleans()), max_size=30), SAID)
def test_whatever_comes_in_whatever_order_hearing_it_twice_changes_nothing(
    before: list[tuple[Said, bool]], last: Said
) -> None:
    life: Life | None = None
    for number, (said, retained) in enumerate(before):
        life = absorb(life, said, float(number), retained=retained and isinstance(said, Birth)).life
    once = absorb(life, last, 100.0).life
    twice = absorb(once, last, 100.0).life
    assert twice == once
    if life is not None:
        assert once.heard >= life.heard or not life.proven
        assert once.session >= life.session or once.boot != life.boot
