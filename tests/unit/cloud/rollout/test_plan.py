"""What the planner does in one particular case each; most of these once went wrong."""

from dataclasses import replace

import pytest

from cloud.rollout.status import Phase
from tests.unit.cloud.rollout.pieces import HOUR, NO_SOAK, ONE_STAGE, everywhere
from tests.unit.cloud.rollout.world import MINUTE, SECOND, START, at, world_of


def test_a_breach_is_not_forgotten_because_someone_edits_something_else() -> None:
    world = world_of([1, 1, 1, 1])
    world.bad.add(("tc-002-scan-0", "v1"))
    limit = {"onFailure": {"action": "RollbackAll", "retries": 0, "minAttempted": 3}}
    world.release("v1", {**ONE_STAGE, **limit, "budget": {"maxParallelSites": 1}})
    world.pass_time(10 * MINUTE)
    assert world.status("v1").phase == "RolledBack"
    world.edit("v1", budget={"maxParallelSites": 2})
    world.pass_time(10 * MINUTE)
    assert [node.wanted for node in world.nodes.values()] == [set()] * 4


def test_a_box_of_which_one_version_still_works_is_not_free_to_be_taken_down() -> None:
    world = world_of([2])
    world.release("v1", ONE_STAGE, exclusive=False)
    world.pass_time(5 * MINUTE)
    world.bad.add(("*", "v2"))
    world.release("v2", {**ONE_STAGE, "health": {"timeout": "1h"}}, exclusive=False)
    world.pass_time(10 * SECOND)
    assert world.nodes["tc-000-scan-0"].wanted == {"v1", "v2"}, "a surge under way"
    world.cut("tc-000-scan-1")
    world.release("v3", ONE_STAGE)
    world.pass_time(5 * MINUTE)
    assert world.nodes["tc-000-scan-0"].wanted == {"v1", "v2"}


def test_where_no_box_may_be_down_a_surge_still_goes_on() -> None:
    world = world_of([2])
    world.release("v1", {**ONE_STAGE, "budget": {"maxUnavailablePerSite": 0}}, exclusive=False)
    world.pass_time(5 * MINUTE)
    world.release("v2", {**ONE_STAGE, "budget": {"maxUnavailablePerSite": 0}}, exclusive=False)
    world.pass_time(5 * MINUTE)
    assert world.status("v2").phase == "Succeeded"


def test_raising_the_limit_lets_a_stopped_release_go_on() -> None:
    world = world_of([1, 1])
    world.bad.add(("tc-000-scan-0", "v1"))
    world.release("v1", {**NO_SOAK, "onFailure": {"retries": 0}})
    world.pass_time(5 * MINUTE)
    assert world.status("v1").phase is Phase.PAUSED
    world.edit("v1", onFailure={"retries": 0, "maxFailed": 1})
    world.pass_time(5 * MINUTE)
    status = world.status("v1")
    assert (status.phase, status.breach, status.counts.done) == (Phase.SUCCEEDED, None, "1/2")
    assert [note.reason for _, _, note in world.notes].count("WithinLimit") == 1


def test_a_limit_raised_too_little_stops_the_release_still() -> None:
    world = world_of([1, 1, 1])
    world.bad.add(("*", "v1"))
    free = {"maxParallelSites": 3}
    world.release("v1", {**ONE_STAGE, "onFailure": {"retries": 0, "minAttempted": 3}, "budget": free})
    world.pass_time(5 * MINUTE)
    assert world.status("v1").breach is not None
    world.edit("v1", onFailure={"retries": 0, "minAttempted": 3, "maxFailed": 2})
    world.pass_time(MINUTE)
    assert world.status("v1").message.startswith("3 of 3 attempted boxes failed, more than 2.")


def test_a_box_that_turns_bad_after_success_goes_back_until_the_watch_is_over() -> None:
    world = world_of([1, 1])
    world.release("v1", ONE_STAGE)
    world.pass_time(5 * MINUTE)
    world.release("v2", {**ONE_STAGE, "watchAfter": "1h", "onFailure": {"maxFailed": "100%"}})
    world.pass_time(5 * MINUTE)
    world.bad.add(("tc-000-scan-0", "v2"))
    world.pass_time(10 * MINUTE)
    assert world.nodes["tc-000-scan-0"].wanted == {"v1"}
    world.pass_time(HOUR)
    world.bad.add(("tc-001-scan-0", "v2"))
    world.pass_time(10 * MINUTE)
    assert world.nodes["tc-001-scan-0"].wanted == {"v2"}


def test_an_attempt_that_was_written_but_not_begun_is_forgotten_once_the_release_is_paused() -> None:
    world = world_of([1])
    world.release("v1", ONE_STAGE)
    world.turn(crash_after=1)
    assert world.status("v1").boxes
    world.edit("v1", control={"paused": True})
    world.pass_time(MINUTE)
    assert not world.status("v1").boxes
    assert not world.nodes["tc-000-scan-0"].wanted


