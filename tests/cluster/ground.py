"""The fleet on which rollouts are tried, and what goes on in the background of all these tests."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import pytest

from simulator.fleet import Box, Site
from tests.cluster.observer import Program
from tests.cluster.rollouts import Rig, raised
from tests.cluster.waiting import LATE

DARKNESS: Final = 320.0  # seconds from the cut: a node is given up 20 s after it, its pods 300 s after that


def row(name: str, sites: int, boxes: int) -> tuple[Site, ...]:
    """Sites in a row, all alike."""
    numbers = range(1, sites + 1)
    return tuple(Site(f"{name}-{n}", tuple(Box(f"{name}-{n}-{m}") for m in range(1, boxes + 1))) for n in numbers)


def names(sites: tuple[Site, ...]) -> list[str]:
    return [site.name for site in sites]


DEEP: Final = row("deep", 2, 1)  # dark for minutes
KILL: Final = row("kill", 3, 2)
DUO: Final = row("duo", 3, 2)
BAD: Final = row("bad", 2, 2)
ODD: Final = row("odd", 5, 1)
DISK: Final = row("disk", 1, 1)
SMALL: Final = (*DEEP, *KILL, *DUO, *BAD, *ODD, *DISK)


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A cluster of a few sites with edgefleet installed. No operator runs."""
    with raised(tmp_path_factory.mktemp("rollouts"), SMALL) as made:
        yield made
        made.stop_operators()


@pytest.fixture
def led(rig: Rig) -> Rig:
    """The same, and one operator is at work."""
    return rig.led()


@dataclass(frozen=True, slots=True)
class Darkness:
    """Two sites that were dark for longer than Kubernetes waits, and what had been asked of their boxes before."""

    program: Program
    boxes: tuple[str, ...]
    newest: str  # tag: what the boxes should run once they are back
    stranger_evicted: bool  # a pod of somebody else, on one of these boxes, was deleted meanwhile
    healed_at: float


@pytest.fixture(scope="session")
def darkness(rig: Rig) -> Iterator[Future[Darkness]]:
    """Begins at once and goes on beside the other tests: asked for by the first of them, judged by the last."""
    stop = threading.Event()
    with ThreadPoolExecutor(1) as background:
        program = prepare_darkness(rig)
        yield background.submit(go_dark, rig, program, time.monotonic(), stop)
        stop.set()


def prepare_darkness(rig: Rig) -> Program:
    """Cut two sites, and have their boxes asked for 2.0 in the seconds before anybody knows that they are dark."""
    program, sites = Program(rig.namespace("deep"), "scan"), names(DEEP)
    rig.led().release(program, "1.0", sites).wait("Succeeded")
    container = {"name": "other", "image": "registry.example/other:1"}
    stranger = {"nodeName": rig.boxes(*sites)[0], "containers": [container]}
    rig.cluster.kube.create(PODS, {"metadata": {"name": "stranger"}, "spec": stranger})
    rig.cluster.cut(*sites)
    flipped = rig.release(program, "2.0", sites)
    rig.until(lambda: all(map(flipped.touched, rig.boxes(*sites))), "2.0 is asked for", flipped, seconds=GRACE)
    return program


def go_dark(rig: Rig, program: Program, cut_at: float, stop: threading.Event) -> Darkness:
    """Release twice more while the sites are dark, and heal them when they have been dark for long enough."""
    sites = names(DEEP)
    for tag in ("3.0", "4.0"):
        stop.wait(GRACE)
        rig.release(program, tag, sites)
    stop.wait(cut_at + DARKNESS - time.monotonic())
    while not (evicted := is_evicted(rig)) and time.monotonic() < cut_at + LATE and not stop.wait(2.0):
        pass  # a busy machine takes its time over it
    healed_at = time.monotonic()
    rig.cluster.heal(*sites)
    return Darkness(program, tuple(rig.boxes(*sites)), tag, evicted, healed_at)


def is_evicted(rig: Rig) -> bool:
    """Whether Kubernetes has given up the pod that does not tolerate a dark node."""
    stranger = rig.cluster.kube.get(f"{PODS}/stranger")
    return stranger is None or "deletionTimestamp" in stranger["metadata"]


PODS: Final = "/api/v1/namespaces/deep/pods"
GRACE: Final = 25.0  # seconds in which a silent node has been given up
