"""The monitor's ear at a real broker: it hears all boxes of its shards and itself, and knows when it does not."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloud.ingest import mqtt
from cloud.ingest.heard import Echo, Heard, Linked, Sound
from cloud.ingest.mqtt import Access, Ear
from edgeagent.wire import Address, Channel, shard, topic
from tests.contract.plainbroker import ENOUGH, MOSQUITTO, PlainBroker, until

pytestmark = pytest.mark.skipif(
    MOSQUITTO is None and not os.environ.get("CI"), reason="no mosquitto: apt-get install mosquitto"
)
HERE, THERE = Address("tc-001", "tc-001-scan-1"), Address("tc-002", "tc-002-scan-1")
ALL = range(64)


class Listener:
    """An ear and all that it has heard."""

    def __init__(self, broker: PlainBroker, name: str, shards: range | tuple[int, ...]) -> None:
        self.woken = threading.Event()
        self.ear = Ear(Access("127.0.0.1", broker.port, name), shards, self.woken.set)
        self.got: list[Sound] = []
        self.ear.start()

    def waits(self, right: Callable[[Sound], bool], what: str) -> None:
        """Wait for one thing that was not there before."""
        deadline = time.monotonic() + ENOUGH
        while True:
            taken = self.ear.take()
            self.got += taken
            if any(map(right, taken)):
                return
            assert self.woken.wait(deadline - time.monotonic()), f"not heard: {what}; heard: {self.got[-20:]}"
            self.woken.clear()

    def linked(self, *, yes: bool = True) -> None:
        self.waits(lambda one: isinstance(one, Linked) and one.linked is yes, f"linked {yes}")

    def hears(self, payload: bytes) -> Heard:
        """Return the newest message with this payload; what the broker had kept may have come with its first word."""

        def right(one: Sound) -> bool:
            return isinstance(one, Heard) and one.payload == payload

        if not any(map(right, self.got)):
            self.waits(right, f"{payload!r}")
        return next(one for one in reversed(self.got) if isinstance(one, Heard) and one.payload == payload)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[PlainBroker]:
    one = PlainBroker(tmp_path)
    one.start()
    yield one
    one.stop()


@pytest.fixture
def listen(broker: PlainBroker) -> Iterator[Callable[..., Listener]]:
    listeners: list[Listener] = []

    def make(name: str, shards: range | tuple[int, ...] = ALL) -> Listener:
        listeners.append(Listener(broker, name, shards))
        listeners[-1].linked()
        return listeners[-1]

    yield make
    for one in listeners:
        one.ear.stop()


def test_every_upward_channel_is_heard_and_none_that_goes_down(listen: Callable[..., Listener]) -> None:
    monitor, box = listen("monitor"), listen("box", ())
    for channel in Channel:
        assert box.ear.say(topic(HERE, channel), channel.encode())
    box.ear.say(topic(HERE, Channel.BEAT), b"last")
    monitor.hears(b"last")
    heard = {one.topic: one.payload for one in monitor.got if isinstance(one, Heard) and one.payload != b"last"}
    assert heard == {
        topic(HERE, one): one.encode() for one in Channel if one not in {Channel.ASK, Channel.CONFIG, Channel.BEAT}
    } | ({topic(HERE, Channel.BEAT): b"beat"})


def test_a_monitor_of_some_shards_hears_only_their_sites(listen: Callable[..., Listener]) -> None:
    monitor, box = listen("monitor", (int(shard("tc-001")),)), listen("box", ())
    box.ear.say(topic(THERE, Channel.BEAT), b"theirs")
    box.ear.say(topic(HERE, Channel.BEAT), b"ours")
    monitor.hears(b"ours")
    assert [one.payload for one in monitor.got if isinstance(one, Heard)] == [b"ours"]


def test_all_shards_are_asked_for_with_one_filter_a_channel() -> None:
    assert mqtt.filters(ALL)[:2] == [("edgefleet/v1/+/+/+/birth", 1), ("edgefleet/v1/+/+/+/beat", 0)]
    assert mqtt.filters((7, 3, 7))[0] == ("edgefleet/v1/03/+/+/birth", 1)
    assert (len(mqtt.filters(ALL)), len(mqtt.filters((7, 3, 7)))) == (6, 12)


def test_a_retained_birth_is_told_apart_from_a_fresh_one(listen: Callable[..., Listener]) -> None:
    box = listen("box", ())
    early = listen("early")
    box.ear.say(topic(HERE, Channel.BIRTH), b"born", retain=True)
    assert not early.hears(b"born").retained
    assert listen("late").hears(b"born").retained


def test_it_hears_itself_and_when(listen: Callable[..., Listener]) -> None:
    monitor = listen("monitor")
    monitor.waits(lambda one: isinstance(one, Echo), "itself")
    echo = next(one for one in monitor.got if isinstance(one, Echo))
    assert 0 <= echo.at - echo.sent < ENOUGH


def test_a_broker_that_goes_and_comes_is_told(broker: PlainBroker, listen: Callable[..., Listener]) -> None:
    monitor = listen("monitor")
    broker.stop()
    monitor.linked(yes=False)
    assert not monitor.ear.say(topic(HERE, Channel.ASK), b"?")
    broker.start()
    monitor.linked()
    monitor.waits(lambda one: isinstance(one, Echo), "itself again")


def test_a_frozen_broker_gives_no_echo_and_is_given_up(
    broker: PlainBroker, listen: Callable[..., Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "KEEPALIVE", 1)
    monitor = listen("monitor")
    monitor.waits(lambda one: isinstance(one, Echo), "itself")
    broker.signal(signal.SIGSTOP)
    monitor.linked(yes=False)
    broker.signal(signal.SIGCONT)
    monitor.linked()


def test_a_refusal_says_what_the_broker_said(broker: PlainBroker) -> None:
    broker.stop()
    broker.config.write_text(f"listener {broker.port} 127.0.0.1\nallow_anonymous false\n")
    broker.start()
    monitor = Listener(broker, "monitor", ALL)
    monitor.linked(yes=False)
    assert [one.why for one in monitor.got if isinstance(one, Linked)] == ["the broker says: Not authorized"]
    monitor.ear.stop()


def test_what_finds_no_place_in_line_is_dropped_and_counted(
    listen: Callable[..., Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor, box = listen("monitor"), listen("box", ())
    monkeypatch.setattr(mqtt, "MOST_WAITING", 0)
    box.ear.say(topic(HERE, Channel.BEAT), b"x")
    until(lambda: monitor.ear.dropped == 1, "it is counted")
