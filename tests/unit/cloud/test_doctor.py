"""The doctor names what is not ready, says why it matters, and never lacks a next step."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cloud.doctor.cluster import (
    KUBEEDGE_RESOURCES,
    ClusterFacts,
    NodeFacts,
    Permission,
    judge_cluster,
    lacks,
    no_cluster,
)
from cloud.doctor.findings import Finding, Level
from cloud.doctor.kube import OPERATOR_NEEDS, examine_cluster
from cloud.doctor.machine import GIB, MachineFacts, judge_machine
from cloud.doctor.operators import Deployment, OperatorFacts, deployment
from cloud.doctor.procfs import EDGE_BOX_PACKAGES, examine_machine
from cloud.fleet.errors import SpecError, Unavailable
from simulator import bootstrap

GOOD_MACHINE = MachineFacts(
    python=(3, 11, 2),
    cores=2,
    memory=16 * GIB,
    disk=50 * GIB,
    cache="cache",
    inotify_instances=8192,
    uv="uv",
    go="go",
    gcc="gcc",
    debian=True,
    root=True,
    routed=True,
    missing=(),
)
BOX = NodeFacts("box-1", "v1.32.10-kubeedge-v1.23.1", ready=True, site="hangzhou", hostname="box-1")
OURS = {"edgesites.edgefleet.io": {"scope": "Cluster", "versions": [{"name": "v1alpha1"}]}}
GOOD_CLUSTER = ClusterFacts(
    origin="context 'test'",
    server="v1.35.4",
    skew=timedelta(seconds=1),
    nodes=(BOX,),
    installed={**{name: {} for name in KUBEEDGE_RESOURCES}, **OURS},
    expected=OURS,
    denied=(),
    sites={"hangzhou": "Asia/Shanghai"},
    cloudcore=1,
    operators=OperatorFacts("edgefleet-operator-1", (), None),
)


def nobody(deployment: Deployment | None = None) -> OperatorFacts:
    """What is seen where no operator lives."""
    return OperatorFacts(None, (), deployment)


def of(findings: tuple[Finding, ...], subject: str) -> Finding:
    """Return the one finding about a subject."""
    (found,) = [finding for finding in findings if finding.subject == subject]
    return found


def test_a_good_machine_and_a_good_cluster_get_ticks_only() -> None:
    findings = judge_machine(GOOD_MACHINE) + judge_cluster(GOOD_CLUSTER)
    assert {finding.level for finding in findings} == {Level.OK}


@pytest.mark.parametrize(
    ("change", "subject", "level", "words"),
    [
        ({"python": (3, 9, 2)}, "Python", Level.BLOCKED, "3.9.2 is too old"),
        ({"gcc": None}, "CCompiler", Level.WARNING, "sudo apt-get install gcc"),
        ({"gcc": None, "debian": False}, "CCompiler", Level.WARNING, "the C library's headers"),
        ({"memory": 5 * GIB}, "Memory", Level.WARNING, "only 5.0 GiB"),
        ({"memory": 2 * GIB}, "Memory", Level.BLOCKED, "only 2.0 GiB"),
        ({"cores": 1}, "Cores", Level.WARNING, "1 core"),
        ({"disk": GIB}, "Disk", Level.WARNING, "only 1 GiB free at cache"),
        ({"inotify_instances": 128}, "Inotify", Level.WARNING, "max_user_instances is 128"),
        ({"inotify_instances": 128, "root": False}, "Inotify", Level.WARNING, "sudo sysctl"),
        ({"inotify_instances": None}, "Inotify", Level.BLOCKED, "not Linux"),
        ({"routed": False}, "DefaultRoute", Level.WARNING, "ip route add default dev dummy0"),
        ({"root": False}, "RealEdgeBox", Level.WARNING, "not root"),
        ({"missing": ("runc",)}, "RealEdgeBox", Level.WARNING, "apt-get install runc"),
        ({"missing": ("runc",), "debian": False}, "RealEdgeBox", Level.WARNING, "install runc"),
        ({"missing": ("runc",), "root": False}, "RealEdgeBox", Level.WARNING, "not root, and not installed: runc"),
        ({"uv": None}, "Uv", Level.OK, "fetches its own"),
        ({"go": None}, "Go", Level.OK, "fetches its own"),
    ],
)
def test_a_machine_that_lacks_something_is_told_what(
    change: Mapping[str, Any], subject: str, level: Level, words: str
) -> None:
    finding = of(judge_machine(replace(GOOD_MACHINE, **change)), subject)
    assert finding.level is level
    assert words in f"{finding.what} {finding.why} {finding.next_step}"


@pytest.mark.parametrize(
    ("change", "subject", "level", "words"),
    [
        ({"server": "v1.28.9"}, "ApiServer", Level.BLOCKED, "1.29 or newer"),
        ({"server": "strange"}, "ApiServer", Level.BLOCKED, "strange"),
        ({"skew": timedelta(seconds=40)}, "Clock", Level.WARNING, "40 s ahead of the API server"),
        ({"skew": timedelta(seconds=-40)}, "Clock", Level.WARNING, "40 s behind the API server"),
        ({"skew": None}, "Clock", Level.OK, "does not tell its time"),
        ({"nodes": (replace(BOX, version="v1.31.0"),)}, "NodeVersions", Level.WARNING, "box-1"),
        ({"nodes": (replace(BOX, version="v1.36.0"),)}, "NodeVersions", Level.WARNING, "nodes newer"),
        ({"nodes": None}, "NodeVersions", Level.WARNING, "may not list nodes"),
        ({"installed": OURS}, "KubeEdgeResources", Level.BLOCKED, "objectsyncs.reliablesyncs.kubeedge.io"),
        ({"installed": None}, "KubeEdgeResources", Level.WARNING, "may not list"),
        ({"nodes": (replace(BOX, ready=False),)}, "Cloudcore", Level.WARNING, "keadm join"),
        ({"nodes": (replace(BOX, ready=False),), "cloudcore": 0}, "Cloudcore", Level.BLOCKED, "no ready replica"),
        ({"nodes": (), "cloudcore": None}, "Cloudcore", Level.BLOCKED, "no sign of cloudcore"),
        ({"nodes": (BOX,), "cloudcore": None}, "Cloudcore", Level.OK, "serves 1 of 1"),
        ({"nodes": (replace(BOX, version="v1.32.10-kubeedge-v1.22.0"),)}, "KubeEdgeVersion", Level.WARNING, "CVE-2026"),
        ({"nodes": (replace(BOX, version="v1.32.10-kubeedge-dev"),)}, "KubeEdgeVersion", Level.WARNING, "box-1"),
        ({"installed": dict.fromkeys(KUBEEDGE_RESOURCES)}, "EdgefleetResources", Level.BLOCKED, "not installed: edges"),
        ({"installed": None}, "EdgefleetResources", Level.WARNING, "may not list"),
        (
            {"installed": {"edgesites.edgefleet.io": {"scope": "Namespaced", "versions": [{"name": "v1alpha1"}]}}},
            "EdgefleetResources",
            Level.BLOCKED,
            "edgesites.edgefleet.io at spec.scope",
        ),
        ({"denied": (Permission("apps", "daemonsets", "create"),)}, "Permissions", Level.WARNING, "daemonsets.apps"),
        ({"denied": (Permission("", "nodes", "patch"),)}, "Permissions", Level.WARNING, "patch nodes"),
        ({"nodes": (replace(BOX, hostname=None),)}, "NodeLabels", Level.BLOCKED, "kubernetes.io/hostname=box-1"),
        ({"nodes": (BOX, replace(BOX, name="b2", site=None))}, "NodeLabels", Level.WARNING, "b2 edgefleet.io/site="),
        ({"nodes": (BOX, replace(BOX, name="b2", site="A_Site"))}, "NodeLabels", Level.WARNING, "b2 ('A_Site')"),
        ({"nodes": (replace(BOX, site=""),)}, "NodeLabels", Level.WARNING, "box-1 --overwrite edgefleet.io/site="),
        ({"nodes": ()}, "NodeLabels", Level.WARNING, "no box to manage"),
        ({"nodes": None}, "KubeEdgeVersion", Level.WARNING, "may not list nodes"),
        ({"nodes": None, "cloudcore": None}, "Cloudcore", Level.WARNING, "may not list nodes"),
        ({"nodes": None}, "Cloudcore", Level.WARNING, "none is Ready"),
        ({"nodes": None}, "NodeLabels", Level.WARNING, "may not list nodes"),
        ({"sites": {}}, "Sites", Level.WARNING, "without an EdgeSite: hangzhou"),
        ({"sites": {"hangzhou": "Asia/Atlantis"}}, "Sites", Level.WARNING, "hangzhou (Asia/Atlantis)"),
        ({"sites": None}, "Sites", Level.WARNING, "may not list edgesites"),
        ({"sites": None, "installed": None}, "Sites", Level.WARNING, "may not list edgesites"),
        ({"operators": None}, "Operator", Level.WARNING, "may not list clusterkopfpeerings"),
        ({"operators": nobody()}, "Operator", Level.BLOCKED, "no Deployment edgefleet-operator"),
        ({"operators": nobody()}, "Operator", Level.BLOCKED, "edgefleet operator runs one here"),
        ({"operators": nobody(Deployment(0, 0))}, "Operator", Level.BLOCKED, "asks for no pod"),
        ({"operators": nobody(Deployment(2, 0))}, "Operator", Level.BLOCKED, "0 of 2 pods of Deployment"),
        (
            {"operators": nobody(Deployment(2, 1, "operator-1: ImagePullBackOff"))},
            "Operator",
            Level.BLOCKED,
            "1 of 2 pods of Deployment edgefleet-operator are ready; operator-1: ImagePullBackOff",
        ),
        ({"operators": nobody(Deployment(2, 0))}, "Operator", Level.BLOCKED, "kubectl -n edgefleet get pods"),
        ({"operators": OperatorFacts(None, ("a", "b"), None)}, "Operator", Level.OK, "in single namespaces: a, b"),
    ],
)
def test_a_cluster_that_lacks_something_is_told_what(
    change: Mapping[str, Any], subject: str, level: Level, words: str
) -> None:
    finding = of(judge_cluster(replace(GOOD_CLUSTER, **change)), subject)
    assert finding.level is level
    assert words in f"{finding.what} {finding.why} {finding.next_step}"


def test_of_a_kind_that_is_not_installed_it_is_not_said_that_one_may_not_list_it() -> None:
    findings = judge_cluster(replace(GOOD_CLUSTER, installed={}, sites=None))
    assert "Sites" not in {finding.subject for finding in findings}
    assert of(findings, "EdgefleetResources").what == "not installed: edgesites.edgefleet.io"


def test_no_cluster_blocks_and_says_where_to_get_one() -> None:
    finding = no_cluster("no kubeconfig")
    assert (finding.level, finding.what) == (Level.BLOCKED, "no kubeconfig")
    assert "fleetsim cluster up" in finding.next_step


numbers = st.integers(min_value=0, max_value=10 * GIB)
machines = st.builds(
    MachineFacts, memory=numbers, disk=numbers, cores=st.integers(1, 64), inotify_instances=st.none() | numbers
)
nodes = st.builds(NodeFacts, version=st.sampled_from([BOX.version, "v1.35.4", "v1.20.1-kubeedge-v1.8.0", ""]))
clusters = st.builds(
    ClusterFacts,
    nodes=st.none() | st.lists(nodes, max_size=8).map(tuple),
    installed=st.none() | st.dictionaries(st.sampled_from([*OURS, *KUBEEDGE_RESOURCES]), st.just({})),
    expected=st.just(OURS),
    sites=st.none() | st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=3),
    operators=st.none() | st.builds(OperatorFacts),
)


@given(st.builds(judge_machine, machines) | st.builds(judge_cluster, clusters))
def test_whatever_is_wrong_comes_with_a_reason_and_a_next_step(findings: tuple[Finding, ...]) -> None:
    for finding in findings:
        assert finding.what
        assert (finding.level is Level.OK) == (not finding.why) == (not finding.next_step)


@pytest.mark.parametrize(
    ("expected", "found", "path"),
    [
        ({"a": 1}, {"a": 1, "defaulted": 2}, ""),
        ({"a": {"b": [1, {"c": 2}]}}, {"a": {"b": [1, {"c": 2, "d": 3}]}}, ""),
        ({"a": {"b": [1, {"c": 2}]}}, {"a": {"b": [1, {"c": 3}]}}, "spec.a.b[1].c"),
        ({"a": [1]}, {"a": [1, 2]}, "spec.a"),
        ({"a": 1}, {}, "spec.a"),
        ({"a": 0, "b": False}, {}, ""),
        ({"a": 0}, {"a": 1}, "spec.a"),
        ({"description": "of today"}, {"description": "of old"}, ""),
        ({"description": {"type": "string"}}, {}, "spec.description"),
    ],
)
def test_a_definition_may_hold_more_than_ours_but_not_less(expected: Any, found: Any, path: str) -> None:  # noqa: ANN401 - JSON
    assert lacks(expected, found) == path


def test_a_finding_for_programs_uses_the_words_of_the_api() -> None:
    assert Finding("Clock", Level.WARNING, "w", "y", "n").dump() == {
        "subject": "Clock",
        "level": "warning",
        "what": "w",
        "why": "y",
        "nextStep": "n",
    }


def test_the_permissions_asked_for_are_those_of_the_operators_role() -> None:
    files = [path for path in (bootstrap.TREE / "manifests").rglob("*.yaml") if "ClusterRole" in path.read_text()]
    objects = [one for path in files for one in yaml.safe_load_all(path.read_text())]
    roles = [one for one in objects if one["kind"] == "ClusterRole" and "operator" in one["metadata"]["name"]]
    if not roles:
        pytest.skip("manifests/ holds no ClusterRole of the operator yet")
    granted = {
        Permission(group, resource, verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert granted == set(OPERATOR_NEEDS), "bring _VERBS in cloud/doctor/kube.py to the role"


PEERING = "/apis/kopf.dev/v1/clusterkopfpeerings/edgefleet-operator"
DEPLOYMENT = "/apis/apps/v1/namespaces/edgefleet/deployments/edgefleet-operator"
PODS = "/api/v1/namespaces/edgefleet/pods"


def first(peers: Mapping[str, Any]) -> str | None:
    """Take whoever has signed for the leader."""
    return next(iter(peers), None)


class Answers:
    """The API server's side of the port: a table of answers, and what may not be done."""

    origin = "context 'test'"

    def __init__(self, answers: Mapping[str, Any], denied: Callable[[Mapping[str, str]], bool]) -> None:
        self.answers, self.denied = answers, denied

    def get(self, path: str, **_: str) -> dict[str, Any]:
        return dict(self._answer(path))

    def every(self, path: str, **_: str) -> list[dict[str, Any]]:
        return list(self._answer(path))

    def create(self, path: str, body: dict[str, Any], **_: str) -> dict[str, Any]:
        assert path.endswith("selfsubjectaccessreviews")
        return {"status": {"allowed": not self.denied(body["spec"]["resourceAttributes"])}}

    def _answer(self, path: str) -> Any:  # noqa: ANN401 - JSON
        if path not in self.answers:
            raise SpecError(f"{path} is forbidden")
        if isinstance(self.answers[path], Exception):
            raise self.answers[path]
        return self.answers[path]


