"""Judges a cluster that is to be managed: versions, KubeEdge, our custom resources, permissions, boxes, sites."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from cloud.doctor.findings import Finding, Level, unreadable
from cloud.doctor.operators import OperatorFacts, judge_operator
from cloud.fleet.resource import GROUP, NAME_SPELLED, SITE_LABEL, is_name
from cloud.fleet.site import zone_of
from cloud.fleet.wording import some

OLDEST_MINOR: Final = 29  # the first Kubernetes 1.x whose CEL rules in custom resources are stable
NEWEST_OLDER_KUBELET: Final = 3  # minors a kubelet may be behind its API server, by Kubernetes' version skew policy
SAFE_KUBEEDGE: Final = (1, 23, 1)  # fixes CVE-2026-62369, CVE-2026-62370, CVE-2026-62371 and CVE-2026-62182
TOLERABLE_SKEW: Final = timedelta(seconds=5)  # windows and soaks are in minutes
KUBEEDGE_RESOURCES: Final = (
    "objectsyncs.reliablesyncs.kubeedge.io",
    "clusterobjectsyncs.reliablesyncs.kubeedge.io",
    "nodegroups.apps.kubeedge.io",
)
_SITES: Final = f"edgesites.{GROUP}"


@dataclass(frozen=True, slots=True)
class Permission:
    """One verb on one resource; ``resource`` may carry a subresource after a slash."""

    group: str  # empty: the core group
    resource: str
    verb: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{'.' if self.group else ''}{self.group}"


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a Kubernetes node shows of itself."""

    name: str
    version: str  # of its kubelet; KubeEdge adds its own: v1.32.10-kubeedge-v1.23.1
    ready: bool
    site: str | None  # None: not labelled
    hostname: str | None

    @property
    def edge(self) -> bool:
        """Whether it is KubeEdge's."""
        return "-kubeedge-" in self.version


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What a cluster shows to the person who asks. None: may not be read, or is not there to be read."""

    origin: str  # where the access comes from, for people
    server: str  # version of the API server
    skew: timedelta | None  # how far this machine's clock is ahead of the API server's
    nodes: tuple[NodeFacts, ...] | None
    installed: Mapping[str, Any] | None  # name of a custom resource definition: its spec
    expected: Mapping[str, Any]  # the same, as this edgefleet would install it
    denied: tuple[Permission, ...]  # of what the operator does
    sites: Mapping[str, str] | None  # EdgeSite: time zone
    cloudcore: int | None  # ready replicas of its Deployment; None: no such Deployment
    operators: OperatorFacts | None


def no_cluster(reason: str) -> Finding:
    """Return the finding that there is no cluster to look at."""
    why = "all that edgefleet does, it does through the Kubernetes API"
    step = "set KUBECONFIG or give --kubeconfig FILE; fleetsim cluster up starts a simulated one to try things on"
    return Finding("ApiServer", Level.BLOCKED, reason, why, step)


def judge_cluster(facts: ClusterFacts) -> tuple[Finding, ...]:
    """Return one finding for each thing there is to look at, in the order in which one would put things right."""
    return tuple(finding for check in CHECKS if (finding := check(facts)) is not None)


def server(facts: ClusterFacts) -> Finding:
    """Whether the API server knows what our resources need."""
    reached = f"{facts.origin}: Kubernetes {facts.server}"
    if minor(facts.server) >= OLDEST_MINOR:
        return Finding("ApiServer", Level.OK, reached)
    why = "our resources' rules are CEL expressions, which are stable since 1.29; older API servers may not keep them"
    return Finding("ApiServer", Level.BLOCKED, reached, why, "upgrade the control plane to 1.29 or newer")


def skew(facts: ClusterFacts) -> Finding:
    """Whether this machine and the API server agree on the time."""
    if facts.skew is None:
        return Finding("Clock", Level.OK, "the API server does not tell its time")
    seconds = facts.skew.total_seconds()
    if abs(facts.skew) <= TOLERABLE_SKEW:
        return Finding("Clock", Level.OK, "this machine and the API server agree on the time")
    return Finding(
        "Clock",
        Level.WARNING,
        f"this machine is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} the API server",
        "soaks, windows and the ages of conditions are wrong by as much if the operator runs here",
        "synchronise both with a time server (timedatectl set-ntp true)",
    )


def kubelets(facts: ClusterFacts) -> Finding:
    """Whether every node is of a version that the API server supports."""
    if facts.nodes is None:
        return unreadable("NodeVersions", "nodes")
    newest = minor(facts.server)
    bad = tuple(n.name for n in facts.nodes if not newest - NEWEST_OLDER_KUBELET <= minor(n.version) <= newest)
    if not bad:
        return Finding("NodeVersions", Level.OK, f"{len(facts.nodes)} nodes within Kubernetes' version skew policy")
    return Finding(
        "NodeVersions",
        Level.WARNING,
        f"nodes newer than the API server, or more than three minors older: {some(bad)}",
        "Kubernetes promises nothing for them; fields of a pod may be lost on the way",
        "upgrade the older side: first the control plane, then KubeEdge on the boxes",
    )


def kubeedge_resources(facts: ClusterFacts) -> Finding:
    """Whether KubeEdge's definitions are installed."""
    if facts.installed is None:
        return unreadable("KubeEdgeResources", "customresourcedefinitions")
    missing = tuple(name for name in KUBEEDGE_RESOURCES if name not in facts.installed)
    if not missing:
        return Finding("KubeEdgeResources", Level.OK, "KubeEdge's custom resources are installed")
    return Finding(
        "KubeEdgeResources",
        Level.BLOCKED,
        f"not installed: {some(missing)}",
        "cloudcore keeps in them what each box has confirmed; without them a returning box is not brought up to date",
        "install KubeEdge: keadm init, or its Helm chart",
    )


