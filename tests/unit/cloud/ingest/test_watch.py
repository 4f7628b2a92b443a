"""A monitor's turns from message to announcement, in virtual time."""

from collections.abc import Iterable
from itertools import count

import pytest

from cloud.alerts.lifecycle import Book
from cloud.fleet.verdict import Reason
from cloud.ingest import watch as watching
from cloud.ingest.heard import Echo, Heard, Linked, Sound
from cloud.ingest.hearing import Asked, Hearing
from cloud.ingest.watch import Around, Turn, Watch
from edgeagent.wire import Address, Answer, Ask, Beat, Birth, Channel, Config, Finding, Message, encode, topic

BOOT = "0" * 16
STARTED, EPOCH = 1000.0, 1.8e9


class Monitor:
    """A watch with a broker and a site of three boxes, ten turns a second."""

    def __init__(self) -> None:
        numbers = count()
        self.watch = Watch(Hearing(lambda: str(next(numbers))), Book(), STARTED)
        self.boxes = [Address("tc-001", f"tc-001-scan-{n}") for n in range(3)]
        self.silent: set[Address] = set()
        self.seq, self.now = count(1), STARTED
        self.waiting: list[Sound] = [Linked(STARTED, linked=True)]
        self.echo, self.around = True, Around()
        self.told: list[tuple[float, str]] = []
        self.reasons: list[Reason] = []
        self.asked: list[Asked] = []
        for box in self.boxes:
            self.say(box, Birth(boot=BOOT, session=1, seq=0, site=box.site, box=box.box, workloads=("scan",)))

    def say(self, box: Address, said: Message, channel: Channel = Channel.BIRTH) -> None:
        self.waiting.append(Heard(self.now, topic(box, channel), encode(said)))

    def turn(self) -> Turn:
        done = self.watch.turn(self.waiting, self.now, EPOCH + self.now, self.around)
        self.waiting = []
        self.told += [
            (round(self.now - STARTED, 1), f"{one.occasion} {one.alert.concern.code}")
            for message in done.messages
            for one in message
        ]
        self.reasons += [one.verdict.reason for one in done.transitions]
        self.asked += done.ask
        return done

    def run(self, seconds: float, *, turns: bool = True) -> "Monitor":
        for _ in range(round(seconds * 10)):
            self.now = round(self.now + 0.1, 3)
            if self.echo:
                self.waiting.append(Echo(self.now, self.now))
            if abs(self.now - round(self.now)) < 0.05:
                for box in self.boxes:
                    if box not in self.silent:
                        self.say(box, Beat(BOOT, 1, next(self.seq), 1, "r"), Channel.BEAT)
            if turns:
                self.turn()
        return self


def settled() -> Monitor:
    """A monitor that has listened for a while."""
    return Monitor().run(30)


def test_a_start_raises_nothing() -> None:
    assert settled().told == []


def test_a_box_without_power_is_asked_about_and_told_within_seconds_and_so_is_its_return() -> None:
    monitor = settled()
    monitor.silent.add(monitor.boxes[0])
    monitor.run(2.6)
    for asked in monitor.asked:
        answer = Answer(boot=BOOT, session=1, seq=next(monitor.seq), nonce=asked.ask.nonce, found=Finding.NOTHING)
        monitor.say(asked.witness, answer, Channel.ANSWER)
    monitor.run(60)
    monitor.silent.clear()
    monitor.run(5)
    assert [said for _, said in monitor.told] == ["firing BoxDown", "resolved BoxDown"]
    assert monitor.told[0][0] < 30 + 3.2
    assert monitor.reasons == [Reason.POWER_OR_HANG, Reason.BEATS]


def test_a_monitor_that_was_stopped_accuses_nobody_and_says_once_that_it_was() -> None:
    monitor = settled().run(10, turns=False).run(60)
    assert [said for _, said in monitor.told] == ["firing ObserverDegraded", "resolved ObserverDegraded"]


def test_a_lost_broker_is_told_once_and_nothing_else() -> None:
    monitor = settled()
    monitor.waiting.append(Linked(monitor.now, linked=False))
    monitor.echo = False
    monitor.silent.update(monitor.boxes)
    monitor.run(30)
    monitor.waiting.append(Linked(monitor.now, linked=True))
    monitor.echo = True
    monitor.run(4)
    monitor.silent.clear()
    monitor.run(60)
    assert [said for _, said in monitor.told] == ["firing ObserverDegraded", "resolved ObserverDegraded"]
    assert monitor.told[0][0] - 30 < 5


def test_a_broker_that_never_comes_is_told_after_a_while() -> None:
    monitor = Monitor()
    monitor.waiting, monitor.echo = [], False
    monitor.silent.update(monitor.boxes)
    monitor.run(60)
    assert [said for _, said in monitor.told] == ["firing ObserverDegraded"]


def test_who_drops_what_it_heard_accuses_nobody() -> None:
    monitor = settled()
    monitor.silent.update(monitor.boxes)
    monitor.around = Around(dropped=True)
    monitor.run(60)
    assert [said for _, said in monitor.told] == ["firing ObserverDegraded"]


def test_a_channel_that_does_not_deliver_is_an_alert_like_any_other() -> None:
    monitor = settled()
    monitor.around = Around(failing={"duty": "bad token"})
    monitor.run(70)
    assert [said for _, said in monitor.told] == ["firing ChannelFailing"]
    monitor.around = Around()
    monitor.run(70)
    assert [said for _, said in monitor.told] == ["firing ChannelFailing", "resolved ChannelFailing"]


def test_what_is_silenced_is_not_told_and_what_moves_a_box_is_named() -> None:
    monitor = settled()
    monitor.silent.add(monitor.boxes[0])
    monitor.around = Around(silenced=lambda _: True)
    assert monitor.run(30).told == []
    monitor.around = Around(releases={monitor.boxes[0].box: "shop/scan-7"})
    monitor.run(30)
    assert [said for _, said in monitor.told] == ["firing BoxSilent"]
    assert next(iter(monitor.watch.book.alerts.values())).concern.release == "shop/scan-7"


def test_bad_messages_are_counted_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = settled()
    bad = [Heard(monitor.now, name, payload) for name, payload in nonsense(monitor.boxes[0])]
    monitor.waiting += bad
    monitor.run(10)
    assert monitor.told == []
    assert sum(monitor.watch.refused.values()) == len(bad)
    monkeypatch.setattr(watching, "MOST_COUNTED", len(monitor.watch.refused))
    monitor.waiting += [Heard(monitor.now, f"x/{n}", b"") for n in range(5)]
    monitor.run(1)
    assert monitor.watch.refused[watching.OTHERS, "Topic"] == 5


def test_what_goes_down_is_no_word_of_a_box() -> None:
    monitor = settled()
    monitor.say(monitor.boxes[0], Config(revision=1), Channel.CONFIG)
    monitor.say(monitor.boxes[0], Ask(nonce="n", box="b", lan=()), Channel.ASK)
    monitor.run(1)
    assert (monitor.told, monitor.watch.refused) == ([], {})


def nonsense(box: Address) -> Iterable[tuple[str, bytes]]:
    yield "edgefleet", b"{}"
    yield topic(box, Channel.BEAT), b"\xff"
    yield topic(box, Channel.BEAT), b"[" * 10_000
    yield topic(box, Channel.BIRTH), encode(Birth(boot=BOOT, session=1, seq=1, site="tc-002", box="other"))
    yield topic(box, Channel.EVENT), b"x" * 20_000
