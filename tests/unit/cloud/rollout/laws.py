"""The ten rules that always hold, as laws over a world: each judged from what is true there, not by the planner.

``LawfulWorld`` checks at every plan, every write and every patch. A broken law fails with its number and name.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from zoneinfo import ZoneInfo

from cloud.fleet.window import Window
from cloud.rollout.actions import Move, Plan
from cloud.rollout.release import Release
from cloud.rollout.status import OVER, Counts, Phase, ReleaseStatus, StagePhase
from tests.unit.cloud.rollout.world import MINUTE, SECOND, Node, World

STATES = ("pending", "updating", "succeeded", "failed", "deferred", "rolled_back", "expired", "skipped")
UNDER_WAY = frozenset({Phase.PENDING, Phase.ROLLING, Phase.SOAKING, Phase.AWAITING_APPROVAL, Phase.AWAITING_WINDOW})


@dataclass
class Diary:
    """What has happened to one box at the hand of one release."""

    forward: int = 0  # times its version was brought since the box was last healthy on it, or a person stepped in
    back: int = 0
    given_up: bool = False  # taken back for good


@dataclass
class LawfulWorld(World):
    """A world in which a broken law is an error."""

    diaries: dict[tuple[str, str], Diary] = field(default_factory=dict)  # (release, box)
    moved_at: dict[tuple[str, str], datetime] = field(default_factory=dict)  # (release, box): when it was moved last
    touched_by_hand: set[str] = field(default_factory=set)  # boxes whose labels a person has set
    patches: Counter[str] = field(default_factory=Counter)

    def check(self, name: str, decided: Plan) -> None:
        release, before = self.releases[name]
        counts_add_up(self, release, decided)
        stages_only_advance(self, name, before, decided.status)
        breach_holds(release, before, decided.status)
        soaked_after_the_last_box(self, release, before, decided.status)
        always_progress_or_a_reason(decided)
        one_patch_a_box(decided)

    def _write(self, name: str, status: ReleaseStatus) -> None:
        for box in self.releases[name][1].boxes.keys() - status.boxes.keys():
            node = self.nodes.get(box)
            if node is None or self.version_for(name, node) in node.wanted:
                self.diaries[name, box] = Diary()  # healthy, or out of the release
        super()._write(name, status)

    def about_to_patch(self, name: str, node: Node, move: Move) -> None:
        release, status = self.releases[name]
        after = (node.wanted - move.remove) | move.add
        assert after != node.wanted, f"law 10: a patch that changes nothing: {move}"
        owned_by_the_newest(self, release, node)
        within_the_unavailable_budget(self, release, node, after)
        diary = self.diaries.setdefault((name, node.name), Diary())
        version = self.version_for(name, node)
        if version in move.add:
            started_by_a_release_that_may(release, status)
            started_where_it_may(self, release, status, node)
            within_the_parallel_sites(self, release, status, node)
            diary.forward += 1
            never_back_and_forth(release, diary, node)
            self.moved_at[name, node.name] = self.now
            node.movers = [*(one for one in node.movers if one != name), name]
        elif version in move.remove:
            taken_back_by_whoever_brought_it(name, node)
            rollback_downloads_nothing(self, node, move)
            diary.back += 1
            effort = status.boxes.get(node.name)
            diary.given_up = effort is None or effort.retry_at is None
        self.patches[node.name] += 1

    def relabel_by_hand(self, box: str, versions: set[str]) -> None:
        """Set the version labels of a box as a person would."""
        self.nodes[box].wanted = versions
        self.touched_by_hand.add(box)
        for name in self.releases:
            self.diaries[name, box] = Diary()

    def outcome(self) -> object:
        """Return all that was written: what boxes were asked to run and to remember, and every status."""
        boxes = {name: (node.wanted, node.previous, node.reverted) for name, node in self.nodes.items()}
        return boxes, {name: status for name, (_, status) in self.releases.items()}

    def lift(self, name: str) -> None:
        """Raise the failure limit of a release, which may then go on."""
        made = self.releases[name][0]
        self.edit(name, onFailure={**made.spec.on_failure.dump(), "maxFailed": "100%"})


# 1. The counts add up after every event.


def counts_add_up(world: World, release: Release, decided: Plan) -> None:
    status = decided.status
    for what, counts in [("release", status.counts), *((stage.name, stage.counts) for stage in status.stages)]:
        assert counts.targeted == total(counts), f"law 1: {what}: {counts}"
        assert counts.done == f"{counts.succeeded}/{counts.targeted}", f"law 1: {what}: {counts}"
    matching = sum(release.spec.targets.selector.matches(node.labels) for node in world.nodes.values())
    matching += sum(
        owner(world, node) == release.name and not release.spec.targets.selector.matches(node.labels)
        for node in world.nodes.values()
    )
    assert status.counts.targeted + status.counts.excluded == matching, f"law 1: {matching} match: {status.counts}"
    if all(stage.started_at for stage in status.stages):
        for state in ("targeted", *STATES):
            parts = sum(getattr(stage.counts, state) for stage in status.stages)
            assert parts == getattr(status.counts, state), f"law 1: {state} of stages {parts}: {status.counts}"


def total(counts: Counts) -> int:
    return sum(getattr(counts, state) for state in STATES)


# 2. Never more than maxUnavailablePerSite boxes of a role down by our hand, counting those already dead.


def within_the_unavailable_budget(world: World, release: Release, node: Node, after: set[str]) -> None:
    if not node.wanted or not works(node) or after & ready(node):
        return  # nothing goes down
    group = [one for one in world.nodes.values() if (one.site, one.role) == (node.site, node.role)]
    down = sum(1 for one in group if one is not node and not works(one))
    limit = share(str(release.spec.budget.max_unavailable_per_site), len(group))
    assert down + 1 <= limit, f"law 2: {node.name} goes down while {down} of {len(group)} are down, limit {limit}"


def works(node: Node) -> bool:
    """Tell whether the box is reachable and a version that it is meant to run works, if it is meant to run any."""
    return node.link and (not node.wanted or bool(node.wanted & ready(node)))


def ready(node: Node) -> set[str]:
    """Return the versions that work on the box, as far as anyone has heard."""
    return {pod.version for pod in node.seen if pod.ready and not pod.ending}


def share(written: str, size: int) -> int:
    return ceil(int(written[:-1]) * size / 100) if written.endswith("%") else int(written)


def within_the_parallel_sites(world: World, release: Release, status: ReleaseStatus, node: Node) -> None:
    """Part of the same promise: no more sites change at one time than may."""
    changing = {
        world.nodes[box].site
        for box, effort in status.boxes.items()
        if not (effort.cause or effort.relapse)
        and box in world.nodes
        and world.nodes[box].link
        and world.version_for(release.name, world.nodes[box]) in world.nodes[box].wanted
    }
    sites = {one.site for one in world.nodes.values() if owner(world, one) == release.name}
    limit = share(str(release.spec.budget.max_parallel_sites), len(sites))
    assert len(changing | {node.site}) <= limit, f"law 2: sites {changing} and {node.site} change, limit {limit}"


# 3. A dark box never turns a stage from pass to fail or back, except through minOnline.


def darkness_decides_nothing(world: World, box: str) -> None:
    """Compare what is decided now with what would be if the box had just gone dark."""
    node = world.nodes[box]
    link, since = node.link, node.link_since
    for name in world.releases:
        lit = world.plan(name).status
        world.cut(box)
        dark = world.plan(name).status
        node.link, node.link_since = link, since
        judged_now = (
            box in lit.boxes and bool(lit.boxes[box].cause) and not world.status(name).boxes[box].cause
            if (box in world.status(name).boxes)
            else box in lit.boxes and bool(lit.boxes[box].cause)
        )
        assert dark.counts.failed <= lit.counts.failed, f"law 3: {name}: {box} failed by going dark"
        assert judged_now or (dark.breach is None) == (lit.breach is None), f"law 3: {name}: {box} decides the breach"
        for stage_lit, stage_dark in zip(lit.stages, dark.stages, strict=True):
            lost = stage_lit.phase is StagePhase.PASSED and stage_dark.phase is not StagePhase.PASSED
            why = dark.waiting_on.reason if dark.waiting_on else ""
            assert not lost or why in {"MinOnline", "Offline"}, f"law 3: {name}: {box} stops {stage_lit.name}: {why}"


def stages_only_advance(world: World, name: str, before: ReleaseStatus, after: ReleaseStatus) -> None:
    """Part of the same promise. Only a stage that has lost all its boxes begins anew: else it would pass untried."""
    places = {node.site for node in world.nodes.values() if owner(world, node) == name}
    for old, new in zip(before.stages, after.stages, strict=False):
        assert old.phase is not StagePhase.PASSED or new.phase is StagePhase.PASSED, f"law 3: {new.name} unpassed"
        lost = bool(old.sites) and places.isdisjoint(old.sites)
        same = (old.started_at, old.sites) == (new.started_at, new.sites)
        assert old.started_at is None or same or lost, "law 3: restarted"
        assert not (lost and new.sites == old.sites and old.phase is not new.phase is StagePhase.PASSED), (
            "law 3: untried"
        )
    started = [stage.started_at is not None for stage in after.stages]
    passed = [stage.phase is StagePhase.PASSED for stage in after.stages]
    assert started == sorted(started, reverse=True), "a stage starts before the one before it"
    assert all(before_passed for before_passed, now in zip(passed, started[1:], strict=False) if now), "too early"


def soaked_after_the_last_box(
    world: "LawfulWorld", release: Release, before: ReleaseStatus, after: ReleaseStatus
) -> None:
    """Part of the same promise: what a stage has moved and can be seen was watched for as long as it asks."""
    stage_of = {site: index for index, stage in enumerate(after.stages[:-1]) for site in stage.sites}
    passed = [stage.phase is StagePhase.PASSED for stage in before.stages] or [False] * len(after.stages)
    for (name, box), moved_at in world.moved_at.items():
        node = world.nodes.get(box)
        if name != release.name or node is None or not node.link or box in after.boxes or owner(world, node) != name:
            continue
        index = stage_of.get(node.site, len(after.stages) - 1)
        if after.stages[index].phase is not StagePhase.PASSED or passed[index] or release.spec.control.emergency:
            continue
        soak = release.spec.stages[index].soak
        assert world.now - moved_at >= soak, f"soak: {name} passed {after.stages[index].name} before {box} had soaked"


# 5. A breached release starts no further box except to roll back.


def started_by_a_release_that_may(release: Release, status: ReleaseStatus) -> None:
    assert status.breach is None, f"law 5: {release.name} goes on though {status.breach}"
    assert release.spec.control.abort is None, f"law 5: {release.name} goes on though a person ended it"
    assert not release.spec.control.paused, f"law 5: {release.name} goes on though a person paused it"


def breach_holds(release: Release, before: ReleaseStatus, after: ReleaseStatus) -> None:
    raised = str(release.spec.on_failure.max_failed) == "100%"
    assert before.breach is None or after.breach is not None or raised, f"law 5: {before.breach} is forgotten"


def started_where_it_may(world: World, release: Release, status: ReleaseStatus, node: Node) -> None:
    """A box is started online, in a stage that has started, was approved, and inside a window."""
    spec, control = release.spec, release.spec.control
    assert node.link, f"law 6: {node.name} is dark"
    assert world.now - node.link_since >= timedelta(seconds=10), f"law 6: {node.name} is not steady"
    index = next((n for n, one in enumerate(status.stages[:-1]) if node.site in one.sites), len(status.stages) - 1)
    assert status.stages[index].started_at is not None, f"{node.name} before its stage"
    approved = {one.stage for one in control.approvals}
    assert not spec.stages[index].approval or control.emergency or spec.stages[index].name in approved, "not approved"
    if spec.windows and not control.emergency and world.version_for(release.name, node) not in node.wanted:
        zone = world.zones[node.site]
        ends = world.now + spec.health.timeout
        assert any(is_open(one, zone, world.now, ends) for one in spec.windows), f"{node.name} outside its window"


def is_open(window: Window, site_zone: ZoneInfo, begins: datetime, ends: datetime) -> bool:
    """Tell by the clock on the wall whether the window is open throughout; days on which clocks change are let be."""
    zone = site_zone if window.tz == "Site" else ZoneInfo(window.tz)
    day = timedelta(days=1)
    if (begins - day).astimezone(zone).utcoffset() != (ends + day).astimezone(zone).utcoffset():
        return True
    moments = [begins, ends - SECOND]
    moments += [begins + timedelta(minutes=n) for n in range(int((ends - begins) / timedelta(minutes=1)))]
    wall = [moment.astimezone(zone) for moment in moments]
    opened = [
        (one if window.from_ < window.to or one.time() >= window.from_ else one - day).strftime("%a") for one in wall
    ]
    if window.from_ < window.to:
        inside = all(window.from_ <= one.time() < window.to for one in wall)
    else:
        inside = all(one.time() >= window.from_ or one.time() < window.to for one in wall)
    return inside and (not window.days or all(one in window.days for one in opened))


# 6. A box returning after N releases moves once, to the newest release that is not breached.
# 9. Two releases of one workload never fight: label writes of a superseded release stop at once.


def owned_by_the_newest(world: World, release: Release, node: Node) -> None:
    best = owner(world, node)
    assert best == release.name, f"law 9: {release.name} moves {node.name}, which {best} owns"


def taken_back_by_whoever_brought_it(name: str, node: Node) -> None:
    """A box that had the version before is left alone, and one that several have moved goes back in turn."""
    assert node.movers[-1:] == [name], f"law 9: {name} takes back {node.name}, which was moved by {node.movers}"
    node.movers.pop()


def owner(world: World, node: Node) -> str | None:
    """Return the newest release in force that targets the box, or a stopped one that has brought it its version."""
    for name in world.newest_first():
        release, status = world.releases[name]
        if not release.spec.targets.include(node.labels) and not leaves(world, name, node):
            continue
        stopped = status.breach is not None or release.spec.control.abort is not None
        overtaken = status.phase is Phase.SUPERSEDED and status.completed_at is None
        brought = node.movers[-1:] == [name] and world.version_for(name, node) in node.wanted
        if not (stopped or overtaken) or brought:
            return name
    return None


def leaves(world: World, name: str, node: Node) -> bool:
    """Tell whether the box is no target of the release any more, but still has two versions at its hand."""
    if world.releases[name][0].spec.targets.include(node.labels) or len(node.wanted) == 1:
        return False
    return node.movers[-1:] == [name] and world.version_for(name, node) in node.wanted


def newest_everywhere(world: LawfulWorld) -> None:
    """Hold each box to the newest release in force once all is over; excused is where it failed or was taken back."""
    for node in world.nodes.values():
        name = owner(world, node)
        if name is None:
            tried = any(node.name in status.boxes for _, status in world.releases.values())
            assert len(node.wanted) <= 1 or tried or node.name in world.touched_by_hand, f"surge left on {node.name}"
            continue
        release, status = world.releases[name]
        stopped = status.breach is not None or release.spec.control.abort is not None or status.completed_at is None
        excused = node.name in status.boxes or node.reverted == release.uid or release.spec.offline.policy == "Skip"
        newest = {world.version_for(name, node)}
        assert stopped or excused or node.wanted == newest, f"law 6: {node.name} runs {node.wanted}, not {newest}"


def never_back_and_forth(release: Release, diary: Diary, node: Node) -> None:
    most = 1 + release.spec.on_failure.retries
    assert diary.forward <= most, f"law 9: {release.name} brought to {node.name} {diary.forward} times, {most} allowed"
    assert not diary.given_up, f"law 9: {release.name} took {node.name} back for good, and brings it again"


# 7. Every non-terminal state has progress or a reason.


def always_progress_or_a_reason(decided: Plan) -> None:
    status = decided.status
    if status.phase in OVER:
        assert status.waiting_on is None, f"law 7: {status.phase} waits for {status.waiting_on}"
        return
    assert status.message, f"law 7: {status.phase} says nothing"
    assert decided.recheck_after is not None, f"law 7: {status.phase} is never looked at again"
    if not decided.moves:
        assert status.waiting_on is not None, f"law 7: {status.phase} neither moves nor waits"
        assert status.waiting_on.hint, f"law 7: {status.waiting_on} has no advice"


# 8. Rollback downloads nothing.


def rollback_downloads_nothing(world: LawfulWorld, node: Node, move: Move) -> None:
    if node.name in world.touched_by_hand:
        return
    before = set(node.downloads) - move.remove
    assert before or not move.add, f"law 8: {node.name} ran nothing before, and is to run {set(move.add)}"
    assert move.add <= before, f"law 8: {node.name} goes back to {set(move.add)}, never there"


# 10. Writes: one node patch a moved box (two for Surge), nothing written while nothing happens.


def one_patch_a_box(decided: Plan) -> None:
    boxes = [move.box for move in decided.moves]
    assert len(boxes) == len(set(boxes)), f"law 10: two patches of one box: {decided.moves}"


def at_rest(world: World) -> None:
    """Let an hour pass and look as often as an operator would: nothing is written, once what stalls was called so."""
    world.pass_time(45 * MINUTE)
    written = world.writes
    world.pass_time(60 * MINUTE)
    world.settle()
    assert world.writes == written, f"law 10: {world.writes - written} writes though nothing happened"
