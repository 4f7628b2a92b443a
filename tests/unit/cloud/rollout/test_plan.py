"""What the planner does in one particular case each; most of these once went wrong."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cloud.rollout.moves import back
from cloud.rollout.snapshot import Version
from cloud.rollout.status import MOST_TRIED, Phase, Waiting
from tests.unit.cloud.rollout.world import MINUTE, SECOND, START, World, world_of

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


SHORT = {"readyFor": "5s", "timeout": "1m"}
APPROVED = {"approvals": [{"stage": "rest", "by": "Mei"}]}
EMERGENCY = {"emergency": {"by": "Mei", "reason": "parcels wait"}}
STAGES_ASKING = [{"name": "canary", "upTo": 1, "soak": "1h"}, {"name": "rest", "soak": "1h", "approval": True}]


def test_a_stage_waits_for_its_approval_and_says_how_to_give_it() -> None:
    world = world_of([1, 1])
    world.release("v1", {"stages": STAGES_ASKING, "health": SHORT})
    world.pass_time(2 * HOUR)
    status = world.status("v1")
    assert status.phase is Phase.AWAITING_APPROVAL
    assert status.message == "Stage rest needs an approval: edgefleet approve v1 --stage rest"
    world.edit("v1", control=APPROVED)
    world.pass_time(MINUTE)
    assert world.status("v1").phase is Phase.SOAKING


def test_an_emergency_skips_windows_soak_and_approvals() -> None:
    world = world_of([1, 1])
    closed = [{"from": "22:00", "to": "04:00", "tz": "UTC"}]
    world.release("v1", {"stages": STAGES_ASKING, "health": SHORT, "windows": closed, "control": EMERGENCY})
    world.pass_time(MINUTE)
    assert world.status("v1").phase is Phase.SUCCEEDED


@pytest.mark.parametrize(
    ("window", "hint"),
    [
        ({"from": "10:00", "to": "11:00"}, "Site tc-000 has no time zone, so its windows cannot be told"),
        ({"from": "10:00", "to": "11:00", "tz": "Mars/Base"}, "Time zone Mars/Base of spec.windows does not exist"),
        ({"from": "10:00", "to": "10:05", "tz": "UTC"}, "No window is as long as health.timeout"),
        ({"from": "13:00", "to": "15:00", "tz": "UTC"}, "The next window at tc-000 opens then."),
    ],
)
def test_a_release_outside_its_windows_says_why_it_waits(window: dict[str, Any], hint: str) -> None:
    world = world_of([1])
    world.release("v1", {"windows": [window]})
    world.pass_time(MINUTE)
    status = world.status("v1")
    assert status.phase is Phase.AWAITING_WINDOW
    assert status.message.startswith(hint)


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


def test_a_stage_that_blocks_on_dark_boxes_names_one() -> None:
    world = world_of([1, 1])
    world.cut("tc-001-scan-0")
    world.release("v1", {**ONE_STAGE, "offline": {"policy": "Block"}})
    world.pass_time(5 * MINUTE)
    waiting = world.status("v1").waiting_on
    assert waiting is not None
    assert (waiting.reason, waiting.boxes) == ("Offline", ("tc-001-scan-0",))


def test_a_stage_with_too_few_boxes_online_waits_and_says_how_many() -> None:
    world = world_of([1, 1])
    world.cut("tc-001-scan-0")
    world.release("v1", {**ONE_STAGE, "offline": {"policy": "Skip"}})
    world.pass_time(5 * MINUTE)
    assert world.status("v1").message == (
        "Stage rest: 1 of 2 boxes could be attempted, offline.minOnline asks for 80%."
    )


def test_a_box_that_was_dark_too_long_is_expired_and_still_moved_when_it_returns() -> None:
    world = world_of([1, 1])
    world.cut("tc-001-scan-0")
    world.release("v1", {**ONE_STAGE, "offline": {"catchUpFor": "1h", "minOnline": 1}})
    world.pass_time(2 * HOUR)
    assert (world.status("v1").counts.expired, world.status("v1").phase) == (1, Phase.SUCCEEDED)
    told = [note.message for _, _, note in world.notes if note.reason == "BoxesExpired"]
    assert told == [
        "Dark for longer than offline.catchUpFor (1h) and not waited for any more, yet moved on return: tc-001-scan-0."
    ]
    world.heal("tc-001-scan-0")
    world.pass_time(MINUTE)
    assert world.status("v1").counts.done == "2/2"


def test_with_skip_a_box_that_comes_late_is_left_as_it_is() -> None:
    world = world_of([1, 1])
    world.cut("tc-001-scan-0")
    world.release("v1", {**ONE_STAGE, "offline": {"policy": "Skip", "minOnline": 1}})
    world.pass_time(5 * MINUTE)
    world.heal("tc-001-scan-0")
    world.pass_time(5 * MINUTE)
    assert (world.status("v1").counts.skipped, world.nodes["tc-001-scan-0"].wanted) == (1, set())


def test_a_release_that_finds_its_version_under_way_judges_it_as_its_own() -> None:
    world = world_of([1])
    world.bad.add(("*", "v1"))
    world.release("v1", {**ONE_STAGE, "onFailure": {"retries": 0}})
    world.nodes["tc-000-scan-0"].wanted = {"v1"}
    world.pass_time(5 * MINUTE)
    assert world.status("v1").counts.failed == 1


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


def test_the_stage_that_broke_the_limit_goes_back_alone() -> None:
    world = world_of([1, 1, 1])
    world.release("v1", ONE_STAGE)
    world.pass_time(5 * MINUTE)
    world.bad.add(("tc-002-scan-0", "v2"))
    world.release("v2", {**NO_SOAK, "onFailure": {"action": "RollbackStage", "retries": 0}})
    world.pass_time(10 * MINUTE)
    assert [node.wanted for node in world.nodes.values()] == [{"v2"}, {"v1"}, {"v1"}]
    assert world.status("v2").phase is Phase.PAUSED


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


def test_a_box_that_goes_dark_before_its_patch_is_moved_when_it_returns() -> None:
    world = world_of([1])
    world.release("v1", ONE_STAGE)
    world.turn(crash_after=1)
    world.cut("tc-000-scan-0")
    world.pass_time(MINUTE)
    assert (world.status("v1").counts.deferred, world.nodes["tc-000-scan-0"].patches) == (1, 0)
    world.heal("tc-000-scan-0")
    world.pass_time(MINUTE)
    assert world.nodes["tc-000-scan-0"].patches == 1


def test_a_box_gets_the_version_of_the_first_override_that_matches() -> None:
    world = world_of([1])
    overrides = [{"selector": {"matchLabels": {"wave": name}}} for name in ("a", "b")]
    world.release("v1", {"workload": {"name": "scan", "image": "scan:1", "overrides": overrides}})
    standing = replace(world.fleet().standings[0], variants=("for-a", "for-b", "for-all"))
    box = world.fleet().boxes[0]
    found = [standing.version_for(replace(box, labels=labels)) for labels in ({"wave": "b"}, {"wave": "a"}, {})]
    assert found == ["for-b", "for-a", "for-all"]


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


ALL_AT_ONCE = {
    **ONE_STAGE,
    "budget": {"maxParallelSites": "100%", "maxUnavailablePerSite": "100%"},
    "onFailure": {"retries": 0, "revertBox": False, "maxFailed": "100%"},
}


def test_no_more_boxes_are_under_way_or_failed_than_the_status_of_a_release_holds() -> None:
    world = world_of([MOST_TRIED + 5])
    world.release("v1", ALL_AT_ONCE)
    world.turn()
    assert (len(world.status("v1").boxes), world.status("v1").counts.pending) == (MOST_TRIED, 5)
    assert "as many as" in world.status("v1").warnings[0]
    world.pass_time(MINUTE)
    assert world.status("v1").counts.done == f"{MOST_TRIED + 5}/{MOST_TRIED + 5}", "they follow when there is room"


def test_where_as_many_boxes_have_failed_as_the_status_holds_a_person_is_told_so() -> None:
    world = world_of([MOST_TRIED + 1])
    world.bad.add(("*", "v1"))
    world.release("v1", ALL_AT_ONCE)
    world.pass_time(2 * MINUTE)
    status = world.status("v1")
    assert (status.counts.failed, status.counts.pending) == (MOST_TRIED, 1)
    assert status.waiting_on is not None
    assert (status.waiting_on.reason, status.waiting_on.boxes) == (Waiting.BUDGET, (max(world.nodes),))
    assert "create a new release" in status.waiting_on.hint


def test_boxes_that_turn_bad_all_at_once_are_told_as_far_as_the_status_holds_them() -> None:
    world = world_of([MOST_TRIED + 5])
    world.release("v1", ALL_AT_ONCE)
    world.pass_time(MINUTE)
    world.bad.add(("*", "v1"))
    world.pass_time(30 * SECOND)
    assert len(world.status("v1").boxes) == MOST_TRIED
    world.bad.clear()
    world.pass_time(MINUTE)
    assert world.status("v1").boxes == {}


def test_a_surge_is_not_ended_on_a_box_that_is_not_well_and_of_which_the_status_holds_nothing() -> None:
    world = world_of([MOST_TRIED + 1])
    for node in world.nodes.values():
        node.install("v0", START)
    world.versions["v0"] = Version("v0", exclusive=False)
    world.live()
    world.bad.add(("*", "v1"))
    world.release("v1", ALL_AT_ONCE, exclusive=False)
    world.pass_time(2 * MINUTE)
    unknown = world.nodes[max(world.nodes)]
    unknown.wanted = {"v0", "v1"}  # by hand
    world.pass_time(MINUTE)
    assert unknown.wanted == {"v0", "v1"}


def everywhere(world: World) -> list[set[str]]:
    return [node.wanted for node in world.nodes.values()]


def twins() -> World:
    """Return a world in which `again` brings the version of `v1`, which boxes have already."""
    world = world_of([1, 1])
    for name in ("v0", "v1"):
        world.release(name, ONE_STAGE)
        world.pass_time(5 * MINUTE)
    world.release("again", ONE_STAGE, same_as="v1")
    return world


def test_a_release_of_the_version_that_boxes_have_moves_none_and_takes_none_back() -> None:
    world = twins()
    world.pass_time(5 * MINUTE)
    assert world.status("again").counts.done == "2/2"
    world.edit("again", control={"abort": "Rollback"})
    world.pass_time(HOUR)
    assert everywhere(world) == [{"v1"}, {"v1"}]
    assert [node.patches for node in world.nodes.values()] == [2, 2]
    assert (world.status("again").phase, world.status("v1").phase) == (Phase.ROLLED_BACK, Phase.SUCCEEDED)


def test_boxes_stay_up_when_a_release_is_taken_back_after_the_one_that_moved_them_was_deleted() -> None:
    world = twins()
    world.pass_time(5 * MINUTE)
    del world.releases["v1"], world.releases["v0"]
    world.edit("again", control={"abort": "Rollback"})
    world.pass_time(5 * MINUTE)
    assert everywhere(world) == [{"v1"}, {"v1"}]


def test_a_release_that_changes_some_boxes_only_takes_back_those_and_no_other() -> None:
    world = world_of([1, 1])
    world.release("v1", ONE_STAGE)
    world.pass_time(5 * MINUTE)
    world.nodes["tc-000-scan-0"].extra["gpu"] = "yes"
    overrides = [{"selector": {"matchLabels": {"gpu": "yes"}}, "args": ["x"]}]
    workload = {"name": "scan", "image": "scan:1", "overrides": overrides}
    world.bad.add(("*", "tuned"))
    failing = {"action": "RollbackAll", "retries": 0}
    world.release("tuned", {**ONE_STAGE, "workload": workload, "onFailure": failing}, same_as="v1")
    world.pass_time(HOUR)
    assert world.status("tuned").phase is Phase.ROLLED_BACK
    assert everywhere(world) == [{"v1"}, {"v1"}]
    assert [node.patches for node in world.nodes.values()] == [3, 1]


def test_several_releases_are_taken_back_one_after_the_other_each_from_the_boxes_it_moved() -> None:
    world = twins()
    world.pass_time(5 * MINUTE)
    world.release("v2", ONE_STAGE)
    world.pass_time(5 * MINUTE)
    for name, left in (("v2", "v1"), ("again", "v1"), ("v1", "v0"), ("v0", None)):
        world.edit(name, control={"abort": "Rollback"})
        world.pass_time(5 * MINUTE)
        assert everywhere(world) == [{left} if left else set()] * 2, f"after {name}"


def test_boxes_that_have_the_version_already_are_not_done_before_their_stage_has_started() -> None:
    world = world_of([1, 1])
    world.release("v1", ONE_STAGE)
    world.pass_time(5 * MINUTE)
    world.release("again", {**ONE_STAGE, "stages": [{"name": "rest", "soak": "0s", "approval": True}]}, same_as="v1")
    world.pass_time(MINUTE)
    assert (world.status("again").counts.pending, world.status("again").counts.done) == (2, "0/2")
    world.edit("again", control={"approvals": [{"stage": "rest", "by": "Mei"}]})
    world.pass_time(MINUTE)
    assert (world.status("again").phase, world.status("again").counts.done) == (Phase.SUCCEEDED, "2/2")


def test_a_box_that_is_ill_on_a_version_of_another_release_counts_once_its_stage_has_started_and_is_left_as_it_is() -> (
    None
):
    world = world_of([1])
    world.release("v1", ONE_STAGE)
    world.pass_time(5 * MINUTE)
    world.bad.add(("*", "v1"))
    world.live(MINUTE)
    asking = {**ONE_STAGE, "stages": [{"name": "rest", "approval": True}], "onFailure": {"retries": 3}}
    world.release("again", asking, same_as="v1")
    world.pass_time(HOUR)
    assert (world.status("again").breach, world.status("again").counts.pending) == (None, 1)
    world.edit("again", control={"approvals": [{"stage": "rest", "by": "Mei"}]})
    world.pass_time(5 * MINUTE)
    assert world.status("again").counts.failed == 1
    assert world.nodes["tc-000-scan-0"].patches == 1


def test_a_box_that_gets_well_before_its_stage_starts_is_not_held_against_the_release() -> None:
    world = world_of([1])
    world.release("v1", ONE_STAGE)
    world.pass_time(5 * MINUTE)
    world.bad.add(("*", "v1"))
    world.live(MINUTE)
    world.release("again", {**ONE_STAGE, "stages": [{"name": "rest", "approval": True}]}, same_as="v1")
    world.pass_time(MINUTE)
    assert world.status("again").boxes
    world.bad.clear()
    world.pass_time(MINUTE)
    assert not world.status("again").boxes


def test_a_paused_release_ends_no_surge_that_it_did_not_begin() -> None:
    world = world_of([1])
    world.release("v1", ONE_STAGE, exclusive=False)
    world.pass_time(5 * MINUTE)
    world.release("v2", {**ONE_STAGE, "control": {"paused": True}}, exclusive=False)
    world.nodes["tc-000-scan-0"].wanted = {"v1", "v2"}
    world.pass_time(5 * MINUTE)
    assert everywhere(world) == [{"v1", "v2"}]
    world.edit("v2", control={})
    world.pass_time(MINUTE)
    assert everywhere(world) == [{"v2"}]


def test_a_box_whose_version_a_person_takes_away_while_it_is_ill_waits_for_its_turn_like_any_other() -> None:
    world = world_of([1])
    patient = {"timeout": "1h", "maxRestarts": 1000}
    world.release("v1", {**ONE_STAGE, "stages": [{"name": "rest", "soak": "1h"}], "health": patient})
    world.pass_time(5 * MINUTE)
    world.bad.add(("*", "v1"))
    world.live()
    world.pass_time(MINUTE)
    assert world.status("v1").boxes["tc-000-scan-0"].relapse
    world.nodes["tc-000-scan-0"].wanted = set()
    world.pass_time(5 * SECOND)
    assert not world.status("v1").boxes["tc-000-scan-0"].relapse, "an attempt of its own"
    assert everywhere(world) == [{"v1"}]


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_stages_that_are_edited_before_the_release_starts_are_the_ones_that_count(before: int, after: int) -> None:
    stages = {1: ONE_STAGE["stages"], 2: NO_SOAK["stages"]}
    world = world_of([1, 1])
    world.release("v1", {**ONE_STAGE, "stages": stages[before], "control": {"paused": True}})
    world.pass_time(MINUTE)
    world.edit("v1", stages=stages[after], control={})
    world.pass_time(5 * MINUTE)
    status = world.status("v1")
    assert (status.phase, len(status.stages), status.counts.done) == (Phase.SUCCEEDED, after, "2/2")


def test_the_soak_begins_anew_after_a_box_that_comes_late() -> None:
    world = world_of([1, 1, 1])
    world.cut("tc-002-scan-0")
    soaking = {"stages": [{"name": "rest", "soak": "10m"}], "offline": {"minOnline": "50%"}}
    world.release("v1", {**ONE_STAGE, **soaking, "budget": {"maxParallelSites": "100%"}})
    world.pass_time(9 * MINUTE)
    assert world.status("v1").phase is Phase.SOAKING
    world.heal("tc-002-scan-0")
    world.run(lambda w: bool(w.nodes["tc-002-scan-0"].wanted), MINUTE)
    moved = world.now
    world.pass_time(HOUR)
    passed = world.status("v1").stages[0].passed_at
    assert passed is not None
    assert passed - moved >= 10 * MINUTE


def test_a_box_that_only_comes_and_goes_does_not_make_the_soak_longer() -> None:
    world = world_of([1, 1])
    world.release("v1", {**ONE_STAGE, "stages": [{"name": "rest", "soak": "10m"}]})
    world.pass_time(5 * MINUTE)
    since = world.status("v1").stages[0].soak_since
    assert since is not None
    world.cut("tc-001-scan-0")
    world.pass_time(MINUTE)
    world.heal("tc-001-scan-0")
    world.pass_time(MINUTE)
    assert world.status("v1").stages[0].soak_since == since


MISSPELT = {"name": "canary", "selector": {"matchLabels": {"canary": "ture"}}, "soak": "0s"}


def test_a_canary_whose_selector_matches_nothing_holds_the_release_up_until_it_does() -> None:
    world = world_of([1, 1])
    world.release("v1", {**ONE_STAGE, "stages": [MISSPELT, {"name": "rest", "soak": "0s"}]})
    world.pass_time(HOUR)
    status = world.status("v1")
    assert (status.phase, status.started_at, everywhere(world)) == (Phase.PENDING, None, [set(), set()])
    assert status.waiting_on is not None
    assert status.waiting_on.reason is Waiting.NO_SITE
    assert status.message.startswith("Stage canary: its selector (canary=ture) matches no box of this release")
    assert status.message.endswith("label the nodes that it means, or correct it in spec.stages.")
    world.nodes["tc-001-scan-0"].extra["canary"] = "ture"
    world.pass_time(SECOND)
    assert everywhere(world) == [set(), {"v1"}]


def test_a_later_stage_whose_selector_matches_nothing_holds_the_release_up_too() -> None:
    world = world_of([1, 1, 1])
    stages = [{"name": "first", "upTo": 1, "soak": "0s"}, MISSPELT, {"name": "rest"}]
    world.release("v1", {**ONE_STAGE, "stages": stages})
    world.pass_time(HOUR)
    status = world.status("v1")
    assert (status.phase, status.counts.done) == (Phase.ROLLING, "1/3")
    assert status.message.endswith("or create a new EdgeRelease.")


@pytest.mark.parametrize(
    "early",
    [
        [{"name": "first", "upTo": 1}, {"name": "second", "upTo": "10%"}],
        [{"name": "first", "upTo": 1}, {**MISSPELT, "upTo": "10%"}],
        [{"name": "first", "upTo": 5}, {"name": "second", "upTo": 9}],
        [{**MISSPELT, "selector": {"matchLabels": {"edgefleet.io/site": "tc-000"}}, "name": n} for n in ("a", "b")],
    ],
)
def test_a_stage_is_empty_without_objection_where_those_before_it_have_its_sites(early: list[dict[str, Any]]) -> None:
    world = world_of([1, 1, 1, 1, 1])
    world.release("v1", {**ONE_STAGE, "stages": [{"soak": "0s", **one} for one in [*early, {"name": "rest"}]]})
    world.pass_time(HOUR)
    assert (world.status("v1").phase, world.status("v1").counts.done) == (Phase.SUCCEEDED, "5/5")


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
