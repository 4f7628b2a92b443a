"""What a pod template refers to and a bare cluster lacks: empty stand-ins, so that its pods can start."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from simulator.tables import FileError

Raw = Mapping[str, Any]
PLENTY: Final = "8"  # of each device on each box


def stand_ins(namespace: str, template: Raw) -> tuple[dict[str, Any], ...]:
    """Manifests of everything the template refers to by name, without content but for the keys it reads.

    Raises FileError for what a simulated box cannot have.
    """
    spec = template.get("spec", {})
    if claims := [one["name"] for one in spec.get("volumes", ()) if "persistentVolumeClaim" in one]:
        raise FileError(
            [f"spec.workload.template: volume {claims[0]!r}: a simulated box has no storage: rehearse with emptyDir"]
        )
    keys: dict[tuple[str, str], set[str]] = {}
    for kind, name, key in referred(spec):
        keys.setdefault((kind, name), set()).update({key} if key else set())
    made = [stand_in(kind, name, sorted(wanted), namespace) for (kind, name), wanted in sorted(keys.items())]
    if account := spec.get("serviceAccountName"):
        metadata = {"name": account, "namespace": namespace}
        made.append({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    if name := spec.get("priorityClassName"):
        made += [] if name.startswith("system-") else [priority(name)]
    return tuple(made)


def stand_in(kind: str, name: str, keys: list[str], namespace: str) -> dict[str, Any]:
    """A ConfigMap or Secret with a word under each key."""
    data = {"data" if kind == "ConfigMap" else "stringData": dict.fromkeys(keys, "stand-in")}
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, **data}


def priority(name: str) -> dict[str, Any]:
    """A priority class of no priority."""
    return {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": 0}


def referred(spec: Raw) -> Iterator[tuple[str, str, str]]:
    """(kind, name, key) of each ConfigMap and Secret; an empty key where all of it is meant."""
    for container in (*spec.get("initContainers", ()), *spec.get("containers", ())):
        for one in container.get("env", ()):
            source = one.get("valueFrom", {})
            for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                if field in source:
                    yield kind, source[field]["name"], source[field]["key"]
        for one in container.get("envFrom", ()):
            for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if field in one:
                    yield kind, one[field]["name"], ""
    for volume in spec.get("volumes", ()):
        yield from referred_by_volume(volume)


def referred_by_volume(volume: Raw) -> Iterator[tuple[str, str, str]]:
    """The same of one volume."""
    for source in (volume, *volume.get("projected", {}).get("sources", ())):
        for field, name, kind in (
            ("configMap", "name", "ConfigMap"),
            ("secret", "secretName" if source is volume else "name", "Secret"),
        ):
            if field in source:
                items = source[field].get("items", ())
                yield from ((kind, source[field][name], item["key"]) for item in items or ({"key": ""},))


def devices(template: Raw) -> dict[str, str]:
    """What a box has to have beside CPU and memory for the template to be scheduled, as node capacity."""
    named: set[str] = set()
    for container in template.get("spec", {}).get("containers", ()):
        resources = container.get("resources", {})
        named |= {name for name in {**resources.get("requests", {}), **resources.get("limits", {})} if "/" in name}
    return dict.fromkeys(sorted(named), PLENTY)
