"""The operator on real boxes: it moves them as promised, whoever kills it, and may do nothing it need not."""

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.rollout.cluster import Refused, Verb, Write, manifest
from cloud.rollout.kube import KubeCluster, access
from cloud.rollout.views import Kind
from simulator.cluster import Cluster
from simulator.fleet import usual_fleet
from tests.cluster.operators import RELEASES, Operator, Stage, kubectl, until

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("operator")
    with Cluster.up(usual_fleet(sites=3, boxes=5), folder / "cluster") as cluster:
        yield Stage.raised(cluster, folder)


@pytest.fixture
def stage(whole: Stage) -> Iterator[Stage]:
    yield whole
    whole.clear()


@pytest.fixture
def operator(stage: Stage) -> Iterator[Operator]:
    with stage.operator() as running:
        yield running
        assert not running.lines("Broken"), "the operator met a bug of its own"


@pytest.mark.usefixtures("operator")
def test_a_release_of_two_stages_reaches_every_box(stage: Stage) -> None:
    stage.release("one", "scan:1", stages=[{"name": "canary", "upTo": 1, "soak": "3s"}, {"name": "rest", "soak": "0s"}])
    canary = stage.phase("one", "Soaking")
    assert canary["counts"]["succeeded"] < len(stage.boxes())
    done = stage.phase("one", "Succeeded")
    assert done["counts"]["done"] == "5/5"
    until(lambda: stage.everywhere("scan:1"))


@pytest.mark.usefixtures("operator")
def test_a_surge_never_leaves_a_box_without_a_ready_pod(stage: Stage) -> None:
    stage.release("one", "scan:1")
    stage.phase("one", "Succeeded")
    stage.release("two", "scan:2", workload={"cutover": "Surge"})
    without: set[str] = set()
    while stage.status("two").get("phase") != "Succeeded":
        ready = {pod["spec"].get("nodeName") for pod in stage.pods() if is_ready(pod)}
        without |= set(stage.boxes()) - ready
    assert without == set()
    until(lambda: stage.everywhere("scan:2"))


def is_ready(pod: object) -> bool:
    assert isinstance(pod, dict)
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


@pytest.mark.usefixtures("operator")
def test_a_rollback_to_a_version_of_the_other_cutover_is_quick(stage: Stage) -> None:
    stage.release("one", "scan:1", workload={"cutover": "Surge"})
    stage.phase("one", "Succeeded")
    stage.release("two", "scan:2", workload={"cutover": "Recreate"})
    stage.phase("two", "Succeeded")
    stage.control("two", abort="Rollback")
    status = stage.phase("two", "RolledBack", 20)
    assert status["counts"]["rolledBack"] == len(stage.boxes())
    until(lambda: stage.everywhere("scan:1"))


@pytest.mark.usefixtures("operator")
def test_a_newer_release_takes_over_and_the_older_one_never_writes_again(stage: Stage) -> None:
    stage.release("one", "scan:1")
    stage.phase("one", "Succeeded")
    stage.release("two", "scan:2-pull3s", stages=[{"name": "canary", "upTo": 1, "soak": "1h"}, {"name": "rest"}])
    stage.phase("two", "Rolling")
    stage.release("three", "scan:3")
    stage.phase("three", "Succeeded")
    stage.phase("two", "Superseded")
    until(lambda: stage.everywhere("scan:3"))
    newest = stage.status("three")["version"]
    assert set(map(frozenset, stage.asked_for().values())) == {frozenset({newest})}


@pytest.mark.usefixtures("operator")
def test_a_dark_box_is_deferred_and_catches_up_once_when_it_returns(stage: Stage) -> None:
    stage.release("one", "scan:1")
    stage.phase("one", "Succeeded")
    stage.cluster.cut("tc-003")
    stage.cluster.wait_not_ready("tc-003-scan-1")
    until(lambda: box_status(stage, "tc-003-scan-1").get("health") == "Offline")
    stage.release("two", "scan:2", offline={"minOnline": "50%"})
    assert stage.phase("two", "CatchingUp")["counts"]["deferred"] == 1
    stage.cluster.heal("tc-003")
    stage.phase("two", "Succeeded", 90)
    until(lambda: stage.everywhere("scan:2"))
    until(lambda: box_status(stage, "tc-003-scan-1").get("health") == "Online")


