"""Going back: which boxes, to what, and when not."""

from dataclasses import replace

import pytest

from cloud.rollout.moves import back, forward
from cloud.rollout.snapshot import Version
from cloud.rollout.status import Phase, Waiting
from tests.unit.cloud.rollout.pieces import HOUR, NO_SOAK, ONE_STAGE
from tests.unit.cloud.rollout.world import MINUTE, SECOND, world_of


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


def test_the_stage_that_broke_the_limit_goes_back_alone() -> None:
    world = world_of([1, 1, 1])
    world.release("v1", ONE_STAGE)
    world.pass_time(5 * MINUTE)
    world.bad.add(("tc-002-scan-0", "v2"))
    world.release("v2", {**NO_SOAK, "onFailure": {"action": "RollbackStage", "retries": 0}})
    world.pass_time(10 * MINUTE)
    assert [node.wanted for node in world.nodes.values()] == [{"v2"}, {"v1"}, {"v1"}]
    assert world.status("v2").phase is Phase.PAUSED


def test_halting_leaves_even_a_failed_box_as_it_is() -> None:
    world = world_of([1])
    world.bad.add(("*", "v1"))
    world.release("v1", ONE_STAGE)
    world.pass_time(20 * SECOND)
    world.edit("v1", control={"abort": "Halt"})
    world.pass_time(5 * MINUTE)
    assert (world.status("v1").phase, world.nodes["tc-000-scan-0"].wanted) == (Phase.HALTED, {"v1"})


def test_a_box_that_goes_back_while_dark_goes_back_when_it_returns() -> None:
    world = world_of([1, 1])
    world.release("v1", ONE_STAGE)
    world.pass_time(5 * MINUTE)
    world.cut("tc-000-scan-0")
    world.edit("v1", control={"abort": "Rollback"})
    world.pass_time(5 * MINUTE)
    assert [node.wanted for node in world.nodes.values()] == [{"v1"}, set()]
    world.heal("tc-000-scan-0")
    world.pass_time(MINUTE)
    assert [node.wanted for node in world.nodes.values()] == [set(), set()]


def test_a_release_that_goes_back_tries_no_box_again() -> None:
    world = world_of([1])
    world.bad.add(("*", "v1"))
    world.release("v1", {**ONE_STAGE, "onFailure": {"retries": 2}})
    world.pass_time(2 * MINUTE)
    assert world.status("v1").boxes["tc-000-scan-0"].retry_at is not None
    world.edit("v1", control={"abort": "Rollback"})
    world.pass_time(HOUR)
    assert (world.status("v1").phase, world.nodes["tc-000-scan-0"].patches) == (Phase.ROLLED_BACK, 2)


def test_a_box_that_went_back_with_its_release_is_counted_so_and_stays_back() -> None:
    world = world_of([1, 1])
    world.release("v1", ONE_STAGE)
    world.pass_time(5 * MINUTE)
    world.bad.add(("tc-001-scan-0", "v2"))
    failing = {"action": "RollbackAll", "retries": 0}
    world.release("v2", {**ONE_STAGE, "onFailure": failing})
    world.pass_time(10 * MINUTE)
    assert (world.status("v2").counts.rolled_back, world.status("v2").counts.failed) == (1, 1)
    world.edit("v2", onFailure={**failing, "maxFailed": "100%"})
    world.pass_time(10 * MINUTE)
    assert [node.wanted for node in world.nodes.values()] == [{"v1"}, {"v1"}]


def test_a_box_that_was_asked_for_a_version_it_never_got_runs_nothing_again_when_the_next_one_goes_back() -> None:
    world = world_of([1])
    world.absent.add(("*", "v1"))
    world.release("v1", {**ONE_STAGE, "onFailure": {"retries": 0, "revertBox": False}})
    world.pass_time(5 * MINUTE)
    assert (world.status("v1").phase, world.nodes["tc-000-scan-0"].wanted) == (Phase.PAUSED, {"v1"})
    world.bad.add(("*", "v2"))
    world.release("v2", {**ONE_STAGE, "onFailure": {"retries": 0}})
    world.pass_time(5 * MINUTE)
    assert (world.status("v2").phase, world.nodes["tc-000-scan-0"].wanted) == (Phase.PAUSED, set())


def test_a_box_goes_back_to_a_version_that_ran_there_though_it_did_not_when_it_was_moved() -> None:
    world = world_of([1])
    world.release("v1", ONE_STAGE)
    world.pass_time(5 * MINUTE)
    world.bad |= {("*", "v1"), ("*", "v2")}
    world.pass_time(MINUTE)
    world.release("v2", {**ONE_STAGE, "onFailure": {"retries": 0}})
    world.pass_time(5 * MINUTE)
    assert world.nodes["tc-000-scan-0"].wanted == {"v1"}


def test_a_box_that_a_person_has_put_on_an_older_version_is_not_taken_back_to_that_same_version() -> None:
    box = replace(world_of([1]).fleet().boxes[0], versions=frozenset({"v1"}), previous=("v1", "v0"))
    known = {name: Version(name, exclusive=True) for name in ("v0", "v1")}
    assert back(box, "v1", known, "uid").on(box.versions) == {"v0"}


