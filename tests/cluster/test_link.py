"""The real link process: what passes a site's uplink, when, and what does not."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from simulator.cluster import Cluster
from simulator.progress import ClusterError
from tests.cluster.waiting import SOON

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("shared")]

SITE = "tc-001"


@pytest.fixture
def echo() -> Iterator[str]:
    """A server in the cloud that sends everything back."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer_all, args=(server,), daemon=True).start()
        yield "{}:{}".format(*server.getsockname())
        server.shutdown(socket.SHUT_RDWR)


def answer_all(server: socket.socket) -> None:
    """Until the server is closed."""
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def answer(connection: socket.socket) -> None:
    """Until the other side ends."""
    with connection:
        while received := connection.recv(65536):
            connection.sendall(received)


@pytest.fixture
def line(cluster: Cluster, echo: str) -> Iterator[socket.socket]:
    """A connection from the site to the server."""
    port = cluster.open_target(SITE, f"echo-{echo}", echo)
    with socket.create_connection(("127.0.0.1", port), timeout=SOON) as connection:
        yield connection
    cluster.heal(SITE)
    cluster.degrade(SITE)


def round_trip(line: socket.socket, content: bytes = b"beat") -> float:
    """Seconds until all of it is back."""
    began = time.monotonic()
    line.sendall(content)
    back = b""
    while len(back) < len(content):
        back += line.recv(65536)
    assert back == content
    return time.monotonic() - began


def test_a_good_link_is_quick_and_changes_no_byte(line: socket.socket) -> None:
    round_trip(line, bytes(range(256)) * 4096)
    assert min(round_trip(line) for _ in range(20)) < 0.05


def test_a_delay_is_felt_once_each_way(cluster: Cluster, line: socket.socket) -> None:
    round_trip(line)
    cluster.degrade(SITE, delay_ms=100)
    assert 0.2 <= min(round_trip(line) for _ in range(5)) < 0.3


def test_loss_shows_as_stalls_and_loses_nothing(cluster: Cluster, line: socket.socket) -> None:
    round_trip(line)
    cluster.degrade(SITE, loss=0.3)
    times = sorted(round_trip(line) for _ in range(20))
    assert times[0] < 0.1
    assert times[-1] >= 0.2


def test_a_cut_holds_what_was_sent_and_healing_delivers_it(cluster: Cluster, line: socket.socket) -> None:
    round_trip(line)
    cluster.cut(SITE)
    line.sendall(b"from the dark")
    line.settimeout(1)
    with pytest.raises(TimeoutError):
        line.recv(1)
    line.settimeout(SOON)
    cluster.heal(SITE)
    assert line.recv(64) == b"from the dark"


def test_a_connection_begun_in_the_dark_hangs_until_the_link_heals(cluster: Cluster, echo: str) -> None:
    port = cluster.open_target(SITE, f"echo-{echo}", echo)
    cluster.cut(SITE)
    with socket.create_connection(("127.0.0.1", port), timeout=1) as early:
        early.sendall(b"anyone?")
        with pytest.raises(TimeoutError):
            early.recv(1)
        cluster.heal(SITE)
        early.settimeout(SOON)
        assert early.recv(64) == b"anyone?"


def test_another_site_does_not_notice(cluster: Cluster, echo: str, line: socket.socket) -> None:
    other = next(site.name for site in cluster.fleet.sites if site.name != SITE)
    port = cluster.open_target(other, f"echo-{echo}", echo)
    cluster.cut(SITE)
    with socket.create_connection(("127.0.0.1", port), timeout=SOON) as connection:
        round_trip(connection)
    cluster.heal(SITE)
    round_trip(line)


def test_what_cannot_be_is_refused_with_the_next_step(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match="'tc-999' is not in the fleet"):
        cluster.cut("tc-999")
    with pytest.raises(ClusterError, match="cut the link"):
        cluster.degrade(SITE, loss=1.0)
