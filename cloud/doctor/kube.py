"""Reads a cluster over the Kubernetes API, through the port that whoever asks has open."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final, Protocol, TypeVar

from cloud.doctor import operators
from cloud.doctor.cluster import ClusterFacts, NodeFacts, Permission
from cloud.doctor.operators import OperatorFacts
from cloud.fleet.errors import SpecError
from cloud.fleet.resource import API_VERSION, GROUP, SITE_LABEL

Json = dict[str, Any]
Leads = Callable[[Json], str | None]  # the status of a peering object: name of the operator that lives and leads
T = TypeVar("T")

_VERBS: Final = {  # "resource.group": what the operator does with it; a test holds this to its ClusterRole
    "nodes": "list watch patch",
    "pods": "list watch",
    "events": "get create patch",
    "daemonsets.apps": "list watch create patch delete",
    f"edgesites.{GROUP}": "list watch",
    f"edgeboxes.{GROUP}": "list watch create patch",
    f"edgeboxes/status.{GROUP}": "patch",
    f"edgereleases.{GROUP}": "list watch",
    f"edgereleases/status.{GROUP}": "update",
    "customresourcedefinitions.apiextensions.k8s.io": "list watch",
    "clusterkopfpeerings.kopf.dev": "get list watch patch",
}
OPERATOR_NEEDS: Final = tuple(
    Permission(group, resource, verb)
    for name, verbs in _VERBS.items()
    for resource, _, group in [name.partition(".")]
    for verb in verbs.split()
)
_PEERINGS: Final = "/apis/kopf.dev/v1"


class Port(Protocol):
    """The part of the Kubernetes API that a look at a cluster takes. Each call raises SpecError for a no."""

    @property
    def origin(self) -> str:
        """Where the access comes from, for people."""
        ...

    def get(self, path: str, **query: str) -> Json:
        """Return one object."""
        ...

    def every(self, path: str, **query: str) -> list[Json]:
        """Return all objects of a collection."""
        ...

    def create(self, path: str, body: Json, **query: str) -> Json:
        """Ask a review resource a question."""
        ...


def examine_cluster(port: Port, expected: Mapping[str, Any], skew: timedelta | None, leads: Leads) -> ClusterFacts:
    """Return what the cluster shows. Raises Unavailable when it does not answer, SpecError when we may not ask."""
    version = port.get("/version")
    return ClusterFacts(
        origin=port.origin,
        server=str(version.get("gitVersion", "")),
        skew=skew,
        nodes=readable(lambda: tuple(node_facts(node) for node in port.every("/api/v1/nodes"))),
        installed=readable(lambda: definitions(port)),
        expected=expected,
        denied=tuple(need for need in OPERATOR_NEEDS if not allowed(port, need)),
        sites=readable(lambda: time_zones(port)),
        cloudcore=readable(lambda: ready_replicas(port)),
        operators=operators_of(port, leads),
    )


def readable(read: Callable[[], T]) -> T | None:
    """Return what was read, None where it is not there or we may not."""
    try:
        return read()
    except SpecError:
        return None


def node_facts(node: Json) -> NodeFacts:
    """Parse a node."""
    labels, status = node["metadata"].get("labels") or {}, node.get("status") or {}
    conditions = {condition["type"]: condition["status"] for condition in status.get("conditions") or ()}
    return NodeFacts(
        name=node["metadata"]["name"],
        version=(status.get("nodeInfo") or {}).get("kubeletVersion", ""),
        ready=conditions.get("Ready") == "True",
        site=labels.get(SITE_LABEL),
        hostname=labels.get("kubernetes.io/hostname"),
    )


def definitions(port: Port) -> Mapping[str, Any]:
    """Return the spec of every custom resource definition by name."""
    found = port.every("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
    return {item["metadata"]["name"]: item["spec"] for item in found}


def time_zones(port: Port) -> Mapping[str, str]:
    """Return each EdgeSite's time zone."""
    found = port.every(f"/apis/{API_VERSION}/edgesites")
    return {site["metadata"]["name"]: (site.get("spec") or {}).get("timeZone", "") for site in found}


def ready_replicas(port: Port) -> int:
    """Return how many cloudcores of the usual Deployment are ready."""
    deployment = port.get("/apis/apps/v1/namespaces/kubeedge/deployments/cloudcore")
    return int((deployment.get("status") or {}).get("readyReplicas") or 0)


def operators_of(port: Port, leads: Leads) -> OperatorFacts | None:
    """Return who has signed, and how the usual Deployment does; None: the signatures may not be read."""
    try:
        signed = port.get(f"{_PEERINGS}/clusterkopfpeerings/{operators.NAME}")
    except SpecError:
        if not allowed(port, Permission("kopf.dev", "clusterkopfpeerings", "get")):
            return None
        signed = {}  # is not there
    single = readable(lambda: port.every(f"{_PEERINGS}/kopfpeerings")) or []
    ours = [one for one in single if one["metadata"]["name"] == operators.NAME]
    return OperatorFacts(
        leader=leads(signed.get("status") or {}),
        served=tuple(one["metadata"]["namespace"] for one in ours if leads(one.get("status") or {}) is not None),
        deployment=readable(lambda: operator_deployment(port)),
    )


def operator_deployment(port: Port) -> operators.Deployment:
    """Return how the operator's Deployment does, and what is wrong with its pods as far as they may be read."""
    space = operators.NAMESPACE
    found = port.get(f"/apis/apps/v1/namespaces/{space}/deployments/{operators.NAME}")
    chosen = ",".join(f"{key}={value}" for key, value in found["spec"]["selector"]["matchLabels"].items())
    pods = readable(lambda: port.every(f"/api/v1/namespaces/{space}/pods", labelSelector=chosen))
    return operators.deployment(found, pods or [])


def allowed(port: Port, need: Permission) -> bool:
    """Ask the API server whether whoever we are may do this in every namespace."""
    resource, _, subresource = need.resource.partition("/")
    asked = {"group": need.group, "resource": resource, "subresource": subresource, "verb": need.verb}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    answer = port.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    return bool(answer["status"]["allowed"])
