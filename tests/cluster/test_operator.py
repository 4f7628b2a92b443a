"""The operator's process: what it keeps beside releases, what it leaves be, how it hands over, what it may do."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest

from cloud.fleet.record import Transition
from cloud.fleet.report import LEASE_PREFIX
from cloud.fleet.verdict import Reason, Verdict
from cloud.reports import Reports
from cloud.rollout.cluster import Refused, Verb, Write, manifest
from cloud.rollout.kube import KubeCluster, access
from cloud.rollout.views import Kind
from edgeagent.wire import Address
from simulator.fleet import usual_fleet
from simulator.operating import ACCOUNT, NAMESPACE, introduce
from tests.cluster.audit import Request
from tests.cluster.observer import Program
from tests.cluster.rollouts import RELEASES, TREE, Rig, raised

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("operator")]

FLEET: Final = usual_fleet(sites=3, boxes=5).sites
SITES: Final = [site.name for site in FLEET]
BOXES: Final = [box.name for site in FLEET for box in site.boxes]
EDGE_BOXES: Final = "/apis/edgefleet.io/v1alpha1/edgeboxes"
REVIEWS: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
TOLD: Final = {"lead_seconds": "300"}  # who leads within SOON was told to, and did not wait for a signature to age
QUICK: Final = {"lead_seconds": "12"}  # the shortest that may be set
KUBERNETES_WAITS: Final = 30.0  # seconds from SIGTERM to SIGKILL; an operator needs 0.1 on an idle machine


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A cluster for this module alone: it counts what one operator does, and asks for no more boxes than it needs."""
    with raised(tmp_path_factory.mktemp("operator"), FLEET) as made:
        yield made
        made.stop_operators()


def test_every_box_has_its_edgebox_and_what_people_add_to_it_stays(led: Rig) -> None:
    kube, path = led.cluster.kube, f"{EDGE_BOXES}/{BOXES[0]}"
    led.until(lambda: all(kube.get(f"{EDGE_BOXES}/{box}") for box in BOXES), "every box has its EdgeBox")

    def spec() -> Any:  # noqa: ANN401 - JSON
        return (kube.get(path) or {}).get("spec", {})

    kube.merge(path, {"spec": {"expectedGpus": 2, "site": "elsewhere"}})
    led.until(lambda: spec()["site"] == SITES[0], "the site is corrected")
    assert spec()["expectedGpus"] == 2


