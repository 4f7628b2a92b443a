"""What the tests on the real cluster share."""

from collections.abc import Iterator

import pytest

from simulator.cluster import Cluster
from simulator.fleet import Fleet


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A real cluster without boxes, for tests that only ask the API server."""
    with Cluster.up(Fleet(()), tmp_path_factory.mktemp("cluster")) as started:
        yield started
