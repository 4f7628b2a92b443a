"""The ten rules of an EdgeRelease over random fleets, faults, people and operator restarts."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.cloud.rollout.laws import at_rest, darkness_decides_nothing, newest_everywhere
from tests.unit.cloud.rollout.scripts import (
    SITES,
    Story,
    all_ends_well,
    comes_to_an_end,
    play,
    specs,
    stories,
    world_of_story,
)
from tests.unit.cloud.rollout.world import SECOND, START

SOME = settings(max_examples=settings().max_examples // 2)  # of what the profile asks: the stories are long
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
    """Times differ, and with Pause how far it came before the breach; so here failures are borne, or all go back."""
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
