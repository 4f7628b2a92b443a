"""Dark boxes in a release: waited for, left out, caught up with."""

from cloud.rollout.status import Phase
from tests.unit.cloud.rollout.pieces import HOUR, ONE_STAGE
from tests.unit.cloud.rollout.world import MINUTE, SECOND, Node, world_of


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


def test_with_skip_a_box_that_joins_when_its_stage_has_passed_is_no_dark_one() -> None:
    world = world_of([1, 1])
    world.release("v1", {**ONE_STAGE, "offline": {"policy": "Skip"}})
    world.pass_time(5 * MINUTE)
    world.nodes["tc-001-scan-0"] = Node("tc-001-scan-0", "tc-001", link_since=world.now, joined=world.now)
    world.pass_time(5 * MINUTE)
    assert world.nodes["tc-001-scan-0"].wanted == {"v1"}
