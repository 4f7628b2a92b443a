"""How many boxes and sites may be changed at one time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cloud.rollout.moves import surges
from cloud.rollout.snapshot import Box, Snapshot

Group = tuple[str, str]  # (site, role)


@dataclass(slots=True)
class Ledger:
    """What of the budget is spent; each move that is admitted is entered at once."""

    site_limit: int
    unit_limits: Mapping[Group, int]
    sizes: Mapping[Group, int]
    busy_sites: set[str] = field(default_factory=set)
    down: dict[Group, int] = field(default_factory=dict)  # boxes that do not work, or are being changed
    moving: dict[Group, int] = field(default_factory=dict)  # of these, the ones being changed

    def admit(self, box: Box, *, beside: bool) -> str:
        """Enter a move of the box and return "", or return what forbids it, as the end of a sentence.

        ``beside``: the new version starts beside the old one, so the box does not go down.
        """
        group = (box.site, box.role)
        if box.site not in self.busy_sites and len(self.busy_sites) >= self.site_limit:
            return f"{len(self.busy_sites)} sites are being changed already (budget.maxParallelSites)"
        cost = 1 if box.versions and not dead(box) else 0  # what does not work cannot be made worse
        spent = self.moving.get(group, 0) if beside else self.down.get(group, 0)
        alone = self.sizes.get(group, 1) <= 1 and self.unit_limits.get(group, 1) > 0
        if cost and not alone and spent + cost > self.unit_limits.get(group, 1):
            return f"{spent} boxes at {box.site} are down or being changed (budget.maxUnavailablePerSite)"
        self.busy_sites.add(box.site)
        self.down[group] = self.down.get(group, 0) + cost
        self.moving[group] = self.moving.get(group, 0) + 1
        return ""


def open_ledger(snapshot: Snapshot, under_way: Iterable[str]) -> Ledger:
    """Return the ledger with everything entered that is down or under way now."""
    budget = snapshot.release.spec.budget
    changing = frozenset(under_way)
    sites = {box.site for box in snapshot.boxes}
    ledger = Ledger(
        site_limit=budget.max_parallel_sites.of(len(sites)),
        unit_limits={
            group: budget.max_unavailable_per_site.of(len(boxes)) for group, boxes in snapshot.neighbours.items()
        },
        sizes={group: len(boxes) for group, boxes in snapshot.neighbours.items()},
    )
    for group, boxes in snapshot.neighbours.items():
        moving = [box for box in boxes if box.name in changing]
        ledger.moving[group] = len(moving)
        ledger.down[group] = sum(1 for box in boxes if box.name in changing or dead(box))
        ledger.busy_sites.update(box.site for box in moving)
    return ledger


def dead(box: Box) -> bool:
    """Tell whether the box is dark, or does not run what its labels ask of it."""
    return not box.online or not all(box.runs(version) for version in box.versions)


def held_by_dead_neighbours(snapshot: Snapshot, box: Box, under_way: frozenset[str]) -> bool:
    """Tell whether boxes that are down by no hand of ours use up the budget of the box's site and role.

    Such a box waits like a dark one: nobody knows when its neighbours return.
    """
    if not box.versions or dead(box) or surges(box, snapshot.standing.version_for(box), snapshot.versions):
        return False
    neighbours = snapshot.neighbours.get((box.site, box.role), ())
    limit = snapshot.release.spec.budget.max_unavailable_per_site.of(len(neighbours))
    lost = sum(1 for one in neighbours if one.name != box.name and one.name not in under_way and dead(one))
    return len(neighbours) > 1 and 0 < limit <= lost
