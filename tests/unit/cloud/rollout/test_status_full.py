"""A status that holds as many boxes as it may: nothing is moved of which nothing can be remembered."""

from cloud.rollout.snapshot import Version
from cloud.rollout.status import MOST_TRIED, Waiting
from tests.unit.cloud.rollout.pieces import ONE_STAGE
from tests.unit.cloud.rollout.world import MINUTE, SECOND, START, world_of

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
