"""The command line on real boxes: a release engineer's day, as they would type it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest

from simulator.fleet import usual_fleet
from simulator.starting import write_kubeconfig
from tests.cluster.observer import Program
from tests.cluster.place import steady
from tests.cluster.rollouts import RELEASES, Json, Rig, Rollout, raised
from tests.cluster.waiting import SOON

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("cli")]

BIN: Final = Path(sys.executable).parent
FLEET: Final = usual_fleet(sites=3, boxes=5).sites
BOXES: Final = [box.name for site in FLEET for box in site.boxes]
NUMBERS: Final = count(1)


@dataclass(frozen=True, slots=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Desk:
    """Somebody with a kubeconfig and a shell, in a namespace of their own."""

    rig: Rig
    namespace: str
    home: Path
    kubeconfig: Path

    def types(self, *words: str, program: str = "edgefleet", given: str = "") -> Said:
        environment = {
            "PATH": f"{BIN}{os.pathsep}{self.rig.cluster.kubectl.parent}{os.pathsep}{os.environ['PATH']}",
            "KUBECONFIG": str(self.kubeconfig),
            "HOME": str(self.home),
        }
        limit = SOON + 30  # a watch that comes to its own limit says so
        done = subprocess.run(
            [program, *words], env=environment, input=given, capture_output=True, text=True, check=False, timeout=limit
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Said(done.returncode, done.stdout, done.stderr)

    def reads(self, *words: str) -> Any:  # noqa: ANN401 - JSON
        said = self.types(*words, "-o", "json")
        assert said.code in {0, 1}, said.err
        return json.loads(said.out)

    def applies(self, file: str) -> None:
        said = self.types("apply", "-f", "-", program="kubectl", given=file)
        assert said.code == 0, said.err

    def watches(self, name: str) -> Said:
        """Return what a watch has said when the release is at rest."""
        return self.types("watch", name, "--timeout", f"{SOON:.0f}s")

    def explains(self, box: str) -> Json:
        """Return what is said of the one workload of this namespace on a box."""
        (workload,) = self.reads("why", box, "-n", self.namespace)["workloads"]
        return dict(workload)

    def rollout(self, name: str, tag: str) -> Rollout:
        return Rollout(Program(self.namespace, "scan"), name, tag, self.rig)

    def control(self, name: str) -> Json:
        """Return what the release says of who has a hand on it."""
        found = self.rig.cluster.kube.get(f"{RELEASES.format(self.namespace)}/{name}") or {}
        return dict(found["spec"]["control"])


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A cluster for this module alone, so that the fleet is what a preview foretells.

    Its boxes have been online for a while: the canary site is chosen among those whose boxes have.
    """
    with raised(tmp_path_factory.mktemp("cli"), FLEET) as made:
        nodes = made.cluster.kube
        made.until(lambda: all(steady(nodes.get(f"/api/v1/nodes/{box}") or {}) for box in BOXES), "all are steady")
        yield made
        made.stop_operators()


@pytest.fixture
def desk(led: Rig, tmp_path: Path) -> Desk:
    place, namespace = led.cluster.record.place, led.namespace(f"desk-{next(NUMBERS)}")
    write_kubeconfig(tmp_path / "kubeconfig", place, place.token, namespace)
    return Desk(led, namespace, tmp_path, tmp_path / "kubeconfig")


def written(name: str, image: str, **more: object) -> str:
    """Return a release file: canary, then an approved rest."""
    spec = {
        "workload": {"name": "scan", "image": image},
        "targets": {"selector": {"matchExpressions": [{"key": "edgefleet.io/site", "operator": "Exists"}]}},
        "stages": [{"name": "canary", "upTo": 1, "soak": "1s"}, {"name": "rest", "soak": "1s", "approval": True}],
        "budget": {"maxParallelSites": "100%", "maxUnavailablePerSite": "100%"},
        "health": {"readyFor": "1s", "timeout": "10m"},
        **more,
    }
    return json.dumps(
        {"apiVersion": "edgefleet.io/v1alpha1", "kind": "EdgeRelease", "metadata": {"name": name}, "spec": spec}
    )


def test_a_day_of_a_release_engineer(desk: Desk) -> None:
    file = written("one", "scan:1")
    assert f"No EdgeRelease in {desk.namespace}" in desk.types("releases").out

    foretold = json.loads(desk.types("plan", "-f", "-", "-o", "json", given=file).out)[0]
    assert (foretold["good"], foretold["boxes"]) == (True, 5)
    assert [wait["stage"] for wait in foretold["waits"] if wait["reason"] == "Approval"] == ["rest"]
    assert desk.reads("releases") == [], "a preview creates nothing"

    desk.applies(file)
    release = desk.rollout("one", "1").wait("AwaitingApproval")
    refused = desk.types("approve", "one", "--stage", "early")
    assert (refused.code, "its stages are canary, rest" in refused.err) == (1, True)
    told = desk.reads("status", "one")
    assert told["next"][0] == f"edgefleet approve one --stage rest -n {desk.namespace}"

    approved = desk.types("approve", "one", "--stage", "rest", "--by", "李伟", "--reason", "安静")
    assert (approved.code, "stage rest is approved by 李伟" in approved.out) == (0, True)
    again = desk.types("approve", "one", "--stage", "rest", "--by", "wang")
    assert (again.code, "already approved by 李伟" in again.out) == (0, True)

    watched = desk.watches("one")
    assert (watched.code, "Succeeded" in watched.out.splitlines()[-1]) == (0, True)
    canary = next(stage["sites"] for stage in desk.reads("status", "one")["status"]["stages"])
    assert {step["site"] for step in foretold["steps"] if step["stage"] == "canary"} == set(canary)
    desk.rig.until(lambda: desk.rig.settled(release.program, "1", BOXES), "it runs on every box", release)
    text = desk.types("status", "one").out
    assert "Approved    rest by 李伟: 安静" in text or "rest by 李伟: 安静" in text


