"""A fleet in virtual time: boxes that obey their labels as nodes do, for tests of the planner."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from cloud.rollout.actions import Note, Plan
from cloud.rollout.ownership import snapshot
from cloud.rollout.plan import plan
from cloud.rollout.release import Release, ReleaseSpec
from cloud.rollout.snapshot import Box, Fleet, Pod, Standing, Version
from cloud.rollout.status import ReleaseStatus

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)

type_of_behaviour = Callable[[str, str], timedelta | None]


@dataclass
class Node:
    """One box as it is in truth, whether or not the cluster can see it."""

    name: str
    site: str
    role: str = "scan"
    link: bool = True
    link_since: datetime = START - timedelta(hours=1)
    wanted: set[str] = field(default_factory=set)  # labels as the API server has them
    heard: set[str] = field(default_factory=set)  # labels as the box has them
    started: dict[str, datetime] = field(default_factory=dict)  # version -> when its pod started
    restarts: dict[str, int] = field(default_factory=dict)
    seen: tuple[Pod, ...] = ()  # pods as the API server has them
    previous: str = ""
    reverted: str = ""
    patches: int = 0
    downloads: list[str] = field(default_factory=list)


@dataclass
class World:
    """Nodes, releases and a clock; ``bad`` names versions that never get healthy, on a box or ("*") everywhere."""

    nodes: dict[str, Node]
    now: datetime = START
    releases: dict[str, tuple[Release, ReleaseStatus]] = field(default_factory=dict)
    versions: dict[str, Version] = field(default_factory=dict)
    bad: set[tuple[str, str]] = field(default_factory=set)
    start_after: timedelta = 3 * SECOND
    zones: Mapping[str, object] = field(default_factory=dict)
    notes: list[tuple[datetime, str, Note]] = field(default_factory=list)
    writes: int = 0

    def release(self, name: str, spec: Mapping[str, object] | None = None, *, exclusive: bool = True) -> None:
        """Create a release whose version is named after it."""
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
        self.versions[name] = Version(name, exclusive)

    def edit(self, name: str, **spec: object) -> None:
        """Change the spec of a release, as a person does."""
        made, status = self.releases[name]
        changed = ReleaseSpec.model_validate({**made.spec.dump(), **spec})
        self.releases[name] = (made.model_copy(update={"spec": changed, "generation": made.generation + 1}), status)

    def status(self, name: str) -> ReleaseStatus:
        return self.releases[name][1]

    def fleet(self) -> Fleet:
        standings = tuple(
            Standing(release, status, (release.name,))
            for release, status in sorted(self.releases.values(), key=lambda pair: pair[0].age_order)
        )
        boxes = tuple(self._box(node) for _, node in sorted(self.nodes.items()))
        return Fleet(standings, boxes, self.versions, self.zones)  # type: ignore[arg-type]

    def _box(self, node: Node) -> Box:
        return Box(
            name=node.name,
            site=node.site,
            role=node.role,
            labels={"edgefleet.io/site": node.site, "edgefleet.io/role": node.role},
            online=node.link,
            since=node.link_since,
            steady=node.link and self.now - node.link_since >= timedelta(seconds=10),
            versions=frozenset(node.wanted),
            pods=node.seen,
            previous=node.previous,
            reverted=node.reverted,
        )

    def plans(self) -> list[tuple[str, Plan]]:
        """Plan every release, newest first, as the operator does."""
        return [
            (standing.release.name, plan(snapshot(fleet, standing), self.now))
            for fleet in (self.fleet(),)
            for standing in reversed(fleet.standings)
        ]

    def turn(self, *, crash_after: int | None = None) -> int:
        """Reconcile once; ``crash_after`` so many writes the operator is killed. Returns the writes made."""
        writes = 0
        for name in sorted(self.releases, key=lambda one: self.releases[one][0].age_order, reverse=True):
            fleet = self.fleet()
            standing = next(one for one in fleet.standings if one.release.name == name)
            decided = plan(snapshot(fleet, standing), self.now)
            self.check(name, decided)
            if decided.status != standing.status:
                if writes == crash_after:
                    return writes
                self.releases[name] = (standing.release, decided.status)
                writes += 1
            for move in decided.moves:
                if writes == crash_after:
                    return writes
                self._patch(move)
                writes += 1
            self.notes += [(self.now, name, note) for note in decided.notes]
        self.writes += writes
        return writes

    def check(self, name: str, decided: Plan) -> None:
        """Hook for laws that every plan must obey."""

    def _patch(self, move) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        node = self.nodes[move.box]
        assert move.add - node.wanted or move.remove & node.wanted, f"a patch that changes nothing: {move}"
        node.wanted = (node.wanted - move.remove) | move.add
        node.previous = node.previous if move.previous is None else move.previous
        node.reverted = node.reverted if move.reverted is None else move.reverted
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
                node.seen = tuple(self._pod(node, version) for version in sorted(node.started))

    def _run(self, node: Node) -> None:
        for version in list(node.started):
            if version not in node.heard:
                del node.started[version]
                node.restarts.pop(version, None)
        for version in node.heard - node.started.keys():
            exclusive = self.versions[version].exclusive or any(self.versions[one].exclusive for one in node.started)
            if node.started and exclusive:
                continue
            node.started[version] = self.now
            if version not in node.downloads:
                node.downloads.append(version)
        for version, since in node.started.items():
            if self._is_bad(node, version):
                node.restarts[version] = int((self.now - since) / timedelta(seconds=10))

    def _is_bad(self, node: Node, version: str) -> bool:
        return (node.name, version) in self.bad or ("*", version) in self.bad

    def _pod(self, node: Node, version: str) -> Pod:
        bad = self._is_bad(node, version)
        ready = not bad and self.now - node.started[version] >= self.start_after
        trouble = "CrashLoopBackOff" if bad and node.restarts.get(version) else ""
        return Pod(
            f"{version}-{node.name}",
            version,
            ready=ready,
            restarts=node.restarts.get(version, 0),
            trouble=trouble,
            detail="exit code 1" if trouble else "",
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


def world_of(boxes_per_site: list[int]) -> World:
    """Return a world of scan boxes: so many at each site."""
    nodes = [
        Node(f"tc-{site:03}-scan-{box}", f"tc-{site:03}")
        for site, count in enumerate(boxes_per_site)
        for box in range(count)
    ]
    return World({node.name: node for node in nodes})
