"""Whole releases on real KubeEdge boxes, carried out by the operator's process under exactly its service account."""

import time
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import httpx
import pytest

from simulator.fleet import Box
from tests.cluster.ground import BAD, DISK, DUO, ODD, Darkness, names
from tests.cluster.observer import Pod, Program, most_at_once, most_down, most_sites
from tests.cluster.rollouts import Rig, Rollout
from tests.cluster.waiting import LATE

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.xdist_group("rig"),
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("darkness"),
]

NODES: Final = "/api/v1/nodes"
RENEWED: Final = "disk-1-1"


@pytest.fixture(scope="module")
def switched_off(rig: Rig) -> Program:
    """What a box ran, in its second version, when its power was cut."""
    program = Program(rig.namespace("re-imaged"), "scan")
    for tag in ("1.0", "2.0"):
        rig.led().release(program, tag, names(DISK)).wait("Succeeded")
    rig.cluster.stop_box(RENEWED)
    return program


@dataclass(frozen=True, slots=True)
class Bad:
    """A way to fail, by a workload of its own."""

    tag: str
    action: str
    phase: str  # in the end
    cause: str
    gate: dict[str, Any]  # spec.health


PATIENT: Final = {"readyFor": "3s", "timeout": "10m", "maxRestarts": 0}
STRICT: Final = {"readyFor": "3s", "timeout": "25s", "maxRestarts": 0}
BAD_ONES: Final = {
    "crashing": Bad("2.0-crash1s", "Pause", "Paused", "TooManyRestarts", PATIENT),
    "unpullable": Bad("2.0-pullfail", "RollbackStage", "Paused", "ImagePull", STRICT),
    "unready": Bad("2.0-neverready", "RollbackAll", "RolledBack", "NotReady", STRICT),
}


@pytest.fixture(scope="module")
def failing(rig: Rig) -> dict[str, Rollout]:
    """One release for each way to fail, all at the same time on the same boxes, and all under way."""
    namespace = rig.namespace("failing")
    gate = {"exec": {"command": ["true"]}, "periodSeconds": 1}

    def create(name: str, tag: str, **changes: Any) -> Rollout:  # noqa: ANN401 - JSON
        container = {"name": name, "image": f"registry.example/{name}:{tag}", "readinessProbe": gate}
        template = {"spec": {"automountServiceAccountToken": False, "containers": [container]}}
        return rig.led().release(Program(namespace, name), tag, names(BAD), workload__template=template, **changes)

    for base in [create(name, "1.0") for name in BAD_ONES]:
        base.wait("Succeeded")
    stages = [{"name": "canary", "upTo": 1, "soak": "1s"}, {"name": "rest", "upTo": "100%"}]
    return {
        name: create(name, bad.tag, stages=stages, health=bad.gate, onFailure={"retries": 0, "action": bad.action})
        for name, bad in BAD_ONES.items()
    }


@pytest.mark.usefixtures("switched_off")  # so that it is known to be dark when its test comes
@pytest.mark.parametrize("name", BAD_ONES)
def test_a_bad_version_is_stopped_at_its_first_box_and_goes_back_by_itself(
    led: Rig, failing: dict[str, Rollout], name: str
) -> None:
    rollout, bad, boxes = failing[name], BAD_ONES[name], led.boxes(*names(BAD))
    rollout.wait(bad.phase)
    led.until(lambda: led.settled(rollout.program, "1.0", boxes), "1.0 is everywhere", rollout)
    touched = [box for box in boxes if rollout.touched(box)]
    assert len(touched) == 1, "budget and canary let one box at a time"
    assert led.observer.asked(touched[0], rollout.program)[-3:] == [("1.0",), (rollout.tag,), ("1.0",)]
    assert [(group["boxes"], group["example"]) for group in rollout.status["failures"]] == [(1, touched[0])]
    assert rollout.status["failures"][0]["cause"].removeprefix("Err").startswith(bad.cause)
    assert most_down(led.observer.pods(rollout.program), boxes) == 1