def test_two_people_who_approve_at_once_leave_one_approval(desk: Desk) -> None:
    desk.applies(written("one", "scan:1"))
    desk.rollout("one", "1").wait("AwaitingApproval")
    with ThreadPoolExecutor() as pool:
        people = [pool.submit(desk.types, "approve", "one", "--stage", "rest", "--by", who) for who in ("li", "wang")]
        answers = [person.result() for person in people]
    assert [answer.code for answer in answers] == [0, 0]
    (given,) = desk.control("one")["approvals"]
    assert all(f"by {given['by']}" in answer.out for answer in answers)


def test_a_bad_release_is_watched_explained_and_taken_back(desk: Desk) -> None:
    whole = [{"name": "all", "soak": "0s"}]
    desk.applies(written("one", "scan:1", stages=whole))
    assert desk.watches("one").code == 0
    limits = {
        "onFailure": {"retries": 0},
        "stages": [{"name": "canary", "upTo": 1, "soak": "1h"}, {"name": "rest"}],
        "health": {"readyFor": "3s", "timeout": "10m", "maxRestarts": 0},
    }
    desk.applies(written("two", "scan:2-crash1s-exit3", **limits))
    watched = desk.watches("two")
    assert (watched.code, "Paused" in watched.out.splitlines()[-1]) == (1, True)

    failed = desk.reads("status", "two")["status"]["failures"][0]["example"]
    desk.rig.until(lambda: desk.explains(failed)["runs"] == ["one"], "the box has gone back")
    workload = desk.explains(failed)
    assert (workload["owner"], workload["shouldRun"]) == ("one", "one")
    assert workload["findings"][0]["reason"] == "Failed"
    assert "`" not in desk.types("resume", "two").out

    unasked = desk.types("rollback", "two", "--reason", "crashes")
    assert (unasked.code, "give --yes" in unasked.err) == (2, True)
    assert "abort" not in desk.control("two")
    assert desk.types("rollback", "two", "--reason", "crashes", "--yes", "--by", "li").code == 0
    desk.rollout("two", "2-crash1s-exit3").wait("RolledBack")
    assert desk.types("watch", "two").code == 1
    assert "li: crashes" in desk.types("status", "two").out
    refused = desk.types("halt", "two", "--yes")
    assert (refused.code, "for good" in refused.err) == (1, True)


def test_a_dark_box_is_explained_and_foretold(desk: Desk) -> None:
    cluster = desk.rig.cluster
    node = desk.rig.boxes("tc-002")[0]
    cluster.cut("tc-002")
    try:
        cluster.wait_not_ready(node)
        foretold = json.loads(desk.types("plan", "-f", "-", "-o", "json", given=written("one", "scan:1")).out)[0]
        assert node in foretold["dark"]
        stages = [{"name": "all", "soak": "0s"}]
        limits = {"stages": stages, "offline": {"minOnline": 0}}
        desk.applies(written("one", "scan:1", **limits))
        assert desk.watches("one").code == 0
        workload = desk.explains(node)
        assert (workload["findings"][0]["reason"], workload["online"]) == ("Dark", False)
        assert "DARK since" in desk.types("why", node).out
    finally:
        cluster.heal("tc-002")
        cluster.wait_ready()


def test_a_wrong_file_is_refused_with_every_objection_before_anything_is_made(desk: Desk) -> None:
    wrong = json.loads(written("one", "scan:1"))
    wrong["spec"]["stages"][0]["upto"] = wrong["spec"]["stages"][0].pop("upTo")
    wrong["spec"]["health"]["readyFor"] = "soon"
    said = desk.types("plan", "-f", "-", given=json.dumps(wrong))
    assert said.code == 1
    assert "spec.stages[0].upto: there is no such field" in said.out
    assert "spec.health.readyFor: 'soon'" in said.out


def test_the_api_server_has_a_say_in_a_preview(desk: Desk) -> None:
    template = {
        "metadata": {},
        "spec": {"containers": [{"name": "scan", "image": "scan:1"}], "nodeName": "tc-001-scan-1"},
    }
    said = desk.types("plan", "-f", "-", given=written("one", "x", workload={"name": "scan", "template": template}))
    assert (said.code, "nodeName" in said.out) == (1, True)
    said = desk.types("plan", "-n", "nowhere", "-f", "-", given=written("one", "scan:1"))
    assert (said.code, "kubectl create namespace nowhere" in said.out) == (1, True)


def test_somebody_without_rights_is_told_which_right_is_missing(desk: Desk, tmp_path: Path) -> None:
    guest = desk.rig.cluster.kubeconfig_for("default", "default", tmp_path / "guest")
    said = replace(desk, kubeconfig=guest).types("releases")
    assert (said.code, 'cannot list resource "edgereleases"' in said.err) == (1, True)


def test_the_same_words_work_as_a_kubectl_plugin(desk: Desk) -> None:
    said = desk.types("edgefleet", "status", "nothing", program="kubectl")
    assert (said.code, said.err.startswith("kubectl edgefleet: no EdgeRelease 'nothing'")) == (1, True)
