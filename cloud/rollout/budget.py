"""How many boxes and sites may be changed at one time."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from cloud.fleet.wording import many
from cloud.rollout.snapshot import Box, Snapshot
from cloud.rollout.status import Effort

Group = tuple[str, str]  # (site, role)


@dataclass(slots=True)
class Ledger:
    """What of the budget is spent; each change that is admitted is entered at once."""

    site_limit: int
    limits: Mapping[Group, int]
    tried: Mapping[str, Effort] = field(default_factory=dict)  # boxes the status keeps account of, as they become more
    busy_sites: set[str] = field(default_factory=set)
    down: defaultdict[Group, set[str]] = field(default_factory=lambda: defaultdict(set))  # or being changed
    changing: defaultdict[Group, set[str]] = field(default_factory=lambda: defaultdict(set))  # of these, by our hand

    def admit(self, box: Box, after: frozenset[str]) -> str:
        """Enter a change of the box to these versions and return "", or return what forbids it, to end a sentence.

        What does not work cannot be made worse. A box on which something works before and after does not go down, so
        only what is being changed counts against it, and one at a time may always change in this way.
        """
        group = (box.site, box.role)
        if refusal := self.site_refused(box.site):
            return refusal
        if box.versions and not down(box):
            beside = any(box.runs(version) for version in after)
            if not beside and not self.limits[group]:
                return (
                    "Nothing that goes down while it changes is moved (budget.maxUnavailablePerSite 0): allow 1 or more"
                )
            spent = len((self.changing if beside else self.down)[group] - {box.name})
            limit = max(1, self.limits[group]) if beside else self.limits[group]
            if spent >= limit:
                return f"{many(spent, 'box')} down or being changed at {box.site} (budget.maxUnavailablePerSite)"
        self.enter(box)
        return ""

    def site_refused(self, site: str) -> str:
        """Return what forbids to change anything at the site, to end a sentence; "": nothing does."""
        if site in self.busy_sites or len(self.busy_sites) < self.site_limit:
            return ""
        return f"{many(len(self.busy_sites), 'site')} being changed already (budget.maxParallelSites)"

    def lost(self) -> frozenset[Group]:
        """Return where boxes that are down by no hand of ours use up the whole budget."""
        return frozenset(
            group
            for group, names in self.down.items()
            if 0 < self.limits[group] <= len(names - self.changing.get(group, frozenset()))
        )

    def enter(self, box: Box) -> None:
        """Enter a box that is being changed."""
        group = (box.site, box.role)
        self.busy_sites.add(box.site)
        self.down[group].add(box.name)
        self.changing[group].add(box.name)


def open_ledger(snapshot: Snapshot, efforts: Mapping[str, Effort], now: datetime) -> Ledger:
    """Return the ledger with everything entered that is down or under way now."""
    budget = snapshot.release.spec.budget
    sites = {box.site for box in snapshot.boxes}
    allowed = budget.max_unavailable_per_site
    ledger = Ledger(
        site_limit=budget.max_parallel_sites.of(len(sites)),
        limits={group: allowed.of(len(boxes)) for group, boxes in snapshot.neighbours.items()},
        tried=efforts,
    )
    for group, boxes in snapshot.neighbours.items():
        if lost := {box.name for box in boxes if down(box)}:
            ledger.down[group] = lost
    for box in snapshot.boxes:
        if (box.name in efforts or box.reverted) and under_way(snapshot, box, efforts, now):
            ledger.enter(box)
    return ledger


def down(box: Box) -> bool:
    """Tell whether the box is dark, or runs nothing of what its labels ask of it."""
    if not box.online or not box.versions:
        return not box.online
    return not any(pod.ready and not pod.ending and pod.version in box.versions for pod in box.pods)


def under_way(snapshot: Snapshot, box: Box, efforts: Mapping[str, Effort], now: datetime) -> bool:
    """Tell whether the box is online and being changed by this release, forward or back.

    What it goes back to has ``health.timeout`` to come up; after that the box is one that is down by itself.
    """
    if not box.online:
        return False
    effort = efforts.get(box.name)
    trying = effort is not None and not effort.cause and not (effort.relapse and not snapshot.standing.brought(box))
    if trying or box.reverted != snapshot.release.uid or not down(box):
        return trying
    begun = (max(pod.created, box.since) for pod in box.pods if pod.version in box.versions and not pod.ending)
    return all(now - since <= snapshot.release.spec.health.timeout for since in begun)
