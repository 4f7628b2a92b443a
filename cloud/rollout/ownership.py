"""Which release a box belongs to, when several releases of one workload could move it.

A box belongs to the newest release in force that targets it, or that began a surge there and has yet to end it. A
release is out of force once more of its boxes failed than may, or a person ended it; boxes it has moved stay its own
until it takes them back or a newer release takes them over. A box that had the version already stays whose it was: two
releases may render to the same one. Of a release whose status cannot be read nobody knows whether it is in force: it
keeps all its boxes, as they are. A release that was superseded before all its stages had passed never brings its
version to a box again.
"""

from collections.abc import Iterable

from cloud.rollout.snapshot import Box, Fleet, Snapshot, Standing
from cloud.rollout.status import Phase


def in_force(standing: Standing) -> bool:
    """Tell whether the release may still bring its version to boxes that do not have it."""
    status, control = standing.status, standing.release.spec.control
    if not standing.variants or status.breach is not None or control.abort is not None:
        return False
    return status.phase is not Phase.FAILED and not overtaken(standing)


def overtaken(standing: Standing) -> bool:
    """Tell whether the release was superseded before all its stages had passed; that is for good."""
    return standing.status.phase is Phase.SUPERSEDED and standing.status.completed_at is None


def owner(standings: Iterable[Standing], box: Box) -> Standing | None:
    """Return the release the box belongs to; ``standings`` are newest first. None: no release concerns it."""
    return next((standing for standing in standings if _claims(standing, box)), None)


def snapshot(fleet: Fleet, standing: Standing) -> Snapshot:
    """Return what one release of the fleet needs to know."""
    targets = standing.release.spec.targets
    newer = [one for one in reversed(fleet.standings) if one.release.age_order > standing.release.age_order]
    matched = [box for box in fleet.boxes if targets.selector.matches(box.labels)]
    mine = [box for box in fleet.boxes if standing.concerns(box)]
    own = tuple(box for box in mine if owner(newer, box) is None)
    names = {box.name for box in own}
    groups: dict[tuple[str, str], list[Box]] = {}
    for box in fleet.boxes:
        groups.setdefault((box.site, box.role), []).append(box)
    return Snapshot(
        standing=standing,
        boxes=own,
        wanted={box.name: standing.version_for(box) for box in own} if standing.variants else {},
        excluded=sum(1 for box in matched if box.name not in names),
        superseded=overtaken(standing) or (bool(mine) and not own),
        neighbours={key: tuple(boxes) for key, boxes in groups.items()},
        versions=fleet.versions,
        zones=fleet.zones,
        unfit=tuple(box.name for box in fleet.unfit if targets.include(box.labels)),
    )


def _claims(standing: Standing, box: Box) -> bool:
    if not standing.concerns(box):
        return False
    if standing.unknown or not standing.variants:
        return standing.unknown
    return in_force(standing) or standing.brought(box)
