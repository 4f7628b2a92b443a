"""Which EdgeBoxes have to be written: one for every node that stands at a site, with what Kubernetes says of it.

An EdgeBox outlives its node: a box that has vanished is a fault to be seen, and people may have added to it. Only a
person retires one. Of a box that another witness speaks for, only the spec is ours.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from cloud.fleet.box import BoxSpec, BoxStatus, Health
from cloud.fleet.report import LEASE_PREFIX

GONE: Final = "NodeGone"


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a node says of the box."""

    site: str
    role: str  # empty: it names none
    online: bool
    since: datetime
    witness: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An EdgeBox as it stands."""

    spec: BoxSpec | None  # None: not readable
    status: BoxStatus
    generation: int


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be written of one EdgeBox: the fields that are ours, camelCase."""

    box: str
    spec: dict[str, Any] | None = None  # None: as it should be
    status: dict[str, Any] | None = None  # None: as it should be


@dataclass(frozen=True, slots=True)
class Unfit:
    """A node that cannot become an EdgeBox."""

    box: str
    problem: str


def due(
    sightings: Mapping[str, Sighting], entries: Mapping[str, Entry], observers: Collection[str], now: datetime
) -> tuple[list[Due], list[Unfit]]:
    """Return what to write, by name, and which nodes cannot be boxes. A new box gets its status with the next call.

    ``observers``: monitors that live, which speak for their boxes themselves.
    """
    writes, unfit = [], []
    for name, sighting in sorted(sightings.items()):
        entry = entries.get(name)
        spec = {"node": name, "site": sighting.site} | ({"roles": [sighting.role]} if sighting.role else {})
        try:
            wanted = BoxSpec.model_validate(spec)
        except ValidationError as wrong:
            first = wrong.errors(include_url=False)[0]
            unfit.append(Unfit(name, f"{first['loc'][0]} {first['input']!r}: {first['msg']}; correct the node's label"))
            continue
        due_spec = spec if entry is None or _differs(entry.spec, wanted) else None
        due_status = _status(sighting, entry, observers) if entry is not None else None
        if due_spec or due_status:
            writes.append(Due(name, due_spec, due_status))
    return [*writes, *_vanished(sightings, entries, now)], unfit


def _differs(known: BoxSpec | None, wanted: BoxSpec) -> bool:
    return (
        known is None
        or (known.node, known.site) != (wanted.node, wanted.site)
        or bool(wanted.roles and known.roles != wanted.roles)
    )


def _status(sighting: Sighting, entry: Entry, observers: Collection[str]) -> dict[str, Any] | None:
    health = Health.ONLINE if sighting.online else Health.OFFLINE
    known = entry.status
    silent = known.witness.startswith(LEASE_PREFIX) and known.witness not in observers
    if known.witness not in {"", sighting.witness} and not silent:
        return None
    same = known.health is health and known.reason != GONE and known.observed_generation == entry.generation
    if same and not silent:
        return None
    told = "The node is ready." if sighting.online else "Kubernetes has not heard from the node, or it is not ready."
    return BoxStatus(
        health=health,
        reason="NodeReady" if sighting.online else "NodeNotReady",
        message=told,
        since=sighting.since,
        witness=sighting.witness,
        observed_generation=entry.generation,
    ).dump()


def _vanished(sightings: Mapping[str, Sighting], entries: Mapping[str, Entry], now: datetime) -> Iterator[Due]:
    for name, entry in sorted(entries.items()):
        if name in sightings or entry.status.reason == GONE:
            continue
        status = BoxStatus(
            health=Health.OFFLINE,
            reason=GONE,
            message=f"There is no node {name} at a site any more; if the box is retired: kubectl delete edgebox {name}",
            since=now,
            witness="NodeReady",
            observed_generation=entry.generation,
        )
        yield Due(name, None, status.dump())
