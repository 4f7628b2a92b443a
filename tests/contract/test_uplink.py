"""A box's link to a real broker: what is said arrives, what is asked is heard, and it comes back by itself."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgeagent import mqtt
from edgeagent.mqtt import Broker, Connected, Delivered, Lost, Received, Refused, Told, Uplink
from edgeagent.outbox import Parcel
from tests.contract.plainbroker import ENOUGH, MOSQUITTO, PlainBroker, until

pytestmark = pytest.mark.skipif(
    MOSQUITTO is None and not os.environ.get("CI"), reason="no mosquitto: apt-get install mosquitto"
)


class Side:
    """One end of the talk: an uplink, and all that it told."""

    def __init__(self, port: int, name: str, *topics: str) -> None:
        self.heard: list[Told] = []
        self.woken = threading.Event()
        self.sessions = 0
        self.name = name
        self.uplink = Uplink(Broker("127.0.0.1", port, name), topics, self.opening, self.woken.set)
        self.uplink.start()

    def opening(self) -> tuple[int, Parcel]:
        self.sessions += 1
        return self.sessions, Parcel(f"wills/{self.name}", str(self.sessions).encode(), qos=1)

    def hears(self, *wanted: type[Told] | Told) -> None:
        """Wait until each of these was told, in this order."""
        left = list(wanted)
        deadline = time.monotonic() + ENOUGH
        while left:
            assert self.woken.wait(deadline - time.monotonic()), f"{left[0]} never came; told: {self.heard}"
            self.woken.clear()
            for told in self.uplink.take():
                self.heard.append(told)
                if left and (told == left[0] or type(told) is left[0]):
                    del left[0]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[PlainBroker]:
    one = PlainBroker(tmp_path)
    one.start()
    yield one
    one.stop()


@pytest.fixture
def side(broker: PlainBroker) -> Iterator[Callable[..., Side]]:
    sides: list[Side] = []

    def make(name: str, *topics: str) -> Side:
        sides.append(Side(broker.port, name, *topics))
        sides[-1].hears(Connected)
        return sides[-1]

    yield make
    for one in sides:
        one.uplink.stop()


def test_what_is_said_arrives_in_order_and_the_broker_s_word_comes_back(side: Callable[..., Side]) -> None:
    cloud, box = side("cloud", "up/#"), side("box")
    box.uplink.say([Parcel(f"up/{n}", b"x" * n, qos=1, token=n + 1) for n in range(50)])
    cloud.hears(*(Received(f"up/{n}", b"x" * n) for n in range(50)))
    box.hears(*(Delivered(n + 1) for n in range(50)))


def test_what_is_asked_is_heard(side: Callable[..., Side]) -> None:
    cloud, box = side("cloud"), side("box", "down/#")
    until(lambda: spoken(cloud, box), "an answer")


def spoken(cloud: Side, box: Side) -> bool:
    """Say and listen once; the first word may come before the subscription."""
    cloud.uplink.say([Parcel("down/ask", b"?")])
    box.woken.wait(0.1)
    return Received("down/ask", b"?") in list(box.uplink.take())


def test_nothing_that_is_said_without_a_session_is_sent_later(broker: PlainBroker) -> None:
    box = Side(broker.port, "box")
    box.uplink.say([Parcel("up/early", b"x", qos=1, token=1)])
    box.hears(Connected(1))
    box.uplink.say([Parcel("up/late", b"x", qos=1, token=2)])
    box.hears(Delivered(2))
    assert Delivered(1) not in box.heard
    box.uplink.stop()


def test_a_killed_session_speaks_its_will_and_a_clean_stop_does_not(side: Callable[..., Side]) -> None:
    cloud, first, second = side("cloud", "wills/#"), side("first"), side("second")
    first.uplink.stop()
    killed = second.uplink._client  # noqa: SLF001 - as the kernel does to a killed process
    assert killed
    opened = killed.socket()
    assert isinstance(opened, socket.socket)
    opened.shutdown(socket.SHUT_RDWR)
    cloud.hears(Received("wills/second", b"1"))
    second.hears(Lost, Connected(2))
    assert [told for told in cloud.heard if isinstance(told, Received)] == [Received("wills/second", b"1")]


def test_a_broker_that_comes_back_is_found_and_each_session_has_its_own_will(
    broker: PlainBroker, side: Callable[..., Side]
) -> None:
    box = side("box")
    broker.stop()
    box.hears(Lost, Refused)
    broker.start()
    box.hears(Connected)
    attempt = box.sessions
    cloud = Side(broker.port, "cloud", "wills/#")
    cloud.hears(Connected)
    taken_over = Side(broker.port, "box")  # a second machine under one name: the broker closes the first
    cloud.hears(Received("wills/box", str(attempt).encode()))
    taken_over.uplink.stop()
    cloud.uplink.stop()


def test_a_broker_that_accepts_and_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "CONNECT_WITHIN", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        box = Side(deaf.getsockname()[1], "box")
        box.hears(Refused, Refused)
        box.uplink.stop()


def test_a_frozen_broker_is_noticed(
    broker: PlainBroker, side: Callable[..., Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "KEEPALIVE", 1)
    box = side("box")
    broker.signal(signal.SIGSTOP)
    box.hears(Lost)
    broker.signal(signal.SIGCONT)
    box.hears(Connected)


def test_a_refusal_says_what_the_broker_said(broker: PlainBroker) -> None:
    broker.stop()
    broker.config.write_text(f"listener {broker.port} 127.0.0.1\nallow_anonymous false\n")
    broker.start()
    box = Side(broker.port, "box")
    box.hears(Refused("the broker says: Not authorized"))
    box.uplink.stop()


def test_a_host_that_is_none_is_refused_and_tried_again() -> None:
    woken = threading.Event()
    uplink = Uplink(Broker("no..host", 1, "box"), (), lambda: (1, Parcel("w", b"")), woken.set)
    uplink.start()
    assert woken.wait(ENOUGH)
    assert all(isinstance(told, Refused) for told in uplink.take())
    uplink.stop()


def test_a_stop_in_the_middle_of_waiting_is_quick() -> None:
    uplink = Uplink(Broker("127.0.0.1", 1, "box"), (), lambda: (1, Parcel("w", b"")), lambda: None)
    uplink.start()
    uplink.stop()
    assert not uplink._thread.is_alive()  # noqa: SLF001 - the promise is about the thread
