"""What the planner knows of the world: one frozen value, gathered anew for every decision."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from cloud.rollout.release import AgeOrder, Release
from cloud.rollout.status import Breach, ReleaseStatus

_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod of the workload on a box."""

    name: str
    version: str  # hash of the template it was made from
    ready: bool = False
    restarts: int = 0  # of all its containers together
    ending: bool = False  # deletion has begun
    bound: bool = True  # False: the scheduler has not given it to the box
    created: datetime = _LONG_AGO
    pulled: bool = True  # its containers have been started there once, so their images are on the box
    trouble: str = ""  # CamelCase reason of a waiting or failed container, or of the scheduler; empty: none
    detail: str = ""  # that reason as it was told


@dataclass(frozen=True, slots=True)
class Box:
    """One edge node as this workload sees it."""

    name: str
    site: str
    role: str  # empty: the node names none
    labels: Mapping[str, str]
    online: bool
    since: datetime  # since when it is online, or dark
    steady: bool = True  # online long enough to be touched
    versions: frozenset[str] = frozenset()  # of this workload, that the node's labels ask for
    pods: tuple[Pod, ...] = ()
    previous: tuple[str, ...] = ()  # versions it ran before, newest first
    reverted: str = ""  # uid of the release it was taken back from; empty: none
    joined: datetime = _LONG_AGO  # when its node was made
    moved_by: tuple[str, ...] = ()  # uids of the releases that moved it to what it runs, and ran before, newest first

    def runs(self, version: str) -> bool:
        """Tell whether a ready pod of that version is on the box and stays."""
        return any(pod.version == version and pod.ready and not pod.ending for pod in self.pods)

    def has(self, version: str) -> bool:
        """Tell whether a pod of that version is on the box with all its images, whether or not it works."""
        return any(pod.version == version and pod.pulled for pod in self.pods)

    def intact(self, version: str) -> bool:
        """Tell whether a pod of that version was started on the box and stays, and nothing bad is told of it."""
        mine = (pod for pod in self.pods if pod.version == version and not pod.ending)
        return any(pod.pulled and not pod.trouble and not pod.restarts for pod in mine)

    def restarts(self, version: str) -> int:
        """Return how often containers of that version's pod have restarted."""
        return sum(pod.restarts for pod in self.pods if pod.version == version and not pod.ending)


@dataclass(frozen=True, slots=True)
class Version:
    """One rendered template of the workload: one DaemonSet."""

    hash: str
    exclusive: bool  # True: must not run beside another version on the same box


@dataclass(frozen=True, slots=True)
class Standing:
    """A release of the workload and where it stands."""

    release: Release
    status: ReleaseStatus
    variants: tuple[str, ...] = ()  # version of each override, in order, then of all other boxes; empty: not rendered
    unknown: bool = False  # its status cannot be read, so nobody knows which boxes it has moved

    def version_for(self, box: Box) -> str:
        """Return the version this release wants on that box."""
        if self.leaves(box):
            return next(one for one in self.variants if one in box.versions)
        overrides = self.release.spec.workload.overrides
        for override, version in zip(overrides, self.variants, strict=False):
            if override.selector.matches(box.labels):
                return version
        return self.variants[-1]

    def brought(self, box: Box) -> bool:
        """Tell whether it was this release that moved the box to the version it wants there."""
        return self._moved_last(box) and self.version_for(box) in box.versions

    def concerns(self, box: Box) -> bool:
        """Tell whether the box is one of its targets, or left them in the middle of a surge."""
        return self.release.spec.targets.include(box.labels) or self.leaves(box)

    def leaves(self, box: Box) -> bool:
        """Tell whether the box is no target any more, but still has two versions by this release, which ends that."""
        if len(box.versions) < 2 or not self._moved_last(box) or box.versions.isdisjoint(self.variants):  # noqa: PLR2004
            return False
        return not self.release.spec.targets.include(box.labels)

    def _moved_last(self, box: Box) -> bool:
        return box.moved_by[:1] == (self.release.uid,)


@dataclass(frozen=True, slots=True)
class Fleet:
    """Everything gathered for one workload: all its releases, all boxes that any of them could concern."""

    standings: tuple[Standing, ...]  # oldest release first
    boxes: tuple[Box, ...]  # every box of the fleet, by name
    versions: Mapping[str, Version] = field(default_factory=dict)
    zones: Mapping[str, ZoneInfo] = field(default_factory=dict)  # of sites; a site without one is absent
    unfit: tuple[Box, ...] = ()  # boxes whose site label is no name: no release touches them
    unread: Mapping[str, AgeOrder] = field(default_factory=dict)  # uid -> age of releases whose spec cannot be read


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one release needs to know: itself, its boxes, their neighbours."""

    standing: Standing
    boxes: tuple[Box, ...]  # targeted and not owned by a newer release, by name
    wanted: Mapping[str, str]  # name of each of them -> the version this release wants there
    excluded: int  # matched but left out, by `exclude` or by a newer release
    superseded: bool  # a newer release owns every box, or did before the stages of this one had passed
    neighbours: Mapping[tuple[str, str], tuple[Box, ...]]  # (site, role) -> every box there, targeted or not
    versions: Mapping[str, Version]
    zones: Mapping[str, ZoneInfo]
    unfit: tuple[str, ...] = ()  # boxes it targets, but that are left alone: their site label is no name

    @property
    def release(self) -> Release:
        """The release itself."""
        return self.standing.release

    @property
    def status(self) -> ReleaseStatus:
        """Where it stood when we last wrote."""
        return self.standing.status

    def breached(self, breach: Breach | None) -> "Snapshot":
        """Return the same snapshot as it is once the failures have been judged."""
        status = self.status.model_copy(update={"breach": breach})
        return replace(self, standing=replace(self.standing, status=status))

    def only(self, names: Iterable[str]) -> "Snapshot":
        """Return the same snapshot of these boxes only."""
        chosen = frozenset(names)
        return replace(self, boxes=tuple(box for box in self.boxes if box.name in chosen))

    def by_site(self) -> Iterator[tuple[str, tuple[Box, ...]]]:
        """Yield each site with its boxes, by name."""
        sites: dict[str, list[Box]] = {}
        for box in self.boxes:
            sites.setdefault(box.site, []).append(box)
        for name in sorted(sites):
            yield name, tuple(sites[name])
