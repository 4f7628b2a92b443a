"""What a rehearsal tells: its lines, its judgement, its files; and the rows of the demo's table."""

import json
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from simulator import play
from simulator.course import Line, Sign, course, darkness
from simulator.fleet import Role, usual_fleet
from simulator.rehearsal import Asked, Report, outstanding, report, summary, verdict_on
from simulator.rendering import as_json, as_junit
from simulator.scenario import Deed, Ending, Scenario, When
from simulator.timeline import Act
from tests.unit.simulator.seen import NEW, OLD, Seen, release, stage

CALM = Scenario("calm", "Nothing goes wrong.", Ending.RELEASED, (), ())


def asked(seen: Seen, scenario: Scenario = CALM, **case: Any) -> Asked:  # noqa: ANN401 - any field of a case
    return Asked(seen.case(**case), scenario, "r/scan:2", "r/scan:1", "3 sites", ("soak: 10m → 5s",), limit=60.0)


def walked(phase: str = "Succeeded", **fields: Any) -> Seen:  # noqa: ANN401 - any field of a release
    seen = Seen()
    for number in range(1, 4):
        seen.moves(10.0 * number + 1, f"b{number}")
    return seen.told(release(11), release(40, phase, **fields))


def told(seen: Seen, scenario: Scenario = CALM, acts: dict[Act, float | None] | None = None, **case: Any) -> Report:  # noqa: ANN401 - any field of a case
    return report(seen.evidence(), asked(seen, scenario, **case), acts or {}, now=50.0)


def texts(lines: tuple[Line, ...]) -> list[str]:
    return [line.text for line in lines]


def test_a_release_that_reached_every_box_ends_with_nought() -> None:
    found = told(walked())
    assert (found.held, found.stopped, found.seconds, found.why) == (True, False, 30.0, "")
    assert (found.boxes.released, found.boxes.never_touched, found.boxes.went_back) == (3, 0, 0)
    assert summary(found) == "scan-2 would have reached 3 of 3 boxes, here in 30 s."
    assert found.exit_code(stop_is_right=False) == 0
    assert found.exit_code(stop_is_right=True) == 1
    assert verdict_on(found.results) == "3 of 3 expectations held"


def test_a_moment_just_before_the_beginning_has_no_sign() -> None:
    early = replace(told(walked()), lines=(Line(-0.04, Sign.NOTE, "it begins"),))
    assert "\n    0.0 s  it begins</system-out>" in as_junit(early, stop_is_right=False)


def test_a_stopped_release_ends_with_one_unless_that_is_right() -> None:
    crashing = Scenario("crash", "It crashes.", Ending.STOPPED, (), ())
    seen = Seen().moves(11, "b1").told(release(20, "Paused", breach="1 of 1 failed.", failures=("Crash: b1",)))
    found = told(seen, crashing)
    assert (found.held, found.stopped, found.why, found.failures) == (True, True, "1 of 1 failed.", ("Crash: b1",))
    assert found.exit_code(stop_is_right=False) == 1
    assert found.exit_code(stop_is_right=True) == 0
    assert summary(found) == "scan-2 would have been stopped after 10 s: 1 of 1 failed."


@pytest.mark.parametrize("reverts", [True, False])
def test_after_a_stop_it_is_waited_for_the_boxes_that_go_back(reverts: bool) -> None:
    drill = Scenario("crash", "It crashes.", Ending.STOPPED, ("first-stage-only", "back-again"), ())
    seen = Seen().wants(11, "b1", OLD, NEW).told(release(20, "Paused", breach="1 of 1 failed."))
    late = outstanding(seen.evidence(), drill, seen.case(reverts=reverts))
    assert late == (("back-again",) if reverts else ())
    seen.wants(22, "b1", OLD)
    assert outstanding(seen.evidence(), drill, seen.case(reverts=reverts)) == ()


def test_after_success_it_is_waited_for_pods_that_are_not_seen_ready_yet() -> None:
    seen = Seen().moves(11, "b1").moves(21, "b2").told(release(30, "Succeeded"))
    assert outstanding(seen.evidence(), CALM, seen.case()) == ("released",)
    assert outstanding(seen.moves(31, "b3").evidence(), CALM, seen.case()) == ()


def test_what_a_release_that_goes_on_or_fails_as_a_whole_lacks_is_not_waited_for() -> None:
    for phase in ("Rolling", "Failed"):
        seen = Seen().told(release(20, phase))
        assert outstanding(seen.evidence(), CALM, seen.case()) == ()


