"""What a cluster is lent: ports that are its own from the moment they are found, and watches for all its boxes."""

import os
import socket
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from simulator import machine
from simulator.machine import (
    BELOW_EPHEMERAL,
    NotEnoughError,
    default_route,
    free_ports,
    make_room_for_watches,
    network_of,
)


def test_two_who_ask_get_different_ports_though_nobody_listens_yet() -> None:
    first, second = free_ports(40), free_ports(40)
    assert len({*first, *second}) == 80
    with socket.socket() as third, pytest.raises(OSError, match="in use"):
        third.bind(("127.0.0.1", first[0]))


def test_a_server_for_which_a_port_was_found_gets_it_again_and_again() -> None:
    (port,) = free_ports(1)
    for _ in range(2):
        HTTPServer(("127.0.0.1", port), BaseHTTPRequestHandler).server_close()


def test_a_port_of_a_box_that_is_switched_off_is_not_given_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "BELOW_EPHEMERAL", range(BELOW_EPHEMERAL.start, BELOW_EPHEMERAL.start + 3))
    with pytest.raises(NotEnoughError, match=r"only \d of 3 ports are free"):
        free_ports(3, but={BELOW_EPHEMERAL.start})


def test_what_is_kept_is_bounded_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MOST_RESERVED", 5)
    (oldest,) = free_ports(1)
    free_ports(5)
    assert len(machine.RESERVED) == 5
    with socket.socket() as free_again:
        free_again.bind(("127.0.0.1", oldest))


HEAD = "Iface\tDestination\tGateway\tFlags\n"
NOTHING = "0" * 32
LOOPBACK_ROUTE = f"{NOTHING} 00 {NOTHING} 00 {NOTHING} ffffffff 00000001 00000000 00200200 lo\n"


@pytest.mark.parametrize(
    ("four", "six", "there"),
    [
        ("", "", False),
        (HEAD, LOOPBACK_ROUTE, False),
        (HEAD + "eth0\t0000A8C0\t00000000\t0001\n", "", False),
        (HEAD + "eth0\t00000000\t0100A8C0\t0003\n", "", True),
        (HEAD + "dummy0\t00000000\t00000000\t0001\n", "", True),
        (HEAD, f"{NOTHING} 00 {NOTHING} 00 fe80{'0' * 27}1 00000400 00000001 00000000 00000003 eth0\n", True),
    ],
)
def test_a_default_route_is_found_where_kubeedge_finds_it(four: str, six: str, *, there: bool) -> None:
    assert default_route(four, six) is there


def test_every_port_has_a_loopback_network_of_its_own() -> None:
    networks = [network_of(port) for port in BELOW_EPHEMERAL]
    assert len(set(networks)) == len(networks)
    assert (networks[0], networks[-1]) == ("127.64.0", "127.130.103")


@pytest.fixture
def limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel's limit of watches, 128 as usual, on the machine of an ordinary user."""
    file = tmp_path / "max_user_instances"
    file.write_text("128\n")
    monkeypatch.setattr(machine, "INOTIFY", file)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return file


def test_root_makes_room_for_this_cluster_and_for_others(limit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "raised from 128 to 8192" in (make_room_for_watches(5) or "")
    assert make_room_for_watches(5) is None
    assert make_room_for_watches(10_000)
    assert limit.read_text() == "10040"


def test_who_may_not_raise_the_limit_is_told_how_only_if_it_is_too_low(limit: Path) -> None:
    assert make_room_for_watches(80) is None
    with pytest.raises(NotEnoughError, match=r"sudo sysctl fs.inotify.max_user_instances=8192"):
        make_room_for_watches(130)
    assert limit.read_text() == "128\n"