def test_a_release_superseded_in_mid_flight_writes_no_label_more_and_boxes_go_on_to_the_newer(led: Rig) -> None:
    program, boxes = Program(led.namespace("superseded"), "scan"), led.boxes(*names(DUO))
    led.release(program, "1.0", names(DUO)).wait("Succeeded")
    second = led.release(program, "2.0", names(DUO), budget__maxParallelSites=1)
    second.wait_until_moving()
    third = led.release(program, "3.0", names(DUO))
    second.wait("Superseded")
    since = time.monotonic()
    third.wait("Succeeded")
    led.until(lambda: led.settled(program, "3.0", boxes), "3.0 is everywhere", third)
    steps = [step for box in boxes for step in led.observer.asks_when(box, program)]
    assert not [tags for at, tags in steps if at > since and "2.0" in tags], "no label of 2.0 after that"
    histories = {tuple(led.observer.asked(box, program)[1:]) for box in boxes}
    assert histories == {(("1.0",), ("2.0",), ("3.0",)), (("1.0",), ("3.0",))}
    back = {"onFailure__action": "RollbackAll"}
    fourth = led.release(program, "4.0-crash1s", names(DUO), health__readyFor="3s", health__maxRestarts=0, **back)
    fourth.wait("RolledBack")
    led.until(lambda: led.settled(program, "3.0", boxes), "3.0 is everywhere again", fourth)
    tried = [box for box in boxes if fourth.touched(box)]
    assert tried, "some boxes had the newer, bad one"
    for box in tried:
        assert led.observer.asked(box, program)[-3:] == [("3.0",), (fourth.tag,), ("3.0",)], "back to it once"


def test_workloads_side_by_side_and_namesakes_in_two_namespaces_do_not_touch_each_other(led: Rig) -> None:
    one, other, boxes = led.namespace("side"), led.namespace("by-side"), led.boxes(*names(DUO))
    programs = [Program(one, "scan"), Program(one, "vision"), Program(other, "scan")]
    for tag in ("1.0", "2.0"):
        rollouts = [led.release(program, tag, names(DUO), budget__maxParallelSites=2) for program in programs]
        for rollout in rollouts:
            rollout.wait("Succeeded")
    for program in programs:
        led.until(partial(led.settled, program, "2.0", boxes), "2.0 is everywhere")
        pods = led.observer.pods(program)
        assert led.moves(program) == dict.fromkeys(boxes, 2)
        taken = {pod.uid for pod in pods} - {pod.uid for pod in pods if pod.refused}
        assert len(taken) == 2 * len(boxes), "no pod was ever made twice"
        for site in DUO:
            assert most_down(pods, led.boxes(site.name)) == 1, "budget.maxUnavailablePerSite"
        assert most_sites(led.changes(program, "2.0", boxes)) <= 2, "budget.maxParallelSites"
        assert {most_at_once(pods, box, lambda pod: pod.started != "") for box in boxes} == {1}, "never two that run"


def test_a_surge_never_leaves_a_box_without_a_ready_pod(led: Rig) -> None:
    program, boxes = Program(led.namespace("surge"), "scan"), led.boxes(*names(DUO))
    for tag in ("1.0", "2.0"):
        led.release(program, tag, names(DUO), workload__cutover="Surge").wait("Succeeded")
    led.until(lambda: led.settled(program, "2.0", boxes), "2.0 runs alone")
    assert most_down(led.observer.pods(program), boxes) == 0
    assert led.moves(program) == dict.fromkeys(boxes, 3), "one patch for the first version, two for a surge"


def test_a_release_that_has_started_takes_a_new_control_and_nothing_else(led: Rig) -> None:
    program, boxes = Program(led.namespace("edited"), "scan"), led.boxes(*names(DUO))
    led.release(program, "1.0", names(DUO)).wait("Succeeded")
    rollout = led.release(program, "2.0", names(DUO), budget__maxParallelSites=1)
    rollout.wait_until_moving()
    with pytest.raises(httpx.HTTPStatusError, match="create a new EdgeRelease"):
        rollout.change(workload={"image": "registry.example/scan:2.1"})
    rollout.change(control={"paused": True})
    rollout.wait("Paused")
    led.until(lambda: not rollout.status["counts"]["updating"], "what is under way ends", rollout)
    moved = [box for box in boxes if rollout.touched(box)]
    assert moved
    assert len(moved) < len(boxes)
    rollout.change(control={"paused": False}, budget={"maxParallelSites": "100%"})
    rollout.wait("Succeeded")
    assert led.moves(program) == dict.fromkeys(boxes, 2)


def test_labels_changed_by_hand_are_put_right(led: Rig) -> None:
    program, boxes = Program(led.namespace("by-hand"), "scan"), led.boxes("odd-1", "odd-2")
    for tag in ("1.0", "2.0"):
        rollout = led.release(program, tag, ["odd-1", "odd-2"]).wait("Succeeded")
    old, new = (led.label(program, tag) for tag in ("1.0", "2.0"))
    led.cluster.kube.merge(f"{NODES}/{boxes[0]}", {"metadata": {"labels": {new: None}}})
    led.cluster.kube.merge(f"{NODES}/{boxes[1]}", {"metadata": {"labels": {old: "", new: None}}})
    histories = [[(), ("1.0",), ("2.0",), wrong, ("2.0",)] for wrong in ((), ("1.0",))]
    led.until(lambda: [led.observer.asked(box, program) for box in boxes] == histories, "one patch back", rollout)
    led.until(lambda: led.settled(program, "2.0", boxes), "2.0 runs on both", rollout)


