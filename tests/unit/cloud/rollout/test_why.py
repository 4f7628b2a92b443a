"""Why a box runs what it runs: every answer is asked of a fleet that the planner itself has brought there."""

from dataclasses import replace
from datetime import timedelta

import pytest

from cloud.rollout.snapshot import Box, Fleet
from cloud.rollout.status import Phase
from cloud.rollout.why import Explanation, Finding, explain
from tests.unit.cloud.rollout.world import START, World, world_of

HOUR = timedelta(hours=1)
QUICK = {"health": {"readyFor": "5s", "timeout": "2m"}}
ONE_STAGE = {**QUICK, "stages": [{"name": "all", "soak": "1m"}]}


def settled(sites: list[int]) -> World:
    """Return a world in which 1.0 runs everywhere."""
    world = world_of(sites)
    world.release("1.0", {**ONE_STAGE, "budget": {"maxParallelSites": "100%", "maxUnavailablePerSite": "100%"}})
    world.run(lambda one: one.status("1.0").phase is Phase.SUCCEEDED, HOUR)
    world.now += timedelta(minutes=1)
    return world


def asked(world: World, box: str) -> Explanation:
    return explain(world.fleet(), the_box(world, box), world.now)


def the_box(world: World, name: str) -> Box:
    return next(box for box in world.fleet().boxes if box.name == name)


def only(explanation: Explanation) -> Finding:
    (finding,) = explanation.findings
    return finding


def phase(world: World, name: str, wanted: Phase) -> None:
    world.run(lambda one: one.status(name).phase is wanted, HOUR)


def test_a_box_that_runs_what_it_should_is_settled() -> None:
    explanation = asked(settled([1]), "tc-000-scan-0")
    assert (explanation.runs, explanation.wanted, explanation.owner) == (("1.0",), "1.0", "1.0")
    assert (only(explanation).reason, explanation.settled) == ("Done", True)


def test_a_box_that_no_release_means_is_settled_with_nothing() -> None:
    explanation = explain(Fleet((), (), {}), Box("b", "s", "scan", {}, online=True, since=START), START)
    assert (explanation.findings, explanation.wanted, explanation.settled) == ((), "", True)


def test_a_box_of_a_later_stage_is_told_which_stage_goes_before() -> None:
    world = settled([1] * 3)
    world.release("2.0", {**QUICK, "stages": [{"name": "canary", "upTo": 1}, {"name": "rest"}]})
    phase(world, "2.0", Phase.SOAKING)
    explanation = asked(world, "tc-002-scan-0")
    finding = only(explanation)
    assert (finding.reason, finding.command) == ("StageNotStarted", "status 2.0")
    assert "rest at the latest" in finding.message
    assert "canary is Soaking" in finding.message
    assert (explanation.runs, explanation.wanted, explanation.settled) == (("1.0",), "2.0", False)


def test_a_box_whose_stage_needs_an_approval_is_told_the_command() -> None:
    world = settled([1, 1])
    stages = [{"name": "canary", "upTo": 1, "soak": "1s"}, {"name": "rest", "approval": True}]
    world.release("2.0", {**QUICK, "stages": stages})
    phase(world, "2.0", Phase.AWAITING_APPROVAL)
    finding = only(asked(world, "tc-001-scan-0"))
    assert (finding.reason, finding.command) == ("Approval", "approve 2.0 --stage rest")


def test_before_the_first_plan_the_first_stage_is_waited_for() -> None:
    world = settled([1])
    world.release("2.0", ONE_STAGE)
    assert "all is Pending" in only(asked(world, "tc-000-scan-0")).message


def test_a_paused_release_says_so_of_each_box() -> None:
    world = settled([1])
    world.release("2.0", {**ONE_STAGE, "control": {"paused": True}})
    phase(world, "2.0", Phase.PAUSED)
    finding = only(asked(world, "tc-000-scan-0"))
    assert (finding.reason, finding.command) == ("Paused", "status 2.0")


def test_a_box_held_up_by_the_budget_or_a_window_is_told_until_when() -> None:
    world = settled([3])
    world.release("2.0", ONE_STAGE)
    world.turn()
    assert only(asked(world, "tc-000-scan-1")).reason == "Budget"
    world.edit("2.0", windows=[{"from": "22:00", "to": "06:00", "tz": "UTC"}])
    finding = only(asked(world, "tc-000-scan-1"))
    assert (finding.reason, finding.until) == ("Window", START.replace(hour=22))


