"""Reads the API's objects into what we keep of them; nothing raises, whatever the object has."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from pydantic import ValidationError

from cloud.fleet.box import BoxSpec, BoxStatus
from cloud.fleet.errors import SpecError
from cloud.fleet.site import zone_of
from cloud.rollout.connectivity import ReadySign
from cloud.rollout.moves import MOVERS, REMEMBERED
from cloud.rollout.release import Release, ReleaseSpec, Workload
from cloud.rollout.snapshot import Pod
from cloud.rollout.status import ReleaseStatus
from cloud.rollout.template import (
    EXCLUSIVE_MARK,
    GENERATION_ANNOTATION,
    RELEASE_ANNOTATION,
    VERSION_LABEL,
    WORKLOAD_LABEL,
    Rendered,
    node_label,
    render,
    resolve,
)
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
)

_EPOCH: Final = datetime.fromtimestamp(0, UTC)


def parse(kind: Kind, raw: Raw) -> View:
    """Return what we keep of the object. Fields of the wrong shape count as absent."""
    return _PARSERS[kind](raw)


def mark(raw: Raw) -> Mark:
    """Return which object this is, and which state of it."""
    meta = _dict(raw, "metadata")
    revision = _text(meta, "resourceVersion")
    return Mark(
        (_text(meta, "namespace"), _once(_text(meta, "name"))),
        _text(meta, "uid"),
        int(revision) if revision.isdecimal() else 0,
    )


def _node(raw: Raw) -> NodeView:
    meta = _dict(raw, "metadata")
    labels = _strings(meta, "labels")
    annotations = _strings(meta, "annotations")
    return NodeView(
        mark=mark(raw),
        labels=labels,
        sign=_ready_sign(raw),
        versions=_versions(labels),
        previous=_lists(PREVIOUS_PREFIX, annotations, REMEMBERED),
        reverted=_below(REVERTED_PREFIX, annotations),
        moved_by=_lists(MOVED_PREFIX, annotations, MOVERS),
    )


def _ready_sign(raw: Raw) -> ReadySign:
    created = _time(_dict(raw, "metadata"), "creationTimestamp") or _EPOCH
    for condition in _dicts(_dict(raw, "status"), "conditions"):
        if condition.get("type") == "Ready":
            return ReadySign(condition.get("status") == "True", _time(condition, "lastTransitionTime") or created)
    return ReadySign(ready=False, since=created)


def _versions(labels: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Return the versions asked for, by workload: a label is ``run.edgefleet.io/<workload>.<version>``."""
    found: dict[str, set[str]] = {}
    for name in _below(RUN_PREFIX, labels):
        workload, _, version = name.rpartition(".")
        found.setdefault(workload, set()).add(version)
    return {workload: frozenset(versions) for workload, versions in found.items()}


def _below(prefix: str, texts: Mapping[str, str]) -> dict[str, str]:
    return {_once(key[len(prefix) :]): value for key, value in texts.items() if key.startswith(prefix)}


def _lists(prefix: str, texts: Mapping[str, str], most: int) -> dict[str, tuple[str, ...]]:
    found = _below(prefix, texts).items()
    return {name: tuple(_once(one) for one in listed.split(",")[:most] if one) for name, listed in found}


def _pod(raw: Raw) -> PodView:
    meta, spec, status = _dict(raw, "metadata"), _dict(raw, "spec"), _dict(raw, "status")
    labels = _strings(meta, "labels")
    containers = [*_dicts(status, "initContainerStatuses"), *_dicts(status, "containerStatuses")]
    trouble, detail = _trouble(status, containers)
    return PodView(
        mark=mark(raw),
        workload=labels.get(WORKLOAD_LABEL, ""),
        node=_text(spec, "nodeName") or _meant_for(spec),
        pod=Pod(
            name=_text(meta, "name"),
            version=labels.get(VERSION_LABEL, ""),
            ready=_is_ready(status),
            restarts=min(sum(_number(one, "restartCount") for one in containers), _MOST),
            ending="deletionTimestamp" in meta,
            bound=bool(_text(spec, "nodeName")),
            pulled=bool(containers) and all(_was_started(one) for one in containers),
            trouble=trouble,
            detail=detail,
        ),
    )


def _was_started(container: Raw) -> bool:
    state = _dict(container, "state")
    return bool(state.keys() & {"running", "terminated"} or _dict(container, "lastState"))


def _is_ready(status: Raw) -> bool:
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in _dicts(status, "conditions"))


def _meant_for(spec: Raw) -> str:
    """Return the node that a DaemonSet's unbound pod waits for; empty if it says none."""
    rules = _dict(_dict(_dict(spec, "affinity"), "nodeAffinity"), "requiredDuringSchedulingIgnoredDuringExecution")
    for term in _dicts(rules, "nodeSelectorTerms"):
        for wanted in _dicts(term, "matchFields"):
            values = wanted.get("values")
            if wanted.get("key") == "metadata.name" and isinstance(values, list) and values:
                return str(values[0])
    return ""


