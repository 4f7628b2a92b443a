"""Scenario and fleet files: what they may say, and that every problem is told at once with its place."""

from pathlib import Path
from typing import Any

import pytest

from simulator.expectations import EXPECTATIONS
from simulator.files import find_scenario, read_fleet, shipped_scenarios
from simulator.fleet import Fleet, FleetError, Role, usual_fleet
from simulator.fleetfile import fleet_for, parse_fleet
from simulator.scenario import Ailment, Deed, Ending, Moment, Places, Scenario, Step, When, parse_scenario
from simulator.tables import FileError, Table, near, text
from simulator.timeline import Ground, resolve


def parsed(**entries: Any) -> Scenario:  # noqa: ANN401 - any TOML value
    return parse_scenario("mine", {"sentence": "It rains.", **entries}, EXPECTATIONS)


def step(**entries: Any) -> Step:  # noqa: ANN401 - any TOML value
    return parsed(step=[entries]).steps[0]


def problems(**entries: Any) -> list[str]:  # noqa: ANN401 - any TOML value
    with pytest.raises(FileError) as wrong:
        parsed(**entries)
    return list(wrong.value.problems)


def step_problems(**entries: Any) -> list[str]:  # noqa: ANN401 - any TOML value
    return [one.removeprefix("step 1: ") for one in problems(step=[entries])]


def test_the_smallest_scenario_is_a_sentence() -> None:
    assert parsed() == Scenario("mine", "It rains.", Ending.RELEASED, (), ())


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (7, Places(count=7)),
        ("last 7", Places(count=7)),
        ("first 2", Places(first=2)),
        ("25%", Places(share=0.25)),
        ("all", Places(spared=0)),
        ("all but 2", Places(spared=2)),
        (["a", "b*"], Places(names=("a", "b*"))),
    ],
)
def test_sites_can_be_said_in_many_ways(said: Any, meant: Places) -> None:  # noqa: ANN401 - any TOML value
    assert step(do="cut", sites=said).places == meant


@pytest.mark.parametrize("said", [0, -1, True, 1.5, "some", "all but 0", "200%", [], [1], "dark"])
def test_sites_that_mean_nothing_are_refused_with_the_way_to_write_them(said: Any) -> None:  # noqa: ANN401 - any TOML value
    (problem,) = step_problems(do="cut", sites=said)
    assert problem.startswith("sites: ")
    assert "write" in problem


def test_a_healing_means_the_dark_sites_unless_others_are_named() -> None:
    assert step(do="heal").places == step(do="heal", sites="dark").places == Places(dark=True)
    assert step(do="heal", sites=2).places == Places(count=2)
    assert '"dark"' in step_problems(do="heal", sites=0)[0]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("before", When(Moment.BEFORE)),
        ("start", When(Moment.START)),
        ("reached", When(Moment.REACHED)),
        ("stage 2 starts", When(Moment.STAGE_STARTS, 2)),
        ("stage 16 passes", When(Moment.STAGE_PASSES, 16)),
    ],
)
def test_each_moment_has_its_words(said: str, meant: When) -> None:
    assert step(when=said, do="cut", sites=1).when == meant
    assert said.replace("stage ", "") in str(meant).replace("stage ", "")


def test_a_moment_can_be_followed_by_a_wait() -> None:
    assert step(when="start", after="1.5s", do="cut", sites=1).when.after == 1.5
    assert str(When(Moment.START, after=90.0)) == "start + 90 s"
    assert "before the release" in step_problems(when="before", after="5s", do="cut", sites=1)[0]


@pytest.mark.parametrize("said", ["stage 0 starts", "stage 17 passes", "later", 3])
def test_an_unknown_moment_is_refused(said: Any) -> None:  # noqa: ANN401 - any TOML value
    assert step_problems(when=said, do="cut", sites=1)[0].startswith("when: ")


@pytest.mark.parametrize(
    ("entries", "ailment"),
    [
        ({"do": "crash"}, Ailment(crash_after=3.0, exit_code=1)),
        ({"do": "crash", "runs": "500ms", "exit_code": 137}, Ailment(crash_after=0.5, exit_code=137)),
        ({"do": "pull-fails"}, Ailment(pull_fail=True)),
        ({"do": "pull-slow", "takes": "2m"}, Ailment(pull_seconds=120.0)),
        ({"do": "never-ready", "image": "any"}, Ailment(never_ready=True, any_image=True)),
        ({"do": "mend"}, Ailment()),
    ],
)
def test_what_befalls_boxes(entries: dict[str, Any], ailment: Ailment) -> None:
    assert step(**entries, sites="all").ailment == ailment
    assert step(**entries, boxes=["b1"]).boxes == ("b1",)


