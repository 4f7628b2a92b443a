"""The upkeep of EdgeBoxes as writes to the cluster, so many at a time."""

from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

from cloud.fleet.upkeep import Due, Entry, Sighting, Unfit, due
from cloud.rollout.cluster import Verb, Write, manifest
from cloud.rollout.mirror import Mirror
from cloud.rollout.views import Kind

BATCH: Final = 200  # boxes written in one go: ten thousand new ones must not keep releases waiting


@dataclass(frozen=True, slots=True)
class Keep:
    """What to write now."""

    writes: tuple[Write, ...]
    unfit: tuple[Unfit, ...]
    more: bool  # True: call again


def keep_boxes(mirror: Mirror, now: datetime) -> Keep:
    """Return the next writes that make every EdgeBox say what its node says."""
    sightings = {
        name: Sighting(node.site, node.role, verdict.online, verdict.since, verdict.witness)
        for name, (node, verdict) in mirror.nodes().items()
    }
    entries = {name: Entry(box.spec, box.status, box.generation) for name, box in mirror.boxes().items()}
    wanted, unfit = due(sightings, entries, now)
    batch = tuple(islice(wanted, BATCH))
    writes = tuple(write for one in batch for write in _writes(one))
    return Keep(writes, tuple(unfit), len(wanted) > len(batch))


def _writes(one: Due) -> list[Write]:
    writes = []
    if one.spec is not None:
        writes.append(Write(Verb.APPLY, Kind.BOX, manifest(Kind.BOX, one.box, spec=one.spec)))
    if one.status is not None:
        writes.append(Write(Verb.APPLY, Kind.BOX, manifest(Kind.BOX, one.box, status=one.status), "status"))
    return writes
