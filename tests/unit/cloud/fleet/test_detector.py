"""What is concluded about a site's boxes, how soon, and what is never concluded: stories in virtual time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.fleet import case, detector
from cloud.fleet.box import Health
from cloud.fleet.case import Case, Inquiry, Site
from cloud.fleet.detector import judge
from cloud.fleet.life import RETURN, Life, recall
from cloud.fleet.verdict import Reason, Verdict
from edgeagent.wire import Beat, Finding
from tests.unit.cloud.fleet.sitework import WARM, World, world

SEEDS = range(10)
POWER_LOSS_WITHIN = 3.2
UPLINK_WITHIN = 3.5
AGENT_WITHIN = 0.25
BACK_WITHIN = 3.0
MONITOR = 0.1  # seconds of the world's monitor until it looks; the real one wakes at the moment


@pytest.mark.parametrize("seed", SEEDS)
def test_a_box_without_power_is_told_in_time_and_as_what_it_is(seed: int) -> None:
    site = world(3, seed)
    site.cut_power("box-1")
    site.run(WARM + 30)
    assert site.told == [(site.told[0][0], "box-1", Reason.POWER_OR_HANG)]
    assert site.told[0][0] - WARM <= POWER_LOSS_WITHIN
    assert site.site.cases["box-1"].verdict == Verdict(Reason.POWER_OR_HANG, site.told[0][0], site.asked[0][1].witness)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("boxes", [2, 3, 30])
def test_a_cut_uplink_is_told_once_for_all_boxes_of_the_site(seed: int, boxes: int) -> None:
    site = world(boxes, seed)
    site.cut_link()
    site.run(WARM + 60)
    assert {(at, reason) for at, _, reason in site.told} == {(site.told[0][0], Reason.SITE_DARK)}
    assert (len(site.told), site.site.dark) == (boxes, site.told[0][0])
    assert site.told[0][0] - WARM <= UPLINK_WITHIN


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_agent_is_told_at_once_and_no_neighbour_is_asked(seed: int) -> None:
    site = world(3, seed)
    site.kill_agent("box-1")
    site.run(WARM + 30)
    assert site.reasons("box-1") == [Reason.AGENT_DOWN]
    assert site.told[0][0] - WARM <= AGENT_WITHIN + MONITOR
    assert site.asked == []


def test_an_agent_that_is_back_in_a_moment_was_never_away() -> None:
    site = world(3)
    site.kill_agent("box-1")
    site.at(WARM + 0.08, lambda: site.start_agent("box-1"))
    site.run(WARM + 30)
    assert site.told == []


def test_agents_that_break_off_together_are_given_the_time_of_a_silence() -> None:
    site = world(3)
    for name in site.boxes:
        site.kill_agent(name)
        site.at(WARM + 1.0, lambda name=name: site.start_agent(name))  # type: ignore[misc]
    site.run(WARM + 30)
    assert site.told == []
    for name in site.boxes:
        site.kill_agent(name)
    site.run(WARM + 60)
    assert {reason for _, _, reason in site.told} == {Reason.SITE_DARK}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_box_alone_at_its_site_is_silent_and_nobody_says_more(seed: int) -> None:
    site = world(1, seed)
    site.cut_link()
    site.run(WARM + 30)
    assert [(name, reason) for _, name, reason in site.told] == [("box-1", Reason.SILENT)]
    assert site.told[0][0] - WARM <= POWER_LOSS_WITHIN
    assert site.site.dark is None


def test_an_agent_alone_at_its_site_that_breaks_off_was_killed() -> None:
    site = world(1)
    site.kill_agent("box-1")
    site.run(WARM + 30)
    assert site.reasons("box-1") == [Reason.AGENT_DOWN]


@pytest.mark.parametrize("seed", SEEDS)
def test_whoever_beats_again_is_online_at_once(seed: int) -> None:
    site = world(3, seed)
    site.cut_power("box-1")
    site.run(WARM + 20)
    box = site.boxes["box-1"]
    box.power, box.boot = True, "f" * 16
    site.start_agent("box-1")
    site.run(WARM + 50)
    assert site.reasons("box-1") == [Reason.POWER_OR_HANG, Reason.BEATS]
    assert site.first(Reason.BEATS) - (WARM + 20) <= BACK_WITHIN


@pytest.mark.parametrize("seed", SEEDS)
def test_a_site_that_returns_accuses_none_of_its_boxes_that_come_one_after_the_other(seed: int) -> None:
    site = world(5, seed)
    site.cut_link()
    site.run(WARM + 60)
    site.heal_link()
    site.run(WARM + 120)
    assert {reason for at, _, reason in site.told if at > WARM + 60} == {Reason.BEATS}
    assert all(site.reasons(name) == [Reason.SITE_DARK, Reason.BEATS] for name in site.boxes)


def test_a_box_that_does_not_return_with_its_site_is_found_out() -> None:
    site = world(3)
    site.cut_link()
    site.run(WARM + 60)
    site.boxes["box-2"].power = False
    site.heal_link()
    site.run(WARM + 120)
    assert site.reasons("box-2") == [Reason.SITE_DARK, Reason.BEATS, Reason.POWER_OR_HANG]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_planned_stop_is_one_and_stays_one(seed: int) -> None:
    site = world(3, seed)
    site.stop_cleanly("box-1")
    site.run(WARM + 3600)
    assert site.reasons("box-1") == [Reason.PLANNED]
    site.start_agent("box-1")
    site.run(WARM + 3700)
    assert site.reasons("box-1") == [Reason.PLANNED, Reason.BEATS]


def test_a_site_whose_other_boxes_stopped_on_purpose_has_one_box() -> None:
    site = world(3)
    site.stop_cleanly("box-1")
    site.stop_cleanly("box-2")
    site.run(WARM + 10)
    site.cut_link()
    site.run(WARM + 30)
    assert site.reasons("box-3") == [Reason.SILENT]
    assert site.reasons("box-1") == [Reason.PLANNED]


def test_a_frozen_agent_on_a_living_machine_is_told_as_such() -> None:
    site = world(3)
    site.boxes["box-1"].agent = False
    site.run(WARM + 30)
    assert site.reasons("box-1") == [Reason.AGENT_DOWN]


def test_a_box_that_its_neighbours_see_at_work_gets_more_time_before_its_link_is_blamed() -> None:
    site = world(3)
    box = site.boxes["box-1"]
    box.delivered = WARM + 4.0  # nothing comes through for four seconds, then all of it
    site.run(WARM + 30)
    assert site.told == []
    box.delivered = 1e9
    site.run(WARM + 60)
    assert site.reasons("box-1") == [Reason.LINK]
    assert site.told[0][0] - (WARM + 30) <= detector.LINK_PATIENCE + 1


def test_neighbours_that_cannot_look_leave_a_box_just_silent() -> None:
    site = world(3)
    for box in site.boxes.values():
        box.answers = False
    site.cut_power("box-1")
    site.run(WARM + 30)
    assert site.reasons("box-1") == [Reason.SILENT]
    assert site.told[0][0] - WARM <= 5.0


def test_neighbours_that_die_as_well_are_no_witnesses_and_the_next_are_asked() -> None:
    site = world(6)
    for name in ("box-1", "box-2", "box-3"):
        site.cut_power(name)
    site.run(WARM + 30)
    assert {site.reasons(name)[0] for name in ("box-1", "box-2", "box-3")} == {Reason.POWER_OR_HANG}


def test_when_all_but_one_die_one_after_the_other_each_is_told() -> None:
    site = world(8)
    for number in range(1, 8):
        site.at(WARM + number * 1.3, lambda number=number: site.cut_power(f"box-{number}"))  # type: ignore[misc]
    site.run(WARM + 60)
    assert [site.reasons(f"box-{number}")[-1] for number in range(1, 8)] == [Reason.POWER_OR_HANG] * 7


def test_good_news_of_one_neighbour_outweighs_bad_news_of_another() -> None:
    lives = silent_one()
    asked = judge(Site(), lives, 100.0)
    assert {question.suspect for question in asked.ask} == {"a"}
    site = case.answered(asked.site, "b", "a", Finding.NOTHING)
    assert judge(site, lives, 100.2).site.cases["a"].verdict is None
    site = case.answered(site, "c", "a", Finding.MACHINE)
    assert judge(site, lives, 100.2).site.cases["a"].verdict == Verdict(Reason.AGENT_DOWN, 100.2, "b")


def test_one_answer_decides_when_the_other_does_not_come() -> None:
    lives = silent_one()
    site = case.answered(judge(Site(), lives, 100.0).site, "c", "a", Finding.NOTHING)
    assert judge(site, lives, 100.5).recheck == 100.0 + detector.ANSWER_WITHIN
    assert judge(site, lives, 100.6).site.cases["a"].verdict == Verdict(Reason.POWER_OR_HANG, 100.6, "c")


def silent_one(heard: float = 97.5) -> dict[str, Life]:
    """Box a is silent, b and c beat."""
    beats = {"a": heard, "b": 99.9, "c": 99.8}
    return {name: Life("a" * 16, 1, heard=at, proven=True, beat=at) for name, at in beats.items()}


@pytest.mark.parametrize(
    ("site", "witness"),
    [
        (Site(), "b"),
        (Site({"a": Case()}), "b"),
        (Site({"a": Case(Inquiry(99.0, ("c",)))}), "b"),
        (Site({"a": Case(Inquiry(99.0, ("b",)), Verdict(Reason.SILENT, 99.0))}), "b"),
    ],
)
def test_an_answer_that_nobody_waits_for_changes_nothing(site: Site, witness: str) -> None:
    assert case.answered(site, witness, "a", Finding.NOTHING) is site


def test_a_neighbour_that_has_just_missed_a_beat_is_not_asked() -> None:
    lives = silent_one()
    lives["b"] = Life("b" * 16, 1, heard=98.2, proven=True)
    assert [question.witness for question in judge(Site(), lives, 100.0).ask] == ["c"]
    lives["c"] = Life("b" * 16, 1, heard=98.2, proven=True)
    assert judge(Site(), lives, 100.0).ask == ()


def test_where_every_neighbour_that_was_asked_fell_silent_a_box_is_just_silent_in_the_end() -> None:
    lives = silent_one() | {"d": Life("d" * 16, 1, heard=90.0, proven=True)}
    asked = Case(Inquiry(98.0, ("d",), rounds=detector.ROUNDS))
    told = Site({"a": asked, "d": Case(verdict=Verdict(Reason.POWER_OR_HANG, 95.0))})
    assert judge(told, lives, 100.0).site.cases["a"].verdict == Verdict(Reason.SILENT, 100.0)


def test_the_more_beats_of_a_box_come_late_the_longer_its_silence_must_last() -> None:
    lives = {"a": Life("a" * 16, 1, heard=97.0, proven=True, late=0.01)}
    waiting = judge(Site(), lives, 100.0)
    enough = 97.0 + detector.PATIENCE + detector.PATIENCE_FOR_LATE * 0.01
    assert not waiting.site.cases
    assert waiting.recheck == pytest.approx(enough)
    assert judge(Site(), lives, enough).site.cases["a"].verdict == Verdict(Reason.SILENT, enough)


def test_a_large_site_that_falls_asks_no_flood() -> None:
    lives = {f"box-{number}": Life("a" * 16, 1, heard=97.0, proven=True) for number in range(1000)}
    lives["lit"] = Life("b" * 16, 1, heard=100.0, proven=True)
    judgement = judge(Site(), lives, 100.0)
    assert len(judgement.ask) == detector.MOST_ASKED
    assert judge(judgement.site, lives, 100.1).ask == ()


def test_while_we_doubt_ourselves_nothing_is_concluded() -> None:
    lives = {"a": Life("a" * 16, 1, heard=50.0, proven=True)}
    judgement = judge(Site(), lives, 100.0, doubted=True)
    assert (dict(judgement.site.cases), judgement.recheck) == ({}, 100.0 + detector.DOUBT)
    assert judge(judgement.site, lives, 101.0).site.cases["a"].verdict == Verdict(Reason.SILENT, 101.0)


def test_a_box_known_from_before_is_accused_only_after_it_had_time_to_speak() -> None:
    lives = {name: recall("a" * 16, 1, 100.0) for name in "ab"}
    early = judge(Site(), lives, 100.0 + RETURN)
    assert dict(early.site.cases) == {}
    assert early.recheck == 100.0 + RETURN + detector.PATIENCE
    assert judge(Site(), lives, early.recheck).site.dark == early.recheck


def test_what_was_concluded_before_a_restart_stands_until_the_box_speaks() -> None:
    known = Site({"a": Case(verdict=Verdict(Reason.POWER_OR_HANG, 5.0))})
    lives = {"a": recall("a" * 16, 1, 100.0), "b": Life("b" * 16, 1, heard=100.0, proven=True)}
    assert judge(known, lives, 101.0).site.cases == known.cases
    lives["a"] = Life("a" * 16, 1, heard=102.0, proven=True)
    assert dict(judge(known, lives, 102.0).site.cases) == {}


def test_a_dark_site_without_any_box_left_has_nothing_to_look_at() -> None:
    assert judge(Site(dark=5.0), {}, 100.0).recheck == float("inf")


def test_a_box_that_is_no_more_has_no_case() -> None:
    assert (
        dict(judge(Site({"gone": Case(verdict=Verdict(Reason.SILENT, 1.0))}), silent_one(99.9), 100.0).site.cases) == {}
    )


def test_two_machines_under_one_name_are_degraded_and_not_dark() -> None:
    site = world(2)
    other = "f" * 16
    for number in range(4):
        site.at(WARM + number * 2 + 0.5, lambda number=number: site.hear("box-1", Beat(other, 1, number + 1, 1)))  # type: ignore[misc]
    site.run(WARM + 10)
    assert site.reason("box-1") is Reason.CLONED
    assert case.verdict_on(site.site, "box-1", site.lives["box-1"], site.now).health is Health.DEGRADED
    assert {reason for _, _, reason in site.told} <= {Reason.CLONED, Reason.BEATS}


@pytest.mark.parametrize("boxes", [1, 3])
def test_five_in_a_hundred_packets_lost_and_200_ms_of_jitter_accuse_nobody(boxes: int) -> None:
    site = world(boxes, seed=5, loss=0.05, jitter=0.2)
    site.run(WARM + 2 * 3600)
    assert site.told == []


@pytest.mark.parametrize("loss", [0.2, 0.3])
def test_a_poor_link_is_told_once_and_is_not_called_offline(loss: float) -> None:
    site = world(3, seed=7, loss=loss, jitter=0.2)
    site.run(WARM + 2 * 3600)
    assert [reason for _, _, reason in site.told] == [Reason.POOR_LINK] * 3
    assert case.verdict_on(site.site, "box-1", site.lives["box-1"], site.now).health is Health.DEGRADED
    site.loss = 0.0
    site.run(WARM + 4 * 3600)
    assert [reason for _, _, reason in site.told][3:] == [Reason.BEATS] * 3


def test_behind_a_poor_link_a_box_without_power_is_still_told_in_time() -> None:
    site = world(4, seed=3, loss=0.1, jitter=0.1)
    site.run(WARM + 1800)
    site.cut_power("box-1")
    site.run(WARM + 1900)
    assert site.first(Reason.POWER_OR_HANG, since=WARM + 1800) - (WARM + 1800) <= 2 * POWER_LOSS_WITHIN


def test_a_box_that_beats_more_slowly_has_more_time() -> None:
    site = world(2)
    for box in site.boxes.values():
        box.period, box.seq = 10.0, box.seq + 1
        site.say(box, site.birth(box))
    site.run(WARM + 300)
    assert site.told == []


DEEDS = st.lists(
    st.tuples(
        st.sampled_from(["kill_agent", "start_agent", "cut_power", "stop_cleanly", "cut_link", "heal_link"]),
        st.integers(1, 3),
        st.floats(0.1, 20.0),
    ),
    max_size=6,
)


def played(deeds: list[tuple[str, int, float]], seed: int, *, eager: bool = False) -> World:
    """A site to which all this happens."""
    site = world(3, seed)
    site.eager = eager
    for deed, number, wait in deeds:
        name = f"box-{number}"
        if deed in {"cut_link", "heal_link"}:
            getattr(site, deed)()
        elif site.boxes[name].agent is (deed != "start_agent") and site.boxes[name].power:
            getattr(site, deed)(name)
        site.run(site.now + wait)
    site.run(site.now + 60)
    return site


@settings(max_examples=25)
@given(DEEDS, st.integers(0, 1000))
def test_in_the_end_every_box_is_called_what_it_is(deeds: list[tuple[str, int, float]], seed: int) -> None:
    site = played(deeds, seed)
    for name, box in site.boxes.items():
        here = box.power and box.agent and site.up
        assert (site.reason(name) is Reason.BEATS) is here, f"{name}: {site.reason(name)} after {deeds}"


@settings(max_examples=15)
@given(DEEDS, st.integers(0, 1000))
def test_to_look_more_often_changes_nothing_that_is_concluded(deeds: list[tuple[str, int, float]], seed: int) -> None:
    calm, eager = played(deeds, seed), played(deeds, seed, eager=True)
    for name in calm.boxes:
        assert calm.reasons(name)[-1:] == eager.reasons(name)[-1:]


@settings(max_examples=25)
@given(DEEDS, st.integers(0, 1000))
def test_a_box_that_beats_on_time_over_a_living_uplink_is_never_accused(
    deeds: list[tuple[str, int, float]], seed: int
) -> None:
    harmless = [deed for deed in deeds if deed[0] not in {"cut_link", "heal_link"} and deed[1] != 1]
    assert played(harmless, seed).reasons("box-1") == []