def test_what_befalls_uplinks() -> None:
    assert step(do="degrade", sites=1, delay="200ms", loss="5%").delay_ms == pytest.approx(200)
    assert step(do="degrade", sites=1, loss="90%").loss == 0.9
    flap = step(do="flap", sites=1, down="8s", up="1m")
    assert (flap.down, flap.up, flap.times) == (8.0, 60.0, 3)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"do": "cut"}, "sites: is missing"),
        ({"do": "cutt", "sites": 1}, "did you mean cut?"),
        ({"sites": 1}, "do: is missing"),
        ({"do": "cut", "site": 1, "sites": 1}, "did you mean sites?"),
        ({"do": "cut", "sites": 1, "delay": "1s"}, "delay: is unknown; there is after, do, sites, when"),
        ({"do": "crash"}, ""),
        ({"do": "crash", "sites": 1, "boxes": ["b1"]}, "write one of the two"),
        ({"do": "crash", "sites": 1, "exit_code": 0}, "whole number from 1 to 255"),
        ({"do": "crash", "sites": 1, "image": "old"}, "'old' is unknown"),
        ({"do": "pull-slow", "sites": 1}, "takes: is missing"),
        ({"do": "degrade", "sites": 1}, "loss as well"),
        ({"do": "flap", "sites": 1, "down": "8", "up": "9s"}, "down: '8': write a number and ms, s, m or h"),
        ({"do": "degrade", "sites": 1, "loss": 5}, "loss: 5: write a percentage"),
        (
            {"do": "degrade", "sites": 1, "loss": "99%"},
            'loss: \'99%\': write at most "90%"; to let nothing pass, do = "cut"',
        ),
    ],
)
def test_a_wrong_step_names_the_entry_and_the_next_step(entries: dict[str, Any], said: str) -> None:
    if said:
        assert any(said in problem for problem in step_problems(**entries)), step_problems(**entries)
    else:
        assert step(**entries, sites="all").deed is Deed.CRASH


def test_all_problems_of_a_file_are_told_at_once() -> None:
    told = problems(sentence=" ", ends="relased", expect=["dark"], stpe=1, step=[{"do": "cut"}, {"do": "heal", "x": 1}])
    assert len(told) == 6
    assert "ends: 'relased' is unknown; did you mean released?" in told
    assert any(one.startswith("step 2: x: ") for one in told)


def test_steps_are_tables_and_not_too_many() -> None:
    assert "[[step]]" in problems(step="cut")[0]
    assert "50 are enough" in problems(step=[{"do": "heal"}] * 51)[0]


def test_expectations_are_names_that_there_are() -> None:
    assert parsed(expect=["released"]).expect == ("released",)
    assert "did you mean released?" in problems(expect=["release"])[0]


def test_every_shipped_scenario_can_be_read_and_played_on_the_usual_fleet() -> None:
    fleet = fleet_for({"matchLabels": {"edgefleet.io/role": "vision"}})
    ground = Ground({site.name: tuple(box.name for box in site.boxes) for site in fleet.sites})
    found = shipped_scenarios()
    assert {one.name for one in found} >= {"calm", "seven-dark-sites", "canary-crashes", "everything-dark-but-one"}
    for one in found:
        assert one.sentence.endswith(".")
        resolve(one, ground, stages=3)


def test_the_samples_can_be_read_and_played_together() -> None:
    samples = Path(__file__).resolve().parents[3] / "manifests" / "samples" / "rehearsal"
    fleet = read_fleet(samples / "fleet.toml")
    ground = Ground({site.name: tuple(box.name for box in site.boxes) for site in fleet.sites})
    scenario = find_scenario(str(samples / "scenario.toml"))
    assert {act.deed for act in resolve(scenario, ground, stages=3)} >= {Deed.CUT, Deed.HEAL, Deed.CRASH, Deed.MEND}


