"""A person's hand on the brake: which change of ``spec.control`` a command means, or why it means nothing now.

Every function returns a Change; the same command twice is the same as once. SpecError names what to do instead.
"""

from dataclasses import dataclass
from typing import Any, assert_never

from cloud.fleet.errors import SpecError
from cloud.fleet.wording import many
from cloud.rollout.moves import way_back
from cloud.rollout.release import Abort, Approval, Release
from cloud.rollout.snapshot import Fleet
from cloud.rollout.status import OVER, Phase, ReleaseStatus, StagePhase, StageStatus


@dataclass(frozen=True, slots=True)
class Change:
    """What to merge into ``spec.control``, and what then happens."""

    control: dict[str, Any] | None  # None: it is already so
    sentence: str  # without the release's name, which goes before it


def approve(release: Release, status: ReleaseStatus, approval: Approval) -> Change:
    """Let the stage start that waits for it."""
    given = release.spec.control.approvals
    stages = _stages(release, status)
    if approval.stage not in stages:
        raise SpecError(f"{release.name} has no stage {approval.stage!r}; its stages are {', '.join(stages)}")
    for known in given:
        if known.stage == approval.stage:
            return Change(None, f"stage {known.stage} was already approved by {known.by}; nothing to do")
    _must_not_be_over(release, status)
    _must_await(release, stages, approval.stage)
    return Change(
        {"approvals": [one.dump() for one in (*given, approval)]},
        f"stage {approval.stage} is approved by {approval.by}: it starts as soon as window and budget allow",
    )


def pause(release: Release, status: ReleaseStatus) -> Change:
    """Start nothing new."""
    if release.spec.control.paused:
        return Change(None, "is already paused; nothing to do")
    _must_not_be_over(release, status)
    return Change(
        {"paused": True},
        f"starts no further box; {status.counts.updating} under way will end, deferred ones wait too",
    )


def resume(release: Release, status: ReleaseStatus) -> Change:
    """Go on after a pause by hand."""
    if status.breach is not None and status.phase is Phase.PAUSED:
        raise SpecError(
            f"{release.name} was stopped by failures, not only by hand: {status.breach.message}; raise "
            "spec.onFailure.maxFailed to go on, or roll it back"
        )
    if not release.spec.control.paused:
        return Change(None, "is not paused; nothing to do")
    _must_not_be_over(release, status)
    return Change({"paused": False}, "goes on where it stood")


def abort(release: Release, status: ReleaseStatus, how: Abort, emptied: int | None = None) -> Change:
    """End the release for good; ``emptied``: how many boxes will run nothing then, None: not known."""
    before = release.spec.control.abort
    if before is how:
        return Change(None, f"was already told to {_WORDS[how]}; nothing to do")
    if before is not None:
        raise SpecError(
            f"{release.name} was told to {_WORDS[before]}, which is for good; to bring another version to its boxes "
            "create a new EdgeRelease"
        )
    _must_not_be_over(release, status, but=_STILL_ABORTED[how])
    return Change({"abort": how.value}, consequence(status, how, emptied))


def consequence(status: ReleaseStatus, how: Abort, emptied: int | None = None) -> str:
    """Say what ending the release does to how many boxes; ``emptied`` as for ``abort``."""
    counts = status.counts
    touched = counts.succeeded + counts.updating
    match how:
        case Abort.ROLLBACK:
            return f"{_back(touched, emptied)}; windows and soak are ignored"
        case Abort.HALT:
            left = counts.targeted - touched
            stay = f"{many(touched, 'box')} {'stays' if touched == 1 else 'stay'}"
            return f"{stay} on the new version, {left} on the old one; no box is moved any more"
        case _:
            assert_never(how)


def emptied(fleet: Fleet, name: str) -> int:
    """Return how many boxes run a version that the named release brought, and none any more once it is taken back."""
    named = [one for one in fleet.standings if one.release.name == name and one.variants]
    moved = ((box, one.version_for(box)) for one in named for box in fleet.boxes if one.brought(box))
    return sum(1 for box, version in moved if not way_back(box, version, fleet.versions))


def _back(touched: int, emptied: int | None) -> str:
    """Say what becomes of the boxes that are taken back."""
    going = touched - (emptied or 0)
    told = "1 box goes back to what it ran before" if going == 1 else f"{going} boxes go back to what they ran before"
    told += ", without download"
    if emptied is None:
        return f"{told}, and one that ran nothing before will run nothing"
    if not emptied:
        return told
    bare = f"{many(emptied, 'box')} ran nothing before and will run nothing"
    return f"{told}; {bare}" if going > 0 else bare


def started(stage: StageStatus) -> bool:
    """Tell whether the stage has begun."""
    return stage.phase is not StagePhase.PENDING


def awaiting(release: Release, status: ReleaseStatus) -> str | None:
    """Return the stage that waits for a person's approval now; None if none does."""
    stages = _stages(release, status)
    given = {one.stage for one in release.spec.control.approvals}
    first = next((name for name, stage in stages.items() if stage.phase is not StagePhase.PASSED), None)
    if first is None or started(stages[first]) or status.phase in OVER:
        return None
    wanted = next(one.approval for one in release.spec.stages if one.name == first)
    return first if wanted and first not in given else None


_WORDS = {Abort.HALT: "halt", Abort.ROLLBACK: "roll back"}
_STILL_ABORTED = {Abort.HALT: frozenset[Phase](), Abort.ROLLBACK: frozenset({Phase.SUCCEEDED})}
"""A release that has succeeded can still be taken back."""


def _stages(release: Release, status: ReleaseStatus) -> dict[str, StageStatus]:
    """Return where each stage stands, in order; those the operator has not written of yet are pending."""
    known = {stage.name: stage for stage in status.stages}
    return {stage.name: known.get(stage.name, StageStatus(name=stage.name)) for stage in release.spec.stages}


def _must_not_be_over(release: Release, status: ReleaseStatus, but: frozenset[Phase] = frozenset()) -> None:
    if status.phase in OVER - but:
        raise SpecError(
            f"{release.name} is over ({status.phase}); to bring another version to its boxes create a new EdgeRelease"
        )


def _must_await(release: Release, stages: dict[str, StageStatus], name: str) -> None:
    """Refuse an approval that nothing waits for. Raises SpecError."""
    if started(stages[name]):
        raise SpecError(f"stage {name} of {release.name} has already begun ({stages[name].phase}); nothing to approve")
    if not next(stage.approval for stage in release.spec.stages if stage.name == name):
        raise SpecError(
            f"stage {name} of {release.name} asks for no approval; it starts by itself after the one before"
        )
    under_way = next(stage for stage in stages.values() if stage.phase is not StagePhase.PASSED)
    if under_way.name != name:
        raise SpecError(
            f"stage {name} of {release.name} is not waiting for approval yet: {under_way.name} is {under_way.phase}; "
            "approve it when its turn comes"
        )
