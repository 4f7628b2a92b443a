"""Explains one box: which release it belongs to, what it runs and should run, and what stands between."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from cloud.fleet.scalars import format_duration
from cloud.rollout.books import State, books
from cloud.rollout.budget import open_ledger
from cloud.rollout.checks import Attempt, Visit, box_objection, release_objection, retreat, site_objection
from cloud.rollout.effort import online_time
from cloud.rollout.observe import goes_back
from cloud.rollout.ownership import owner, snapshot
from cloud.rollout.progress import not_startable
from cloud.rollout.release import FailureAction
from cloud.rollout.snapshot import Box, Fleet, Snapshot, Standing
from cloud.rollout.stages import stage_map, standing_stages
from cloud.rollout.status import Effort, StagePhase, StageStatus, Waiting
from cloud.rollout.trouble import trouble


@dataclass(frozen=True, slots=True)
class Finding:
    """What one release has to do with the box."""

    release: str
    reason: str  # CamelCase, stable
    message: str
    since: datetime | None = None  # None: not about a stretch of time
    until: datetime | None = None  # None: until somebody or something acts
    command: str = ""  # what makes sense now, without the program's name; empty: nothing, or only in `message`


@dataclass(frozen=True, slots=True)
class Explanation:
    """What one workload does on the box."""

    runs: tuple[str, ...]  # versions with a ready pod
    wanted: str  # version the box should run; empty: no release says
    owner: str  # release it belongs to; empty: none
    findings: tuple[Finding, ...]  # the newest release first; those that came before the owner are not told

    @property
    def settled(self) -> bool:
        """Tell whether the box runs what it should, and nothing else."""
        return self.runs == ((self.wanted,) if self.wanted else ())


def explain(fleet: Fleet, box: Box, now: datetime) -> Explanation:
    """Return why the box runs what it runs."""
    keeper = fleet.unread.get(box.moved_by[0]) if box.moved_by else None
    newest_first = [one for one in fleet.standings[::-1] if keeper is None or one.release.age_order > keeper]
    belongs = owner(newest_first, box)
    findings = []
    for standing in newest_first:
        if standing is belongs:
            findings.append(_unknown(standing) if standing.unknown else _as_owner(snapshot(fleet, standing), box, now))
            break
        findings += _not_owner(standing, box)
    if belongs is None and keeper is not None:
        message = "keeps the box as it is: it has moved it, and this operator cannot read what it asks for"
        findings.append(Finding(keeper[1], "SpecUnreadable", message, command="doctor"))
    return Explanation(
        runs=tuple(sorted({pod.version for pod in box.pods if pod.ready and not pod.ending})),
        wanted=belongs.version_for(box) if belongs and not belongs.unknown else "",
        owner=belongs.release.name if belongs else "",
        findings=tuple(findings),
    )


def _not_owner(standing: Standing, box: Box) -> Iterator[Finding]:
    """Yield why a release newer than the owner does not have the box; nothing if it was never meant for it."""
    release, status = standing.release, standing.status
    effort = status.boxes.get(box.name)
    if not release.spec.targets.selector.matches(box.labels):
        return
    if release.spec.targets.leave_out(box.labels):
        yield Finding(release.name, "Excluded", "leaves this box out by spec.targets.exclude")
    elif not standing.variants:
        message = status.message or "the operator has not looked at it yet"
        yield Finding(release.name, "NotReady", f"has no version to bring yet: {message}", command="doctor")
    elif effort is not None and effort.cause:
        yield Finding(release.name, "Failed", f"failed here with {effort.cause} and was taken back: {status.message}")
    elif box.reverted == release.uid:
        yield Finding(release.name, "RolledBack", f"was taken back from this box: {status.message}")
    else:
        yield Finding(release.name, "NotInForce", f"brings its version to no further box: {status.message}")


def _unknown(standing: Standing) -> Finding:
    message = "keeps the box as it is: its status cannot be read, so nobody knows what it has done here"
    return Finding(standing.release.name, "StatusUnreadable", message, command="doctor")


def _as_owner(snap: Snapshot, box: Box, now: datetime) -> Finding:
    """Return where the box stands in the release that it belongs to."""
    stages = standing_stages(snap.release, snap.status)
    efforts = snap.status.boxes
    state = books(snap, stages, efforts, open_ledger(snap, efforts, now), now).states[box.name]
    match state:
        case State.SUCCEEDED:
            return _there(snap, box)
        case State.PENDING:
            return _pending(snap, box, stages, now)
        case State.UPDATING:
            return _updating(snap, box, efforts[box.name], now)
        case State.FAILED:
            return _failed(snap, box, efforts[box.name])
        case State.DEFERRED | State.EXPIRED | State.SKIPPED:
            return _not_now(snap, box, state)
        case State.ROLLED_BACK:
            before = ", ".join(sorted(box.versions)) or "nothing"
            return _find(
                snap, "RolledBack", f"was here and was taken back; the box runs {before}: {snap.status.message}"
            )
        case _:
            assert_never(state)


def _there(snap: Snapshot, box: Box) -> Finding:
    if retreat(snap) is FailureAction.ROLLBACK_ALL and snap.standing.brought(box):
        return _find(snap, "GoesBack", f"goes back to what it ran before, as soon as it may: {snap.status.message}")
    if box.runs(snap.standing.version_for(box)):
        return _find(snap, "Done", "is on the box and healthy")
    if not box.online:
        return replace(_find(snap, "Dark", "was brought to the box, which is dark now"), since=box.since)
    return _find(snap, "NotRunning", f"was brought to the box, but does not run there now{_trouble(snap, box)}")


def _pending(snap: Snapshot, box: Box, stages: tuple[StageStatus, ...], now: datetime) -> Finding:
    """Return what stands between the release and a box that is online and not yet moved."""
    name = snap.release.name
    if objection := release_objection(snap):
        return _find(snap, objection.reason, objection.hint, command=f"status {name}")
    index = stage_map(stages)[box.site]
    stage = stages[index]
    if stage.started_at is None:
        return _not_started(snap, stages, index)
    efforts = snap.status.boxes
    ledger = open_ledger(snap, efforts, now)
    visit = Visit(snap, box.site, ledger, now)
    if objection := site_objection(visit) or box_objection(Attempt(visit, box, efforts.get(box.name))):
        return _find(snap, objection.reason, objection.hint, objection.until, f"status {name}")
    return _find(snap, "Next", f"stage {stage.name} is under way and nothing objects: the box is moved next")


def _not_started(snap: Snapshot, stages: tuple[StageStatus, ...], index: int) -> Finding:
    name = snap.release.name
    first = next(place for place, stage in enumerate(stages) if stage.phase is not StagePhase.PASSED)
    if objection := not_startable(snap, stages, first) if stages[first].started_at is None else None:
        asked = objection.reason is Waiting.APPROVAL
        command = f"approve {name} --stage {stages[first].name}" if asked else f"status {name}"
        return _find(snap, objection.reason, objection.hint, command=command)
    ahead = f"stage {stages[first].name} is {stages[first].phase}"
    message = f"the box's stage, {stages[index].name} at the latest, has not started: {ahead}"
    return _find(snap, "StageNotStarted", message, command=f"status {name}")


def _updating(snap: Snapshot, box: Box, effort: Effort, now: datetime) -> Finding:
    gate = snap.release.spec.health
    online = int(online_time(effort, now).total_seconds())
    limit = int(gate.timeout.total_seconds())
    if effort.ready_since is not None:
        return _find(
            snap, "Updating", "is ready on the box and is watched a while", effort.ready_since + gate.ready_for
        )
    message = f"is on its way: attempt {effort.attempt}, {online} of {limit} s online, not ready yet"
    return _find(snap, "Updating", f"{message}{_trouble(snap, box)}")


def _failed(snap: Snapshot, box: Box, effort: Effort) -> Finding:
    there = snap.wanted[box.name] in box.versions
    back = "it was left as it is" if there else "it went back to what it ran before"
    if there and goes_back(snap, box, effort):
        back = "it goes back to what it ran before as soon as it may"
    message = f"failed here: {effort.cause} after {effort.attempt} attempts ({effort.message}), and {back}"
    return _find(snap, "Failed", f"{message}; no further attempt: mend the version and create a new EdgeRelease")


def _not_now(snap: Snapshot, box: Box, state: State) -> Finding:
    """Return why a box is left alone: it is dark, has just returned, or has dead neighbours."""
    offline = snap.release.spec.offline
    match state:
        case State.EXPIRED:
            limit = format_duration(offline.catch_up_for)
            reason = "Expired"
            message = f"dark for longer than offline.catchUpFor ({limit}): not waited for any more, yet moved on return"
        case State.SKIPPED:
            reason, message = "Skipped", "dark when its turn came, and offline.policy Skip leaves it as it is"
        case _ if not box.online:
            reason, message = "Dark", "dark; moved once when it returns: look at its power and uplink"
        case _ if not box.steady:
            reason, message = "NotSteady", "has just returned; moved when its link has proved steady"
        case _:
            message = (
                f"other {box.role or 'unnamed'} boxes at {box.site} are down: budget.maxUnavailablePerSite is spent"
            )
            return _find(snap, "DeadNeighbours", message)
    return replace(_find(snap, reason, message), since=box.since)


def _find(snap: Snapshot, reason: str, message: str, until: datetime | None = None, command: str = "") -> Finding:
    return Finding(snap.release.name, str(reason), message, until=until, command=command)


def _trouble(snap: Snapshot, box: Box) -> str:
    """Return what keeps the version from being healthy, as the end of a sentence that says that it is not."""
    found = trouble(box, snap.wanted[box.name])
    return f" ({found.words})" if found.cause != "NotReady" else ""
