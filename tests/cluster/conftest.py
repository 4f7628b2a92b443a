"""One simulated cluster for the whole run, and for each test a namespace and a set of boxes of its own.

    @pytest.mark.cluster
    @pytest.mark.fleet(sites=2, boxes=3)   # the default; the cluster is as large as the test that asks for most
    def test_something(place: Place) -> None: ...

A test gets whole sites, so that it may cut their links. After it they are as before: links good, boxes on and
well, labels, annotations and taints as they were, nothing of the namespace left.
"""

import json
from collections.abc import Callable, Iterator
from itertools import count, islice, zip_longest
from pathlib import Path
from typing import Any

import pytest

from simulator.cluster import Cluster
from simulator.fleet import Site, usual_fleet
from tests.cluster.ground import darkness, led, rig  # noqa: F401 - fixtures of the rollouts, shared by two modules
from tests.cluster.place import Place

USUAL = {"sites": 2, "boxes": 3}
NUMBERS = count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Name our marker."""
    config.addinivalue_line("markers", "fleet(sites, boxes): how many of each the test wants to have for itself")


def fixtures_of(item: pytest.Item) -> list[str]:
    """Names of the fixtures a test will use, those of its fixtures included."""
    return list(getattr(item, "fixturenames", ()))


def wanted(item: pytest.Item) -> dict[str, int]:
    """What a test asks for."""
    mark = item.get_closest_marker("fleet")
    return {**USUAL, **(mark.kwargs if mark else {})}


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster of this run, as large as its largest test wants it."""
    asked = [wanted(item) for item in request.session.items if "place" in fixtures_of(item)] or [USUAL]
    fleet = usual_fleet(max(one["sites"] for one in asked), max(one["boxes"] for one in asked))
    with Cluster.up(fleet, tmp_path_factory.mktemp("run") / "cluster") as made:
        yield made


@pytest.fixture
def place(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Place]:
    """A namespace and boxes for this test alone."""
    asked = wanted(request.node)
    sites = cluster.fleet.sites[: asked["sites"]]
    boxes = tuple(islice(in_turn(sites), asked["boxes"]))
    made = Place(cluster, f"test-{next(NUMBERS)}", sites, boxes)
    if len(boxes) < asked["boxes"]:
        pytest.fail(f"{asked['sites']} sites of the fleet have only {len(boxes)} boxes: ask for more sites")
    before = {name: made.node(name) for name in boxes}
    made.take()
    yield made
    made.give_back(before)


def in_turn(sites: tuple[Site, ...]) -> Iterator[str]:
    """The first box of each site, then the second of each, and so on."""
    rounds = zip_longest(*(site.boxes for site in sites))
    return (box.name for boxes in rounds for box in boxes if box is not None)


@pytest.fixture
def apply(place: Place, tmp_path: Path) -> Callable[[dict[str, Any]], None]:
    """Create an object in the test's namespace by kubectl, as a user does."""

    def create(body: dict[str, Any]) -> None:
        file = tmp_path / f"{body['kind']}-{body['metadata']['name']}.json"
        file.write_text(json.dumps(body))
        place.kubectl("apply", "--server-side", "--filename", str(file))

    return create
