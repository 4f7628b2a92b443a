"""Which DaemonSets of a workload are still needed: what runs, what may be gone back to, what is being released."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cloud.rollout.actions import Note, Severity
from cloud.rollout.cluster import Verb, Write
from cloud.rollout.release import Release
from cloud.rollout.snapshot import Box
from cloud.rollout.status import OVER
from cloud.rollout.template import VERSION_LABEL, Rendered, daemonset, render
from cloud.rollout.views import DaemonSetView, Kind, ReleaseView

KEPT: Final = 3  # newest versions that stay though no box runs them


def obsolete(
    daemon_sets: Sequence[DaemonSetView], releases: Iterable[ReleaseView], boxes: Iterable[Box]
) -> tuple[DaemonSetView, ...]:
    """Return the DaemonSets that nothing needs; ``daemon_sets`` are oldest first."""
    needed = {one.version for one in daemon_sets[-KEPT:]}
    for box in boxes:
        needed |= box.versions
        needed.update(box.previous)
    for view in releases:
        if view.status.phase not in OVER:
            needed |= {one.hash for one in view.rendered}
    return tuple(one for one in daemon_sets if one.version not in needed)


@dataclass(frozen=True, slots=True)
class Lack:
    """A version whose DaemonSet is not as we write it."""

    release: Release  # one that brings it
    rendered: Rendered
    found: DaemonSetView | None  # None: there is none

    @property
    def write(self) -> Write:
        """What makes it as it should be; what somebody added to it stays."""
        generation = self.found.next_settled if self.found else 1
        return Write(Verb.APPLY, Kind.DAEMON_SET, daemonset(self.release, self.rendered, generation))

    @property
    def note(self) -> Note:
        """What people are told of one that was put back."""
        namespace, version = self.release.namespace, self.rendered.hash
        return Note(
            "DaemonSetRestored",
            f"DaemonSet {self.write.name} was changed by hand and is as the release has it again. Pods made meanwhile "
            f"stay until they are deleted: kubectl get pods -n {namespace} -l {VERSION_LABEL}={version}",
            Severity.WARNING,
        )


def lacking(
    daemon_sets: Iterable[DaemonSetView], releases: Iterable[ReleaseView], wanted: Iterable[str]
) -> tuple[Lack, ...]:
    """Return the wanted versions that have no DaemonSet, or one that was changed by hand, if we know their template."""
    there = {one.version: one for one in daemon_sets}
    missing = {version for version in wanted if (found := there.get(version)) is None or found.edited}
    lacks = {
        rendered.hash: Lack(view.release, rendered, there.get(rendered.hash))
        for view in releases
        if view.release is not None and not missing.isdisjoint(one.hash for one in view.rendered)
        for rendered in render(view.release.namespace, view.release.spec.workload, view.status.template or {})
        if rendered.hash in missing
    }
    return tuple(lacks[version] for version in sorted(lacks))
