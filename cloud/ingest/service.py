"""The monitor's loop: hears, takes a turn, asks, keeps, tells. Composition; decides nothing.

What follows from a turn is kept before it is told, so that after a crash nobody is told twice or not at all.
"""

import secrets
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from functools import partial
from types import MappingProxyType
from typing import Final, Protocol
from zoneinfo import ZoneInfo

import structlog

from cloud.alerts.lifecycle import Announcement, dump
from cloud.alerts.notice import Delivery, Notice
from cloud.alerts.routing import Receiver, Silence, receivers, silenced
from cloud.alerts.telling import Setting, notice
from cloud.fleet.record import Remembered, Transition
from cloud.ingest.heard import Sound
from cloud.ingest.hearing import Hearing
from cloud.ingest.watch import Around, Turn, Watch
from edgeagent.wire import Channel, encode, topic

log = structlog.get_logger("monitor")

LOOK_EVERY: Final = 0.1
"""Seconds between two turns when nothing is heard."""
PAUSE: Final = 0.01
"""Seconds between two turns however much is heard: many messages are cheaper in one turn."""


class Ear(Protocol):
    """Hears boxes, and speaks to them."""

    @property
    def dropped(self) -> int:
        """What was heard and found no place in line, since the start."""
        ...

    def take(self) -> Sequence[Sound]:
        """Return what was heard."""
        ...

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """Say something to a box; False: nobody listens."""
        ...


class Keeper(Protocol):
    """Keeps what must outlive the process."""

    def keep(
        self, book: bytes, boxes: Iterable[Remembered], transitions: Iterable[Transition], notices: Iterable[Delivery]
    ) -> None:
        """Keep all of it, or nothing; returns when it is safe, and does not raise for a database that is away."""
        ...


class Outlet(Protocol):
    """Brings notices to people."""

    def tell(self, channel: str, notices: Sequence[Notice]) -> None:
        """Send these as one message; never blocks."""
        ...

    def failing(self) -> Mapping[str, str]:
        """Return which channels do not deliver, and why."""
        ...


class Surroundings(Protocol):
    """The cluster that the boxes belong to."""

    @property
    def releases(self) -> Mapping[str, str]:
        """Return which release moves a box now, by box."""
        ...

    @property
    def zones(self) -> Mapping[str, ZoneInfo]:
        """Return the time zones of sites."""
        ...

    def start(self, known: Iterable[Remembered]) -> None:
        """Begin, with what was known before."""
        ...

    def tell(self, transitions: Iterable[Transition]) -> None:
        """Let the cluster know; never blocks."""
        ...

    def gone(self) -> Collection[str]:
        """Return the boxes that people took out of the fleet since the last time."""
        ...

    def stop(self) -> None:
        """End."""
        ...


class Nowhere:
    """No cluster."""

    releases: Mapping[str, str] = MappingProxyType({})
    zones: Mapping[str, ZoneInfo] = MappingProxyType({})

    def start(self, known: Iterable[Remembered]) -> None:
        """Do nothing."""

    def tell(self, transitions: Iterable[Transition]) -> None:
        """Let nobody know."""

    def gone(self) -> Collection[str]:
        """Return nothing: nobody takes boxes out."""
        return ()

    def stop(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What a monitor hears and speaks through."""

    ear: Ear
    keeper: Keeper
    outlet: Outlet
    cluster: Surroundings = field(default_factory=Nowhere)


@dataclass(frozen=True, slots=True)
class Plan:
    """Who is told of what."""

    receivers: tuple[Receiver, ...] = ()
    silences: tuple[Silence, ...] = ()
    zone: tzinfo = UTC  # of the times in notices


class Monitor:
    """One monitor. ``woken`` is set by its ear when there is something to take."""

    def __init__(self, ports: Ports, plan: Plan, watch: Watch, woken: threading.Event) -> None:
        self._ear, self._keeper, self._outlet, self._cluster = ports.ear, ports.keeper, ports.outlet, ports.cluster
        self._plan, self.watch = plan, watch
        self._woken, self._stopping = woken, threading.Event()
        self._dropped = 0

    def stop(self) -> None:
        """End; from any thread, also from a signal handler."""
        self._stopping.set()
        self._woken.set()

    def run(self) -> None:
        """Work until somebody calls stop."""
        while not self._stopping.is_set():
            self._woken.wait(LOOK_EVERY)
            self._woken.clear()
            self._turn()
            self._stopping.wait(PAUSE)

    def _turn(self) -> None:
        dropped = self._ear.dropped
        sounds, now, at = self._ear.take(), time.monotonic(), time.time()
        around = Around(
            self._cluster.releases,
            partial(
                silenced, silences=self._plan.silences, zones=self._cluster.zones, now=datetime.fromtimestamp(at, UTC)
            ),
            self._outlet.failing(),
            dropped=dropped != self._dropped,
        )
        self._dropped = dropped
        self._forget(self._cluster.gone())
        turn = self.watch.turn(sounds, now, at, around)
        for asked in turn.ask:
            self._ear.say(topic(asked.witness, Channel.ASK), encode(asked.ask))
        if turn.transitions or turn.messages:
            self._apply(turn)

    def _apply(self, turn: Turn) -> None:
        deliveries = [one for message in turn.messages for one in self._deliveries(message)]
        hearing = self.watch.hearing
        boxes = [hearing.remembered(one.address) for one in turn.transitions]
        self._keeper.keep(dump(turn.book), boxes, turn.transitions, deliveries)
        self._cluster.tell(turn.transitions)
        _log(turn.transitions, deliveries)
        for delivery in deliveries:
            self._outlet.tell(delivery.channel, delivery.notices)

    def _forget(self, gone: Collection[str]) -> None:
        """Know nothing more of boxes that were taken out of the fleet."""
        for address in [one for one in self.watch.hearing.addresses() if one.box in gone] if gone else ():
            log.info("Forgotten", box=str(address))
            self.watch.hearing.forget(address)

    def _deliveries(self, message: tuple[Announcement, ...]) -> Iterable[Delivery]:
        """Return what goes to which channel; a channel that several receivers share gets it once."""
        hearing, plan = self.watch.hearing, self._plan
        by_channel: dict[str, list[Notice]] = {}
        for told in message:
            takers = receivers(told, plan.receivers, hearing.roles, self._cluster.zones)
            said = notice(told, Setting(hearing.roles, plan.zone))
            for channel in sorted({channel for taker in takers for channel in taker.channels}):
                by_channel.setdefault(channel, []).append(said)
        return [Delivery(channel, tuple(notices)) for channel, notices in by_channel.items()]


def _log(transitions: Iterable[Transition], deliveries: Iterable[Delivery]) -> None:
    for one in transitions:
        log.info(str(one.verdict.reason), box=str(one.address), before=str(one.before), witness=one.verdict.witness)
    for delivery in deliveries:
        for said in delivery.notices:
            log.info(str(said.occasion), alert=said.key, code=str(said.code), channel=delivery.channel)


def fresh_hearing() -> Hearing:
    """Return what knows nothing yet."""
    return Hearing(partial(secrets.token_urlsafe, 12))
