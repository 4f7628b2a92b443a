"""What a person is told of a release first, and which commands are advised."""

from datetime import UTC, datetime, timedelta

import pytest

from cloud.rollout.advice import advise, passed, stuck
from cloud.rollout.release import Release, ReleaseSpec
from cloud.rollout.status import Breach, FailureGroup, Phase, ReleaseStatus

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
BREACH = Breach(at=NOW, stage="canary", failed=2, attempted=3, message="too many")


def release(approval: bool = False, **control: object) -> Release:  # noqa: FBT002 - a builder
    spec = {
        "workload": {"name": "scan", "image": "scan:2"},
        "targets": {"selector": {"matchLabels": {"a": "b"}}},
        "stages": [{"name": "all", "approval": approval}],
        "control": control,
    }
    return Release(namespace="n", name="scan-2", uid="u", created=NOW, spec=ReleaseSpec.model_validate(spec))


def status(phase: Phase, **more: object) -> ReleaseStatus:
    return ReleaseStatus(**{"observed_generation": 1, "phase": phase, **more})


def test_a_new_release_is_given_time_before_the_operator_is_suspected() -> None:
    unseen = ReleaseStatus()
    assert "Just created" in advise(release(), unseen, NOW + 29 * SECOND).sentence
    assert "`edgefleet doctor`" in advise(release(), unseen, NOW + 30 * SECOND).sentence


def test_the_planners_sentence_comes_first_and_the_phase_stands_in_for_none() -> None:
    assert advise(release(), status(Phase.ROLLING, message="2 sites are busy."), NOW).sentence == "2 sites are busy."
    assert advise(release(), status(Phase.ROLLING), NOW).sentence == "Rolling."


def test_a_status_of_an_older_spec_says_so() -> None:
    assert "has not been looked at yet" in advise(release(), status(Phase.ROLLING, observed_generation=0), NOW).sentence


@pytest.mark.parametrize(
    ("made", "seen", "commands"),
    [
        (release(), status(Phase.ROLLING), ["watch scan-2", "pause scan-2", "rollback scan-2 --reason WHY"]),
        (
            release(approval=True),
            status(Phase.AWAITING_APPROVAL),
            ["approve scan-2 --stage all", "watch scan-2", "pause scan-2", "rollback scan-2 --reason WHY"],
        ),
        (release(paused=True), status(Phase.PAUSED), ["resume scan-2", "rollback scan-2 --reason WHY"]),
        (
            release(),
            status(
                Phase.PAUSED,
                breach=BREACH,
                failures=(FailureGroup(cause="CrashLoopBackOff", boxes=2, example="b1"),),
            ),
            ["why b1", "rollback scan-2 --reason WHY"],
        ),
        (release(), status(Phase.SUCCEEDED), ["rollback scan-2 --reason WHY"]),
        (release(abort="Rollback"), status(Phase.ROLLING_BACK), ["watch scan-2"]),
        (release(abort="Rollback"), status(Phase.ROLLED_BACK), []),
    ],
)
def test_only_commands_that_make_sense_now_are_advised(made: Release, seen: ReleaseStatus, commands: list[str]) -> None:
    assert list(advise(made, seen, NOW).commands) == commands


@pytest.mark.parametrize(
    ("seen", "ends"),
    [
        (status(Phase.SUCCEEDED), (True, False)),
        (status(Phase.CATCHING_UP), (True, False)),
        (status(Phase.ROLLED_BACK), (False, True)),
        (status(Phase.SUPERSEDED), (False, True)),
        (status(Phase.PAUSED, breach=BREACH), (False, True)),
        (status(Phase.PAUSED), (False, False)),
        (status(Phase.PAUSED, breach=BREACH, observed_generation=0), (False, False)),
        (status(Phase.ROLLING), (False, False)),
    ],
)
def test_a_release_is_watched_until_it_has_passed_or_needs_a_person(
    seen: ReleaseStatus, ends: tuple[bool, bool]
) -> None:
    assert (passed(seen), stuck(release(), seen)) == ends