def test_a_cluster_is_read_as_it_stands() -> None:
    node = {
        "metadata": {"name": "box-1", "labels": {"edgefleet.io/site": "hangzhou", "kubernetes.io/hostname": "box-1"}},
        "status": {
            "nodeInfo": {"kubeletVersion": "v1.32.10-kubeedge-v1.23.1"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
    definitions = [{"metadata": {"name": name}, "spec": spec} for name, spec in (GOOD_CLUSTER.installed or {}).items()]
    answers = {
        "/version": {"gitVersion": "v1.35.4"},
        "/api/v1/nodes": [node],
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions": definitions,
        "/apis/edgefleet.io/v1alpha1/edgesites": [
            {"metadata": {"name": "hangzhou"}, "spec": {"timeZone": "Asia/Shanghai"}}
        ],
        "/apis/apps/v1/namespaces/kubeedge/deployments/cloudcore": {"status": {"readyReplicas": 1}},
        PEERING: {"status": {"edgefleet-operator-1": {}}},
    }
    port = Answers(answers, lambda _: False)
    assert examine_cluster(port, OURS, timedelta(seconds=1), first) == GOOD_CLUSTER


def test_what_may_not_be_read_or_done_is_noted_and_the_rest_is_looked_at() -> None:
    port = Answers({"/version": {"gitVersion": "v1.35.4"}}, lambda asked: asked["resource"] == "nodes")
    facts = examine_cluster(port, OURS, None, first)
    assert (facts.nodes, facts.installed, facts.sites, facts.cloudcore) == (None, None, None, None)
    assert facts.denied == tuple(need for need in OPERATOR_NEEDS if need.resource == "nodes") != ()


def operators(answers: Mapping[str, Any], *, allowed: bool = True) -> OperatorFacts | None:
    return examine_cluster(Answers({"/version": {}, **answers}, lambda _: not allowed), OURS, None, first).operators


def test_who_may_not_read_the_signatures_is_told_apart_from_there_being_none() -> None:
    assert operators({}, allowed=False) is None
    assert operators({}) == operators({PEERING: {}}) == nobody()
    assert operators({PEERING: {"status": {"a": {}}}}, allowed=False) == OperatorFacts("a", (), None)


def test_operators_of_single_namespaces_are_found_by_their_own_objects() -> None:
    def signed(namespace: str, name: str, *by: str) -> dict[str, Any]:
        return {"metadata": {"namespace": namespace, "name": name}, "status": {key: {} for key in by}}

    found = [signed("a", "edgefleet-operator", "x"), signed("b", "edgefleet-operator"), signed("c", "another", "x")]
    assert operators({"/apis/kopf.dev/v1/kopfpeerings": found}) == OperatorFacts(None, ("a",), None)


def test_the_operators_deployment_is_read_with_its_first_pod_that_is_not_well() -> None:
    unready = {"type": "Ready", "status": "False"}
    pulling = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    pods = [
        {"metadata": {"name": "well"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}},
        {"metadata": {"name": "ill"}, "status": {"conditions": [unready], "containerStatuses": [{"state": pulling}]}},
    ]
    found = {"spec": {"replicas": 2, "selector": {"matchLabels": {"a": "b"}}}, "status": {"readyReplicas": 1}}
    seen = operators({DEPLOYMENT: found, PODS: pods})
    assert seen == nobody(Deployment(2, 1, "ill: ImagePullBackOff: no such image"))
    assert operators({DEPLOYMENT: found}) == nobody(Deployment(2, 1)), "the pods may not be read"


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ({"conditions": [{"type": "Ready", "status": "True"}]}, ""),
        ({}, "is Pending and not ready"),
        ({"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}, "is Running and not ready"),
        (
            {
                "conditions": [
                    {"type": "Ready", "status": "False"},
                    {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"},
                ]
            },
            "0/3 nodes are available",
        ),
        (
            {
                "conditions": [{"type": "Ready", "status": "False"}],
                "containerStatuses": [{"state": {"running": {}}}, {"state": {"terminated": {"reason": "OOMKilled"}}}],
            },
            "OOMKilled",
        ),
    ],
    ids=["ready", "no conditions yet", "unready", "unscheduled", "ended"],
)
def test_a_pod_of_the_operator_is_told_by_what_keeps_it(status: dict[str, Any], told: str) -> None:
    found = deployment({}, [{"metadata": {"name": "operator-1"}, "status": status}])
    assert found == Deployment(1, 0, f"operator-1: {told}" if told else "")


def test_pods_that_cannot_even_be_made_are_told_before_those_there_are() -> None:
    refused = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota" + "!" * 500}
    found = deployment({"spec": {"replicas": 2}, "status": {"conditions": [refused]}}, [])
    assert found.trouble.startswith("none is made: exceeded quota")
    assert (len(found.trouble), found.trouble[-1]) == (201, "…")


def test_a_cluster_that_goes_away_halfway_is_not_called_forbidden() -> None:
    port = Answers({"/version": {"gitVersion": "v1.35.4"}, "/api/v1/nodes": Unavailable("gone")}, lambda _: False)
    with pytest.raises(Unavailable):
        examine_cluster(port, OURS, None, first)


def test_this_machine_can_be_examined() -> None:
    facts = examine_machine()
    assert facts.cores >= 1
    assert facts.memory > 0
    assert facts.disk > 0
    assert [finding.subject for finding in judge_machine(facts)] == [
        finding.subject for finding in judge_machine(GOOD_MACHINE)
    ]


def test_doctor_and_setup_look_for_the_same_packages_of_the_real_edge_box() -> None:
    of_others = {"postgresql", "prometheus"}
    tests = {one.name: one.sign for one in bootstrap.PACKAGES if one.step == "test" and one.name not in of_others}
    assert tests == EDGE_BOX_PACKAGES
