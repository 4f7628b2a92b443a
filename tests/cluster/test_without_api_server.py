"""An API server that is killed while boxes are moved. This stands apart and last: it shakes KubeEdge for minutes.

A box whose report of a pod meets the dead server writes down an empty pod in its place (KubeEdge 1.23.1: patchPod of
cloudcore's upstream controller answers with an error that the box cannot tell from success, so updatePodDB of its meta
client stores nothing under the pod's name). From then on it reports of nobody, two minutes a try, until the pod's
object changes. So the test does what the README tells a person to do.
"""

import contextlib
import signal
from typing import Final

import httpx
import pytest

from tests.cluster.ground import KILL, names
from tests.cluster.observer import Program
from tests.cluster.rollouts import Rig
from tests.cluster.waiting import LATE

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("rig"), pytest.mark.timeout(900)]

STAGES: Final = [{"name": "canary", "upTo": 1, "soak": "1s"}, {"name": "rest", "upTo": "100%", "soak": "1s"}]
TOUCHED: Final = {"edgefleet.io/touched": "yes"}


def test_the_operator_outlives_it_and_the_release_ends_as_if_nothing_had_been(led: Rig) -> None:
    program, operator = Program(led.namespace("bereft"), "scan"), led.operators[0]
    led.release(program, "1.0", names(KILL)).wait("Succeeded")
    one_by_one = {"stages": STAGES, "budget__maxParallelSites": 1, "health__timeout": "10m"}
    rollout = led.release(program, "2.0", names(KILL), **one_by_one).wait_until_moving()

    led.cluster.keeper.signal("kube-apiserver", signal.SIGKILL)
    led.until(lambda: led.has_said(operator, "Unavailable"), "the operator notices")
    led.cluster.keeper.start(led.apiserver)
    led.until(led.cluster.kube.is_ready, "the API server answers again")
    written = len(led.observer.statuses(program.namespace, rollout.name))
    touch_pods(led, program.namespace)

    rollout.change(control={"paused": True})
    rollout.wait("Paused")
    assert len(led.observer.statuses(program.namespace, rollout.name)) > written
    rollout.change(control={"paused": False})
    rollout.wait("Succeeded", seconds=LATE)
    led.until(lambda: led.settled(program, "2.0", led.boxes(*names(KILL))), "2.0 is everywhere", rollout)
    assert operator in led.keeper.pids()
    assert set(led.moves(program).values()) == {2}, "one patch for 1.0 and one for 2.0"


def touch_pods(rig: Rig, namespace: str) -> None:
    """Change every pod's object, as `kubectl annotate pods --all` does: KubeEdge then tells the boxes of them anew."""
    pods = f"/api/v1/namespaces/{namespace}/pods"
    for pod in (rig.cluster.kube.get(pods) or {"items": []})["items"]:
        with contextlib.suppress(httpx.HTTPStatusError):  # gone meanwhile
            rig.cluster.kube.merge(f"{pods}/{pod['metadata']['name']}", {"metadata": {"annotations": TOUCHED}})
