"""Boxes that a release finds with its version already or with another's: whose they are, who takes them back."""

from cloud.rollout.status import Phase
from tests.unit.cloud.rollout.pieces import HOUR, ONE_STAGE, everywhere
from tests.unit.cloud.rollout.world import MINUTE, SECOND, World, world_of


def test_a_release_that_finds_its_version_under_way_judges_it_as_its_own() -> None:
    world = world_of([1])
    world.bad.add(("*", "v1"))
    world.release("v1", {**ONE_STAGE, "onFailure": {"retries": 0}})
    world.nodes["tc-000-scan-0"].wanted = {"v1"}
    world.pass_time(5 * MINUTE)
    assert world.status("v1").counts.failed == 1


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
