"""The guard around the tests' sockets does its work."""

import socket
import threading

import pytest


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "203.0.113.9"])
def test_a_connection_that_leaves_the_machine_is_refused_and_remembered(host: str, refused: list[str]) -> None:
    with pytest.raises(PermissionError, match="this machine only"):
        socket.create_connection((host, 9), timeout=0.1)
    assert refused == [f"{host}:9"]
    refused.clear()


def test_a_datagram_that_leaves_the_machine_is_refused(refused: list[str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, pytest.raises(PermissionError):
        sender.sendto(b"x", ("192.0.2.1", 9))
    assert refused == ["192.0.2.1:9"]
    refused.clear()


def test_a_connection_to_the_machine_itself_goes_through() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        listener = threading.Thread(target=accept_one, args=(server,))
        listener.start()
        socket.create_connection(server.getsockname(), timeout=5).close()
        listener.join(timeout=5)
        assert not listener.is_alive()


def accept_one(server: socket.socket) -> None:
    """Take one connection and end it."""
    server.accept()[0].close()