def test_a_release_that_cannot_be_carried_out_counts_as_stopped() -> None:
    found = told(Seen().told(release(20, "Failed", message="template: wrong")))
    assert (found.stopped, found.why) == (True, "template: wrong")


def test_a_release_that_does_not_end_breaks_its_first_expectation() -> None:
    found = told(Seen().told(release(20)))
    assert not found.results[0].ok
    assert summary(found) == "scan-2 did not come to an end within 60 s; it is Rolling."
    assert told(Seen()).phase == "not begun"


def test_either_ending_is_right_where_the_scenario_leaves_it_to_the_release() -> None:
    either = Scenario("either", "It depends.", Ending.EITHER, ("dark-boxes-move-once",), ())
    names = [one.name for one in told(walked(), either, cut=frozenset({"s1"})).results]
    assert "released" not in names
    assert "stopped" not in names
    assert "dark-boxes-move-once" in names


def test_what_was_done_and_what_was_not_is_told_with_times_since_the_creation() -> None:
    acts: dict[Act, float | None] = {Act(1, When(), Deed.CUT, ("s1",)): 5.0, Act(2, When(), Deed.HEAL): None}
    stages = (stage("canary", "Passed", "s1"), stage("rest", "Passed"))
    found = told(walked(stages=stages), acts=acts, approvals={"rest": 20.0})
    assert found.undone == ("the uplink is back at the dark sites",)
    assert [(line.at, line.text) for line in found.lines][:2] == [
        (-5.0, "the uplink is cut at s1"),
        (0.0, "scan-2 is created"),
    ]
    assert "the rehearsal approves stage rest" in texts(found.lines)


def test_dark_boxes_are_counted_as_deferred_and_caught_up() -> None:
    boxes = told(walked(), cut=frozenset({"s2", "s9"})).boxes
    assert (boxes.deferred, boxes.caught_up) == (1, 1)


def test_junit_has_a_case_an_expectation_and_survives_any_text() -> None:
    seen = Seen().told(release(20, "Paused", breach='<bad> & "worse"\x00', failures=("Crash: b1",)))
    found = told(seen)
    suite = ET.fromstring(as_junit(found, stop_is_right=False)).find("testsuite")  # noqa: S314 - our own text
    assert suite is not None
    assert suite.get("tests") == str(len(found.results) + 1) == str(len(suite.findall("testcase")))
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "0 of 3 boxes run it; not b1, b2, b3"
    assert "Crash: b1" in (failure.text or "")
    assert '<bad> & "worse"?' in (suite.findtext("system-out") or "")


@pytest.mark.parametrize("stop_is_right", [True, False])
@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_junit_is_green_exactly_when_the_command_ends_with_nought(phase: str, *, stop_is_right: bool) -> None:
    either = Scenario("any", "Anything is right.", Ending.EITHER, (), ())
    found = told(walked(phase, message="no box left"), either)
    suite = ET.fromstring(as_junit(found, stop_is_right=stop_is_right)).find("testsuite")  # noqa: S314 - our own text
    assert suite is not None
    assert (suite.get("failures") == "0") is (found.exit_code(stop_is_right=stop_is_right) == 0)
    names = [case.get("name") for case in suite.findall("testcase")]
    assert names[-1] == ("the release is stopped" if stop_is_right else "the release is not stopped")


def test_no_time_is_told_as_less_than_nothing_by_rounding() -> None:
    results = tuple(replace(one, seconds=-0.01) for one in told(walked()).results)
    found = replace(told(walked()), results=results)
    assert "-0.0" not in as_junit(found, stop_is_right=False) + as_json(found, exit_code=0)


def test_json_holds_everything() -> None:
    found = json.loads(as_json(told(walked()), exit_code=0))
    assert found["boxes"]["released"] == 3
    assert found["expectations"][1]["seconds"] == 23.0
    assert found["expectations"][2]["seconds"] is None
    assert found["course"][0] == {"at": 0.0, "sign": "step", "text": "scan-2 is created"}
    assert found["changes"] == ["soak: 10m → 5s"]


