"""For all tests: the order (fast first), hypothesis' profiles, and no word to anyone outside this machine."""

import ipaddress
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

FAST_FIRST = ("unit", "contract", "scenario", "cluster", "browser")  # folders; what lies in tests/ itself goes before

settings.register_profile("default", deadline=None)  # the machine is shared; a slow example is no wrong example
settings.register_profile(  # the same examples each time: a red run can be repeated
    "ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("deep", deadline=None, max_examples=5000)  # for an hour alone: pytest --timeout=0
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "default"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order by folder, then what needs a cluster, then what needs a real edge box."""

    def rank(item: pytest.Item) -> tuple[bool, bool, int]:
        folder = item.path.relative_to(config.rootpath / "tests").parts[0]
        place = FAST_FIRST.index(folder) if folder in FAST_FIRST else -1
        return item.get_closest_marker("edgebox") is not None, item.get_closest_marker("cluster") is not None, place

    items.sort(key=rank)


@pytest.fixture(autouse=True)
def refused(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Refuse every connection that leaves the machine, and fail the test even if the refusal was swallowed.

    Yields what was refused. A real edge box talks inside a network namespace of its own, so its tests are let be.
    """
    strangers: list[str] = []
    if request.node.get_closest_marker("edgebox") is None:
        for name in ("connect", "connect_ex", "sendto"):
            monkeypatch.setattr(socket.socket, name, guarded(getattr(socket.socket, name), strangers))
    yield strangers
    assert not strangers, f"the test spoke to {', '.join(strangers)}"


def guarded(original: Any, strangers: list[str]) -> Any:  # noqa: ANN401 - stands in for three different methods
    """The same method, but for addresses outside this machine."""

    def method(self: socket.socket, *arguments: Any) -> Any:  # noqa: ANN401 - passes on what it gets
        address = arguments[-1]
        if self.family in {socket.AF_INET, socket.AF_INET6} and not is_loopback(address[0]):
            strangers.append(f"{address[0]}:{address[1]}")
            raise PermissionError(f"tests talk to this machine only, not to {address[0]}")
        return original(self, *arguments)

    return method


def is_loopback(host: str) -> bool:
    """Whether a host as given to a socket stays on this machine; any other name would ask a name server."""
    try:
        return host in {"", "localhost"} or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
