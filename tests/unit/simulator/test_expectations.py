"""Each expectation holds where it should, and is seen broken where it is broken."""

from typing import Any

import pytest

from simulator.expectations import ALWAYS, EXPECTATIONS, Finding
from tests.unit.simulator.seen import NEW, OLD, Seen, release, stage


def judged(name: str, seen: Seen, **case: Any) -> Finding | None:  # noqa: ANN401 - any field of a case
    return EXPECTATIONS[name].judge(seen.evidence(), seen.case(**case))


def found(name: str, seen: Seen, **case: Any) -> Finding:  # noqa: ANN401 - any field of a case
    finding = judged(name, seen, **case)
    assert finding is not None
    return finding


def walked(**options: Any) -> Seen:  # noqa: ANN401 - any option of Seen
    seen = Seen(**options)
    for number in range(1, 4):
        seen.moves(10.0 * number + 1, f"b{number}")
    return seen


def test_what_always_must_hold_is_known() -> None:
    assert set(ALWAYS) <= set(EXPECTATIONS)


def test_a_release_that_is_on_every_box_is_released_and_says_how_long_it_took() -> None:
    assert found("released", walked()) == Finding(ok=True, happened="3 of 3 boxes run it", seconds=23.0)


def test_a_box_that_lacks_the_new_version_is_named() -> None:
    seen = Seen().moves(11, "b1").moves(21, "b2")
    assert found("released", seen) == Finding(ok=False, happened="2 of 3 boxes run it; not b3")


def test_a_box_that_nobody_has_seen_counts_as_missing() -> None:
    seen = walked()
    del seen.nodes["b3"]
    assert not found("released", seen).ok


def test_a_box_whose_labels_still_ask_for_the_old_version_too_is_not_done() -> None:
    seen = walked().wants(50, "b1", OLD, NEW)
    assert found("released", seen).happened.endswith("not b1")


def test_a_stopped_release_says_at_which_stage_and_why() -> None:
    seen = Seen().moves(11, "b1").told(release(20, "Paused", stage="canary", breach="1 of 1 failed."))
    assert found("stopped", seen) == Finding(ok=True, happened="stopped at stage canary: 1 of 1 failed.", seconds=10.0)


def test_a_box_that_gets_the_new_version_after_the_stop_is_told() -> None:
    seen = Seen().told(release(20, "Paused", breach="1 of 1 failed.")).moves(25, "b2")
    finding = found("stopped", seen)
    assert not finding.ok
    assert "yet b2 still got it" in finding.happened


@pytest.mark.parametrize(("course", "phase"), [([], "unknown"), ([release(11)], "Rolling")])
def test_a_release_that_went_on_was_not_stopped(course: list[Any], phase: str) -> None:
    assert found("stopped", Seen().told(*course)) == Finding(ok=False, happened=f"it went on; now it is {phase}")


def test_sites_one_after_the_other_keep_within_a_budget_of_one() -> None:
    assert found("sites-budget", walked()) == Finding(ok=True, happened="at most 1 of 1")


def test_two_sites_at_one_time_break_a_budget_of_one_and_the_moment_is_told() -> None:
    seen = Seen().moves(11, "b1").moves(12, "b2")
    assert found("sites-budget", seen) == Finding(ok=False, happened="at most 2 of 1, first at 2 s")


def test_a_box_that_went_dark_or_gave_up_no_longer_counts_as_being_changed() -> None:
    seen = Seen().wants(11, "b1", NEW).dark(12, "b1").wants(13, "b2", NEW).wants(14, "b2", OLD).moves(15, "b3")
    assert found("sites-budget", seen).ok


def test_where_failed_boxes_stay_broken_budgets_are_not_judged() -> None:
    assert judged("sites-budget", walked(), reverts=False) is None
    assert judged("boxes-budget", walked(exclusive=True), reverts=False) is None


def test_the_boxes_of_a_site_are_judged_where_old_and_new_exclude_each_other() -> None:
    assert judged("boxes-budget", walked()) is None
    assert found("boxes-budget", walked(exclusive=True)) == Finding(ok=True, happened="at most 1 of 1")


def test_two_boxes_of_one_site_at_one_time_break_its_budget() -> None:
    seen = Seen(exclusive=True)
    seen.sites[1] = "s1"
    seen.moves(11, "b1").moves(12, "b2")
    seen.nodes["b1"][-1:] = [seen.nodes["b1"][-1]]
    assert not found("boxes-budget", seen).ok


def test_a_move_of_a_box_of_another_site_is_no_move_of_the_dark_one() -> None:
    seen = Seen().moves(11, "b1").moves(40, "b3")
    assert found("dark-boxes-move-once", seen, cut=frozenset({"s3"})).happened == "1 of 1 box moved once"


