"""A move as the one patch of a node, and what a patch that the API server refuses means to the release."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cloud.rollout.actions import Move
from cloud.rollout.cluster import Verb, Write, manifest
from cloud.rollout.effort import Failed, fail
from cloud.rollout.status import ReleaseStatus
from cloud.rollout.template import node_label
from cloud.rollout.views import (
    MOVED_PREFIX,
    PREVIOUS_PREFIX,
    REVERTED_PREFIX,
    Kind,
    ReleaseView,
    WorkloadKey,
    memory_name,
)


def node_patch(key: WorkloadKey, move: Move) -> Write:
    """Return the one merge patch that carries out a move: labels, and what the node is to remember."""
    workload, memory = key[1], memory_name(*key)
    labels: dict[str, str | None] = {node_label(workload, version): None for version in move.remove}
    labels |= {node_label(workload, version): "" for version in move.add}
    annotations: dict[str, str | None] = {}
    if move.previous is not None:
        annotations[f"{PREVIOUS_PREFIX}{memory}"] = ",".join(move.previous) or None
    if move.reverted is not None:
        annotations[f"{REVERTED_PREFIX}{memory}"] = move.reverted or None
    if move.moved_by is not None:
        annotations[f"{MOVED_PREFIX}{memory}"] = ",".join(move.moved_by) or None
    metadata: dict[str, Any] = {"labels": labels, **({"annotations": annotations} if annotations else {})}
    return Write(Verb.MERGE, Kind.NODE, manifest(Kind.NODE, move.box, metadata=metadata))


def not_patched(view: ReleaseView, refused: Mapping[str, str], now: datetime) -> ReleaseStatus:
    """Return the status once the attempts on these boxes have failed: box to the words of the API server.

    One node that cannot be written, for a policy or because it is full, holds up no other.
    """
    status, retries = view.status, view.release.spec.on_failure.retries if view.release else 0
    failed = {
        box: fail(status.boxes[box], Failed("NotPatched", f"its node cannot be changed: {words}"), retries, now)
        for box, words in refused.items()
    }
    return status.model_copy(update={"boxes": {**status.boxes, **failed}})