def test_a_box_that_nothing_objects_to_is_next() -> None:
    world = settled([1, 1])
    world.cut("tc-001-scan-0")
    world.release("2.0", {**ONE_STAGE, "budget": {"maxParallelSites": "100%"}})
    world.turn()
    world.heal("tc-001-scan-0")
    world.live(timedelta(seconds=10))
    assert only(asked(world, "tc-001-scan-0")).reason == "Next"


def test_a_box_under_way_is_told_how_far_it_is() -> None:
    world = settled([1])
    world.release("2.0", ONE_STAGE)
    world.turn()
    told = only(asked(world, "tc-000-scan-0")).message
    assert told.endswith("attempt 1, 0 of 120 s online, not ready yet (no pod of it was started on the box)")
    for _ in range(5):
        world.live()
        world.turn()
    finding = only(asked(world, "tc-000-scan-0"))
    assert "is ready on the box" in finding.message
    assert finding.until is not None


def test_a_failed_box_is_told_the_cause_though_it_belongs_to_the_release_before_again() -> None:
    world = settled([1])
    world.release("2.0", {**ONE_STAGE, "onFailure": {"retries": 0}})
    world.bad.add(("*", "2.0"))
    phase(world, "2.0", Phase.PAUSED)
    world.run(lambda one: asked(one, "tc-000-scan-0").findings[-1].reason == "Done", HOUR)
    explanation = asked(world, "tc-000-scan-0")
    assert explanation.owner == "1.0"
    assert [one.reason for one in explanation.findings] == ["Failed", "Done"]
    assert "TooManyRestarts" in explanation.findings[0].message


@pytest.mark.parametrize(("revert", "told"), [(True, "it went back"), (False, "it was left as it is")])
def test_a_failed_box_within_the_limit_is_told_that_no_further_attempt_comes(*, revert: bool, told: str) -> None:
    world = settled([1, 1])
    limits = {"onFailure": {"retries": 0, "maxFailed": 1, "revertBox": revert}}
    world.release("2.0", {**ONE_STAGE, **limits})
    world.bad.add(("tc-000-scan-0", "2.0"))
    world.run(lambda one: bool(one.status("2.0").failures), HOUR)
    world.turn()
    finding = only(asked(world, "tc-000-scan-0"))
    assert finding.reason == "Failed"
    assert told in finding.message


def test_a_dark_box_is_deferred_and_told_since_when() -> None:
    world = settled([1, 1])
    world.cut("tc-000-scan-0")
    world.release("2.0", ONE_STAGE)
    world.turn()
    finding = only(asked(world, "tc-000-scan-0"))
    assert (finding.reason, finding.since) == ("Dark", world.now)
    world.heal("tc-000-scan-0")
    assert only(asked(world, "tc-000-scan-0")).reason == "NotSteady"


def test_a_release_whose_status_cannot_be_read_is_said_to_keep_the_box() -> None:
    world = world_of([1])
    world.release("v1")
    fleet = world.fleet()
    unknown = replace(fleet.standings[0], unknown=True, variants=())
    told = explain(replace(fleet, standings=(unknown,)), fleet.boxes[0], world.now)
    assert (told.owner, told.wanted, [one.reason for one in told.findings]) == ("v1", "", ["StatusUnreadable"])


@pytest.mark.parametrize(
    ("offline", "reason", "words"),
    [
        ({"policy": "Skip"}, "Skipped", "leaves it as it is"),
        ({"catchUpFor": "1h"}, "Expired", "offline.catchUpFor (1h): not waited for any more, yet moved on return"),
    ],
)
def test_a_box_that_is_not_waited_for_is_told_why(offline: dict[str, str], reason: str, words: str) -> None:
    world = settled([1, 1])
    world.cut("tc-000-scan-0")
    world.release("2.0", {**ONE_STAGE, "offline": {"minOnline": 0, **offline}})
    world.turn()
    world.now += 2 * HOUR
    finding = only(asked(world, "tc-000-scan-0"))
    assert finding.reason == reason
    assert words in finding.message


def test_a_box_between_dead_neighbours_is_told_whom_it_waits_for() -> None:
    world = settled([2])
    world.cut("tc-000-scan-0")
    world.release("2.0", ONE_STAGE)
    world.turn()
    finding = only(asked(world, "tc-000-scan-1"))
    assert finding.reason == "DeadNeighbours"
    assert "scan boxes at tc-000 are down" in finding.message


def test_a_box_that_went_dark_or_broke_after_its_move_is_told_so() -> None:
    world = settled([1])
    world.cut("tc-000-scan-0")
    box = replace(the_box(world, "tc-000-scan-0"), pods=())
    fleet = replace(world.fleet(), boxes=(box,))
    assert explain(fleet, box, world.now).findings[0].reason == "Dark"
    here = replace(box, online=True)
    assert explain(replace(fleet, boxes=(here,)), here, world.now).findings[0].reason == "NotRunning"


