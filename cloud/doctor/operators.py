"""Judges whether an operator carries releases out: who has signed the object by which operators agree on a leader."""

from dataclasses import dataclass
from typing import Any, Final

from cloud.doctor.findings import Finding, Level, unreadable
from cloud.fleet.wording import some

NAMESPACE: Final = "edgefleet"
NAME: Final = "edgefleet-operator"  # of the Deployment, and of the objects that operators sign
_LONGEST_TOLD: Final = 200  # characters of what a pod has come to


@dataclass(frozen=True, slots=True)
class Deployment:
    """How the operator's Deployment does."""

    wanted: int  # pods
    ready: int
    trouble: str = ""  # what keeps the first pod that is not well, or all of them, from running; empty: not known


@dataclass(frozen=True, slots=True)
class OperatorFacts:
    """What the cluster shows of operators that live: the others' signatures are not counted."""

    leader: str | None  # for all namespaces; None: there is none
    served: tuple[str, ...]  # namespaces that have a leader of their own
    deployment: Deployment | None  # None: there is none, or it may not be read


def judge_operator(facts: OperatorFacts | None) -> Finding:
    """Return whether an operator runs; None: it may not be read who has signed."""
    if facts is None:
        return unreadable("Operator", "clusterkopfpeerings.kopf.dev")
    if facts.leader is not None:
        return Finding("Operator", Level.OK, f"operator {facts.leader} leads")
    if facts.served:
        return Finding("Operator", Level.OK, f"operators lead in single namespaces: {some(facts.served)}")
    why, made = "releases stand still, and nothing is told of them, until one runs", facts.deployment
    if made is None:
        step = "edgefleet operator runs one here; kubectl apply --server-side -k manifests/overlays/sample installs one"
        return Finding("Operator", Level.BLOCKED, f"no operator runs, and there is no Deployment {NAME}", why, step)
    if not made.wanted:
        step = f"kubectl -n {NAMESPACE} scale deployment {NAME} --replicas 2"
        return Finding("Operator", Level.BLOCKED, "no operator runs: its Deployment asks for no pod", why, step)
    trouble = f"; {made.trouble}" if made.trouble else ""
    what = f"no operator runs: {made.ready} of {made.wanted} pods of Deployment {NAME} are ready{trouble}"
    return Finding("Operator", Level.BLOCKED, what, why, f"kubectl -n {NAMESPACE} get pods")


def deployment(found: dict[str, Any], pods: list[dict[str, Any]]) -> Deployment:
    """Parse the Deployment and its pods."""
    wanted, status = (found.get("spec") or {}).get("replicas", 1), found.get("status") or {}
    refused = [f"none is made: {one.get('message', '')}" for one in _those(status, "ReplicaFailure", "True")]
    unwell = (f"{pod['metadata']['name']}: {told}" for pod in pods if (told := _trouble(pod.get("status") or {})))
    trouble = next(iter([*refused, *unwell]), "")
    told = trouble if len(trouble) <= _LONGEST_TOLD else f"{trouble[:_LONGEST_TOLD]}…"
    return Deployment(wanted, int(status.get("readyReplicas") or 0), told)


def _trouble(status: dict[str, Any]) -> str:
    """Return what keeps a pod from being ready; empty: nothing does."""
    if _those(status, "Ready", "True"):
        return ""
    for container in status.get("containerStatuses") or ():
        state = container.get("state") or {}
        if told := state.get("waiting") or state.get("terminated"):
            return ": ".join(filter(None, (told.get("reason"), told.get("message"))))
    unscheduled = [one.get("message", "") for one in _those(status, "PodScheduled", "False")]
    return next(iter(unscheduled), f"is {status.get('phase', 'Pending')} and not ready")


def _those(status: dict[str, Any], kind: str, value: str) -> list[dict[str, Any]]:
    """Return the conditions of that type and status."""
    return [one for one in status.get("conditions") or () if (one.get("type"), one.get("status")) == (kind, value)]
