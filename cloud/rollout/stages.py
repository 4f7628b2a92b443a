"""Which sites belong to which stage of a release."""

from collections.abc import Mapping, Sequence

from cloud.rollout.release import Release, Stage
from cloud.rollout.snapshot import Box, Snapshot
from cloud.rollout.status import ReleaseStatus, StageStatus


def standing_stages(release: Release, status: ReleaseStatus) -> tuple[StageStatus, ...]:
    """Return where each stage stands; those of a release that has not started are as they are written now."""
    if status.started_at is not None and status.stages:
        return status.stages
    return tuple(StageStatus(name=stage.name) for stage in release.spec.stages)


class StageMap(dict[str, int]):
    """The stage of each site: the one that chose it, else the last."""

    def __init__(self, chosen: Mapping[str, int], last: int) -> None:
        super().__init__(chosen)
        self._last = last

    def __missing__(self, site: str) -> int:
        self[site] = self._last
        return self._last


def stage_map(stages: Sequence[StageStatus]) -> StageMap:
    """Return the stage of each site."""
    chosen = {site: index for index, stage in enumerate(stages[:-1]) for site in stage.sites}
    return StageMap(chosen, len(stages) - 1)


def choose_sites(snapshot: Snapshot, stages: Sequence[StageStatus], index: int) -> tuple[str, ...]:
    """Return the sites of a stage that is about to start; empty for the last one, which has all that remain.

    ``upTo`` is cumulative. Sites whose boxes are all online come first, so that a canary is not chosen dark;
    then by name, so that the choice is the same each time.
    """
    if index == len(stages) - 1:
        return ()
    stage, taken, sites = snapshot.release.spec.stages[index], _taken(stages, index), dict(snapshot.by_site())
    room = stage.up_to.of(len(sites)) - len(taken & sites.keys())
    candidates = sorted(
        (_dark_share(boxes), site) for site, boxes in sites.items() if site not in taken and _selected(stage, boxes)
    )
    return tuple(sorted(site for _, site in candidates[: max(0, room)]))


def selects_nothing(snapshot: Snapshot, stages: Sequence[StageStatus], index: int) -> bool:
    """Tell whether a stage that is about to start has room for sites, yet a selector that matches no box at all.

    A stage may be empty because those before it have reached its ``upTo`` or have all the sites it selects.
    """
    stage, sites = snapshot.release.spec.stages[index], dict(snapshot.by_site())
    if any(_selected(stage, boxes) for boxes in sites.values()):
        return False
    return len(_taken(stages, index) & sites.keys()) < stage.up_to.of(len(sites))


def _taken(stages: Sequence[StageStatus], index: int) -> set[str]:
    return {site for before in stages[:index] for site in before.sites}


def _dark_share(boxes: Sequence[Box]) -> float:
    return sum(1 for box in boxes if not (box.online and box.steady)) / len(boxes)


def _selected(stage: Stage, boxes: Sequence[Box]) -> bool:
    return stage.selector is None or any(stage.selector.matches(box.labels) for box in boxes)