def box_status(stage: Stage, name: str) -> dict[str, str]:
    found = [one for one in stage.kube.read(Kind.BOX) if one["metadata"]["name"] == name]
    return dict(found[0].get("status") or {}) if found else {}


@pytest.mark.usefixtures("operator")
def test_every_box_has_its_edgebox_and_what_people_add_to_it_stays(stage: Stage) -> None:
    until(lambda: {one["metadata"]["name"] for one in stage.kube.read(Kind.BOX)} >= set(stage.boxes()))
    name = stage.boxes()[0]
    added = manifest(Kind.BOX, name, spec={"expectedGpus": 2, "site": "elsewhere"})
    stage.kube.write([Write(Verb.MERGE, Kind.BOX, added)])

    def corrected() -> bool:
        spec = next(one["spec"] for one in stage.kube.read(Kind.BOX) if one["metadata"]["name"] == name)
        return (spec["site"], spec.get("expectedGpus")) == ("tc-001", 2)

    until(corrected)


def test_a_template_that_the_api_server_refuses_fails_the_release_with_its_words(
    stage: Stage, operator: Operator
) -> None:
    container = {"name": "scan", "image": "scan:1", "imagePullPolicy": "Sometimes"}
    stage.release("one", "scan:1", workload={"template": {"spec": {"containers": [container]}}})
    status = stage.phase("one", "Failed")
    assert "imagePullPolicy" in status["message"]
    stalled = next(one for one in status["conditions"] if one["type"] == "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "InvalidSpec")
    time.sleep(3)  # what would be retried would be by now
    assert operator.measure("edgefleet_write_errors_total") == 1


def test_a_release_that_is_over_costs_no_writes(stage: Stage, operator: Operator) -> None:
    stage.release("one", "scan:1")
    stage.phase("one", "Succeeded")
    assert operator.measure("edgefleet_writes_total") < 60
    time.sleep(2)
    before = operator.measure("edgefleet_writes_total")
    time.sleep(3)
    assert operator.measure("edgefleet_writes_total") == before


def test_one_patch_moves_a_box_and_a_surge_takes_two(stage: Stage, operator: Operator) -> None:
    boxes = len(stage.boxes())
    stage.release("one", "scan:1")
    stage.phase("one", "Succeeded")
    assert node_patches(operator) == boxes
    stage.release("two", "scan:2", workload={"cutover": "Surge"})
    stage.phase("two", "Succeeded")
    until(lambda: stage.everywhere("scan:2"))
    assert node_patches(operator) == 3 * boxes
    stage.release("three", "scan:3", workload={"cutover": "Recreate"})
    stage.phase("three", "Succeeded")
    assert node_patches(operator) == 4 * boxes


def node_patches(operator: Operator) -> float:
    return operator.measure('edgefleet_writes_total{kind="Node",verb="merge"}')


def test_a_release_ends_the_same_however_often_the_operator_is_killed(stage: Stage) -> None:
    """Thirty deaths by SIGKILL at random moments, over releases that surge, recreate and go back."""
    dice = random.Random(20261123)  # noqa: S311 - the same moments each run
    operator = stage.operator()
    kills = 0
    try:
        for number, cutover in enumerate(["Surge", "Recreate", "Surge", "Recreate", "Surge", "Recreate"]):
            name, image = f"r{number}", f"scan:{number}-pull1s"
            two = [{"name": "canary", "upTo": 1, "soak": "1s"}, {"name": "rest", "soak": "0s"}]
            stage.release(name, image, workload={"cutover": cutover}, stages=two)
            for _ in range(5):
                operator.start()
                time.sleep(dice.uniform(0.8, 2.6))
                operator.kill()
                kills += 1
            operator.start()
            assert stage.phase(name, "Succeeded", 90)["counts"]["done"] == "5/5"
            until(lambda image=image: stage.everywhere(image))  # type: ignore[misc] # mypy cannot infer the lambda
            assert {len(versions) for versions in stage.asked_for().values()} == {1}
            operator.kill()
        assert not operator.lines("Broken")
    finally:
        if operator.process is not None and operator.process.poll() is None:
            operator.kill()
    assert kills == 30


def test_of_two_operators_one_acts_and_the_other_takes_over(stage: Stage) -> None:
    with stage.operator("first") as first:
        until(lambda: first.lines("leading"))
        with stage.operator("second") as second:
            stage.release("one", "scan:1")
            stage.phase("one", "Succeeded")
            assert not second.lines("leading")
            assert second.measure("edgefleet_writes_total") == 0
            first.kill()
            until(lambda: second.lines("leading"), 12 + 10)
            stage.release("two", "scan:2")
            stage.phase("two", "Succeeded")
            with stage.operator("third") as third:
                until(lambda: third.measure("edgefleet_leading") == 0 and third.lines("starting"))
                began = time.monotonic()
                assert second.stop() == 0
                assert time.monotonic() - began < 10  # 0.1 s on a machine that is not busy
                until(lambda: third.lines("leading"), 5)  # it was told, and need not wait for the signature to age


def test_an_operator_that_another_has_replaced_ends_when_it_wakes(stage: Stage) -> None:
    with stage.operator("first") as first:
        until(lambda: first.lines("leading"))
        with stage.operator("second") as second:
            assert first.process is not None
            first.process.send_signal(signal.SIGSTOP)
            until(lambda: second.lines("leading"), 12 + 10)
            first.process.send_signal(signal.SIGCONT)
            stage.release("one", "scan:1")
            stage.phase("one", "Succeeded")
            ended = until(lambda: [one for one in (first, second) if one.process and one.process.poll() is not None])
            assert [one.process.returncode for one in ended if one.process] == [3]  # to be started afresh


def test_the_probe_says_that_the_operator_is_well(stage: Stage) -> None:
    import urllib.request  # noqa: PLC0415 - only here

    with stage.operator() as operator:
        until(lambda: operator.lines("leading"))
        with urllib.request.urlopen(f"http://127.0.0.1:{operator.probe_port}/healthz", timeout=15) as answer:
            assert answer.status == 200


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
def test_the_operators_account_may_not(stage: Stage, verb: str, what: str) -> None:
    account = "system:serviceaccount:edgefleet:edgefleet-operator"
    said = kubectl(stage.cluster, "auth", "can-i", verb, what, "--all-namespaces", f"--as={account}", check=False)
    assert said.stdout.strip() == "no"


def test_the_operators_own_token_cannot_read_a_secret_or_change_what_people_wrote(stage: Stage) -> None:
    stage.release("one", "scan:1")
    operator = KubeCluster(access(str(stage.account)))
    with pytest.raises(Refused):
        operator.get("/api/v1/namespaces/kubeedge/secrets/tokensecret")
    patch = manifest(Kind.RELEASE, "one", "default", spec={"control": {"paused": True}})
    assert isinstance(operator.write([Write(Verb.MERGE, Kind.RELEASE, patch)])[0], Refused)
    operator.close()
    assert stage.kube.get(f"{RELEASES.format('default')}/one")["metadata"]["generation"] == 1


def test_an_operator_without_access_says_what_to_do(tmp_path: Path) -> None:
    operator = Operator(tmp_path / "absent", tmp_path / "log").start()
    assert operator.process is not None
    assert operator.process.wait(timeout=20) != 0
    assert "KUBECONFIG" in (tmp_path / "log").read_text()
