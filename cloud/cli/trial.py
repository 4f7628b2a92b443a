"""A release tried on the API server without doing it: what it objects to, and how the release would stand then."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import typer
from pydantic import ValidationError

from cloud.cli import gather
from cloud.cli.kube import Api, Conflict, Forbidden, Json, NotFound
from cloud.cli.options import namespace_name
from cloud.fleet.errors import SpecError
from cloud.rollout.draft import Draft
from cloud.rollout.mirror import Mirror
from cloud.rollout.preview import over
from cloud.rollout.release import Release, ReleaseSpec
from cloud.rollout.snapshot import Fleet, Standing, Version
from cloud.rollout.start import begin, predecessor
from cloud.rollout.status import ReleaseStatus
from cloud.rollout.template import render
from cloud.rollout.views import ReleaseView

KUBECTL: Final = "kubectl"  # as whom the trial is made: fields that it wrote before and that the file lacks go away
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"  # what `kubectl apply` wrote before, as JSON


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the API server says to a release of a file."""

    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    spec: ReleaseSpec | None = None  # with what the cluster knows beside the file, as a hand on it; None: not judged


def judge(api: Api, draft: Draft) -> Verdict:
    """Return what the API server itself would make of the release, and what is to be known of its word."""
    try:
        namespace_name(draft.namespace)
    except typer.BadParameter as wrong:
        return Verdict((f"metadata.namespace: {wrong}",))
    path, asked = gather.release_path(draft.namespace, draft.name), {"dryRun": "All", "fieldValidation": "Strict"}
    try:
        before = _applied_before(api, path)
        answer = api.apply(path, dict(draft.manifest), fieldManager=KUBECTL, force="true", **asked)
        spec = _without_dropped(answer["spec"], before, draft.manifest["spec"])
        return Verdict(spec=ReleaseSpec.model_validate(spec))
    except NotFound as missing:
        return Verdict((f"metadata.namespace: {missing}; `kubectl create namespace {draft.namespace}` makes it",))
    except Forbidden as refused:  # who only looks, and leaves the writing to others, may have a preview too
        return Verdict(notes=(f"the API server has not judged the file: {refused}",))
    except ValidationError as strange:
        return Verdict((f"the API server answers with a release that this version does not understand: {strange}",))
    except (SpecError, Conflict) as refused:
        return Verdict(tuple(str(refused).splitlines()))


def _applied_before(api: Api, path: str) -> Json:
    """Return the spec that ``kubectl apply`` wrote last, which a trial knows of only if the server applied it."""
    try:
        annotations = api.get(path)["metadata"].get("annotations") or {}
    except NotFound:
        return {}
    try:
        before = json.loads(annotations[LAST_APPLIED])["spec"]
    except (LookupError, ValueError, TypeError):  # applied by the server, created, or written by hand
        return {}
    return before if isinstance(before, dict) else {}


def _without_dropped(found: Json, before: Json, now: Mapping[str, Any]) -> Json:
    """Return what is found, without what was applied before and is not in the file now; its lists are the file's."""
    kept: Json = {}
    for key, value in found.items():
        if key in now and isinstance(value, dict) and isinstance(before.get(key), dict):
            kept[key] = _without_dropped(value, before[key], now[key])
        elif key in now and key in before and isinstance(value, list):
            kept[key] = now[key]
        elif key in now or key not in before:
            kept[key] = value
    return kept


def fleet_with(mirror: Mirror, written: Release, verdict: Verdict, now: datetime) -> Fleet:
    """Return the fleet as it would be with the written release in it. Raises SpecError if it cannot begin."""
    held = mirror.held((written.namespace, written.spec.workload.name), now)
    known = next((one for one in held.releases if one.mark.key[1] == written.name), None)
    release = written.model_copy(update={"spec": verdict.spec or _under_the_same_hand(written.spec, known)})
    older = [one for one in held.releases if one is not known]
    status = known.status if known is not None else ReleaseStatus()
    if known is not None:
        older = [one for one in older if (one.created, one.mark.key[1]) < (known.created, release.name)]
        identity = {"uid": known.mark.uid, "created": known.created, "generation": known.generation + 1}
        release = release.model_copy(update=identity)
    if status.template is None:
        stays = {"phase": status.phase} if over(status) else {}
        begun = begin(release, status, predecessor(older, held.daemon_sets, held.fleet.boxes), None)
        status = begun.model_copy(update=stays)
    rendered = render(release.namespace, release.spec.workload, status.template or {})
    standing = Standing(release, status, tuple(one.hash for one in rendered))
    others = (one for one in held.fleet.standings if one.release.name != release.name)
    return replace(
        held.fleet,
        standings=tuple(sorted((*others, standing), key=lambda one: one.release.age_order)),
        versions={**held.fleet.versions, **{one.hash: Version(one.hash, one.exclusive) for one in rendered}},
    )


def _under_the_same_hand(spec: ReleaseSpec, known: ReleaseView | None) -> ReleaseSpec:
    """Return the spec of a file with what it does not say of ``control`` as it stands in the cluster."""
    if known is None or known.release is None:
        return spec
    said = {name: getattr(spec.control, name) for name in spec.control.model_fields_set}
    return spec.model_copy(update={"control": known.release.spec.control.model_copy(update=said)})
