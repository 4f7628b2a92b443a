"""An API server that is killed while boxes are moved. This stands apart and last: it shakes KubeEdge for minutes."""

import signal
from typing import Final

import pytest

from tests.cluster.ground import KILL, names
from tests.cluster.observer import Program
from tests.cluster.rollouts import Rig
from tests.cluster.waiting import LATE

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("rig"), pytest.mark.timeout(900)]

STAGES: Final = [{"name": "canary", "upTo": 1, "soak": "1s"}, {"name": "rest", "upTo": "100%", "soak": "1s"}]


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

    rollout.change(control={"paused": True})
    rollout.wait("Paused")
    assert len(led.observer.statuses(program.namespace, rollout.name)) > written
    rollout.change(control={"paused": False})
    rollout.wait("Succeeded", seconds=LATE)
    led.until(lambda: led.settled(program, "2.0", led.boxes(*names(KILL))), "2.0 is everywhere", rollout)
    assert operator in led.keeper.pids()
    assert set(led.moves(program).values()) == {2}, "one patch for 1.0 and one for 2.0"