def test_a_box_that_joins_late_gets_the_release_and_one_that_is_deleted_is_waited_for_no_more(led: Rig) -> None:
    program = Program(led.namespace("comes-and-goes"), "scan")
    led.release(program, "1.0", ["odd-3", "odd-4"]).wait("Succeeded")
    led.cluster.stop_box("odd-4-1")
    led.cluster.wait_not_ready("odd-4-1")
    rollout = led.release(program, "2.0", ["odd-3", "odd-4"], offline__minOnline="50%").wait("CatchingUp")
    led.cluster.kube.delete(f"{NODES}/odd-4-1")
    rollout.wait("Succeeded")
    led.cluster.add_box("odd-3", Box("odd-3-2"))
    led.until(lambda: led.settled(program, "2.0", ["odd-3-1", "odd-3-2"]), "the late box runs 2.0", rollout)
    led.until(lambda: rollout.status["counts"]["done"] == "2/2", "the books are right", rollout)
    assert led.observer.asked("odd-3-2", program) == [(), ("2.0",)]


def test_with_everything_dark_but_one_box_that_one_is_moved_and_the_release_waits(led: Rig) -> None:
    program, sites = Program(led.namespace("one-light"), "scan"), names(ODD)
    led.release(program, "1.0", sites).wait("Succeeded", "CatchingUp")
    *dark, bright = [box for box in led.boxes(*sites) if (node := led.observer.node(box)) and node.ready]
    led.cluster.cut(*{led.cluster.fleet.site_of(box).name for box in dark})
    led.cluster.wait_not_ready(*dark)
    rollout = led.release(program, "2.0", sites)
    led.until(lambda: led.settled(program, "2.0", [bright]), "the one box runs 2.0", rollout)
    led.until(lambda: waits_for(rollout) == "MinOnline", "it waits for more boxes", rollout)
    assert all(not rollout.touched(box) for box in dark)
    led.cluster.heal(*{led.cluster.fleet.site_of(box).name for box in dark})
    rollout.wait("Succeeded")
    assert led.moves(program) == dict.fromkeys([*dark, bright], 2)


def test_a_box_with_a_new_disk_comes_back_with_the_version_it_had(led: Rig, switched_off: Program) -> None:
    led.cluster.wait_not_ready(RENEWED)  # one that is back sooner is not let in again by KubeEdge 1.23.1
    began, before = time.monotonic(), starts(led, switched_off)
    led.cluster.reimage_box(RENEWED)
    led.until(lambda: starts(led, switched_off) > before, "a container was started anew", seconds=LATE)
    led.until(lambda: led.settled(switched_off, "2.0", [RENEWED]), "2.0 runs there")
    assert led.moves(switched_off) == {RENEWED: 2}, "nobody had to move it"
    assert {pod.tag for pod in led.observer.pods(switched_off) if pod.at > began} == {"2.0"}


def test_boxes_dark_for_more_than_five_minutes_pile_up_no_pods_and_move_once_when_they_return(
    led: Rig, darkness: Future[Darkness]
) -> None:
    dark = darkness.result(timeout=LATE)
    assert dark.stranger_evicted, "Kubernetes had given up the pods that do not tolerate a dark node"
    led.until(lambda: led.settled(dark.program, dark.newest, dark.boxes), "the boxes run the newest")
    for box in dark.boxes:
        assert led.observer.asked(box, dark.program) == [(), ("1.0",), ("2.0",), (dark.newest,)], "moved once"
        pods = led.observer.pods(dark.program)
        in_the_dark = [pod for pod in pods if pod.at < dark.healed_at]
        assert most_at_once(in_the_dark, box, lambda pod: pod.ending) <= 1
        assert most_at_once(pods, box, lambda pod: pod.ending) <= 2, "what waited and what ran there end together"
        waiting = {tag: most_at_once(pods, box, partial(waits_as, tag)) for tag in {pod.tag for pod in pods}}
        assert max(waiting.values()) <= 1, waiting  # of two versions, what goes and what comes do so in any order


def test_the_operator_never_asked_for_what_it_has_no_right_to(led: Rig) -> None:
    requests = led.audit.requests()
    assert len(requests) > 100, "the log is there"
    assert led.audit.never_granted() == set()


def waits_as(tag: str, pod: Pod) -> bool:
    """Whether it is a pod of this version that is neither ready nor ending."""
    return (pod.tag, pod.ending, pod.ready) == (tag, False, False)


def waits_for(rollout: Rollout) -> str:
    """The reason for which the release waits; empty: it waits for nothing."""
    return str((rollout.status.get("waitingOn") or {}).get("reason", ""))


def starts(rig: Rig, program: Program) -> set[str]:
    """The moments at which a container of the program started on any box."""
    return {pod.started for pod in rig.observer.pods(program) if pod.started}