def test_what_is_near_is_offered_else_all_there_is() -> None:
    assert near("clam", ["calm", "slow"]) == "did you mean calm?"
    assert near("xyz", ["b", "a"]) == "there is a, b"


def test_a_problem_of_a_table_within_a_table_has_both_places() -> None:
    outer = Table("site 2", {"boxes": [{"name": 1}]}, [])
    outer.tables("boxes", "box")[0].take("name", text, "")
    assert outer.problems[0].startswith("site 2: box 1: name: 1: write a text")


def test_the_usual_fleet_carries_the_labels_that_the_release_selects() -> None:
    fleet = fleet_for({"matchLabels": {"edgefleet.io/role": "vision", "line": "fast", "edgefleet.io/site": "x"}})
    assert (len(fleet.sites), len(list(fleet.boxes()))) == (12, 16)
    assert {(box.role, box.labels["line"]) for _, box in fleet.boxes()} == {(Role.VISION, "fast")}
    assert all("edgefleet.io/site" not in box.labels for _, box in fleet.boxes())
    assert next(fleet_for({}).boxes())[1].role is Role.SCAN


def test_a_fleet_can_be_two_numbers() -> None:
    assert len(parse_fleet({"sites": 2, "boxes": 3}).sites) == 2
    assert [box.role for _, box in parse_fleet({"sites": 1}).boxes()] == [Role.SCAN]


def test_a_fleet_that_loopback_has_no_addresses_for_is_refused() -> None:
    with pytest.raises(FleetError, match="more than 16384 boxes"):
        usual_fleet(16385, 16385)


def alone(**entries: Any) -> dict[str, Any]:  # noqa: ANN401 - any TOML value
    return {"site": [{"name": "a", "boxes": [{"role": "scan"}], **entries}]}


def labelled(key: str, value: str) -> list[dict[str, Any]]:
    return [{"role": "scan", "labels": {key: value}}]


def test_a_fleet_can_be_written_out() -> None:
    boxes = [{"role": "scan", "count": 2}, {"role": "vision", "name": "eye", "labels": {"line": "fast"}}]
    fleet: Fleet = parse_fleet({"site": [{"name": "hz-1", "time_zone": "Asia/Tokyo", "boxes": boxes}]})
    assert [box.name for _, box in fleet.boxes()] == ["hz-1-scan-1", "hz-1-scan-2", "eye"]
    assert fleet.sites[0].time_zone == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({}, "sites: is missing"),
        ({"sites": 3, "boxes": 2}, "at least one box"),
        ({"sites": 3, "site": []}, "sites: is unknown"),
        (
            {"site": [{"name": "a", "boxes": [{"role": "scam"}]}]},
            "site 1: box 1: role: 'scam' is unknown; did you mean",
        ),
        ({"site": [{"name": "a", "boxes": [{"role": "scan", "name": "b", "count": 2}]}]}, "cannot share one"),
        ({"site": [{"name": "a", "boxes": [{"role": "scan", "labels": {"x": 1}}]}]}, "write labels and their values"),
        ({"site": [{"name": "A", "boxes": [{"role": "scan"}]}]}, "is no name"),
        ({"site": [{"boxes": []}]}, "site 1: name: is missing"),
        ({"site": [{"name": "a"}]}, "site 1: boxes: is missing or empty: a site has one at least"),
        ({"site": []}, "site: is empty: describe one site at least"),
        (alone(time_zone="Asia/Shangai"), "site 1: time_zone: 'Asia/Shangai' is no time zone: write an IANA name"),
        (alone(region="east coast"), "site 1: region: 'east coast': write letters, digits"),
        (
            alone(boxes=labelled("a b", "x")),
            "site 1: box 1: labels: 'a b' is no key of a label: write for example line",
        ),
        (alone(boxes=labelled("line", "so fast")), "site 1: box 1: labels: line: 'so fast': write letters, digits"),
        (
            alone(boxes=labelled("edgefleet.io/site", "b")),
            "labels: edgefleet.io/site comes of the site and the role: rem",
        ),
    ],
)
def test_a_wrong_fleet_names_the_entry_and_the_next_step(entries: dict[str, Any], said: str) -> None:
    with pytest.raises(FileError, match="(?s)" + said.replace("(", r"\(")):
        parse_fleet(entries)