def test_a_template_that_the_api_server_refuses_fails_the_release_with_its_words_and_is_not_tried_again(
    led: Rig,
) -> None:
    program, operator = Program(led.namespace("refused"), "scan"), led.operators[0]
    before = led.measure(operator, "edgefleet_write_errors_total")
    template = {"spec": {"containers": [{"name": "scan", "image": "scan:2.0", "imagePullPolicy": "Sometimes"}]}}
    rollout = led.release(program, "2.0", SITES, workload__template=template).wait("Failed")
    assert "imagePullPolicy" in rollout.status["message"]
    stalled = next(one for one in rollout.status["conditions"] if one["type"] == "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "InvalidSpec")
    assert "spec.workload.template" in stalled["message"]
    assert "imagePullPolicy" in stalled["message"]
    assert all(led.observer.asked(box, program)[-1] == () for box in BOXES)

    led.release(Program(program.namespace, "vision"), "1.0", SITES).wait("Succeeded")  # time enough to try again
    assert led.measure(operator, "edgefleet_write_errors_total") - before == 1


def test_a_release_that_is_over_costs_no_writes(led: Rig) -> None:
    over, other = Program(led.namespace("over"), "scan"), Program(led.namespace("other"), "scan")
    begun = len(writes(led))
    led.release(over, "1.0", SITES).wait("Succeeded")
    assert len(writes(led)) - begun < 60
    for tag in ("1.0", "2.0"):  # while the first is carried out, the last words on the one that is over are written
        before = len(writes(led))
        led.release(other, tag, SITES).wait("Succeeded")
    after = [one for one in writes(led)[before:] if one.namespace != other.namespace]
    assert [(one.resource, one.code) for one in after] == [("nodes", HTTPStatus.OK)] * len(BOXES)


def test_one_patch_moves_a_box_and_a_surge_takes_two_and_back_to_the_other_cutover_takes_no_time_out(led: Rig) -> None:
    program, patches = Program(led.namespace("patches"), "scan"), [node_patches(led)]
    for tag, cutover in (("1.0", "Surge"), ("2.0", "Surge"), ("3.0", "Recreate")):
        rollout = led.release(program, tag, SITES, workload__cutover=cutover).wait("Succeeded")
        led.until(partial(led.settled, program, tag, BOXES), f"{tag} runs alone", rollout)
        patches.append(node_patches(led))
    assert [now - before for before, now in pairwise(patches)] == [5, 10, 5]

    rollout.change(control={"abort": "Rollback"})
    rollout.wait("RolledBack")
    assert rollout.status["counts"]["rolledBack"] == len(BOXES)
    led.until(partial(led.settled, program, "2.0", BOXES), "2.0 is back", rollout)


def writes(rig: Rig) -> list[Request]:
    """What the operator at work has written up to now."""
    return rig.writes_of(rig.operators[0])


def node_patches(rig: Rig) -> int:
    """How many of these were of nodes, whatever they changed."""
    return sum(one.resource == "nodes" for one in writes(rig))


def test_a_box_that_a_monitor_calls_dark_is_left_alone_while_its_node_is_ready(led: Rig) -> None:
    program, box, site = Program(led.namespace("verdicts"), "scan"), BOXES[0], SITES[0]
    introduce(led.cluster, FLEET[:1])
    observed = reports_of(led)
    led.release(program, "1.0", SITES).wait("Succeeded")  # longer than the operator needs to know that a monitor lives
    observed.tell([transition(site, box, Reason.BEATS, Reason.SITE_DARK)])
    led.until(lambda: status_of(led, box).get("reason") == "SiteDark", "the EdgeBox says so")
    assert status_of(led, box)["health"] == "Offline"
    assert led.cluster.kube.ready_nodes()[box]
    rollout = led.release(program, "2.0", SITES).wait("CatchingUp")
    assert not rollout.touched(box)
    assert rollout.status["counts"]["deferred"] == 1
    assert observed.zones == {site: ZoneInfo("Asia/Shanghai")}
    observed.tell([transition(site, box, Reason.SITE_DARK, Reason.BEATS)])
    rollout.wait("Succeeded")
    led.until(lambda: status_of(led, box).get("health") == "Online", "the EdgeBox says that it is back")

    observed.tell([transition(site, box, Reason.BEATS, Reason.SILENT)])
    led.until(lambda: status_of(led, box).get("reason") == "Silent", "the EdgeBox says so")
    observed.stop()  # as a monitor that dies: what it said last stands
    led.until(lambda: status_of(led, box).get("witness") == "NodeReady", "nobody believes a monitor that is dead")
    assert status_of(led, box)["health"] == "Online"


def reports_of(rig: Rig) -> Reports:
    """A monitor's part in the cluster, under exactly its service account."""
    path = rig.cluster.record.place.folder / "monitor.kubeconfig"
    rig.cluster.kubeconfig_for(NAMESPACE, "edgefleet-monitor", path)
    made = Reports(KubeCluster(access(str(path))), f"{LEASE_PREFIX}0", NAMESPACE)
    made.start(())
    return made


def transition(site: str, box: str, before: Reason, after: Reason) -> Transition:
    now = datetime.now(UTC)
    return Transition(Address(site, box), before, Verdict(after, 0.0), now, now)


def status_of(rig: Rig, box: str) -> dict[str, Any]:
    """What an EdgeBox says."""
    found: dict[str, Any] = (rig.cluster.kube.get(f"{EDGE_BOXES}/{box}") or {}).get("status", {})
    return found


def test_an_operator_that_another_has_replaced_ends_when_it_wakes_to_be_started_afresh(rig: Rig) -> None:
    rig.stop_operators()
    first, second = rig.lead(**QUICK), rig.start_operator(**QUICK)
    rig.until(lambda: rig.has_said(second, "starting"), "the second stands by")
    rig.send(first, signal.SIGSTOP)
    rig.until(lambda: rig.leads(second), "the second leads")
    rig.send(first, signal.SIGCONT)
    rig.release(Program(rig.namespace("replaced"), "scan"), "1.0", SITES).wait("Succeeded")
    _, code = rig.end_of(first, second)
    assert code == 3


def test_an_operator_that_is_stopped_hands_over_at_once(rig: Rig) -> None:
    rig.stop_operators()
    leader, standby = rig.lead(**TOLD), rig.start_operator(**TOLD)
    rig.until(lambda: rig.has_said(standby, "starting"), "the second stands by")
    assert rig.measure(standby, "edgefleet_leading") == 0
    assert rig.measure(standby, "edgefleet_writes_total") == 0
    rig.send(leader, signal.SIGTERM)
    assert rig.end_of(leader, seconds=KUBERNETES_WAITS) == (leader, 0)
    rig.until(lambda: rig.leads(standby), "the other leads")


def test_the_probe_says_that_the_operator_is_well(led: Rig) -> None:
    led.until(lambda: led.is_well(led.operators[0]), "the probe is content")


def may(rig: Rig, verb: str, what: str) -> bool:
    """Whether the operator's account has a right, everywhere; what: ``resource.group/subresource``."""
    whole, _, part = what.partition("/")
    resource, _, group = whole.partition(".")
    asked = {"verb": verb, "group": group, "resource": resource, "subresource": part}
    groups = ["system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}"]
    account = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
    review = {"spec": {"user": account, "groups": groups, "resourceAttributes": asked}}
    return bool((rig.cluster.kube.create(REVIEWS, review) or {})["status"]["allowed"])


@pytest.mark.parametrize(
    ("verb", "what"),
    [
        ("get", "secrets"),
        ("list", "secrets"),
        ("list", "configmaps"),
        ("delete", "nodes"),
        ("update", "nodes/status"),
        ("create", "pods"),
        ("delete", "pods"),
        ("create", "pods/exec"),
        ("patch", "deployments.apps"),
        ("delete", "edgeboxes.edgefleet.io"),
        ("patch", "edgereleases.edgefleet.io"),
        ("delete", "edgereleases.edgefleet.io"),
        ("create", "serviceaccounts/token"),
        ("patch", "clusterroles.rbac.authorization.k8s.io"),
        ("impersonate", "users"),
    ],
)
def test_the_operators_account_may_not(rig: Rig, verb: str, what: str) -> None:
    assert may(rig, "patch", "nodes"), "the question is understood"
    assert not may(rig, verb, what)


def test_the_operators_own_token_cannot_read_a_secret_or_change_what_people_wrote(rig: Rig, tmp_path: Path) -> None:
    rollout = rig.release(Program(rig.namespace("read-only"), "scan"), "1.0", SITES)
    operator = KubeCluster(access(str(rig.cluster.kubeconfig_for(NAMESPACE, ACCOUNT, tmp_path / "kubeconfig"))))
    with pytest.raises(Refused):
        operator.get("/api/v1/namespaces/kubeedge/secrets/tokensecret")
    namespace = rollout.program.namespace
    patch = manifest(Kind.RELEASE, rollout.name, namespace, spec={"control": {"paused": True}})
    assert isinstance(operator.write([Write(Verb.MERGE, Kind.RELEASE, patch)])[0], Refused)
    operator.close()
    now = rig.cluster.kube.get(f"{RELEASES.format(namespace)}/{rollout.name}") or {}
    assert now["metadata"]["generation"] == 1


def test_an_operator_without_access_says_what_to_do(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(TREE), "KUBECONFIG": str(tmp_path / "absent")}
    command = [sys.executable, "-m", "cloud", "operator"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    assert "KUBECONFIG" in ended.stderr