def test_an_attempt_that_was_written_but_not_begun_is_made_up_for() -> None:
    world = world_of([1])
    world.release("v1", ONE_STAGE)
    world.turn(crash_after=1)
    world.turn()
    assert world.nodes["tc-000-scan-0"].wanted == {"v1"}


def test_a_box_gets_the_version_of_the_first_override_that_matches() -> None:
    world = world_of([1])
    overrides = [{"selector": {"matchLabels": {"wave": name}}} for name in ("a", "b")]
    world.release("v1", {"workload": {"name": "scan", "image": "scan:1", "overrides": overrides}})
    standing = replace(world.fleet().standings[0], variants=("for-a", "for-b", "for-all"))
    box = world.fleet().boxes[0]
    found = [standing.version_for(replace(box, labels=labels)) for labels in ({"wave": "b"}, {"wave": "a"}, {})]
    assert found == ["for-b", "for-a", "for-all"]


@pytest.mark.parametrize("bad", [False, True])
def test_a_box_that_leaves_the_targets_in_the_middle_of_a_surge_is_not_left_with_two_versions(*, bad: bool) -> None:
    world = world_of([1])
    world.release("v1", ONE_STAGE, exclusive=False)
    world.pass_time(5 * MINUTE)
    node = world.nodes["tc-000-scan-0"]
    overrides = [{"selector": {"matchLabels": {"edgefleet.io/role": "scan"}}, "args": ["x"]}]
    workload = {"name": "scan", "image": "scan:1", "overrides": overrides}
    world.bad = {("*", "v2")} if bad else set()
    world.release("v2", {**ONE_STAGE, "workload": workload}, exclusive=False, same_as="v1")
    world.turn()
    assert node.wanted == {"v1", "v2"}
    node.role = "belt"
    world.pass_time(5 * MINUTE)
    assert node.wanted == ({"v1"} if bad else {"v2"})
    assert world.status("v2").counts.targeted == 0


def test_where_no_box_may_be_down_a_box_that_would_go_down_is_not_moved_and_a_person_is_told_why() -> None:
    world = world_of([2])
    world.release("v1", ONE_STAGE)
    world.pass_time(5 * MINUTE)
    world.release("v2", {**ONE_STAGE, "budget": {"maxUnavailablePerSite": 0}})
    world.pass_time(MINUTE)
    status = world.status("v2")
    assert everywhere(world) == [{"v1"}, {"v1"}]
    assert status.message == (
        "Nothing that goes down while it changes is moved (budget.maxUnavailablePerSite 0): allow 1 or more."
    )
    assert status.warnings[0].startswith("budget.maxUnavailablePerSite is 0")


def test_a_box_that_restarts_too_often_fails_until_its_stage_has_passed_though_it_is_ready_in_between() -> None:
    world = world_of([1, 1])
    world.release("v1", ONE_STAGE)
    world.pass_time(5 * MINUTE)
    world.flaky.add(("*", "v2"))
    health = {"readyFor": "5s", "timeout": "5m", "maxRestarts": 2}
    stages = [{"name": "canary", "upTo": 1, "soak": "30m"}, {"name": "rest"}]
    world.release("v2", {"health": health, "stages": stages, "onFailure": {"retries": 0}})
    world.pass_time(10 * MINUTE)
    assert (world.status("v2").phase, world.status("v2").failures[0].cause) == (Phase.PAUSED, "TooManyRestarts")
    assert [node.wanted for node in world.nodes.values()] == [{"v1"}, {"v1"}]


def test_a_retry_whose_time_has_come_though_its_release_may_not_go_on_keeps_nobody_busy() -> None:
    world = world_of([1, 1])
    world.bad.add(("tc-000-scan-0", "v1"))
    world.release("v1", {**ONE_STAGE, "onFailure": {"retries": 3, "maxFailed": 1}})
    world.pass_time(2 * MINUTE)
    world.edit("v1", control={"paused": True})
    world.pass_time(20 * MINUTE)
    again = world.plan("v1").recheck_after
    assert again is not None
    assert again > MINUTE


def test_a_clock_that_was_ahead_and_is_set_right_keeps_no_box_on_its_way() -> None:
    world = world_of([1, 1])
    ahead = 6 * HOUR
    at(world, START + ahead)
    world.bad.add(("tc-000-scan-0", "v1"))
    world.release("v1", {**ONE_STAGE, "onFailure": {"retries": 0, "maxFailed": 1}, "budget": {"maxParallelSites": 2}})
    for _ in range(6):
        world.turn()
        world.live()
    world.now -= ahead
    for node in world.nodes.values():
        node.link_since -= ahead
        node.started = {version: since - ahead for version, since in node.started.items()}
    world.pass_time(5 * MINUTE)
    assert (world.status("v1").counts.succeeded, world.status("v1").counts.failed) == (1, 1)
