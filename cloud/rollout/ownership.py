"""Which release a box belongs to, when several releases of one workload could move it.

A box belongs to the newest release in force that targets it, or that began a surge there and has yet to end it. A
release is out of force once more of its boxes failed than may, or a person ended it; boxes it has moved stay its own
until it takes them back or a newer release takes them over. A box that had the version already stays whose it was: two
releases may render to the same one. Of a release whose status cannot be read nobody knows whether it is in force: it
keeps all its boxes, as they are. One whose spec cannot be read keeps those that it has moved. A release that was
superseded before all its stages had passed never brings its version to a box again.
"""

from collections.abc import Container, Iterable, Iterator

from cloud.rollout.snapshot import Box, Fleet, Snapshot, Standing
from cloud.rollout.status import Phase, ReleaseStatus
from cloud.rollout.views import ReleaseView


def in_force(standing: Standing) -> bool:
    """Tell whether the release may still bring its version to boxes that do not have it."""
    status, control = standing.status, standing.release.spec.control
    if not standing.variants or status.breach is not None or control.abort is not None:
        return False
    return status.phase is not Phase.FAILED and not overtaken(status)


def overtaken(status: ReleaseStatus) -> bool:
    """Tell whether the release was superseded before all its stages had passed; that is for good."""
    return status.phase is Phase.SUPERSEDED and status.completed_at is None


def owner(standings: Iterable[Standing], box: Box) -> Standing | None:
    """Return the release the box belongs to; ``standings`` are newest first. None: no release concerns it."""
    return next((standing for standing in standings if any(claimed(standing, (box,)))), None)


def claimed(standing: Standing, boxes: Iterable[Box]) -> Iterator[Box]:
    """Yield the boxes that belong to the release, of those that belong to no newer one."""
    if standing.unknown:
        return (box for box in boxes if standing.concerns(box))
    if not standing.variants:
        return iter(())
    if in_force(standing):
        return (box for box in boxes if standing.concerns(box))
    return (box for box in boxes if standing.brought(box) and standing.concerns(box))


def taken(view: ReleaseView, boxes: Iterable[Box]) -> set[str]:
    """Return the names of the boxes that belong to the release, of those that belong to no newer one."""
    if standing := view.standing:
        return {box.name for box in claimed(standing, boxes)}
    return {box.name for box in boxes if box.moved_by[:1] == (view.mark.uid,)}


def snapshot(fleet: Fleet, standing: Standing, free: Container[str] | None = None) -> Snapshot:
    """Return what one release of the fleet needs to know.

    ``free``: the names of the boxes that belong to no newer release; None: this is found out here.
    """
    targets = standing.release.spec.targets
    if free is None:
        free = {box.name for box in _unclaimed(fleet, standing)}
    matched = [box for box in fleet.boxes if targets.selector.matches(box.labels)]
    mine = [box for box in fleet.boxes if standing.concerns(box)]
    own = tuple(box for box in mine if box.name in free)
    names = {box.name for box in own}
    groups: dict[tuple[str, str], list[Box]] = {}
    for box in fleet.boxes:
        groups.setdefault((box.site, box.role), []).append(box)
    return Snapshot(
        standing=standing,
        boxes=own,
        wanted={box.name: standing.version_for(box) for box in own} if standing.variants else {},
        excluded=sum(1 for box in matched if box.name not in names),
        superseded=overtaken(standing.status) or (bool(mine) and not own),
        neighbours={key: tuple(boxes) for key, boxes in groups.items()},
        versions=fleet.versions,
        zones=fleet.zones,
        unfit=tuple(box.name for box in fleet.unfit if targets.include(box.labels)),
    )


def _unclaimed(fleet: Fleet, standing: Standing) -> Iterable[Box]:
    """Return the boxes that belong to no newer release."""
    kept = [uid for uid, age in fleet.unread.items() if age > standing.release.age_order]
    free: Iterable[Box] = [box for box in fleet.boxes if not box.moved_by[:1] or box.moved_by[0] not in kept]
    for newer in fleet.standings:
        if newer.release.age_order > standing.release.age_order:
            gone = {box.name for box in claimed(newer, free)}
            free = [box for box in free if box.name not in gone]
    return free
