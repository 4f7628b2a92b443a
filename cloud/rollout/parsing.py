"""Reads the API's objects into what we keep of them; nothing raises, whatever the object has."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import ValidationError

from cloud.fleet.box import BoxSpec, BoxStatus
from cloud.fleet.errors import SpecError
from cloud.fleet.site import zone_of
from cloud.rollout.connectivity import ReadySign
from cloud.rollout.moves import MOVERS, REMEMBERED
from cloud.rollout.release import Release, ReleaseSpec, Workload
from cloud.rollout.snapshot import Pod, Version
from cloud.rollout.status import ReleaseStatus
from cloud.rollout.template import (
    EXCLUSIVE_MARK,
    GENERATION_ANNOTATION,
    RELEASE_ANNOTATION,
    VERSION_LABEL,
    WORKLOAD_LABEL,
    node_label,
    resolve,
    versions,
)
from cloud.rollout.unchecked import MOST, counted, dict_at, dicts_at, number_at, once, strings_at, text_at, time_at
from cloud.rollout.views import (
    MOVED_PREFIX,
    PREVIOUS_PREFIX,
    REVERTED_PREFIX,
    RUN_PREFIX,
    BoxView,
    DaemonSetView,
    Kind,
    Mark,
    NodeView,
    PodView,
    Raw,
    ReleaseView,
    SiteView,
    View,
    packed,
)

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_TOLD: Final = 200  # characters of what an error says


def parse(kind: Kind, raw: Raw, known: View | None = None) -> View:
    """Return what we keep of the object. Fields of the wrong shape count as absent.

    ``known``: what was kept of it before; a release is rendered again only if what goes into it has changed.
    """
    if kind is Kind.RELEASE:
        return _release(raw, known if isinstance(known, ReleaseView) else None)
    return _PARSERS[kind](raw)


def unparsed(raw: Raw, why: Exception) -> ReleaseView:
    """Return what is kept of a release that a fault in this program keeps from being read: that there is one."""
    meta, words = dict_at(raw, "metadata"), f"cannot be read: {type(why).__name__}: {why}"[:_TOLD]
    return ReleaseView(
        mark=mark(raw),
        workload=_workload_name(raw),
        created=time_at(meta, "creationTimestamp") or _EPOCH,
        generation=number_at(meta, "generation"),
        release=None,
        status=ReleaseStatus(),
        problem=f"spec: {words}",
        unreadable=f"status: {words}",
    )


def mark(raw: Raw) -> Mark:
    """Return which object this is, and which state of it."""
    meta = dict_at(raw, "metadata")
    key = text_at(meta, "namespace"), once(text_at(meta, "name"))
    return Mark(key, text_at(meta, "uid"), counted(text_at(meta, "resourceVersion")))


def _node(raw: Raw) -> NodeView:
    meta = dict_at(raw, "metadata")
    labels = strings_at(meta, "labels")
    annotations = strings_at(meta, "annotations")
    return NodeView(
        mark=mark(raw),
        labels=labels,
        sign=_ready_sign(raw),
        joined=time_at(meta, "creationTimestamp") or _EPOCH,
        versions=_versions(labels),
        previous=_lists(PREVIOUS_PREFIX, annotations, REMEMBERED),
        reverted=_below(REVERTED_PREFIX, annotations),
        moved_by=_lists(MOVED_PREFIX, annotations, MOVERS),
    )


def _ready_sign(raw: Raw) -> ReadySign:
    created = time_at(dict_at(raw, "metadata"), "creationTimestamp") or _EPOCH
    for condition in dicts_at(dict_at(raw, "status"), "conditions"):
        if condition.get("type") == "Ready":
            return ReadySign(condition.get("status") == "True", time_at(condition, "lastTransitionTime") or created)
    return ReadySign(ready=False, since=created)


def _versions(labels: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Return the versions asked for, by workload: a label is ``run.edgefleet.io/<workload>.<version>``."""
    found: dict[str, set[str]] = {}
    for name in _below(RUN_PREFIX, labels):
        workload, _, version = name.rpartition(".")
        found.setdefault(workload, set()).add(version)
    return {workload: frozenset(versions) for workload, versions in found.items()}


