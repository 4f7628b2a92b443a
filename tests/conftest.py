"""For all tests: their order, hypothesis' profiles, and no word to anyone outside this machine.

One process runs them fast first. Several processes (``make test``) run them longest first, so that none is left
alone with a long one; tests that share a cluster carry the same ``xdist_group`` and run in one process.
"""

import ipaddress
import os
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.programs"]  # builds what a cluster is made of

FAST_FIRST = ("unit", "contract", "scenario", "cluster", "browser")  # folders; what lies in tests/ itself goes before
LONGEST_FIRST = ("rig", "real box", "cli", "shared", "hundred", "operator")  # groups; the other clusters come after
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:  # a run in the background, whose programs would inherit that
        signal.signal(number, signal.default_int_handler)
os.environ.pop("COLUMNS", None)  # xdist tells its processes one, by which our programs would wrap their lines

settings.register_profile("default", deadline=None)  # the machine is shared; a slow example is no wrong example
settings.register_profile(  # the same examples each time: a red run can be repeated
    "ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("deep", deadline=None, max_examples=5000)  # for an hour alone: pytest --timeout=0
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "default"))


def pytest_xdist_auto_num_workers() -> int:
    """For ``-n auto``: two processes more than there are cores, since a cluster's tests mostly wait."""
    return (os.cpu_count() or 1) + 2


@pytest.hookimpl(tryfirst=True)  # xdist writes the groups into the names, and keeps this order
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the tests in the order in which they are to begin."""
    items.sort(key=long_rank if hasattr(config, "workerinput") else fast_rank)


def pytest_collection_finish(session: pytest.Session) -> None:
    """See that groups are kept: xdist does not say so when it cannot, and tests then meet on clusters they share."""
    grouped = [item for item in session.items if item.get_closest_marker("xdist_group")]
    if hasattr(session.config, "workerinput") and any("@" not in item.nodeid for item in grouped):
        raise pytest.UsageError("pytest-xdist does not keep groups together with this pytest: take the locked versions")


def fast_rank(item: pytest.Item) -> tuple[bool, bool, int]:
    """By folder, then what needs a cluster, then what needs a real edge box."""
    folder = item.path.relative_to(item.config.rootpath / "tests").parts[0]
    place = FAST_FIRST.index(folder) if folder in FAST_FIRST else -1
    return item.get_closest_marker("edgebox") is not None, item.get_closest_marker("cluster") is not None, place


def long_rank(item: pytest.Item) -> tuple[int, bool]:
    """By the group's length, then what needs a cluster; what is quick comes last and fills the gaps."""
    mark = item.get_closest_marker("xdist_group")
    group = mark.args[0] if mark else ""
    place = LONGEST_FIRST.index(group) if group in LONGEST_FIRST else len(LONGEST_FIRST)
    return place, item.get_closest_marker("cluster") is None


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
