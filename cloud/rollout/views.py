"""What we keep of each object of the cluster: a dozen fields."""

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from cloud.fleet.box import BoxSpec, BoxStatus
from cloud.fleet.resource import GROUP, ROLE_LABEL, SITE_LABEL
from cloud.rollout.connectivity import ReadySign
from cloud.rollout.release import Release
from cloud.rollout.snapshot import Pod, Standing, Version
from cloud.rollout.status import ReleaseStatus

Raw = Mapping[str, Any]
Key = tuple[str, str]  # namespace (empty: none), name
WorkloadKey = tuple[str, str]  # namespace, name of the workload

RUN_PREFIX: Final = f"run.{GROUP}/"
PREVIOUS_PREFIX: Final = f"previous.{GROUP}/"
REVERTED_PREFIX: Final = f"reverted.{GROUP}/"
MOVED_PREFIX: Final = f"moved.{GROUP}/"


class Kind(StrEnum):
    """The kinds of objects that the operator looks at."""

    NODE = "Node"
    POD = "Pod"
    DAEMON_SET = "DaemonSet"
    SITE = "EdgeSite"
    BOX = "EdgeBox"
    RELEASE = "EdgeRelease"


@dataclass(frozen=True, slots=True)
class Mark:
    """Which object, and which state of it."""

    key: Key
    uid: str
    revision: int  # resourceVersion: comparable within one kind


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node that is a box."""

    mark: Mark
    labels: Mapping[str, str]
    sign: ReadySign
    joined: datetime
    versions: Mapping[str, frozenset[str]] = field(default_factory=dict)  # name of a workload -> versions asked for
    previous: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # remembered name -> versions, newest first
    reverted: Mapping[str, str] = field(default_factory=dict)  # remembered name -> uid of the release taken back
    moved_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # remembered name -> uids, newest first

    @property
    def name(self) -> str:
        """The node's name."""
        return self.mark.key[1]

    @property
    def site(self) -> str:
        """The site it stands at."""
        return self.labels.get(SITE_LABEL, "")

    @property
    def role(self) -> str:
        """What it is for; empty: it does not say."""
        return self.labels.get(ROLE_LABEL, "")


@dataclass(frozen=True, slots=True)
class PodView:
    """A pod of a workload, and the box it is meant for."""

    mark: Mark
    workload: str
    node: str  # empty: meant for no box
    pod: Pod


@dataclass(frozen=True, slots=True)
class DaemonSetView:
    """One version of a workload."""

    mark: Mark
    workload: str
    version: str
    exclusive: bool
    release: str  # name of the release that made it
    created: datetime
    packed: bytes  # its pod template, which is seldom asked for, and may be large
    ours: bool = True  # False: somebody else's, who uses our labels
    generation: int = 1  # counts the changes of its spec
    settled: int = 1  # the generation our own write of it was to bring

    @property
    def template(self) -> Raw:
        """The pod template it has."""
        return dict(json.loads(zlib.decompress(self.packed)))

    @property
    def edited(self) -> bool:
        """Tell whether it has to be written anew, if only to say which generation it has come to."""
        return self.generation != self.settled

    @property
    def changed(self) -> bool:
        """Tell whether its spec was changed since: a write of ours that changed nothing counted too far instead."""
        return self.generation > self.settled

    @property
    def next_settled(self) -> int:
        """The generation that writing it anew brings."""
        return self.generation + 1 if self.changed else self.generation


@dataclass(frozen=True, slots=True)
class SiteView:
    """A site, of which a release only needs the time zone."""

    mark: Mark
    zone: str  # empty: none that exists


@dataclass(frozen=True, slots=True)
class BoxView:
    """An EdgeBox as it stands in the cluster."""

    mark: Mark
    spec: BoxSpec | None  # None: not readable
    status: BoxStatus
    generation: int


@dataclass(frozen=True, slots=True)
class ReleaseView:
    """A release as it stands in the cluster, rendered once and not at every look; the templates are not kept."""

    mark: Mark
    workload: str
    created: datetime
    generation: int
    release: Release | None  # None: not readable, for the reason in `problem`
    status: ReleaseStatus
    rendered: tuple[Version, ...] = ()  # of each override, then of all other boxes; empty: has not started
    problem: str = ""
    unreadable: str = ""  # why its status cannot be read; empty: it can

    @property
    def standing(self) -> Standing | None:
        """The release as the planner knows it; None: not readable."""
        if self.release is None:
            return None
        variants = tuple(one.hash for one in self.rendered)
        lost = bool(self.unreadable) or (not variants and self.status.started_at is not None)
        return Standing(self.release, self.status, variants, unknown=lost)


View = NodeView | PodView | DaemonSetView | SiteView | BoxView | ReleaseView


def packed(template: Raw) -> bytes:
    """Return a template as a DaemonSetView keeps it: a hundredth of what it takes as Python's objects."""
    return zlib.compress(json.dumps(template, separators=(",", ":")).encode(), 1)


def memory_name(namespace: str, workload: str) -> str:
    """Return the name under which a node remembers something of a workload: 63 characters are the API's limit."""
    name = f"{namespace}.{workload}"
    return name if len(name) <= 63 else f"{name[:52]}-{hashlib.sha256(name.encode()).hexdigest()[:10]}"  # noqa: PLR2004
