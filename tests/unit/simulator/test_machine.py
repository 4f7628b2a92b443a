"""Ports that a cluster is given are its own, from the moment they are found."""

import socket
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from simulator import machine
from simulator.cluster import network_of
from simulator.machine import BELOW_EPHEMERAL, NotEnoughError, free_ports


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


def test_every_port_has_a_loopback_network_of_its_own() -> None:
    networks = [network_of(port) for port in BELOW_EPHEMERAL]
    assert len(set(networks)) == len(networks)
    assert (networks[0], networks[-1]) == ("127.64.0", "127.130.103")
