"""The preview says what the operator then does: same boxes, same order, same stops."""

from datetime import timedelta

import pytest

from cloud.rollout.preview import Preview, preview
from cloud.rollout.status import Phase, Waiting
from tests.unit.cloud.rollout.world import World, world_of

HOUR = timedelta(hours=1)
READY_AFTER = timedelta(seconds=3)  # as in the world
SCAN = {"matchLabels": {"edgefleet.io/role": "scan"}}
WIDE = {"budget": {"maxParallelSites": "100%", "maxUnavailablePerSite": "100%"}}
STAGES: list[dict[str, object]] = [
    {"name": "canary", "upTo": 1, "soak": "1m"},
    {"name": "early", "upTo": "50%", "soak": "1m"},
    {"name": "rest", "soak": "1m"},
]
QUICK = {"health": {"readyFor": "5s", "timeout": "2m"}, "stages": STAGES}


def settled(sites: list[int], *, exclusive: bool = True) -> World:
    world = world_of(sites)
    world.release("1.0", {**QUICK, **WIDE, "stages": [{"name": "all", "soak": "1s"}]}, exclusive=exclusive)
    world.run(lambda one: one.status("1.0").phase is Phase.SUCCEEDED, HOUR)
    world.now += timedelta(minutes=1)
    return world


def seen(world: World, name: str = "2.0") -> Preview:
    return preview(world.fleet(), name, world.now, READY_AFTER)


@pytest.mark.parametrize("exclusive", [True, False])
def test_boxes_move_in_the_order_of_the_preview(*, exclusive: bool) -> None:
    world = settled([1, 2, 3, 2, 1, 2], exclusive=exclusive)
    world.release("2.0", QUICK, exclusive=exclusive)
    foretold = seen(world)
    happened: list[str] = []
    while world.status("2.0").phase is not Phase.SUCCEEDED:
        before = {name for name, node in world.nodes.items() if "2.0" in node.wanted}
        world.turn()
        happened += sorted(name for name, node in world.nodes.items() if "2.0" in node.wanted and name not in before)
        world.live()
    assert [step.box for step in foretold.steps] == happened
    assert [step.stage for step in foretold.steps] == ["canary"] + ["early"] * 5 + ["rest"] * 5
    assert foretold.blocked == ""
    assert foretold.status.phase is Phase.SUCCEEDED
    took = timedelta(seconds=len(happened) * 60)
    assert abs(foretold.ends - world.now) < took


def test_a_preview_changes_nothing_and_is_the_same_twice() -> None:
    world = settled([2, 2])
    world.release("2.0", QUICK)
    before = world.fleet()
    assert seen(world) == seen(world)
    assert world.fleet() == before


def test_dark_boxes_are_deferred_and_their_neighbours_held() -> None:
    world = settled([2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1])
    world.cut("tc-000-scan-0")
    world.release("2.0", {**QUICK, "offline": {"minOnline": "60%"}})
    found = seen(world)
    assert (found.dark, found.held, found.blocked) == (("tc-000-scan-0",), ("tc-000-scan-1",), "")
    assert found.status.phase is Phase.CATCHING_UP
    assert len(found.steps) == 10


def test_too_many_dark_boxes_block_the_release_with_the_planners_reason() -> None:
    world = settled([1, 1, 1])
    world.cut("tc-001-scan-0", "tc-002-scan-0")
    world.release("2.0", QUICK)
    assert "offline.minOnline asks for 80%" in seen(world).blocked


def test_an_approval_is_foretold_and_taken_as_given() -> None:
    world = settled([1, 1])
    world.release("2.0", {**QUICK, "stages": [STAGES[0], {**STAGES[2], "approval": True}]})
    found = seen(world)
    waits = [(pause.stage, pause.reason) for pause in found.pauses if pause.until is None]
    assert waits == [("rest", Waiting.APPROVAL)]
    assert [step.box for step in found.steps] == ["tc-000-scan-0", "tc-001-scan-0"]


def test_a_pause_in_the_file_is_foretold_and_taken_as_ended() -> None:
    world = settled([1])
    world.release("2.0", {**QUICK, "control": {"paused": True}})
    found = seen(world)
    assert found.pauses[0].reason is Waiting.PAUSED
    assert (len(found.steps), found.blocked) == (1, "")


def test_a_release_that_is_ended_in_the_file_moves_nothing() -> None:
    world = settled([1])
    world.release("2.0", {**QUICK, "control": {"paused": True, "abort": "Halt"}})
    found = seen(world)
    assert (found.steps, found.status.phase) == ((), Phase.HALTED)
    assert found.blocked


@pytest.mark.parametrize(
    ("abort", "phase"), [("Halt", Phase.HALTED), ("Rollback", Phase.ROLLED_BACK)], ids=["halted", "rolled back"]
)
def test_a_release_that_is_over_is_called_so_whatever_its_file_says_now(abort: str, phase: Phase) -> None:
    world = settled([1, 1])
    world.release("2.0", QUICK)
    world.turn()
    world.edit("2.0", control={"abort": abort})
    world.run(lambda one: one.status("2.0").phase is phase, HOUR)
    world.edit("2.0", control={})
    assert seen(world).blocked == f"2.0 is over ({phase}): create a new EdgeRelease under another name"


