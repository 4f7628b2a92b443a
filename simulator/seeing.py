"""What Kubernetes objects say to somebody who watches from outside: JSON in, evidence out."""

from collections.abc import Mapping
from typing import Any

from simulator.evidence import Node, Pod, Release, Stage, Told, Version
from simulator.fleet import ROLE_LABEL, SITE_LABEL

RUN_PREFIX = "run.edgefleet.io/"  # of the node labels that ask for a version: run.edgefleet.io/<workload>.<hash>
WORKLOAD_LABEL = "edgefleet.io/workload"
VERSION_LABEL = "edgefleet.io/version"
RELEASE_ANNOTATION = "edgefleet.io/release"
EXCLUSIVE_ANNOTATION = "edgefleet.io/exclusive"

Raw = Mapping[str, Any]


def node(raw: Raw, at: float) -> Node:
    """A node; a box without a site stands at the site ''."""
    labels = raw["metadata"].get("labels", {})
    wanted = (key.removeprefix(RUN_PREFIX).rpartition(".") for key in labels if key.startswith(RUN_PREFIX))
    return Node(
        at=at,
        box=raw["metadata"]["name"],
        site=labels.get(SITE_LABEL, ""),
        role=labels.get(ROLE_LABEL, ""),
        ready=condition(raw, "Ready"),
        wanted=frozenset((workload, version) for workload, _, version in wanted),
    )


def pod(raw: Raw, at: float, *, gone: bool = False) -> Pod:
    """A pod of a workload; where it is not bound to a box yet, its box is ''."""
    labels, status = raw["metadata"].get("labels", {}), raw.get("status", {})
    containers = status.get("containerStatuses", [])
    return Pod(
        at=at,
        uid=raw["metadata"]["uid"],
        box=raw["spec"].get("nodeName", ""),
        workload=labels.get(WORKLOAD_LABEL, ""),
        version=labels.get(VERSION_LABEL, ""),
        image=raw["spec"]["containers"][0].get("image", ""),
        running=any("running" in one.get("state", {}) for one in containers),
        ready=condition(raw, "Ready"),
        restarts=sum(one.get("restartCount", 0) for one in containers),
        gone=gone,
    )


def version(raw: Raw) -> Version:
    """A DaemonSet of a workload."""
    metadata = raw["metadata"]
    labels, annotations = metadata.get("labels", {}), metadata.get("annotations", {})
    return Version(
        hash=labels.get(VERSION_LABEL, ""),
        workload=labels.get(WORKLOAD_LABEL, ""),
        release=annotations.get(RELEASE_ANNOTATION, ""),
        image=raw["spec"]["template"]["spec"]["containers"][0].get("image", ""),
        exclusive=annotations.get(EXCLUSIVE_ANNOTATION) == "true",
    )


def release(raw: Raw, at: float) -> Release:
    """An EdgeRelease with what the operator has written into it."""
    status = raw.get("status", {})
    stages = (Stage(one["name"], one.get("phase", ""), tuple(one.get("sites", ()))) for one in status.get("stages", ()))
    return Release(
        at=at,
        name=raw["metadata"]["name"],
        workload=raw["spec"]["workload"]["name"],
        phase=status.get("phase", ""),
        stage=status.get("stage", ""),
        message=status.get("message", ""),
        counts={name: number for name, number in status.get("counts", {}).items() if isinstance(number, int)},
        stages=tuple(stages),
        breach=(status.get("breach") or {}).get("message", ""),
        failures=tuple(failure(one) for one in status.get("failures", ())),
    )


def failure(group: Raw) -> str:
    """A group of failed boxes in a sentence."""
    boxes = f"{group['boxes']} boxes, for example {group['example']}" if group["boxes"] > 1 else group["example"]
    return f"{group['cause']}: {boxes} {group.get('message', '')}".strip()


def told(raw: Raw, at: float) -> Told:
    """A Kubernetes Event."""
    return Told(
        at=at,
        release=raw.get("involvedObject", {}).get("name", ""),
        reason=raw.get("reason", ""),
        message=raw.get("message", ""),
        warning=raw.get("type") == "Warning",
    )


def condition(raw: Raw, name: str) -> bool:
    """Whether a condition of an object is True; Unknown counts as not."""
    listed = raw.get("status", {}).get("conditions", [])
    return any(one["type"] == name and one["status"] == "True" for one in listed)
