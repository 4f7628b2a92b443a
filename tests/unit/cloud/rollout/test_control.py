"""Laws of the hand on the brake: what a command changes, and when it changes nothing."""

from datetime import UTC, datetime

import pytest

from cloud.fleet.errors import SpecError
from cloud.rollout.control import abort, approve, awaiting, consequence, emptied, pause, resume
from cloud.rollout.release import Abort, Approval, Release, ReleaseSpec
from cloud.rollout.snapshot import Box, Fleet, Standing, Version
from cloud.rollout.status import Breach, Counts, Phase, ReleaseStatus, StagePhase, StageStatus

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
LI = Approval(stage="early", by="li")


def release(**control: object) -> Release:
    spec = {
        "workload": {"name": "scan", "image": "scan:2"},
        "targets": {"selector": {"matchLabels": {"a": "b"}}},
        "stages": [
            {"name": "canary", "upTo": 1},
            {"name": "early", "upTo": "10%", "approval": True},
            {"name": "rest", "approval": True},
        ],
        "control": control,
    }
    return Release(namespace="n", name="scan-2", uid="u", created=NOW, spec=ReleaseSpec.model_validate(spec))


def standing(phase: Phase, canary: StagePhase = StagePhase.PASSED, **more: object) -> ReleaseStatus:
    return ReleaseStatus(observed_generation=1, phase=phase, stages=(StageStatus(name="canary", phase=canary),), **more)


WAITING = standing(Phase.AWAITING_APPROVAL)
BREACH = Breach(at=NOW, stage="canary", failed=2, attempted=3, message="2 of 3 attempted boxes failed, more than 0.")


def test_an_approval_is_added_to_those_before() -> None:
    early = StageStatus(name="early", phase=StagePhase.PASSED)
    status = WAITING.model_copy(update={"stages": (*WAITING.stages, early)})
    change = approve(release(approvals=[LI.dump()]), status, Approval(stage="rest", by="wang", reason="quiet"))
    assert change.control == {
        "approvals": [
            {"stage": "early", "by": "li", "reason": ""},
            {"stage": "rest", "by": "wang", "reason": "quiet"},
        ]
    }


def test_a_stage_that_the_operator_has_not_written_of_can_be_approved() -> None:
    assert approve(release(), WAITING, LI).control == {"approvals": [LI.dump()]}


def test_approving_twice_is_the_same_as_once() -> None:
    change = approve(release(approvals=[LI.dump()]), standing(Phase.ROLLING), Approval(stage="early", by="wang"))
    assert (change.control, change.sentence) == (None, "stage early was already approved by li; nothing to do")


@pytest.mark.parametrize(
    ("status", "stage", "objection"),
    [
        (WAITING, "erly", "no stage 'erly'; its stages are canary, early, rest"),
        (standing(Phase.ROLLED_BACK), "early", "is over"),
        (WAITING, "rest", "not waiting for approval yet: early is Pending"),
        (WAITING, "canary", "has already begun"),
        (standing(Phase.PENDING, StagePhase.PENDING), "canary", "asks for no approval"),
    ],
)
def test_an_approval_that_nothing_waits_for_is_refused_with_the_reason(
    status: ReleaseStatus, stage: str, objection: str
) -> None:
    with pytest.raises(SpecError, match=objection):
        approve(release(), status, Approval(stage=stage, by="li"))


def test_the_stage_that_waits_is_the_first_that_has_not_passed() -> None:
    assert awaiting(release(), WAITING) == "early"
    assert awaiting(release(approvals=[LI.dump()]), WAITING) is None
    assert awaiting(release(), standing(Phase.ROLLING, StagePhase.ROLLING)) is None
    assert awaiting(release(), standing(Phase.PENDING, StagePhase.PENDING)) is None
    assert awaiting(release(), standing(Phase.HALTED)) is None


def test_nothing_waits_once_all_stages_have_passed() -> None:
    stages = tuple(StageStatus(name=name, phase=StagePhase.PASSED) for name in ("canary", "early", "rest"))
    assert awaiting(release(), ReleaseStatus(phase=Phase.CATCHING_UP, stages=stages)) is None


