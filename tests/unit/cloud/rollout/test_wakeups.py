"""The queue: one turn at a time, at the given pace, later after each failure, and never lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.rollout import wakeups
from cloud.rollout.wakeups import LONGEST_RETRY, Wakeups


def test_a_key_that_was_woken_often_gets_one_turn() -> None:
    queue = Wakeups[str](pace=1)
    for _ in range(5):
        queue.wake("a", 0)
    assert len(queue) == 1
    assert (queue.take(0), queue.take(0)) == ("a", None)


def test_the_key_that_is_due_longest_comes_first_and_none_before_it_is_due() -> None:
    queue = Wakeups[str](pace=1)
    queue.wake("late", 9)
    queue.wake("early", 5)
    assert queue.take(4) is None
    assert queue.next_due() == 5
    assert (queue.take(10), queue.take(10)) == ("early", "late")
    assert queue.next_due() is None


def test_the_earliest_wish_counts() -> None:
    queue = Wakeups[str](pace=1)
    queue.wake("a", 9)
    queue.wake("a", 3)
    queue.wake("a", 6)
    assert queue.next_due() == 3


def test_a_key_is_not_given_out_twice_at_a_time_and_not_faster_than_the_pace() -> None:
    queue = Wakeups[str](pace=1)
    queue.wake("a", 0)
    assert queue.take(0) == "a"
    queue.wake("a", 0.1)
    assert queue.take(5) is None
    queue.done("a")
    assert queue.next_due() == 1
    assert queue.take(0.9) is None
    assert queue.take(1) == "a"


def test_what_was_woken_during_a_turn_gets_another() -> None:
    queue = Wakeups[str](pace=0)
    queue.wake("a", 0)
    queue.take(0)
    queue.wake("a", 0)
    queue.done("a")
    assert queue.take(0) == "a"
    queue.done("a")
    assert queue.take(9) is None


@pytest.mark.parametrize("jitter", [0.0, 1.0])
def test_failures_in_a_row_wait_longer_up_to_a_minute_and_a_success_forgives(jitter: float) -> None:
    queue, now, delays = Wakeups[str](pace=1), 0.0, []
    for _ in range(12):
        queue.wake("a", now)
        assert queue.take(now) == "a"
        delays.append(queue.failed("a", now, jitter))
        assert queue.take(now + delays[-1] - 0.01) is None
        now += delays[-1]
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_RETRY * (0.5 + jitter / 2)
    assert queue.take(now) == "a"
    queue.done("a")
    queue.wake("a", now)
    assert queue.next_due() == now + 1


def test_a_wish_during_a_failing_turn_waits_for_the_delay_as_well() -> None:
    queue = Wakeups[str](pace=0)
    queue.wake("a", 0)
    queue.take(0)
    queue.wake("a", 0.1)
    delay = queue.failed("a", 0, 1.0)
    assert queue.next_due() == delay


def test_a_full_queue_refuses_new_keys_and_keeps_serving_the_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wakeups, "BOUND", 2)
    queue = Wakeups[str](pace=0)
    assert queue.wake("a", 0)
    assert queue.wake("b", 0)
    assert not queue.wake("c", 0)
    assert queue.wake("a", 0)
    queue.forget("b")
    assert queue.wake("c", 0)


def test_a_busy_key_is_not_forgotten() -> None:
    queue = Wakeups[str](pace=0)
    queue.wake("a", 0)
    queue.take(0)
    queue.forget("a")
    queue.forget("unknown")
    queue.done("a")
    assert len(queue) == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 10)), max_size=30))
def test_every_wish_is_served(wishes: list[tuple[str, float]]) -> None:
    queue = Wakeups[str](pace=0.5)
    for key, at in wishes:
        queue.wake(key, at)
    served = set()
    while (due := queue.next_due()) is not None:
        taken = queue.take(due)
        assert taken is not None
        served.add(taken)
        queue.done(taken)
    assert served == {key for key, _ in wishes}