def test_a_box_that_was_taken_back_is_told_so() -> None:
    world = settled([1, 1])
    world.release("2.0", ONE_STAGE)
    world.run(lambda one: one.nodes["tc-000-scan-0"].wanted == {"2.0"}, HOUR)
    world.edit("2.0", control={"abort": "Rollback"})
    phase(world, "2.0", Phase.ROLLED_BACK)
    world.run(lambda one: asked(one, "tc-000-scan-0").findings[-1].reason == "Done", HOUR)
    taken, never = asked(world, "tc-000-scan-0"), asked(world, "tc-001-scan-0")
    assert [one.reason for one in taken.findings] == ["RolledBack", "Done"]
    assert [one.reason for one in never.findings] == ["NotInForce", "Done"]


def test_a_box_that_was_taken_back_stays_so_when_the_limit_is_raised() -> None:
    world = settled([1])
    world.release("2.0", ONE_STAGE)
    world.nodes["tc-000-scan-0"].reverted = "uid-2.0"
    explanation = asked(world, "tc-000-scan-0")
    assert (explanation.owner, only(explanation).reason) == ("2.0", "RolledBack")


def test_a_newer_release_that_leaves_the_box_out_is_told_before_its_owner() -> None:
    world = settled([1])
    left_out = {
        "selector": {"matchLabels": {"edgefleet.io/role": "scan"}},
        "exclude": {"matchLabels": {"edgefleet.io/site": "tc-000"}},
    }
    world.release("2.0", {**ONE_STAGE, "targets": left_out})
    world.release("3.0", {**ONE_STAGE, "targets": {"selector": {"matchLabels": {"edgefleet.io/role": "vision"}}}})
    explanation = asked(world, "tc-000-scan-0")
    assert [(one.release, one.reason) for one in explanation.findings] == [("2.0", "Excluded"), ("1.0", "Done")]


def test_a_release_that_nobody_has_looked_at_is_told_as_not_ready() -> None:
    world = settled([1])
    world.release("2.0", ONE_STAGE)
    fleet = world.fleet()
    fleet = replace(fleet, standings=(fleet.standings[0], replace(fleet.standings[1], variants=())))
    finding = explain(fleet, the_box(world, "tc-000-scan-0"), world.now).findings[0]
    assert (finding.reason, finding.command) == ("NotReady", "doctor")


def test_a_box_behind_a_stage_that_selects_nothing_is_told_so() -> None:
    world = settled([1])
    canary = {"name": "canary", "selector": {"matchExpressions": [{"key": "lab", "operator": "In", "values": ["a"]}]}}
    world.release("2.0", {**QUICK, "stages": [canary, {"name": "rest"}]})
    world.turn()
    finding = only(asked(world, "tc-000-scan-0"))
    assert (finding.reason, finding.command) == ("NoSite", "status 2.0")
    assert "(lab In a)" in finding.message


def test_a_box_that_is_to_go_back_is_not_told_to_be_done() -> None:
    world = settled([2])
    world.release("2.0", ONE_STAGE)
    phase(world, "2.0", Phase.SUCCEEDED)
    world.cut("tc-000-scan-1")
    world.edit("2.0", control={"abort": "Rollback"})
    world.pass_time(timedelta(minutes=5))
    finding = only(asked(world, "tc-000-scan-0"))
    assert finding.reason == "GoesBack"
    assert "budget.maxUnavailablePerSite" in finding.message


def test_a_failed_box_that_is_dark_is_not_told_to_have_gone_back() -> None:
    world = settled([1, 1])
    world.bad.add(("*", "2.0"))
    world.release("2.0", {**ONE_STAGE, "onFailure": {"retries": 0}})
    world.run(lambda one: bool(one.status("2.0").boxes), HOUR)
    (box,) = world.status("2.0").boxes
    world.run(lambda one: bool(one.status("2.0").boxes[box].cause), HOUR)
    world.nodes[box].wanted = {"2.0"}
    world.nodes[box].moved_by = ("uid-2.0", "uid-1.0")
    assert "it goes back to what it ran before as soon as it may" in only(asked(world, box)).message


def test_a_box_that_a_release_has_moved_which_nobody_can_read_is_told_to_stay() -> None:
    world = settled([1])
    box = the_box(world, "tc-000-scan-0")
    fleet = replace(world.fleet(), unread={"uid-2.0": (world.now, "2.0")})
    explanation = explain(fleet, replace(box, moved_by=("uid-2.0", "uid-1.0")), world.now)
    assert (only(explanation).release, only(explanation).reason) == ("2.0", "SpecUnreadable")
