"""How a release begins: which pod template it settles on, once for all its boxes; or why it cannot be carried out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cloud.fleet.resource import Condition, ConditionStatus, settle_condition
from cloud.rollout.actions import Note
from cloud.rollout.conditions import conditions_of
from cloud.rollout.release import Abort, Release
from cloud.rollout.snapshot import Box
from cloud.rollout.status import Phase, ReleaseStatus
from cloud.rollout.template import EXCLUSIVE_MARK, VERSION_LABEL, WORKLOAD_LABEL, main_container, render, resolve
from cloud.rollout.views import DaemonSetView, ReleaseView

_OUR_LABELS: Final = frozenset({WORKLOAD_LABEL, VERSION_LABEL, EXCLUSIVE_MARK})
_OURS: Final = ("nodeSelector", "tolerations", "affinity")  # what rendering puts into a template


@dataclass(frozen=True, slots=True)
class Predecessor:
    """What a release that names only an image takes its template from."""

    release: str = ""  # name; empty: there is none
    template: Mapping[str, Any] | None = None  # None: there is none


def impossible(view: ReleaseView) -> bool:
    """Tell whether the release is known to be impossible as it is written now."""
    return view.status.phase is Phase.FAILED and view.status.observed_generation == view.generation


def settled(view: ReleaseView) -> bool:
    """Tell whether the template stands: for good once the release has started, before that until it is edited."""
    status = view.status
    if status.template is None:
        return False
    return status.started_at is not None or status.observed_generation == view.generation


def predecessor(
    older: Sequence[ReleaseView], daemon_sets: Sequence[DaemonSetView], boxes: Sequence[Box]
) -> Predecessor:
    """Return what came before: the newest release that has completed, else what most boxes run, else what is newest.

    A release that failed, or was stopped or taken back, is no example to follow, nor is a version that only such ones
    brought. ``older``: the releases of the workload before this one, oldest first.
    """
    good = [view for view in older if view.status.template is not None and not _bad(view)]
    if completed := [view for view in good if view.status.completed_at is not None]:
        return _followed(completed[-1])
    by_version = {one.hash: view for view in good for one in view.rendered}
    spoilt = {one.hash for view in older if _bad(view) for one in view.rendered} - by_version.keys()
    running = Counter(version for box in boxes for version in box.versions if box.runs(version))
    known = [one for one in daemon_sets if one.version not in spoilt]
    most = max(known, key=lambda one: (running[one.version], one.created, one.version), default=None)
    if good and (most is None or not running[most.version]):
        return _followed(good[-1])
    if most is not None and most.version in by_version:
        return _followed(by_version[most.version])
    return Predecessor(most.release, _unrendered(most.template)) if most is not None else Predecessor()


def _bad(view: ReleaseView) -> bool:
    """Tell whether the release did not turn out well, and never will."""
    ended = view.release is not None and view.release.spec.control.abort is Abort.ROLLBACK
    return (
        view.status.phase is Phase.FAILED or ended or (view.status.breach is not None and not view.status.completed_at)
    )


def _followed(view: ReleaseView) -> Predecessor:
    return Predecessor(view.mark.key[1], view.status.template)


def image_of(release: Release, before: Predecessor) -> str:
    """Return the image reference that the release means, as written. Raises SpecError."""
    workload = release.spec.workload
    containers = resolve(workload, before.template)["spec"]["containers"]
    return str(main_container(containers, workload.name).get("image") or "")


def begin(release: Release, status: ReleaseStatus, before: Predecessor, pinned: str | None) -> ReleaseStatus:
    """Return the status with the template settled, and without what was seen of a version before. Raises SpecError.

    ``pinned``: the image with its digest, or as written where no registry told it; None: digests are not asked for.
    """
    workload = release.spec.workload
    if pinned:
        workload = workload.model_copy(update={"image": pinned})
    template = resolve(workload, before.template)
    update = {
        "template": template,
        "version": render(release.namespace, workload, template)[-1].hash,
        "resolved_image": pinned or "",
        "previous_release": before.release,
        "phase": Phase.PENDING,
        "boxes": {},
        "breach": None,
        "conditions": tuple(one for one in status.conditions if one.type != "Stalled"),
    }
    return status.model_copy(update=update)


def failed(view: ReleaseView, problem: str, now: datetime) -> ReleaseStatus:
    """Return the status of a release that cannot be carried out as written."""
    status = view.status.model_copy(
        update={
            "phase": Phase.FAILED,
            "message": problem[:1024],
            "waiting_on": None,
            "observed_generation": view.generation,
        }
    )
    return _stalled(view, status, Note("InvalidSpec", problem), now)


def held_up(view: ReleaseView, trouble: Note, now: datetime, planned: ReleaseStatus | None = None) -> ReleaseStatus:
    """Return the status of a release that does not get on, for a reason that is not the planner's.

    ``planned``: what the planner would write; None: the release stays where it is.
    """
    update = {"message": trouble.message[:1024], "observed_generation": view.generation}
    return _stalled(view, (planned or view.status).model_copy(update=update), trouble, now)


def _stalled(view: ReleaseView, status: ReleaseStatus, trouble: Note, now: datetime) -> ReleaseStatus:
    stalled = Condition(
        type="Stalled",
        status=ConditionStatus.TRUE,
        reason=trouble.reason,
        message=trouble.message[:1024],
        last_transition_time=now,
        observed_generation=view.generation,
    )
    others = tuple(one for one in conditions_of(status, now) if one.type != "Stalled")
    return status.model_copy(update={"conditions": (*others, settle_condition(view.status.conditions, stalled))})


def _unrendered(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pod template as a person would have written it, out of a DaemonSet's."""
    plain = deepcopy(dict(template))
    labels = (plain.get("metadata") or {}).get("labels") or {}
    plain["metadata"] = {"labels": {key: value for key, value in labels.items() if key not in _OUR_LABELS}}
    plain["spec"] = {key: value for key, value in plain["spec"].items() if key not in _OURS}
    return plain
