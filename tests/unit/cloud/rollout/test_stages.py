"""Which stage starts when: canaries, approvals, windows, soak, selectors, edits."""

from collections.abc import Callable
from typing import Any

import pytest

from cloud.rollout.status import Phase, Waiting
from tests.unit.cloud.rollout.pieces import HOUR, NO_SOAK, ONE_STAGE, SHORT, everywhere
from tests.unit.cloud.rollout.world import MINUTE, SECOND, World, world_of


def test_stages_wait_for_the_first_box_so_that_it_is_a_canary() -> None:
    world = World({})
    world.release("v1", NO_SOAK)
    world.pass_time(MINUTE)
    assert world.status("v1").stages[0].started_at is None
    world.nodes = world_of([1, 1]).nodes
    world.pass_time(3 * SECOND)
    assert [bool(node.wanted) for node in world.nodes.values()] == [True, False]


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


WIDE = {"health": SHORT, "budget": {"maxParallelSites": "100%"}}
CANARY_HOUR = {**WIDE, "stages": [{"name": "canary", "upTo": 1, "soak": "1h"}, {"name": "rest", "soak": "0s"}]}


def vanish(world: World) -> None:
    del world.nodes["tc-000-scan-0"]


def change_role(world: World) -> None:
    world.nodes["tc-000-scan-0"].role = "spare"


def take_over(world: World) -> None:
    only = {"selector": {"matchLabels": {"edgefleet.io/site": "tc-000"}}}
    world.release("v2", {**ONE_STAGE, "targets": only})


@pytest.mark.parametrize("happen", [vanish, change_role, take_over])
def test_a_canary_that_loses_all_its_boxes_begins_anew_with_others(happen: Callable[[World], None]) -> None:
    world = world_of([1, 1, 1])
    world.bad.add(("*", "v1"))
    world.release("v1", CANARY_HOUR)
    world.pass_time(30 * SECOND)
    happen(world)
    world.pass_time(10 * SECOND)
    canary, rest = world.status("v1").stages
    assert (canary.sites, rest.started_at) == (("tc-001",), None)
    assert [node.name for node in world.nodes.values() if "v1" in node.wanted and node.site != "tc-000"] == [
        "tc-001-scan-0"
    ]


def test_the_soak_begins_anew_after_a_box_that_came_late_though_the_release_was_paused_meanwhile() -> None:
    world = world_of([1, 1])
    world.cut("tc-000-scan-0")
    first = {"name": "first", "selector": {"matchLabels": {"edgefleet.io/role": "scan"}}, "soak": "30m"}
    stages = [first, {"name": "rest", "soak": "0s"}]
    world.release("v1", {**WIDE, "stages": stages, "offline": {"minOnline": "50%"}})
    world.pass_time(25 * MINUTE)
    world.heal("tc-000-scan-0")
    world.run(lambda one: bool(one.nodes["tc-000-scan-0"].wanted), MINUTE)
    world.edit("v1", control={"paused": True})
    world.pass_time(10 * MINUTE)
    world.edit("v1", control={})
    world.pass_time(MINUTE)
    assert world.status("v1").stages[0].phase == "Soaking"


def test_a_fleet_smaller_than_the_boxes_that_a_limit_asks_for_is_judged_once_all_of_it_was_attempted() -> None:
    world = world_of([1, 1])
    world.bad.add(("*", "v1"))
    world.release("v1", {**ONE_STAGE, "onFailure": {"retries": 0, "minAttempted": 10, "maxFailed": "10%"}})
    world.pass_time(HOUR)
    assert (world.status("v1").phase, world.status("v1").counts.failed) == (Phase.PAUSED, 2)