def test_two_versions_at_one_time_are_seen() -> None:
    assert found("one-version", walked(exclusive=True)).ok
    both = Seen(exclusive=True).wants(11, "b2", NEW).runs(12, "b2", NEW)
    assert found("one-version", both) == Finding(ok=False, happened="two at one time on b2")
    assert judged("one-version", walked()) is None


def test_a_box_that_surges_is_never_without_the_workload() -> None:
    seen = Seen(1).wants(11, "b1", OLD, NEW).runs(12, "b1", NEW).wants(15, "b1", NEW).gone(16, "b1", OLD)
    assert found("never-without", seen) == Finding(ok=True, happened="no gap on 1 box")


def test_a_gap_between_old_and_new_is_seen() -> None:
    assert found("never-without", Seen(1).moves(11, "b1")) == Finding(ok=False, happened="b1 had a gap")


def test_a_box_that_runs_nothing_at_the_end_has_a_gap() -> None:
    seen = Seen(1).runs(11, "b1", OLD, running=False, ready=False)
    assert not found("never-without", seen).ok


def test_without_something_before_or_with_exclusive_versions_gaps_are_not_judged() -> None:
    assert judged("never-without", Seen(), before="") is None
    assert judged("never-without", Seen(exclusive=True)) is None


def test_a_dark_box_that_is_let_be_is_well() -> None:
    seen = Seen().dark(5, "b3").back(30, "b3").moves(40, "b3")
    assert found("dark-boxes-wait", seen, cut=frozenset({"s3"})) == Finding(ok=True, happened="none was touched")
    assert judged("dark-boxes-wait", seen) is None


def test_a_box_touched_while_it_is_dark_is_named() -> None:
    seen = Seen().dark(5, "b3").wants(12, "b3", NEW, ready=False)
    assert found("dark-boxes-wait", seen, cut=frozenset({"s3"})).happened == "b3 touched while dark"


def test_a_dark_box_moves_once() -> None:
    seen = Seen().dark(5, "b3").back(30, "b3").moves(40, "b3")
    finding = found("dark-boxes-move-once", seen, cut=frozenset({"s3"}))
    assert finding == Finding(ok=True, happened="1 of 1 box moved once")
    assert judged("dark-boxes-move-once", seen) is None


def test_a_dark_box_that_moves_twice_or_not_at_all_is_named() -> None:
    seen = Seen().moves(40, "b2").wants(50, "b2", OLD).wants(60, "b2", NEW)
    finding = found("dark-boxes-move-once", seen, cut=frozenset({"s2", "s3"}))
    assert finding == Finding(ok=False, happened="0 of 2 boxes moved once; b2 more often; b3 not at all")


def test_only_the_first_stage_got_it() -> None:
    seen = Seen().moves(11, "b1").told(release(11, stages=(stage("canary", "Rolling", "s1"), stage("rest"))))
    assert found("first-stage-only", seen) == Finding(ok=True, happened="only b1")


def test_a_box_beyond_the_first_stage_is_named() -> None:
    seen = Seen().moves(11, "b2").told(release(11, stages=(stage("canary", "Rolling", "s1"), stage("rest"))))
    assert found("first-stage-only", seen) == Finding(ok=False, happened="b2 got it as well")


def test_a_release_that_nobody_got_did_not_keep_to_its_first_stage() -> None:
    assert found("first-stage-only", Seen()) == Finding(ok=False, happened="nobody ever got it")


def test_a_box_that_runs_the_old_version_again_went_back() -> None:
    seen = Seen().wants(11, "b1", OLD, NEW).runs(12, "b1", NEW).wants(15, "b1", OLD).gone(16, "b1", NEW)
    assert found("back-again", seen) == Finding(ok=True, happened="1 box went back", seconds=5.0)


def test_a_box_that_did_not_go_back_is_named() -> None:
    assert found("back-again", Seen().moves(11, "b1")) == Finding(ok=False, happened="b1 did not")
    assert not found("back-again", Seen()).ok


def test_a_stage_that_waits_for_its_approval_is_well() -> None:
    seen = walked().told(release(11, stages=(stage("canary", "Passed", "s1"), stage("rest", "Rolling"))))
    assert found("approval-first", seen, approvals={"rest": 20.0}).ok
    assert judged("approval-first", seen) is None


def test_a_box_moved_before_the_approval_of_its_stage_is_named() -> None:
    seen = walked().told(release(11, stages=(stage("canary", "Passed", "s1"), stage("rest", "Rolling"))))
    assert found("approval-first", seen, approvals={"rest": 25.0}).happened == "b2 moved before"
