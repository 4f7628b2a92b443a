"""How a release becomes pod templates and DaemonSets: one DaemonSet per rendered template, named by its hash."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final, assert_never

from cloud.fleet.errors import SpecError
from cloud.fleet.resource import GROUP
from cloud.rollout.release import Cutover, Override, Release, Workload
from cloud.rollout.snapshot import Version

WORKLOAD_LABEL: Final = f"{GROUP}/workload"
VERSION_LABEL: Final = f"{GROUP}/version"
RELEASE_ANNOTATION: Final = f"{GROUP}/release"
GENERATION_ANNOTATION: Final = f"{GROUP}/generation"  # the generation the DaemonSet has while nobody else changes it
EXCLUSIVE_MARK: Final = f"{GROUP}/exclusive"  # on DaemonSets an annotation, on pods a label
LARGEST: Final = 256 * 1024  # bytes of a template: spec, status and managed fields hold it, and etcd takes 1.5 MiB
_HASH_LENGTH: Final = 10
_PATH: Final = "spec.workload.template"


@dataclass(frozen=True, slots=True)
class Rendered:
    """One pod template as boxes get it."""

    hash: str
    exclusive: bool  # True: must not run beside another version on the same box
    template: Mapping[str, Any]


def node_label(workload: str, version: str) -> str:
    """Return the key of the node label that asks for this version; its value is empty."""
    return f"run.{GROUP}/{workload}.{version}"


def resolve(workload: Workload, previous: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the pod template all boxes get, overrides apart.

    ``previous`` is the template of the release before, None if there is none: then an image alone
    becomes a template of one container. Raises SpecError if the template cannot be run on boxes.
    """
    template = deepcopy(dict(workload.template or previous or _minimal(workload)))
    _check_shape(template)
    if (size := len(json.dumps(template, ensure_ascii=False).encode())) > LARGEST:
        raise SpecError(
            f"{_PATH}: has {size} bytes as JSON, at most {LARGEST} are possible; put long values into a ConfigMap"
        )
    for field, advice in _REFUSED.items():
        if template["spec"].get(field):
            raise SpecError(f"{_PATH}.spec.{field}: must not be set; {advice}")
    if template["spec"].get("restartPolicy", "Always") != "Always":
        raise SpecError(f"{_PATH}.spec.restartPolicy: must be Always or absent: pods on boxes know no other")
    containers = template["spec"]["containers"]
    if workload.image is not None:
        main_container(containers, workload.name)["image"] = workload.image
    for index, container in enumerate(containers):
        if not container.get("image"):
            raise SpecError(
                f"{_PATH}.spec.containers[{index}].image: is required; spec.workload.image sets the main one"
            )
    return template


def render(namespace: str, workload: Workload, base: Mapping[str, Any]) -> tuple[Rendered, ...]:
    """Return one rendered template for each override, in order, and last the one of all other boxes.

    Raises SpecError if the cutover asked for cannot work with what the template takes.
    """
    return tuple(_each(namespace, workload, base))


def versions(namespace: str, workload: Workload, base: Mapping[str, Any]) -> tuple[Version, ...]:
    """Return the same without the templates, which may be large and many. Raises SpecError."""
    return tuple(Version(one.hash, one.exclusive) for one in _each(namespace, workload, base))


def daemonset(release: Release, rendered: Rendered, generation: int = 1) -> dict[str, Any]:
    """Return the manifest of the DaemonSet that runs this template on every node that asks for it.

    ``generation``: what the API server counts once it has taken it, 1 for a new one.
    """
    workload = release.spec.workload.name
    labels = {WORKLOAD_LABEL: workload, VERSION_LABEL: rendered.hash}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {
            "name": f"{workload}-{rendered.hash}",
            "namespace": release.namespace,
            "labels": labels,
            "annotations": {
                RELEASE_ANNOTATION: release.name,
                GENERATION_ANNOTATION: str(generation),
                EXCLUSIVE_MARK: str(rendered.exclusive).lower(),
            },
        },
        "spec": {
            "selector": {"matchLabels": labels},
            "updateStrategy": {"type": "OnDelete"},
            "revisionHistoryLimit": 1,
            "template": dict(rendered.template),
        },
    }


_REFUSED: Final = {
    "nodeName": "boxes are chosen by spec.targets",
    "affinity": "boxes are chosen by spec.targets, and which versions may run side by side by spec.workload.cutover",
    "nodeSelector": "boxes are chosen by spec.targets",
}


def _check_shape(template: Mapping[str, Any]) -> None:
    """Refuse what is not shaped as a pod template where we read it; the API server judges the rest."""
    _shape(template, "metadata", dict)
    _shape(template.get("metadata") or {}, "metadata.labels", dict)
    spec = _shape(template, "spec", dict)
    containers = _shape(spec, "spec.containers", list)
    if not containers:
        raise SpecError(f"{_PATH}.spec.containers: must list at least one container")
    claims = _shape(spec, "spec.resourceClaims", list)
    if not all(isinstance(claim, dict) for claim in claims):
        raise SpecError(f"{_PATH}.spec.resourceClaims: must be a list of objects; see kubectl explain ds")
    _check_containers("spec.containers", containers)
    _check_containers("spec.initContainers", _shape(spec, "spec.initContainers", list))