def _below(prefix: str, texts: Mapping[str, str]) -> dict[str, str]:
    return {once(key[len(prefix) :]): value for key, value in texts.items() if key.startswith(prefix)}


def _lists(prefix: str, texts: Mapping[str, str], most: int) -> dict[str, tuple[str, ...]]:
    found = _below(prefix, texts).items()
    return {name: tuple(once(one) for one in listed.split(",")[:most] if one) for name, listed in found}


def _pod(raw: Raw) -> PodView:
    meta, spec, status = dict_at(raw, "metadata"), dict_at(raw, "spec"), dict_at(raw, "status")
    labels = strings_at(meta, "labels")
    containers = [*dicts_at(status, "initContainerStatuses"), *dicts_at(status, "containerStatuses")]
    trouble, detail = _trouble(status, containers)
    return PodView(
        mark=mark(raw),
        workload=labels.get(WORKLOAD_LABEL, ""),
        node=text_at(spec, "nodeName") or _meant_for(spec),
        pod=Pod(
            name=text_at(meta, "name"),
            version=labels.get(VERSION_LABEL, ""),
            ready=_is_ready(status),
            restarts=min(sum(number_at(one, "restartCount") for one in containers), MOST),
            ending="deletionTimestamp" in meta,
            bound=bool(text_at(spec, "nodeName")),
            created=time_at(meta, "creationTimestamp") or _EPOCH,
            pulled=bool(containers) and all(_was_started(one) for one in containers),
            trouble=trouble,
            detail=detail,
        ),
    )


def _was_started(container: Raw) -> bool:
    state = dict_at(container, "state")
    return bool(state.keys() & {"running", "terminated"} or dict_at(container, "lastState"))


def _is_ready(status: Raw) -> bool:
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in dicts_at(status, "conditions"))


def _meant_for(spec: Raw) -> str:
    """Return the node that a DaemonSet's unbound pod waits for; empty if it says none."""
    rules = dict_at(
        dict_at(dict_at(spec, "affinity"), "nodeAffinity"), "requiredDuringSchedulingIgnoredDuringExecution"
    )
    for term in dicts_at(rules, "nodeSelectorTerms"):
        for wanted in dicts_at(term, "matchFields"):
            values = wanted.get("values")
            if wanted.get("key") == "metadata.name" and isinstance(values, list) and values:
                return str(values[0])
    return ""


def _trouble(status: Raw, containers: Iterable[Raw]) -> tuple[str, str]:
    """Return why a pod is not well, as a CamelCase reason and as it was told; empty if nothing is wrong."""
    for container in containers:
        waiting = dict_at(dict_at(container, "state"), "waiting")
        if waiting and (reason := text_at(waiting, "reason")) not in _BUSY:
            return reason[:64], (text_at(waiting, "message") or _last_end(container))[:500]
        ended = dict_at(dict_at(container, "state"), "terminated")
        if ended.get("exitCode"):
            return (text_at(ended, "reason") or "Error")[:64], f"exit code {ended['exitCode']}"
    if status.get("phase") == "Failed":
        return (text_at(status, "reason") or "Failed")[:64], text_at(status, "message")[:500]
    for one in dicts_at(status, "conditions"):
        if one.get("type") == "PodScheduled" and one.get("status") == "False":
            return (text_at(one, "reason") or "Unschedulable")[:64], text_at(one, "message")[:500]
    return "", ""


_BUSY: Final = frozenset({"", "ContainerCreating", "PodInitializing"})  # on its way, nothing is wrong yet


def _last_end(container: Raw) -> str:
    ended = dict_at(dict_at(container, "lastState"), "terminated")
    return f"exit code {ended['exitCode']}" if "exitCode" in ended else ""


