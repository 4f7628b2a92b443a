"""A fleet in virtual time: boxes that obey their labels as nodes do, for tests of the planner."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cloud.rollout.actions import Move, Note, Plan
from cloud.rollout.ownership import snapshot
from cloud.rollout.plan import plan
from cloud.rollout.release import Release, ReleaseSpec
from cloud.rollout.snapshot import Box, Fleet, Pod, Standing, Version
from cloud.rollout.status import ReleaseStatus

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
STEADY_AFTER = timedelta(seconds=10)
RESTART_EVERY = timedelta(seconds=10)  # of a pod that crashes
EVERYWHERE = "*"


@dataclass
class Node:
    """One box as it is in truth, whether or not the cluster can see it."""

    name: str
    site: str
    role: str = "scan"
    extra: dict[str, str] = field(default_factory=dict)  # further labels
    link: bool = True
    link_since: datetime = START - timedelta(hours=1)
    joined: datetime = START - timedelta(hours=1)
    wanted: set[str] = field(default_factory=set)  # labels as the API server has them
    heard: set[str] = field(default_factory=set)  # labels as the box has them
    started: dict[str, datetime] = field(default_factory=dict)  # version -> when its pod started
    stopping: dict[str, datetime] = field(default_factory=dict)  # version -> when its pod is gone
    asked: dict[str, datetime] = field(default_factory=dict)  # version -> when its pod was made
    seen: tuple[Pod, ...] = ()  # pods as the API server has them
    previous: tuple[str, ...] = ()
    reverted: str = ""
    moved_by: tuple[str, ...] = ()
    movers: list[str] = field(default_factory=list)  # releases that have in truth moved it, and not back, newest last
    patches: int = 0
    downloads: list[str] = field(default_factory=list)

    @property
    def labels(self) -> dict[str, str]:
        return {"edgefleet.io/site": self.site, "edgefleet.io/role": self.role, **self.extra}

    def install(self, version: str, now: datetime) -> None:
        """Let the box have run a version for an hour."""
        self.wanted, self.heard, self.downloads = {version}, {version}, [version]
        self.started = {version: now - timedelta(hours=1)}


@dataclass
class World:
    """Nodes, releases and a clock; ``bad`` names versions that never get healthy, on a box or everywhere."""

    nodes: dict[str, Node]
    now: datetime = START
    releases: dict[str, tuple[Release, ReleaseStatus]] = field(default_factory=dict)
    versions: dict[str, Version] = field(default_factory=dict)
    variants: dict[str, tuple[str, ...]] = field(default_factory=dict)  # of releases whose versions have other names
    bad: set[tuple[str, str]] = field(default_factory=set)  # (box, version): crashes, is never ready
    flaky: set[tuple[str, str]] = field(default_factory=set)  # (box, version): ready, but restarts all the time
    absent: set[tuple[str, str]] = field(default_factory=set)  # (box, version): no registry has its image
    start_after: timedelta = 3 * SECOND
    stop_after: timedelta = timedelta(0)
    zones: Mapping[str, ZoneInfo] = field(default_factory=dict)
    notes: list[tuple[datetime, str, Note]] = field(default_factory=list)
    writes: int = 0
    recheck_at: datetime | None = None  # None: only an event can change anything

    def release(
        self, name: str, spec: Mapping[str, object] | None = None, *, exclusive: bool = True, same_as: str = ""
    ) -> None:
        """Create a release whose version is named after it, or, its overrides apart, is that of another release."""
        wanted = {
            "workload": {"name": "scan", "image": f"scan:{name}"},
            "targets": {"selector": {"matchLabels": {"edgefleet.io/role": "scan"}}},
            **(spec or {}),
        }
        made = Release(
            namespace="sorting",
            name=name,
            uid=f"uid-{name}",
            created=self.now,
            spec=ReleaseSpec.model_validate(wanted),
        )
        self.releases[name] = (made, ReleaseStatus())
        if same_as:
            self.variants[name] = (*[name] * len(made.spec.workload.overrides), self.variants_of(same_as)[-1])
        self.versions[name] = Version(name, exclusive)

    def edit(self, name: str, **spec: object) -> None:
        """Change the spec of a release, as a person does."""
        made, status = self.releases[name]
        changed = ReleaseSpec.model_validate({**made.spec.dump(), **spec})
        self.releases[name] = (made.model_copy(update={"spec": changed, "generation": made.generation + 1}), status)

    def variants_of(self, name: str) -> tuple[str, ...]:
        """Return the versions of a release: of each override, then of all other boxes."""
        return self.variants.get(name, (name,))

    def version_for(self, name: str, node: Node) -> str:
        """Return the version that a release wants on a box."""
        spec = self.releases[name][0].spec
        if not spec.targets.include(node.labels):  # it was moved, and its labels have changed
            return next((one for one in self.variants_of(name) if one in node.wanted), "")
        overrides = spec.workload.overrides
        matching = (n for n, one in enumerate(overrides) if one.selector.matches(node.labels))
        return self.variants_of(name)[next(matching, -1)]

    def status(self, name: str) -> ReleaseStatus:
        return self.releases[name][1]

    def newest_first(self) -> list[str]:
        return sorted(self.releases, key=lambda one: self.releases[one][0].age_order, reverse=True)

    def fleet(self) -> Fleet:
        standings = tuple(
            Standing(*self.releases[name], self.variants_of(name)) for name in reversed(self.newest_first())
        )
        boxes = tuple(self._box(node) for _, node in sorted(self.nodes.items()))
        return Fleet(standings, boxes, self.versions, self.zones)

    def _box(self, node: Node) -> Box:
        return Box(
            name=node.name,
            site=node.site,
            role=node.role,
            labels=node.labels,
            online=node.link,
            since=node.link_since,
            steady=node.link and self.now - node.link_since >= STEADY_AFTER,
            joined=node.joined,
            versions=frozenset(node.wanted),
            pods=node.seen,
            previous=node.previous,
            reverted=node.reverted,
            moved_by=node.moved_by,
        )

    def plan(self, name: str) -> Plan:
        """Plan one release; changes nothing."""
        fleet = self.fleet()
        standing = next(one for one in fleet.standings if one.release.name == name)
        return plan(snapshot(fleet, standing), self.now)

    def turn(self, *, crash_after: int | None = None) -> int:
        """Reconcile once; ``crash_after`` so many writes the operator is killed. Returns the writes made."""
        writes, rechecks = 0, []
        for name in self.newest_first():
            decided = self.plan(name)
            self.check(name, decided)
            for write in self._writes_of(name, decided):
                if writes == crash_after:
                    return writes
                write()
                writes += 1
                self.writes += 1
            self.notes += [(self.now, name, note) for note in decided.notes]
            rechecks += [self.now + decided.recheck_after] if decided.recheck_after is not None else []
        self.recheck_at = min(rechecks, default=None)
        return writes

    def settle(self, kills: Iterator[int | None] | None = None) -> int:
        """Reconcile until nothing is left to write, as an operator does that hears of its own writes.

        Boxes that go back to nothing are done at once, so a retreat may take a turn for each.
        """
        for turns in range(1, 7 + len(self.nodes)):
            crash_after = next(kills) if kills is not None else None
            if crash_after is not None:
                self.turn(crash_after=crash_after)
            if not self.turn():
                return turns
        raise AssertionError(f"law 10: does not come to rest at {self.now}")

    def check(self, name: str, decided: Plan) -> None:
        """Hook for laws that every plan must obey."""

    def about_to_patch(self, name: str, node: Node, move: Move) -> None:
        """Hook for laws that every patch must obey."""

    def _writes_of(self, name: str, decided: Plan) -> Iterator[Callable[[], None]]:
        if decided.status != self.status(name):
            yield lambda: self._write(name, decided.status)
        for move in decided.moves:
            yield lambda move=move: self._patch(name, move)  # type: ignore[misc]

    def _write(self, name: str, status: ReleaseStatus) -> None:
        read = ReleaseStatus.model_validate(status.dump())
        assert read == status, "the status says something else once it was written and read"
        self.releases[name] = (self.releases[name][0], read)

    def _patch(self, name: str, move: Move) -> None:
        node = self.nodes[move.box]
        self.about_to_patch(name, node, move)
        node.wanted = (node.wanted - move.remove) | move.add
        node.previous = node.previous if move.previous is None else move.previous
        node.reverted = node.reverted if move.reverted is None else move.reverted
        node.moved_by = node.moved_by if move.moved_by is None else move.moved_by
        node.patches += 1

    def cut(self, *names: str) -> None:
        for name in names:
            if self.nodes[name].link:
                self.nodes[name].link, self.nodes[name].link_since = False, self.now

    def heal(self, *names: str) -> None:
        for name in names:
            if not self.nodes[name].link:
                self.nodes[name].link, self.nodes[name].link_since = True, self.now

    def live(self, span: timedelta = SECOND) -> None:
        """Let the boxes live for a while."""
        self.now += span
        for node in self.nodes.values():
            if node.link:
                node.heard = set(node.wanted)
            self._run(node)
            if node.link:
                node.seen = tuple(self._pod(node, version) for version in sorted(node.started.keys() | node.heard))

    def _run(self, node: Node) -> None:
        for version in node.started.keys() - node.heard - node.stopping.keys():
            node.stopping[version] = self.now + self.stop_after
        for version in [one for one, gone in node.stopping.items() if gone <= self.now]:
            del node.stopping[version], node.started[version]
        node.asked = {version: node.asked.get(version, self.now) for version in node.heard | node.started.keys()}
        for version in sorted(node.heard - node.started.keys()):
            exclusive = self.versions[version].exclusive or any(self.versions[one].exclusive for one in node.started)
            if (node.started and exclusive) or self._out_of_reach(node, version):
                continue
            node.started[version] = self.now
            if version not in node.downloads:
                node.downloads.append(version)

    def is_ready(self, node: Node, version: str) -> bool:
        """Tell whether a pod of the version works on the box in truth."""
        since = node.started.get(version)
        return (
            since is not None and self.now - since >= self.start_after and not self._afflicted(self.bad, node, version)
        )

    def _afflicted(self, named: set[tuple[str, str]], node: Node, version: str) -> bool:
        return (node.name, version) in named or (EVERYWHERE, version) in named

    def _out_of_reach(self, node: Node, version: str) -> bool:
        return version not in node.downloads and self._afflicted(self.absent, node, version)

    def _pod(self, node: Node, version: str) -> Pod:
        if version not in node.started:
            pulling = self._out_of_reach(node, version)
            return Pod(
                f"{version}-{node.name}",
                version,
                bound=pulling,
                created=node.asked.get(version, self.now),
                pulled=False,
                trouble="ErrImagePull" if pulling else "Unschedulable",
            )
        bad = self._afflicted(self.bad, node, version)
        shaky = bad or self._afflicted(self.flaky, node, version)
        restarts = int((self.now - node.started[version]) / RESTART_EVERY) if shaky else 0
        return Pod(
            f"{version}-{node.name}",
            version,
            ready=self.is_ready(node, version),
            restarts=restarts,
            ending=version in node.stopping,
            created=node.asked.get(version, node.started[version]),
            trouble="CrashLoopBackOff" if bad and restarts else "",
            detail="exit code 1" if bad and restarts else "",
        )

    def run(self, until: Callable[["World"], bool], limit: timedelta, step: timedelta = SECOND) -> None:
        """Reconcile and live until something is true; fails after ``limit`` of virtual time."""
        end = self.now + limit
        while not until(self):
            assert self.now < end, "\n".join(
                f"{name}: {status.phase} {status.message}" for name, (_, status) in self.releases.items()
            )
            self.turn()
            self.live(step)

    def pass_time(self, span: timedelta, kills: Iterator[int | None] | None = None) -> None:
        """Let time pass with an operator that looks when it hears something, and when it said it would."""
        end, heard = self.now + span, None
        while self.now < end:
            told = self._told()
            if told != heard or (self.recheck_at is not None and self.recheck_at <= self.now):
                self.settle(kills)
            heard = self._told()
            self.live(min(self._step(), end - self.now))

    def _told(self) -> object:
        """Return all that would wake the operator."""
        boxes = [(one.link, one.link_since, frozenset(one.wanted), one.labels, one.seen) for one in self.nodes.values()]
        return boxes, {name: release for name, (release, _) in self.releases.items()}, tuple(self.nodes)

    def _step(self) -> timedelta:
        """Return how long nothing happens that nobody announced: a second while a box changes."""
        if any(self._changing(node) for node in self.nodes.values()):
            return SECOND
        if self.recheck_at is None:
            return RESTART_EVERY if self.bad or self.flaky else 5 * MINUTE
        return max(self.recheck_at - self.now, SECOND)

    def _changing(self, node: Node) -> bool:
        young = any(self.now - since <= self.start_after for since in node.started.values())
        return (
            young
            or bool(node.stopping)
            or (node.link and (node.heard != node.wanted or set(node.started) != self._possible(node)))
        )

    def _possible(self, node: Node) -> set[str]:
        return {version for version in node.heard if not self._out_of_reach(node, version)}


def world_of(boxes_per_site: list[int]) -> World:
    """Return a world of scan boxes: so many at each site."""
    nodes = [
        Node(f"tc-{site:03}-scan-{box}", f"tc-{site:03}")
        for site, count in enumerate(boxes_per_site)
        for box in range(count)
    ]
    return World({node.name: node for node in nodes})


def at(world: World, moment: datetime) -> World:
    """Return the world with its clock set, before anything has happened."""
    world.now = moment
    world.nodes = {name: replace(node, link_since=moment - timedelta(hours=1)) for name, node in world.nodes.items()}
    return world
