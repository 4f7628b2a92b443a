"""The upkeep of EdgeBoxes as writes to the cluster, so many at a time; what it refuses is let be until it changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from cloud.fleet.upkeep import Due, Entry, Sighting, Unfit, due
from cloud.rollout.cluster import Answer, Refused, Verb, Write, manifest
from cloud.rollout.mirror import Mirror
from cloud.rollout.views import Kind

BATCH: Final = 200  # boxes written in one go: ten thousand new ones must not keep releases waiting
REFUSED_AGAIN: Final = timedelta(minutes=5)  # until the same write is tried again: rights and rules change too

Subject = tuple[Sighting | None, int]
"""What a write of an EdgeBox is about: what its node says, and which state it has itself; 0: there is none."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API server did not want an EdgeBox as we would have it."""

    subject: Subject
    words: str  # the API server's
    at: datetime


@dataclass(frozen=True, slots=True)
class Keep:
    """What to write now."""

    writes: tuple[Write, ...]
    unfit: frozenset[Unfit]  # nodes whose own labels are the obstacle
    more: bool  # True: call again
    subjects: Mapping[str, Subject]  # by box
    refusals: Mapping[str, Refusal]  # by box: of earlier writes, of which nothing has changed since

    def refused(self, answers: Sequence[Answer], now: datetime) -> dict[str, Refusal]:
        """Return all refusals that hold once the writes have been answered."""
        answered = zip(self.writes, answers, strict=True)
        new = {one.name: str(answer) for one, answer in answered if isinstance(answer, Refused)}
        return {**self.refusals, **{box: Refusal(self.subjects[box], words, now) for box, words in new.items()}}


def keep_boxes(mirror: Mirror, now: datetime, refusals: Mapping[str, Refusal]) -> Keep:
    """Return the next writes that make every EdgeBox say what its node says."""
    sightings = {
        name: Sighting(node.site, node.role, verdict.online, verdict.since, "NodeReady")
        for name, (node, verdict) in mirror.nodes().items()
    }
    boxes = mirror.boxes()
    subjects = {
        name: (sightings.get(name), boxes[name].mark.revision if name in boxes else 0)
        for name in sightings.keys() | boxes.keys()
    }
    standing = {
        name: one
        for name, one in refusals.items()
        if subjects.get(name) == one.subject and now - one.at < REFUSED_AGAIN
    }
    wanted, unfit = due(
        {name: one for name, one in sightings.items() if name not in standing},
        {name: Entry(box.spec, box.status, box.generation) for name, box in boxes.items() if name not in standing},
        mirror.observers,
        now,
    )
    batch = tuple(islice(wanted, BATCH))
    writes = tuple(write for one in batch for write in _writes(one))
    return Keep(writes, frozenset(unfit), len(wanted) > len(batch), subjects, standing)


def _writes(one: Due) -> list[Write]:
    writes = []
    if one.spec is not None:
        writes.append(Write(Verb.APPLY, Kind.BOX, manifest(Kind.BOX, one.box, spec=one.spec)))
    if one.status is not None:
        writes.append(Write(Verb.APPLY, Kind.BOX, manifest(Kind.BOX, one.box, status=one.status), "status"))
    return writes
