"""Whether the programs of the simulated cluster can be had; without them tests skip loudly, and fail in CI."""

import os

import pytest

from simulator.binaries import find_binaries
from simulator.progress import ClusterError


def need_programs() -> None:
    """Skip the test if there are none and none can be built."""
    try:
        find_binaries(lambda _: None)
    except ClusterError as reason:
        if os.environ.get("CI"):
            pytest.fail(str(reason))
        pytest.skip(str(reason))