def test_a_box_on_which_the_old_version_does_not_come_up_again_holds_up_no_other_that_goes_back() -> None:
    world = world_of([1] * 4)
    world.release("v1", ONE_STAGE)
    world.pass_time(5 * MINUTE)
    world.release("v2", {**ONE_STAGE, "budget": {"maxParallelSites": "100%"}})
    world.pass_time(5 * MINUTE)
    world.bad.add(("tc-001-scan-0", "v1"))
    world.edit("v2", control={"abort": "Rollback"}, budget={"maxParallelSites": 1})
    world.pass_time(HOUR)
    assert [node.wanted for node in world.nodes.values()] == [{"v1"}] * 4
    assert world.status("v2").phase is Phase.ROLLED_BACK


@pytest.mark.parametrize("sites", [[1] * 4, [2, 2]], ids=["sites", "neighbours"])
def test_a_box_that_works_with_neither_version_holds_up_no_other_that_goes_forward(sites: list[int]) -> None:
    world = world_of(sites)
    world.release("v1", {**ONE_STAGE, "budget": {"maxParallelSites": "100%", "maxUnavailablePerSite": "100%"}})
    world.pass_time(5 * MINUTE)
    world.bad |= {("tc-000-scan-0", "v1"), ("tc-000-scan-0", "v2")}
    world.release("v2", {**ONE_STAGE, "onFailure": {"retries": 0, "maxFailed": 1}, "offline": {"minOnline": "10%"}})
    world.pass_time(HOUR)
    counts = world.status("v2").counts
    assert (counts.pending, counts.updating, counts.failed) == (0, 0, 1)
    assert counts.succeeded + counts.deferred == sum(sites) - 1, "its neighbours wait as for a dark one"
    assert world.status("v2").completed_at is not None


def test_a_retreat_that_is_held_up_says_by_what() -> None:
    world = world_of([2])
    world.release("v1", {**ONE_STAGE, "budget": {"maxUnavailablePerSite": 2}})
    world.pass_time(5 * MINUTE)
    world.release("v2", {**ONE_STAGE, "budget": {"maxUnavailablePerSite": 1}})
    world.pass_time(5 * MINUTE)
    world.cut("tc-000-scan-1")
    world.edit("v2", control={"abort": "Rollback"})
    world.pass_time(30 * MINUTE)
    status = world.status("v2")
    assert status.waiting_on is not None
    assert (status.phase, status.waiting_on.reason) == (Phase.ROLLING_BACK, Waiting.BUDGET)
    assert status.message == "1 box down or being changed at tc-000 (budget.maxUnavailablePerSite)."


def test_boxes_that_keep_a_version_because_another_release_brought_it_are_named_when_it_is_taken_back() -> None:
    world = world_of([1, 1])
    world.release("v1", ONE_STAGE)
    world.pass_time(5 * MINUTE)
    del world.releases["v1"]
    world.release("again", ONE_STAGE, same_as="v1")
    world.pass_time(5 * MINUTE)
    world.edit("again", control={"abort": "Rollback"})
    world.pass_time(MINUTE)
    said = "It stays on 2 boxes to which another release had brought it: tc-000-scan-0, tc-001-scan-0."
    assert world.status("again").message.endswith(said)


def test_the_stage_of_the_box_that_failed_goes_back_and_no_healthy_one() -> None:
    world = world_of([1, 1, 1])
    world.release("v1", ONE_STAGE)
    world.pass_time(5 * MINUTE)
    spec = {**NO_SOAK, "stages": [{"name": "canary", "upTo": 1, "soak": "0s"}, {"name": "rest", "soak": "1h"}]}
    world.release("v2", {**spec, "onFailure": {"retries": 0, "action": "RollbackStage"}})
    world.pass_time(10 * MINUTE)
    world.bad.add(("tc-000-scan-0", "v2"))
    world.pass_time(10 * MINUTE)
    assert [node.wanted for node in world.nodes.values()] == [{"v1"}, {"v2"}, {"v2"}]


def test_a_box_that_turns_bad_after_all_is_done_goes_back_alone_and_boxes_that_return_still_get_the_version() -> None:
    world = world_of([1, 1, 1])
    for name in ("v1", "v2"):
        world.cut("tc-002-scan-0") if name == "v2" else None
        world.release(name, {**ONE_STAGE, "offline": {"minOnline": "50%"}})
        world.pass_time(10 * MINUTE)
    world.bad.add(("tc-000-scan-0", "v2"))
    world.pass_time(10 * MINUTE)
    world.heal("tc-002-scan-0")
    world.pass_time(10 * MINUTE)
    assert [node.wanted for node in world.nodes.values()] == [{"v1"}, {"v2"}, {"v2"}]
    assert (world.status("v2").breach, world.status("v2").counts.failed) == (None, 1)


def test_a_box_that_is_not_ready_just_when_it_is_moved_still_remembers_what_it_ran() -> None:
    world = world_of([1])
    for name in ("v1", "v2"):
        world.release(name, ONE_STAGE)
        world.pass_time(5 * MINUTE)
    (box,) = world.fleet().boxes
    unready = replace(box, pods=tuple(replace(pod, ready=False) for pod in box.pods))
    assert forward(unready, "v3", world.versions, "uid-v3").previous == ("v2", "v1")
    crashing = replace(box, pods=tuple(replace(pod, ready=False, trouble="CrashLoopBackOff") for pod in box.pods))
    assert forward(crashing, "v3", world.versions, "uid-v3").previous == ("v1",)