def _daemon_set(raw: Raw) -> DaemonSetView:
    meta = dict_at(raw, "metadata")
    labels, annotations = strings_at(meta, "labels"), strings_at(meta, "annotations")
    workload, version = labels.get(WORKLOAD_LABEL, ""), labels.get(VERSION_LABEL, "")
    template = dict_at(dict_at(raw, "spec"), "template")
    chosen = dict_at(dict_at(template, "spec"), "nodeSelector")
    return DaemonSetView(
        mark=mark(raw),
        workload=workload,
        version=version,
        exclusive=annotations.get(EXCLUSIVE_MARK) == "true",
        release=annotations.get(RELEASE_ANNOTATION, ""),
        created=time_at(meta, "creationTimestamp") or _EPOCH,
        packed=packed(template),
        ours=text_at(meta, "name") == f"{workload}-{version}"
        and RELEASE_ANNOTATION in annotations
        and node_label(workload, version) in chosen,
        generation=number_at(meta, "generation") or 1,
        settled=counted(annotations.get(GENERATION_ANNOTATION, "1")),
    )


def _site(raw: Raw) -> SiteView:
    name = text_at(dict_at(raw, "spec"), "timeZone")
    return SiteView(mark(raw), name if name and zone_of(name) is not None else "")


def _box(raw: Raw) -> BoxView:
    try:
        spec = BoxSpec.model_validate(dict_at(raw, "spec"))
    except ValidationError:
        spec = None
    try:
        status = BoxStatus.model_validate(dict_at(raw, "status"))
    except ValidationError:
        status = BoxStatus()
    return BoxView(mark(raw), spec, status, number_at(dict_at(raw, "metadata"), "generation"))


def _release(raw: Raw, known: ReleaseView | None) -> ReleaseView:
    meta = dict_at(raw, "metadata")
    created = time_at(meta, "creationTimestamp") or _EPOCH
    number = number_at(meta, "generation")
    release, problem = None, ""
    try:
        release = Release(
            namespace=text_at(meta, "namespace"),
            name=text_at(meta, "name"),
            uid=text_at(meta, "uid"),
            created=created,
            generation=number,
            spec=ReleaseSpec.model_validate(dict_at(raw, "spec")),
        )
    except ValidationError as wrong:
        problem = _first_problem(wrong)
    status, unreadable = ReleaseStatus(), ""
    try:
        status = ReleaseStatus.model_validate(dict_at(raw, "status"))
    except ValidationError as wrong:  # to begin anew would forget failures, approvals and soaks
        unreadable = _first_problem(wrong, "status")
    rendered: tuple[Version, ...] = ()
    if release is not None and status.template is not None:
        if known is not None and _rendered_from(known) == (release.spec.workload, status.template):
            rendered, problem = known.rendered, known.problem
        else:
            rendered, problem = _versions_of(release, status.template)
    return ReleaseView(mark(raw), _workload_name(raw), created, number, release, status, rendered, problem, unreadable)


def _rendered_from(view: ReleaseView) -> tuple[Workload | None, Mapping[str, Any] | None]:
    """Return all that goes into a release's versions, its namespace apart."""
    return view.release.spec.workload if view.release else None, view.status.template


def _versions_of(release: Release, template: Mapping[str, Any]) -> tuple[tuple[Version, ...], str]:
    """Return what a settled template becomes; what is wrong with it if it becomes nothing."""
    workload = release.spec.workload
    try:
        base = resolve(Workload(name=workload.name, template=dict(template)), None)
        return versions(release.namespace, workload, base), ""
    except SpecError as wrong:
        return (), f"status.template: {wrong}"


def _workload_name(raw: Raw) -> str:
    return text_at(dict_at(dict_at(raw, "spec"), "workload"), "name")


def _first_problem(wrong: ValidationError, part: str = "spec") -> str:
    first = wrong.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    where = f"{part}.{place}: " if place and not first["msg"].startswith("Value error, spec") else ""
    return f"{where}{first['msg'].removeprefix('Value error, ')}"


_PARSERS: Final[Mapping[Kind, Callable[[Raw], View]]] = {
    Kind.NODE: _node,
    Kind.POD: _pod,
    Kind.DAEMON_SET: _daemon_set,
    Kind.SITE: _site,
    Kind.BOX: _box,
}