def test_a_release_is_paused_and_resumed_once() -> None:
    rolling = standing(Phase.ROLLING)
    assert pause(release(), rolling).control == {"paused": True}
    assert pause(release(paused=True), rolling).control is None
    assert resume(release(paused=True), rolling).control == {"paused": False}
    assert resume(release(), rolling).control is None


def test_a_release_that_is_over_is_not_paused() -> None:
    with pytest.raises(SpecError, match=r"is over \(Succeeded\).*create a new EdgeRelease"):
        pause(release(), standing(Phase.SUCCEEDED))


def test_a_release_that_was_stopped_by_failures_is_not_resumed_by_hand() -> None:
    with pytest.raises(SpecError, match=r"stopped by failures.*raise spec.onFailure.maxFailed"):
        resume(release(paused=True), standing(Phase.PAUSED, breach=BREACH))


@pytest.mark.parametrize("how", Abort)
def test_a_release_is_ended_once_and_in_one_way(how: Abort) -> None:
    other = next(one for one in Abort if one is not how)
    rolling = standing(Phase.ROLLING)
    assert abort(release(), rolling, how).control == {"abort": how.value}
    assert abort(release(abort=how), rolling, how).control is None
    with pytest.raises(SpecError, match="for good"):
        abort(release(abort=other), rolling, how)


def test_a_release_that_has_succeeded_can_be_taken_back_but_not_halted() -> None:
    done = standing(Phase.SUCCEEDED)
    assert abort(release(), done, Abort.ROLLBACK).control == {"abort": "Rollback"}
    with pytest.raises(SpecError, match="is over"):
        abort(release(), done, Abort.HALT)


def test_the_consequence_counts_the_boxes() -> None:
    status = standing(Phase.ROLLING, counts=Counts(targeted=10, succeeded=3, updating=1, pending=6))
    assert consequence(status, Abort.ROLLBACK, 0).startswith(
        "4 boxes go back to what they ran before, without download;"
    )
    assert consequence(status, Abort.HALT).startswith("4 boxes stay on the new version, 6 on the old one")
    single = standing(Phase.ROLLING, counts=Counts(targeted=2, succeeded=1, pending=1))
    assert consequence(single, Abort.ROLLBACK, 0).startswith("1 box goes back to what it ran before, without download;")
    assert consequence(single, Abort.HALT).startswith("1 box stays on the new version, 1 on the old one")


@pytest.mark.parametrize(
    ("emptied", "told"),
    [
        (4, "4 boxes ran nothing before and will run nothing; windows"),
        (
            1,
            "3 boxes go back to what they ran before, without download; 1 box ran nothing before and will run nothing",
        ),
        (
            None,
            "4 boxes go back to what they ran before, without download, and one that ran nothing before will run no",
        ),
    ],
)
def test_boxes_that_will_run_nothing_are_told_apart(emptied: int | None, told: str) -> None:
    status = standing(Phase.ROLLING, counts=Counts(targeted=10, succeeded=3, updating=1, pending=6))
    assert consequence(status, Abort.ROLLBACK, emptied).startswith(told)


def test_a_box_will_run_nothing_when_it_remembers_nothing_that_is_still_there() -> None:
    def box(name: str, version: str, *previous: str) -> Box:
        versions = frozenset({version})
        by = ("other",) if name == "e" else (release().uid,)
        return Box(name, "tc-1", "scan", {}, online=True, since=NOW, versions=versions, previous=previous, moved_by=by)

    boxes = (box("a", "new"), box("b", "new", "old"), box("c", "new", "swept"), box("d", "old"), box("e", "new"))
    versions = {one: Version(one, exclusive=True) for one in ("old", "new")}
    fleet = Fleet((Standing(release(), standing(Phase.ROLLING), ("new",)),), boxes, versions)
    assert emptied(fleet, "scan-2") == 2