def _trouble(status: Raw, containers: Iterable[Raw]) -> tuple[str, str]:
    """Return why a pod is not well, as a CamelCase reason and as it was told; empty if nothing is wrong."""
    for container in containers:
        waiting = _dict(_dict(container, "state"), "waiting")
        if waiting and (reason := _text(waiting, "reason")) not in _BUSY:
            return reason[:64], (_text(waiting, "message") or _last_end(container))[:500]
        ended = _dict(_dict(container, "state"), "terminated")
        if ended.get("exitCode"):
            return (_text(ended, "reason") or "Error")[:64], f"exit code {ended['exitCode']}"
    if status.get("phase") == "Failed":
        return (_text(status, "reason") or "Failed")[:64], _text(status, "message")[:500]
    for one in _dicts(status, "conditions"):
        if one.get("type") == "PodScheduled" and one.get("status") == "False":
            return (_text(one, "reason") or "Unschedulable")[:64], _text(one, "message")[:500]
    return "", ""


_BUSY: Final = frozenset({"", "ContainerCreating", "PodInitializing"})  # on its way, nothing is wrong yet


def _last_end(container: Raw) -> str:
    ended = _dict(_dict(container, "lastState"), "terminated")
    return f"exit code {ended['exitCode']}" if "exitCode" in ended else ""


def _daemon_set(raw: Raw) -> DaemonSetView:
    meta = _dict(raw, "metadata")
    labels, annotations = _strings(meta, "labels"), _strings(meta, "annotations")
    workload, version = labels.get(WORKLOAD_LABEL, ""), labels.get(VERSION_LABEL, "")
    template = _dict(_dict(raw, "spec"), "template")
    chosen = _dict(_dict(template, "spec"), "nodeSelector")
    settled = annotations.get(GENERATION_ANNOTATION, "1")
    return DaemonSetView(
        mark=mark(raw),
        workload=workload,
        version=version,
        exclusive=annotations.get(EXCLUSIVE_MARK) == "true",
        release=annotations.get(RELEASE_ANNOTATION, ""),
        created=_time(meta, "creationTimestamp") or _EPOCH,
        template=template,
        ours=_text(meta, "name") == f"{workload}-{version}"
        and RELEASE_ANNOTATION in annotations
        and node_label(workload, version) in chosen,
        generation=_number(meta, "generation") or 1,
        settled=int(settled) if settled.isdecimal() else 0,
    )


def _site(raw: Raw) -> SiteView:
    name = _text(_dict(raw, "spec"), "timeZone")
    return SiteView(mark(raw), name if name and zone_of(name) is not None else "")


def _box(raw: Raw) -> BoxView:
    try:
        spec = BoxSpec.model_validate(_dict(raw, "spec"))
    except ValidationError:
        spec = None
    try:
        status = BoxStatus.model_validate(_dict(raw, "status"))
    except ValidationError:
        status = BoxStatus()
    return BoxView(mark(raw), spec, status, _number(_dict(raw, "metadata"), "generation"))


def _release(raw: Raw) -> ReleaseView:
    meta = _dict(raw, "metadata")
    created = _time(meta, "creationTimestamp") or _EPOCH
    number = _number(meta, "generation")
    release, problem = None, ""
    try:
        release = Release(
            namespace=_text(meta, "namespace"),
            name=_text(meta, "name"),
            uid=_text(meta, "uid"),
            created=created,
            generation=number,
            spec=ReleaseSpec.model_validate(_dict(raw, "spec")),
        )
    except ValidationError as wrong:
        problem = _first_problem(wrong)
    status, unreadable = ReleaseStatus(), ""
    try:
        status = ReleaseStatus.model_validate(_dict(raw, "status"))
    except ValidationError as wrong:  # to begin anew would forget failures, approvals and soaks
        unreadable = _first_problem(wrong, "status")
    rendered: tuple[Rendered, ...] = ()
    if release is not None and status.template is not None:
        try:
            settled = Workload(name=release.spec.workload.name, template=status.template)
            rendered = render(release.namespace, release.spec.workload, resolve(settled, None))
        except SpecError as wrong:
            problem = f"status.template: {wrong}"
    workload = _text(_dict(_dict(raw, "spec"), "workload"), "name")
    return ReleaseView(mark(raw), workload, created, number, release, status, rendered, problem, unreadable)


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
    Kind.RELEASE: _release,
}


def _dict(raw: Raw, name: str) -> dict[str, Any]:
    found = raw.get(name)
    return found if isinstance(found, dict) else {}


def _dicts(raw: Raw, name: str) -> list[dict[str, Any]]:
    found = raw.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _text(raw: Raw, name: str) -> str:
    found = raw.get(name)
    return found if isinstance(found, str) else ""


_MOST: Final = 2**31 - 1  # of anything that is counted; the API's integers go no further where it is honest


def _number(raw: Raw, name: str) -> int:
    """Return a count: what is none, or below 0, is 0."""
    found = raw.get(name)
    return min(max(found, 0), _MOST) if isinstance(found, int) else 0


def _strings(raw: Raw, name: str) -> dict[str, str]:
    """Return a map of strings; ten thousand nodes share most keys and values, so each is kept once."""
    pairs = _dict(raw, name).items()
    return {_once(key): _once(value) for key, value in pairs if isinstance(value, str)}


def _time(raw: Raw, name: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(_text(raw, name))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


@lru_cache(maxsize=50_000)
def _once(text: str) -> str:
    """Return the first string seen that equals this one."""
    return text
