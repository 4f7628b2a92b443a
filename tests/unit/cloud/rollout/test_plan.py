"""What the planner does in one particular case each; most of these once went wrong."""

from datetime import timedelta

from cloud.rollout.status import Phase
from tests.unit.cloud.rollout.world import MINUTE, SECOND, World, world_of

HOUR = timedelta(hours=1)
ONE_STAGE = {"stages": [{"name": "rest", "soak": "0s"}], "health": {"readyFor": "5s", "timeout": "1m"}}
NO_SOAK = {
    "stages": [{"name": "canary", "upTo": 1, "soak": "0s"}, {"name": "rest", "soak": "0s"}],
    "health": {"readyFor": "5s", "timeout": "1m"},
}


def test_stages_wait_for_the_first_box_so_that_it_is_a_canary() -> None:
    world = World({})
    world.release("v1", NO_SOAK)
    world.pass_time(MINUTE)
    assert world.status("v1").stages[0].started_at is None
    world.nodes = world_of([1, 1]).nodes
    world.pass_time(3 * SECOND)
    assert [bool(node.wanted) for node in world.nodes.values()] == [True, False]


def test_a_release_that_was_superseded_half_way_stays_so_when_the_newer_one_fails() -> None:
    world = world_of([1, 1, 1])
    world.release("v1", ONE_STAGE)
    world.pass_time(5 * MINUTE)
    world.release("v2", {**NO_SOAK, "stages": [{"name": "canary", "upTo": 1, "soak": "1h"}, {"name": "rest"}]})
    world.pass_time(5 * MINUTE)
    world.bad.add(("*", "v3"))
    world.release("v3", {**NO_SOAK, "onFailure": {"action": "RollbackAll", "retries": 0}})
    world.pass_time(3 * HOUR)
    assert [world.status(name).phase for name in ("v1", "v2", "v3")] == ["Succeeded", "Superseded", "RolledBack"]
    assert [node.wanted for node in world.nodes.values()] == [{"v2"}, {"v1"}, {"v1"}]


def test_a_box_that_turns_bad_on_what_it_was_taken_back_to_is_not_patched_for_ever() -> None:
    world = world_of([1])
    world.release("v1", ONE_STAGE)
    world.pass_time(5 * MINUTE)
    world.bad.add(("*", "v2"))
    world.release("v2", {**ONE_STAGE, "onFailure": {"retries": 0}})
    world.pass_time(5 * MINUTE)
    world.bad.add(("*", "v1"))
    world.pass_time(HOUR)
    patches = world.nodes["tc-000-scan-0"].patches
    world.pass_time(HOUR)
    assert world.nodes["tc-000-scan-0"].patches == patches


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


def test_taking_back_a_box_that_still_works_spends_of_the_budget_too() -> None:
    world = world_of([2])
    world.release("v1", ONE_STAGE)
    world.pass_time(5 * MINUTE)
    world.release("v2", {**ONE_STAGE, "stages": [{"name": "rest", "soak": "1h"}], "onFailure": {"maxFailed": 2}})
    world.pass_time(5 * MINUTE)
    world.cut("tc-000-scan-1")
    world.edit("v2", control={"abort": "Rollback"})
    world.pass_time(5 * MINUTE)
    assert world.nodes["tc-000-scan-0"].wanted == {"v2"}, "the only box that works"
    assert world.status("v2").phase is Phase.ROLLING_BACK
    world.heal("tc-000-scan-1")
    world.pass_time(5 * MINUTE)
    assert [node.wanted for node in world.nodes.values()] == [{"v1"}, {"v1"}]
    assert world.status("v2").phase is Phase.ROLLED_BACK


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


def test_a_box_that_has_only_just_returned_is_not_tried_again_before_it_is_steady() -> None:
    world = world_of([1])
    world.bad.add(("*", "v1"))
    world.release("v1", {**ONE_STAGE, "onFailure": {"retries": 1}})
    world.run(lambda w: not w.nodes["tc-000-scan-0"].wanted and bool(w.status("v1").boxes), 10 * MINUTE)
    world.run(lambda w: w.status("v1").boxes["tc-000-scan-0"].retry_at == w.now + 3 * SECOND, 10 * MINUTE)
    world.cut("tc-000-scan-0")
    world.live()
    world.heal("tc-000-scan-0")
    world.pass_time(8 * SECOND)
    assert world.nodes["tc-000-scan-0"].wanted == set()
    world.pass_time(8 * SECOND)
    assert world.nodes["tc-000-scan-0"].wanted == {"v1"}