def test_the_course_of_a_release_is_told_turn_by_turn() -> None:
    canary, rest = stage("canary", "Rolling", "s1"), stage("rest")
    passed = replace(canary, phase="Passed")
    lines = course(
        (
            release(10, ""),
            release(11, stages=(canary, rest)),
            release(12, "AwaitingApproval", stages=(passed, rest)),
            release(13, stages=(passed, stage("rest", "Rolling"))),
            release(14, stages=(passed, stage("rest", "Rolling")), failures=("Crash: b1 bad",)),
            release(15, "RollingBack", breach="too many", failures=("Crash: 2 boxes", "Pull: b3")),
            release(16, "RolledBack", breach="too many"),
        )
    )
    assert texts(lines) == [
        "stage canary begins at 1 site: s1",
        "stage canary has passed",
        "waits for a person's approval",
        "stage rest begins at every other site",
        "Crash: b1 bad",
        "Pull: b3",
        "stopped: too many",
        "takes its boxes back",
        "every box within reach runs what it ran before",
    ]


@pytest.mark.parametrize(
    ("phase", "text"),
    [
        ("AwaitingWindow", "waits for its window"),
        ("CatchingUp", "all stages have passed; 2 dark boxes will follow"),
        ("Succeeded", "done on 3 boxes"),
        ("Halted", "Halted: by hand"),
        ("Soaking", None),
    ],
)
def test_a_phase_is_told_in_plain_words_or_not_at_all(phase: str, text: str | None) -> None:
    lines = course((release(1, phase, message="by hand", counts={"deferred": 2, "succeeded": 3}),))
    assert texts(lines) == ([text] if text else [])


def test_a_stage_without_sites_and_a_single_stage_are_told_as_such() -> None:
    stages = (stage("early", "Rolling"), stage("rest"))
    assert "has no site of its own" in texts(course((release(1, stages=stages),)))[0]
    assert texts(course((release(1, stages=(stage("all", "Rolling"),)),))) == ["stage all begins at every site"]
    assert course((release(1, "Succeeded"), release(2, "Succeeded")), since=2) == ()


def test_sites_that_go_dark_together_are_told_in_one_line() -> None:
    seen = Seen().dark(20, "b1").dark(21, "b2").back(40, "b1").back(60, "b2")
    assert texts(darkness(seen.evidence())) == ["2 sites are dark", "s1 is back", "s2 is back"]
    assert texts(darkness(seen.evidence(), since=50)) == ["s2 is back"]


def test_a_site_is_back_when_all_its_boxes_are() -> None:
    seen = Seen()
    seen.sites[1] = "s1"
    seen.nodes["b2"] = [replace(node, site="s1") for node in seen.nodes["b2"]]
    seen.dark(20, "b1").dark(20, "b2").back(30, "b1").back(40, "b2")
    assert [(line.at, line.sign) for line in darkness(seen.evidence())] == [(20, Sign.DARK), (40, Sign.GOOD)]


def test_the_demos_releases_are_what_they_are_called() -> None:
    bad = play.bad_vision()
    assert bad["metadata"]["name"] == "vision-2-0-bad"
    assert "ports" not in bad["spec"]["workload"]["template"]["spec"]["containers"][0]
    scan = play.second_scan()["spec"]
    assert scan["workload"]["template"]["spec"]["containers"][0]["ports"][0]["hostPort"] == 8080
    assert [one["name"] for one in scan["stages"] if one.get("approval")] == ["rest"]
    assert play.first(Role.SCAN)["metadata"]["name"] == "scan-1-0"


@pytest.mark.parametrize(("sites", "dark"), [(3, 1), (30, 7), (100, 7)])
def test_the_first_site_never_goes_dark_for_it_is_the_canary(sites: int, dark: int) -> None:
    fleet = usual_fleet(sites, sites + 1)
    gone = play.darkened(fleet)
    assert len(set(gone)) == dark
    assert fleet.sites[0].name not in gone
    assert set(gone) <= {site.name for site in fleet.sites}


def test_the_demo_knows_its_fleet() -> None:
    fleet = usual_fleet(3, 4)
    assert play.ground_of(fleet, Role.VISION).boxes == {"tc-001": ["tc-001-vision-1"]}
    assert play.size(fleet) == "3 transfer centres with 4 edge boxes"


def test_a_promise_of_which_nothing_can_be_said_was_not_kept() -> None:
    seen = walked()
    rows = play.results(play.SCAN_TWO, seen.evidence(), seen.case())
    assert {row.name: row.ok for row in rows} == {
        "approval-first": False,
        "released": True,
        "dark-boxes-wait": False,
        "dark-boxes-move-once": False,
        "sites-budget": True,
        "one-version": False,
    }
    assert not any(row.ok for row in play.unkept(play.SCAN_ONE))
