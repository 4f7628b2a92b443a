"""The ten rules of an EdgeRelease over random fleets, faults, people and operator restarts."""

from datetime import timedelta
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.unit.cloud.rollout.laws import at_rest, darkness_decides_nothing, newest_everywhere
from tests.unit.cloud.rollout.scripts import (
    SITES,
    TO_RELEASES,
    Story,
    all_ends_well,
    comes_to_an_end,
    play,
    specs,
    stories,
    world_of_story,
)
from tests.unit.cloud.rollout.world import MINUTE, SECOND, START

SOME = settings(max_examples=settings().max_examples // 2)  # of what the profile asks: the stories are long
WAITING = st.tuples(*[st.sampled_from((5 * SECOND, MINUTE, 10 * MINUTE))] * 2)
KILLS = st.lists(st.none() | st.integers(0, 6), min_size=1, max_size=8).map(tuple)


@SOME
@given(stories())
def test_the_rules_hold_whatever_happens_and_every_release_comes_to_an_end(story: Story) -> None:
    *_, world = play(story)
    all_ends_well(world)
    at_rest(world)
    newest_everywhere(world)


@SOME
@given(stories())
def test_rule_3_a_dark_box_turns_no_stage_from_pass_to_fail_or_back(story: Story) -> None:
    for world in play(story):
        for box in world.nodes:
            darkness_decides_nothing(world, box)


@SOME
@given(stories(), KILLS)
def test_rule_4_killing_the_operator_between_any_two_writes_changes_nothing(
    story: Story, kills: tuple[int | None, ...]
) -> None:
    """It is started again at once. Nothing differs but Events: those of the interrupted look are lost or told twice."""
    for spared, killed in zip(play(story), play(story, kills), strict=True):
        assert killed.outcome() == spared.outcome()


@SOME
@given(SITES, specs(), st.lists(st.integers(0, 30), max_size=3), st.lists(st.integers(0, 90), min_size=1, max_size=6))
def test_rule_4_an_operator_that_is_away_now_and_then_comes_to_the_same_end(
    sites: tuple[tuple[str, ...], ...], spec: dict[str, Any], bad: list[int], absences: list[int]
) -> None:
    """Times differ, and with Pause how far it came before the breach; so here failures are borne, or all go back.

    A share of failures is judged on the boxes attempted so far: who looks later may find more that succeeded.
    """
    assume(spec["onFailure"]["maxFailed"] != "30%")
    spec["stages"] = [{**stage, "approval": False} for stage in spec["stages"]]
    spec["onFailure"] |= {
        "action": "RollbackAll",
        "revertBox": True,
    }  # a box left broken may hold its neighbours for ever
    ends = []
    for away in ([0], absences):
        story = Story(START, sites, installed=True)
        world = world_of_story(story)
        names = sorted(world.nodes)
        world.bad = {(names[n % len(names)], "v1") for n in bad}
        world.release("v1", spec)
        for n in range(60):
            world.pass_time(7 * SECOND)
            for _ in range(away[n % len(away)]):
                world.live()
        comes_to_an_end(world)
        ends.append((world.status("v1").phase, {node.name: node.wanted for node in world.nodes.values()}))
    assert ends[0] == ends[1]


@SOME
@given(SITES, specs(), st.tuples(st.booleans(), st.booleans()), st.sets(st.integers(0, 30), max_size=4), WAITING)
def test_rule_8_boxes_that_ran_nothing_before_run_nothing_again(
    sites: tuple[tuple[str, ...], ...],
    spec: dict[str, Any],
    exclusive: tuple[bool, bool],
    absent: set[int],
    waits: tuple[timedelta, timedelta],
) -> None:
    """Two releases come and go, of which the first never got to some of the boxes; its law looks at every patch."""
    spec["stages"] = [{**stage, "approval": False} for stage in spec["stages"]]
    world = world_of_story(Story(START, sites, installed=False))
    names = sorted(world.nodes)
    world.absent = {(names[n % len(names)], "v1") for n in absent}
    for name, alone, wait in zip(("v1", "v2"), exclusive, waits, strict=True):
        world.release(name, spec, exclusive=alone)
        world.pass_time(wait)
    for name in ("v1", "v2"):
        TO_RELEASES["roll back"](world, name)
        world.pass_time(30 * MINUTE)
    assert {name: node.wanted for name, node in world.nodes.items() if node.wanted} == {}