def test_a_release_that_was_overtaken_is_over_and_one_that_had_come_to_its_end_is_not() -> None:
    world = settled([1, 1])
    world.release("2.0", QUICK)
    world.turn()
    world.now += timedelta(minutes=1)
    world.release("3.0", QUICK)
    world.run(lambda one: one.status("2.0").phase is Phase.SUPERSEDED, HOUR)
    assert seen(world).blocked == "2.0 is over (Superseded): create a new EdgeRelease under another name"
    world.run(lambda one: one.status("1.0").phase is Phase.SUPERSEDED, HOUR)
    assert seen(world, "1.0").blocked == "a newer release has taken over every box it matches"


def test_a_window_is_waited_for() -> None:
    world = settled([1])
    opens = (world.now + 3 * HOUR).replace(minute=0, second=0, microsecond=0)
    window = {"from": f"{opens:%H:%M}", "to": f"{opens + HOUR:%H:%M}", "tz": "UTC"}
    world.release("2.0", {**QUICK, "windows": [window]})
    found = seen(world)
    assert [step.at for step in found.steps] == [opens]
    assert (found.pauses[0].reason, found.pauses[0].until) == (Waiting.WINDOW, opens)


def test_sites_without_a_time_zone_block_a_release_with_windows() -> None:
    world = settled([1])
    world.release("2.0", {**QUICK, "windows": [{"from": "22:00", "to": "06:00"}]})
    found = seen(world)
    assert (found.zoneless, found.steps) == (("tc-000",), ())
    assert "time zone" in found.blocked


def test_no_matching_box_is_said_plainly() -> None:
    world = settled([1])
    world.release("2.0", {**QUICK, "targets": {"selector": {"matchLabels": {"edgefleet.io/role": "vision"}}}})
    assert "no box matches" in seen(world).blocked


def test_what_is_left_out_is_told_apart() -> None:
    world = settled([1, 1, 1, 2])
    world.release(
        "2.0", {**QUICK, "targets": {"selector": SCAN, "exclude": {"matchLabels": {"edgefleet.io/site": "tc-000"}}}}
    )
    world.now += timedelta(minutes=1)
    only_1 = {"selector": {"matchLabels": {"edgefleet.io/site": "tc-001"}}}
    world.release("3.0", {**QUICK, "targets": only_1})
    found = seen(world)
    assert (found.excluded, found.taken, found.lone) == (("tc-000-scan-0",), ("tc-001-scan-0",), ("tc-002",))
    assert (found.boxes, found.sites) == (3, 2)


def test_a_release_under_way_that_loses_boxes_is_named() -> None:
    world = settled([1, 1])
    world.release("2.0", QUICK)
    world.turn()
    world.now += timedelta(minutes=1)
    world.release("3.0", QUICK)
    assert seen(world, "3.0").supersedes == ("2.0",)
    assert "a newer release has taken over" in seen(world).blocked
    assert seen(world).supersedes == ()


def test_a_release_under_way_is_foretold_from_where_it_stands() -> None:
    world = settled([1, 1, 1, 1])
    world.release("2.0", {**QUICK, "onFailure": {"maxFailed": 1, "retries": 1}})
    world.bad.add(("tc-000-scan-0", "2.0"))
    world.run(lambda one: one.nodes["tc-000-scan-0"].reverted == "uid-2.0", HOUR)
    found = seen(world)
    assert found.done == ()
    assert found.steps[0].box == "tc-000-scan-0"
    assert found.blocked == ""


def test_a_box_under_way_gets_ready_in_the_preview() -> None:
    world = settled([1, 1])
    world.release("2.0", QUICK)
    world.turn()
    found = seen(world)
    assert (found.done, [step.box for step in found.steps]) == (("tc-000-scan-0",), ["tc-001-scan-0"])
    assert found.blocked == ""


def test_a_box_that_has_just_returned_is_taken_as_steady() -> None:
    world = settled([1])
    world.cut("tc-000-scan-0")
    world.heal("tc-000-scan-0")
    world.release("2.0", QUICK)
    assert seen(world).blocked == ""


def test_a_preview_that_takes_too_many_turns_is_broken_off_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud.rollout.preview.MOST_TURNS", 2)
    world = settled([1, 1, 1])
    world.release("2.0", QUICK)
    found = seen(world)
    assert (len(found.steps), found.blocked) == (1, "the preview was broken off after 2 turns of the planner")


def test_a_stage_that_selects_no_box_blocks_the_preview_and_says_why() -> None:
    world = settled([1, 1])
    canary = {"name": "canary", "selector": {"matchLabels": {"canary": "ture"}}}
    world.release("2.0", {**QUICK, "stages": [canary, {"name": "rest"}]})
    foretold = seen(world)
    assert (foretold.steps, [pause.reason for pause in foretold.pauses]) == ((), [Waiting.NO_SITE])
    assert foretold.blocked.startswith("Stage canary: its selector (canary=ture) matches no box")