def _check_containers(path: str, containers: list[Any]) -> None:
    for index, container in enumerate(containers):
        at = f"{path}[{index}]"
        if not isinstance(container, dict):
            raise SpecError(f"{_PATH}.{at}: must be an object; see kubectl explain ds.spec.template.spec.containers")
        for field in ("ports", "env"):
            if not all(isinstance(one, dict) for one in _shape(container, f"{at}.{field}", list)):
                raise SpecError(f"{_PATH}.{at}.{field}: must be a list of objects; see kubectl explain ds")
        for field in ("requests", "limits"):
            _shape(_shape(container, f"{at}.resources", dict), f"{at}.resources.{field}", dict)


def _shape(parent: Mapping[str, Any], path: str, kind: type) -> Any:  # noqa: ANN401 - of the kind asked for
    """Return the field at the end of the path, empty if it is absent. Raises SpecError if it is of another kind."""
    value = parent.get(path.rpartition(".")[2]) or kind()
    if not isinstance(value, kind):
        wanted = "an object" if kind is dict else "a list"
        raise SpecError(f"{_PATH}.{path}: must be {wanted}; see kubectl explain ds.spec.template")
    return value


def _minimal(workload: Workload) -> dict[str, Any]:
    """Return the template of a workload that has only ever named an image."""
    if workload.image is None:
        raise SpecError("spec.workload: set image, template or both")
    spec = {"containers": [{"name": workload.name, "image": workload.image}], "automountServiceAccountToken": False}
    return {"metadata": {}, "spec": spec}  # on KubeEdge a pod that mounts a token may hang a minute; it asked for none


def main_container(containers: list[dict[str, Any]], workload: str) -> dict[str, Any]:
    """Return the container named after the workload, or the first."""
    return next((one for one in containers if one.get("name") == workload), containers[0])


def _each(namespace: str, workload: Workload, base: Mapping[str, Any]) -> Iterator[Rendered]:
    for override in workload.overrides:
        yield _rendered(namespace, workload, _overridden(base, workload.name, override))
    yield _rendered(namespace, workload, base)


def _overridden(base: Mapping[str, Any], workload: str, override: Override) -> dict[str, Any]:
    """Return the template with one override applied to its main container; all else is the same object."""
    spec = base["spec"]
    main = main_container(spec["containers"], workload)
    container = dict(main)
    if override.env:
        names = {variable.name for variable in override.env}
        kept = [one for one in container.get("env") or [] if one.get("name") not in names]
        container["env"] = kept + [variable.dump() for variable in override.env]
    if override.args is not None:
        container["args"] = list(override.args)
    if override.resources is not None:
        container["resources"] = override.resources.dump()
    return {**base, "spec": {**spec, "containers": [container if one is main else one for one in spec["containers"]]}}


def _rendered(namespace: str, workload: Workload, base: Mapping[str, Any]) -> Rendered:
    exclusive = _exclusive(workload, base["spec"])
    identity = json.dumps([namespace, workload.name, exclusive, base], sort_keys=True, separators=(",", ":"))
    version = hashlib.sha256(identity.encode()).hexdigest()[:_HASH_LENGTH]
    template = dict(base)
    metadata = dict(template.get("metadata") or {})
    metadata["labels"] = {
        **(metadata.get("labels") or {}),
        WORKLOAD_LABEL: workload.name,
        VERSION_LABEL: version,
        EXCLUSIVE_MARK: str(exclusive).lower(),
    }
    template["metadata"] = {key: metadata[key] for key in ("labels", "annotations") if metadata.get(key)}
    template["spec"] = {
        **template["spec"],
        "nodeSelector": {node_label(workload.name, version): ""},
        # A box that is dark for long must find its pod unharmed when it returns.
        "tolerations": [{"operator": "Exists"}],
    }
    template["spec"]["affinity"] = _apart(workload.name, exclusive=exclusive)
    return Rendered(version, exclusive, template)


def _apart(workload: str, *, exclusive: bool) -> dict[str, Any]:
    """Return the rule by which the scheduler binds a pod only after pods it cannot run beside have ended.

    An exclusive pod suffers no other of the workload. One that could run beside others says too that it waits for an
    exclusive one, for a pod held back only by the other's rule is not tried again when that one ends, but minutes
    later (Kubernetes 1.35).
    """
    others = {WORKLOAD_LABEL: workload} if exclusive else {WORKLOAD_LABEL: workload, EXCLUSIVE_MARK: "true"}
    term = {"labelSelector": {"matchLabels": others}, "topologyKey": "kubernetes.io/hostname"}
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def _exclusive(workload: Workload, spec: Mapping[str, Any]) -> bool:
    taken = next(_taken(spec), None)
    match workload.cutover:
        case Cutover.RECREATE:
            return True
        case Cutover.AUTO:
            return taken is not None
        case Cutover.SURGE:
            if taken is not None:
                raise SpecError(
                    f"spec.workload.cutover: with Surge old and new would both take {taken}; use Auto or Recreate"
                )
            return False
        case _:
            assert_never(workload.cutover)


def _taken(spec: Mapping[str, Any]) -> Iterator[str]:
    """Yield what only one pod on a box can have, in words."""
    sidecars = [one for one in spec.get("initContainers") or [] if one.get("restartPolicy") == "Always"]
    for container in [*spec["containers"], *sidecars]:
        for port in container.get("ports") or []:
            if spec.get("hostNetwork") and port.get("containerPort"):
                yield f"host port {port['containerPort']}"
            elif port.get("hostPort"):
                yield f"host port {port['hostPort']}"
        resources = container.get("resources") or {}
        for name in {**(resources.get("requests") or {}), **(resources.get("limits") or {})}:
            if "/" in name:  # extended resources have a domain: nvidia.com/gpu
                yield f"device {name}"
    for claim in spec.get("resourceClaims") or []:
        yield f"resource claim {claim.get('name')}"
