"""The clock of an attempt counts what was seen of online time, and nothing else."""

from datetime import timedelta

import pytest

from cloud.rollout.effort import Failed, Healthy, begin, fail, judge, next_look, online_time, relapse
from cloud.rollout.release import HealthGate
from cloud.rollout.snapshot import Box, Pod
from cloud.rollout.status import Effort
from tests.unit.cloud.rollout.world import MINUTE, SECOND, START

GATE = HealthGate(ready_for=20 * SECOND, timeout=2 * MINUTE, max_restarts=2)


def box(*, online: bool = True, ready: bool = False, restarts: int = 0, trouble: str = "", pods: int = 1) -> Box:
    pod = Pod("p", "v1", ready=ready, restarts=restarts, trouble=trouble, detail="no such image")
    return Box("b", "tc-1", "scan", {}, online, START, versions=frozenset({"v1"}), pods=(pod,) * pods)


def looked_at(effort: Effort, seen: Box, seconds: int, every: int = 5) -> Effort | Healthy | Failed:
    """Look every few seconds until something comes of it or so many seconds are over."""
    found: Effort | Healthy | Failed = effort
    for passed in range(every, seconds + 1, every):
        if not isinstance(found, Effort):
            break
        found = judge(seen, found, "v1", GATE, START + passed * SECOND)
    return found


def test_a_box_is_healthy_once_it_was_ready_for_long_enough_without_a_break() -> None:
    begun = begin(box(), START)
    assert isinstance(looked_at(begun, box(ready=True), 20), Effort)
    assert isinstance(looked_at(begun, box(ready=True), 25), Healthy)
    broken = judge(box(), begun.model_copy(update={"ready_since": START}), "v1", GATE, START + 15 * SECOND)
    assert isinstance(broken, Effort)
    assert broken.ready_since is None


def test_a_box_that_stays_unready_fails_after_the_timeout_of_online_time() -> None:
    assert isinstance(looked_at(begin(box(), START), box(), 120), Effort)
    failed = looked_at(begin(box(), START), box(), 130)
    assert isinstance(failed, Failed)
    assert (failed.cause, failed.message) == (
        "NotReady",
        "not healthy after 2 min online, the pod runs but is not ready",
    )


@pytest.mark.parametrize(
    ("seen", "cause", "words"),
    [
        (box(pods=0), "NoPod", "no pod of it was started on the box"),
        (box(trouble="ErrImagePull"), "ErrImagePull", "ErrImagePull: no such image"),
    ],
)
def test_a_failure_says_what_the_pods_say(seen: Box, cause: str, words: str) -> None:
    failed = looked_at(begin(box(), START), seen, 200)
    assert isinstance(failed, Failed)
    assert failed.cause == cause
    assert failed.message.endswith(words)


def test_a_short_time_is_told_in_seconds() -> None:
    late = Effort(cutover=START, online=100 * SECOND)
    failed = judge(box(), late, "v1", GATE.model_copy(update={"timeout": MINUTE}), START)
    assert isinstance(failed, Failed)
    assert failed.message.startswith("not healthy after 100 s online")


def test_the_clock_stands_while_the_box_is_dark() -> None:
    dark = looked_at(begin(box(), START), box(online=False), 3600)
    assert isinstance(dark, Effort)
    assert (dark.online, dark.counted, dark.ready_since) == (5 * SECOND, None, None)
    assert judge(box(online=False), dark, "v1", GATE, START + timedelta(days=1)) is dark, "nothing to write"
    back = judge(box(), dark, "v1", GATE, START + timedelta(days=1))
    assert isinstance(back, Effort)
    assert back.online == 5 * SECOND


def test_an_operator_that_was_away_vouches_for_half_a_minute_only() -> None:
    begun = begin(box(), START)
    assert online_time(begun, START + timedelta(days=1)) == 30 * SECOND
    assert online_time(begun, START - MINUTE) == timedelta(0), "a clock that went back"


def test_more_restarts_than_allowed_fail_at_once_but_those_from_before_are_forgiven() -> None:
    failed = judge(box(restarts=3, ready=True), begin(box(), START), "v1", GATE, START)
    assert isinstance(failed, Failed)
    assert failed.cause == "TooManyRestarts"
    assert isinstance(judge(box(restarts=2), begin(box(), START), "v1", GATE, START), Effort)
    forgiven = relapse(box(restarts=9), "v1", START, forgive=True)
    assert isinstance(judge(box(restarts=11), forgiven, "v1", GATE, START), Effort)
    assert relapse(box(restarts=9), "v1", START, forgive=False).restarts == 0


def test_each_retry_waits_twice_as_long_and_there_are_no_more_than_asked_for() -> None:
    failure = Failed("NotReady", "it is not")
    waits = [fail(begin(box(), START, attempt), failure, 3, START).retry_at for attempt in (1, 2, 3, 4)]
    assert waits == [START + 5 * MINUTE, START + 10 * MINUTE, START + 20 * MINUTE, None]


def test_the_clock_is_written_four_times_a_minute_and_not_more_often() -> None:
    begun = begin(box(), START)
    assert judge(box(), begun, "v1", GATE, START + 14 * SECOND) is begun
    assert judge(box(), begun, "v1", GATE, START + 15 * SECOND) is not begun


def test_the_next_look_is_when_something_could_come_of_it() -> None:
    begun = begin(box(), START)
    assert next_look(begun, GATE, START) == START + 15 * SECOND
    assert next_look(begun.model_copy(update={"ready_since": START}), GATE, START + 10 * SECOND) == START + 20 * SECOND
    nearly = begun.model_copy(update={"online": 119 * SECOND + 500 * timedelta(milliseconds=1)})
    assert next_look(nearly, GATE, START) == START + SECOND


def test_an_attempt_on_a_dark_box_begins_with_its_clock_standing() -> None:
    assert begin(box(online=False), START).counted is None