def cloudcore(facts: ClusterFacts) -> Finding:
    """Whether KubeEdge's cloud side runs, judged by its Deployment or by the boxes it serves."""
    if facts.nodes is None and facts.cloudcore is None:
        return unreadable("Cloudcore", "nodes")
    boxes = [node for node in facts.nodes or () if node.edge]
    ready = sum(node.ready for node in boxes)
    if ready:
        return Finding("Cloudcore", Level.OK, f"cloudcore serves {ready} of {len(boxes)} edge nodes")
    if facts.cloudcore:
        step = "join a box: keadm join --cloudcore-ipport=HOST:10000 --token=TOKEN"
        what = f"cloudcore runs, but of {len(boxes)} edge nodes none is Ready"
        return Finding("Cloudcore", Level.WARNING, what, "releases move boxes that are online", step)
    what = "cloudcore's Deployment has no ready replica" if facts.cloudcore == 0 else "no sign of cloudcore"
    step = "kubectl -n kubeedge get pods; kubectl -n kubeedge logs deploy/cloudcore"
    return Finding("Cloudcore", Level.BLOCKED, what, "every box is reached through it", step)


def kubeedge_version(facts: ClusterFacts) -> Finding:
    """Whether a box runs a KubeEdge with known holes."""
    if facts.nodes is None:
        return unreadable("KubeEdgeVersion", "nodes")
    boxes = [node for node in facts.nodes if node.edge]
    old = tuple(node.name for node in boxes if kubeedge_of(node.version) < SAFE_KUBEEDGE)
    if not old:
        return Finding("KubeEdgeVersion", Level.OK, f"{len(boxes)} edge nodes, none older than KubeEdge 1.23.1")
    why = "1.23.1 fixes CVE-2026-62369, CVE-2026-62370, CVE-2026-62371 and CVE-2026-62182"
    what = f"boxes with a KubeEdge older than 1.23.1: {some(old)}"
    return Finding("KubeEdgeVersion", Level.WARNING, what, why, "upgrade cloudcore, then the boxes: keadm upgrade")


def own_resources(facts: ClusterFacts) -> Finding:
    """Whether our definitions are installed and those of this version."""
    if facts.installed is None:
        return unreadable("EdgefleetResources", "customresourcedefinitions")
    missing = tuple(name for name in facts.expected if name not in facts.installed)
    step = "kubectl apply --server-side -k manifests/crds   (or: edgefleet crds | kubectl apply --server-side -f -)"
    if missing:
        why = "they are how one asks edgefleet for anything"
        return Finding("EdgefleetResources", Level.BLOCKED, f"not installed: {some(missing)}", why, step)
    pairs = ((name, lacks(spec, facts.installed[name])) for name, spec in facts.expected.items())
    other = tuple(f"{name} at {path}" for name, path in pairs if path)
    if other:
        why = "fields that the API server does not know are dropped without a word"
        what = f"installed by another version of edgefleet: {some(other)}"
        return Finding("EdgefleetResources", Level.BLOCKED, what, why, step)
    return Finding("EdgefleetResources", Level.OK, f"{len(facts.expected)} kinds of {GROUP} are installed and current")


def permissions(facts: ClusterFacts) -> Finding:
    """Whether whoever asks may do what the operator does."""
    if not facts.denied:
        return Finding("Permissions", Level.OK, "you may do all that the operator does")
    return Finding(
        "Permissions",
        Level.WARNING,
        f"you may not {some(tuple(map(str, facts.denied)))}",
        "an operator with this kubeconfig would stand still there; to look and to ask for releases less is enough",
        "kubectl apply --server-side -k manifests/overlays/sample, as an administrator and after manifests/crds, gives "
        "the operator's service account what it needs",
    )


def operator(facts: ClusterFacts) -> Finding:
    """Whether somebody carries releases out."""
    return judge_operator(facts.operators)


