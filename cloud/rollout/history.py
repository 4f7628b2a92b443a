"""Which DaemonSets of a workload are still needed: what runs, what may be gone back to, what is being released."""

from collections.abc import Iterable, Sequence
from typing import Final

from cloud.rollout.snapshot import Box
from cloud.rollout.status import OVER
from cloud.rollout.template import Rendered
from cloud.rollout.views import DaemonSetView, ReleaseView

KEPT: Final = 3  # newest versions that stay though no box runs them


def obsolete(
    daemon_sets: Sequence[DaemonSetView], releases: Iterable[ReleaseView], boxes: Iterable[Box]
) -> tuple[DaemonSetView, ...]:
    """Return the DaemonSets that nothing needs; ``daemon_sets`` are oldest first."""
    needed = {one.version for one in daemon_sets[-KEPT:]}
    for box in boxes:
        needed |= box.versions
        needed.update(box.previous[:1])
    for view in releases:
        if view.status.phase not in OVER:
            needed |= {one.hash for one in view.rendered}
    return tuple(one for one in daemon_sets if one.version not in needed)


def absent(
    daemon_sets: Iterable[DaemonSetView], releases: Iterable[ReleaseView], wanted: Iterable[str]
) -> tuple[tuple[ReleaseView, Rendered], ...]:
    """Return the wanted versions that have no DaemonSet but whose template we know, each with its release."""
    there = {one.version for one in daemon_sets}
    known = {one.hash: (view, one) for view in releases for one in view.rendered}
    return tuple(known[version] for version in sorted(set(wanted) - there) if version in known)
