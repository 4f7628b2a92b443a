"""What a person should know of a release before it goes wrong."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import chain, islice
from typing import Final

from cloud.fleet.resource import NAME_SPELLED, SITE_LABEL
from cloud.fleet.scalars import format_duration
from cloud.fleet.wording import many, some
from cloud.rollout.budget import down
from cloud.rollout.checks import release_objection
from cloud.rollout.snapshot import Box, Snapshot
from cloud.rollout.status import MOST_TRIED, Effort
from cloud.rollout.windows import never_fits, sites_without_zone, zone_problems

PATIENT: Final = timedelta(minutes=2)
"""KubeEdge 1.23 may lose an answer inside a box, and its kubelet then stands still for 60 s (measured: 63 s)."""
_SHOWN: Final = 5
_MOST: Final = 20  # the status has room for so many


def warnings_of(snapshot: Snapshot, efforts: Mapping[str, Effort]) -> tuple[str, ...]:
    """Return one sentence for each thing worth knowing, as many as the status has room for."""
    return tuple(islice(chain(_of_boxes(snapshot, efforts), _of_spec(snapshot)), _MOST))


def _of_boxes(snapshot: Snapshot, efforts: Mapping[str, Effort]) -> Iterator[str]:
    if len(efforts) >= MOST_TRIED:
        yield (
            f"{len(efforts)} boxes are under way or have failed, as many as a release keeps account of: until some are "
            "healthy no further box is moved, and one that turns bad by itself is counted as succeeded."
        )
    if snapshot.unfit:
        yield (
            f"{many(len(snapshot.unfit), 'box')} left alone, for the label {SITE_LABEL} is no name of a site; "
            f"{NAME_SPELLED.words}: {some(snapshot.unfit)}."
        )
    broken = [box.name for box in snapshot.boxes if box.name not in efforts and _broken(snapshot, box)]
    if broken and release_objection(snapshot) is None:
        yield f"{many(len(broken), 'box')} with nothing that works until this release comes there: {some(broken)}."


def _of_spec(snapshot: Snapshot) -> Iterator[str]:
    spec, image = snapshot.release.spec, snapshot.status.resolved_image
    if image and "@" not in image:
        yield f"Image {image} is used as written: no registry told its digest, so boxes may get different contents."
    if spec.budget.max_unavailable_per_site.value == 0 and _exclusive(snapshot):
        yield (
            "budget.maxUnavailablePerSite is 0 and a box is down while this version takes the place of another: no box "
            "that works is moved; allow 1 or more."
        )
    if alone := _single_box_sites(snapshot):
        yield f"{many(len(alone), 'site')} with a single box of its role, down during a cutover: {some(alone)}."
    if blind := sites_without_zone(spec.windows, {box.site for box in snapshot.boxes}, snapshot.zones):
        sites = many(len(blind), "site")
        yield f"{sites} without a time zone, so windows there never open; create EdgeSites: {some(blind)}."
    if spec.health.timeout < PATIENT:
        timeout = format_duration(spec.health.timeout)
        yield f"health.timeout {timeout} is short: KubeEdge may keep a box silent for a minute; give it 2m or more."
    for window in never_fits(spec.windows, spec.health.timeout):
        timeout = format_duration(spec.health.timeout)
        yield f"Window {window.from_:%H:%M} to {window.to:%H:%M} is shorter than health.timeout {timeout}: never used."
    for name in zone_problems(spec.windows):
        yield f"Time zone {name} does not exist, so its windows never open; use an IANA name such as Asia/Shanghai."


def _broken(snapshot: Snapshot, box: Box) -> bool:
    """Tell whether the box waits for its turn, and what it is meant to run meanwhile does not work."""
    return bool(box.versions) and box.steady and down(box) and snapshot.wanted[box.name] not in box.versions


def _single_box_sites(snapshot: Snapshot) -> list[str]:
    if not _exclusive(snapshot):
        return []
    return sorted({box.site for box in snapshot.boxes if len(snapshot.neighbours[box.site, box.role]) == 1})


def _exclusive(snapshot: Snapshot) -> bool:
    return any(snapshot.versions[one].exclusive for one in snapshot.standing.variants if one in snapshot.versions)