def labels(facts: ClusterFacts) -> Finding:
    """Whether boxes say at which site they stand, and carry the label by which versions keep apart."""
    if facts.nodes is None:
        return unreadable("NodeLabels", "nodes")
    nameless = tuple(node.name for node in facts.nodes if node.site is not None and node.hostname is None)
    if nameless:
        why = "on a box without it the scheduler cannot keep two versions of a workload apart, and binds none"
        step = f"kubectl label node {nameless[0]} kubernetes.io/hostname={nameless[0]}   (and so on)"
        what = f"boxes without the label kubernetes.io/hostname: {some(nameless)}"
        return Finding("NodeLabels", Level.BLOCKED, what, why, step)
    placed = sum(node.site is not None for node in facts.nodes)
    homeless = tuple(node.name for node in facts.nodes if node.edge and node.site is None)
    if homeless:
        what = f"edge nodes without the label {SITE_LABEL}: {some(homeless)}"
        step = f"kubectl label node {homeless[0]} {SITE_LABEL}=SITE   (and so on)"
        return Finding("NodeLabels", Level.WARNING, what, "no release reaches a box whose site is not known", step)
    odd = tuple(
        f"{node.name} ({node.site!r})" for node in facts.nodes if node.site is not None and not is_name(node.site)
    )
    if odd:
        what = f"nodes whose label {SITE_LABEL} is no name of a site: {some(odd)}"
        step = f"kubectl label node {odd[0].partition(' ')[0]} --overwrite {SITE_LABEL}=SITE   ({NAME_SPELLED.words})"
        return Finding("NodeLabels", Level.WARNING, what, "no release touches such a box", step)
    if not placed:
        step = f"kubectl label node NODE {SITE_LABEL}=SITE"
        return Finding("NodeLabels", Level.WARNING, f"no node carries {SITE_LABEL}", "there is no box to manage", step)
    return Finding("NodeLabels", Level.OK, f"{placed} boxes say at which site they stand")


def time_zones(facts: ClusterFacts) -> Finding | None:
    """Whether each site that has boxes is described, with a time zone that exists; None: there is no such kind yet."""
    used = {node.site for node in facts.nodes or () if node.site is not None}
    if facts.installed is not None and _SITES not in facts.installed:
        return None
    if facts.sites is None:
        return unreadable("Sites", _SITES)
    unknown = tuple(sorted(used - facts.sites.keys()))
    odd = tuple(f"{site} ({zone})" for site, zone in sorted(facts.sites.items()) if zone_of(zone) is None)
    why = "windows in site time cannot be computed for them, so their boxes wait"
    if unknown:
        step = "edgefleet sites import FILE.csv   (name,timeZone,...)"
        what = f"sites with boxes but without an EdgeSite: {some(unknown)}"
        return Finding("Sites", Level.WARNING, what, why, step)
    if odd:
        step = "set spec.timeZone to an IANA name, for example Asia/Shanghai"
        return Finding("Sites", Level.WARNING, f"time zones that do not exist: {some(odd)}", why, step)
    return Finding("Sites", Level.OK, f"{len(facts.sites)} sites, each with a time zone")


CHECKS: tuple[Callable[[ClusterFacts], Finding | None], ...] = (
    server,
    skew,
    kubelets,
    kubeedge_resources,
    cloudcore,
    kubeedge_version,
    own_resources,
    permissions,
    operator,
    labels,
    time_zones,
)


def minor(version: str) -> int:
    """Return the minor number of ``v1.35.4`` or ``v1.32.10-kubeedge-v1.23.1``; 0 where it cannot be read."""
    match = re.match(r"v?1\.(\d+)", version)
    return int(match[1]) if match else 0


def kubeedge_of(version: str) -> tuple[int, ...]:
    """Return KubeEdge's own version out of a node's; empty, which is older than any, where it cannot be read."""
    match = re.search(r"-kubeedge-v?(\d+)\.(\d+)\.(\d+)", version)
    return tuple(map(int, match.groups())) if match else ()


def lacks(expected: Any, found: Any, path: str = "spec") -> str:  # noqa: ANN401 - any value of JSON
    """Return the first path at which ``found`` does not hold what is expected; empty: it holds all, or more.

    Descriptions are for people and bind nobody.
    """
    match expected, found:
        case dict(), dict():
            binding = {key: value for key, value in expected.items() if key != "description" or isinstance(value, dict)}
            paths = (lacks(value, found.get(key), f"{path}.{key}") for key, value in binding.items())
            return next(filter(None, paths), "")
        case list(), list() if len(expected) == len(found):
            paths = (lacks(a, b, f"{path}[{i}]") for i, (a, b) in enumerate(zip(expected, found, strict=True)))
            return next(filter(None, paths), "")
        case _:
            return "" if expected == found or (not expected and found is None) else path  # zeros are not sent back
