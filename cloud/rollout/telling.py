"""What is told of decisions and troubles, and how it becomes Kubernetes Events: alike ones together, never many."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cloud.fleet.resource import API_VERSION
from cloud.rollout.actions import Note
from cloud.rollout.views import Kind, ReleaseView

ALIKE: Final = 3  # notes of one reason that are told one by one; more become one Event
MOST: Final = 10  # Events of one release at one time; further ones are in the log only
_LONGEST: Final = 1000  # characters; the API takes 1,024


@dataclass(frozen=True, slots=True)
class Decision:
    """Something that was decided and written, to be told."""

    release: str
    note: Note
    cause: Exception | None = None  # the fault in this program behind it; None: there is none


@dataclass(frozen=True, slots=True)
class Trouble:
    """What kept one release from being looked at to the end; the others of its workload go on."""

    uid: str  # of the release
    reason: str
    message: str


def events(view: ReleaseView, notes: Iterable[Note], now: datetime) -> tuple[dict[str, Any], ...]:
    """Return the Events that tell the notes. The same note again has the same name, so that it can be counted up."""
    return tuple(_event(view, note, now) for note in list(_gathered(notes))[:MOST])


def _gathered(notes: Iterable[Note]) -> Iterator[Note]:
    groups: dict[tuple[str, str], list[Note]] = {}
    for note in notes:
        groups.setdefault((note.reason, note.severity.value), []).append(note)
    for group in groups.values():
        if len(group) <= ALIKE:
            yield from group
        else:
            said = "; ".join(note.message for note in group[:ALIKE])
            yield Note(group[0].reason, f"{said}; and {len(group) - ALIKE} more", group[0].severity)


def _event(view: ReleaseView, note: Note, now: datetime) -> dict[str, Any]:
    namespace, name = view.mark.key
    digest = hashlib.sha256(f"{view.mark.uid} {note.reason} {note.message}".encode()).hexdigest()[:16]
    moment = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name[:200]}.{digest}", "namespace": namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": Kind.RELEASE.value,
            "namespace": namespace,
            "name": name,
            "uid": view.mark.uid,
            "resourceVersion": str(view.mark.revision),
        },
        "reason": note.reason,
        "message": note.message[:_LONGEST],
        "type": note.severity.value,
        "count": 1,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "source": {"component": "edgefleet-operator"},
        "reportingComponent": "edgefleet-operator",
        "reportingInstance": "",
    }
