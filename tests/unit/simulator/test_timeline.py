"""When steps are due and where they happen."""

import pytest

from simulator.scenario import Ailment, Deed, Ending, Moment, Places, Scenario, Step, When
from simulator.tables import FileError
from simulator.timeline import Act, Ground, began, due, resolve, stands_still, still_to_come
from tests.unit.simulator.seen import release, stage

GROUND = Ground({"s2": ("b3",), "s1": ("b1", "b2"), "s3": ("b4",)})


def acts(*steps: Step, stages: int = 3) -> tuple[Act, ...]:
    return resolve(Scenario("mine", "It rains.", Ending.RELEASED, (), steps), GROUND, stages)


def cut(**places: object) -> Step:
    return Step(When(), Deed.CUT, Places(**places))  # type: ignore[arg-type] # any field of Places


@pytest.mark.parametrize(
    ("places", "sites"),
    [
        ({"count": 2}, ("s2", "s3")),
        ({"first": 1}, ("s1",)),
        ({"share": 0.5}, ("s2", "s3")),
        ({"spared": 0}, ("s1", "s2", "s3")),
        ({"spared": 1}, ("s2", "s3")),
        ({"names": ("s1", "s[23]")}, ("s1", "s2", "s3")),
    ],
)
def test_numbers_mean_the_last_sites_so_that_the_first_ones_are_there_to_begin_with(
    places: dict[str, object], sites: tuple[str, ...]
) -> None:
    assert acts(cut(**places))[0].sites == sites


def test_all_that_cannot_be_played_on_this_ground_is_told_at_once() -> None:
    late = Step(When(Moment.STAGE_STARTS, 4), Deed.CUT, Places(count=1))
    strange = Step(When(), Deed.CRASH, Places(), boxes=("b9",), ailment=Ailment())
    with pytest.raises(FileError) as wrong:
        acts(cut(count=4), late, strange, cut(names=("s9",)), cut(spared=3))
    assert [problem[:25] for problem in wrong.value.problems] == [
        "step 1: sites: 4 cannot b",
        "step 2: when: there is no",
        "step 3: boxes: 'b9': the ",
        "step 4: sites: 's9': the ",
        "step 5: sites: all but 3 ",
    ]


def test_flapping_becomes_cuts_and_healings_at_their_times() -> None:
    step = Step(When(after=1.0), Deed.FLAP, Places(first=1), down=5.0, up=10.0, times=2)
    assert [(act.deed, act.when.after) for act in acts(step)] == [
        (Deed.CUT, 1.0),
        (Deed.HEAL, 6.0),
        (Deed.CUT, 16.0),
        (Deed.HEAL, 21.0),
    ]


def test_an_ailment_of_sites_befalls_all_their_boxes_and_is_told_in_words() -> None:
    crash = Step(When(), Deed.CRASH, Places(first=2), ailment=Ailment(crash_after=3.0))
    (act,) = acts(crash)
    assert act.boxes == ("b1", "b2", "b3")
    assert str(act) == "the new version crashes on b1, b2, b3"
    (named,) = acts(Step(When(), Deed.CRASH, Places(), boxes=("b4", "b1"), ailment=Ailment()))
    assert named.boxes == ("b1", "b4")
    assert str(acts(Step(When(), Deed.HEAL, Places(dark=True)))[0]) == "the uplink is back at the dark sites"


def test_more_than_a_few_places_are_counted() -> None:
    wide = Ground({f"s{number}": () for number in range(9)})
    (act,) = resolve(Scenario("mine", "It rains.", Ending.RELEASED, (), (cut(spared=0),)), wide, 1)
    assert str(act) == "the uplink is cut at s0, s1, s2 and 6 more"


COURSE = (
    release(11, stages=(stage("canary", "Rolling"), stage("rest"))),
    release(20, stages=(stage("canary", "Passed"), stage("rest", "Rolling")), counts={"pending": 1, "targeted": 3}),
    release(30, counts={"targeted": 3, "succeeded": 2, "deferred": 1, "pending": 0, "updating": 0}),
)


@pytest.mark.parametrize(
    ("when", "at"),
    [
        (When(Moment.BEFORE), 0.0),
        (When(Moment.START, after=2.0), 12.0),
        (When(Moment.STAGE_STARTS, 1), 11.0),
        (When(Moment.STAGE_STARTS, 2), 20.0),
        (When(Moment.STAGE_PASSES, 1, after=5.0), 25.0),
        (When(Moment.STAGE_PASSES, 2), None),
        (When(Moment.REACHED), 30.0),
    ],
)
def test_each_moment_is_found_in_the_course_of_the_release(when: When, at: float | None) -> None:
    assert began(when, 10.0, COURSE) == at


def test_what_is_due_comes_in_the_order_of_its_time() -> None:
    later, sooner = Act(1, When(after=5.0), Deed.CUT), Act(2, When(after=1.0), Deed.HEAL)
    never = Act(3, When(Moment.STAGE_PASSES, 2), Deed.HEAL)
    assert due((later, sooner, never), 10.0, COURSE, now=20.0) == (sooner, later)
    assert due((later, sooner, never), 10.0, COURSE, now=12.0) == (sooner,)
    assert still_to_come((later,), 10.0, COURSE)
    assert not still_to_come((never,), 10.0, COURSE)


def test_a_release_stands_still_when_it_is_over_or_was_stopped_by_failures() -> None:
    assert stands_still(release(1, "Succeeded"))
    assert stands_still(release(1, "Paused", breach="too many"))
    assert not stands_still(release(1, "Paused"))
    assert not stands_still(release(1, "RollingBack", breach="too many"))
    assert not stands_still(None)
