"""A release as large as the fleets it is for. It has a cluster of its own: a hundred boxes slow down all others."""

import math
import time
from collections.abc import Iterator
from functools import partial
from typing import Final

import pytest

from tests.cluster.ground import names, row
from tests.cluster.observer import Program, most_sites
from tests.cluster.rollouts import Rig, raised
from tests.cluster.waiting import LATE

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("hundred"), pytest.mark.timeout(900)]

HUNDRED: Final = row("tc", 100, 1)
SITES: Final = names(HUNDRED)
DARK: Final = 7  # of these
EDGE_BOXES: Final = "/apis/edgefleet.io/v1alpha1/edgeboxes"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with raised(tmp_path_factory.mktemp("hundred"), HUNDRED) as made:
        yield made
        made.stop_operators()


def test_a_staged_release_walks_through_a_hundred_sites_and_seven_dark_ones_catch_up_once(led: Rig) -> None:
    program, boxes = Program(led.namespace("hundred"), "scan"), led.boxes(*SITES)
    led.release(program, "1.0", SITES).wait("Succeeded", seconds=LATE)
    dark = SITES[3 :: len(SITES) // DARK][:DARK]
    asleep = led.boxes(*dark)
    led.cluster.cut(*dark)
    led.cluster.wait_not_ready(*asleep)
    led.until(lambda: healths(led, asleep) == {"Offline"}, "their EdgeBoxes say that they are dark")
    began = time.monotonic()
    rollout = led.release(
        program,
        "2.0",
        SITES,
        stages=[
            {"name": "canary", "upTo": 1, "soak": "2s"},
            {"name": "early", "upTo": "10%", "soak": "2s"},
            {"name": "rest", "upTo": "100%", "soak": "2s", "approval": True},
        ],
        budget__maxParallelSites="40%",
    )
    rollout.wait("AwaitingApproval", seconds=LATE)
    early = [box for box in boxes if rollout.touched(box)]
    assert len(early) == math.ceil(len(boxes) / 10), "canary and early"
    led.until(partial(led.settled, program, "2.0", early), "the first ten run 2.0", rollout)
    assert "Soaking" in rollout.phases
    rollout.approve("rest")
    rollout.wait("CatchingUp", seconds=LATE)
    awake = [box for box in boxes if box not in asleep]
    assert len(asleep) == DARK
    led.until(partial(led.settled, program, "2.0", awake), "all but the dark run 2.0", rollout)
    assert not [box for box in asleep if rollout.touched(box)], "no dark box is touched"
    assert rollout.status["counts"]["deferred"] == DARK
    led.cluster.heal(*dark)
    rollout.wait("Succeeded", seconds=LATE)
    led.until(lambda: healths(led, asleep) == {"Online"}, "their EdgeBoxes say that they are back")
    assert rollout.status["counts"]["done"] == "100/100"
    led.until(partial(led.settled, program, "2.0", boxes), "all run 2.0", rollout)
    assert led.moves(program) == dict.fromkeys(boxes, 2), "one patch a box and version"
    assert most_sites(led.changes(program, "2.0", boxes, since=began)) <= 40, "budget.maxParallelSites"
    assert "100 sites with a single box" in " ".join(rollout.status["warnings"])


def healths(rig: Rig, boxes: list[str]) -> set[str]:
    """What the EdgeBoxes of these boxes say."""
    listed = (rig.cluster.kube.get(EDGE_BOXES) or {})["items"]
    return {one.get("status", {}).get("health", "") for one in listed if one["metadata"]["name"] in boxes}
