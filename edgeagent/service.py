"""The agent at work: one thread that reads clocks, takes what was heard and seen, and sends what the pulse decides."""

import contextlib
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Final, Protocol

from edgeagent import identity, lan, pulse
from edgeagent.enrolment import EnrolmentError, Unreachable
from edgeagent.happening import Happened
from edgeagent.mqtt import Broker, Connected, Delivered, Lost, Received, Refused, Told, Uplink
from edgeagent.outbox import PARCEL, Now, Parcel, Portrait, Vitals, session_at, will
from edgeagent.procfs import boot_id
from edgeagent.pulse import Move
from edgeagent.settings import Settings
from edgeagent.spool import Spool
from edgeagent.wire import Ask, Channel, Config, Finding, topic

log = logging.getLogger("edgeagent")

LOOK_EVERY: Final = 0.5
"""Seconds between two looks at the box when nothing calls for one."""
LEAVE_WITHIN: Final = 0.7
"""Seconds for the last words to arrive."""
MOST_LOOKING: Final = 16
"""Questions about neighbours in hand; more are not answered."""
RENEW_EVERY: Final = 3600.0
"""Seconds between two looks at whether the certificate is due for the next one: it has a month left then."""


class Sensors(Protocol):
    """What sees the box. ``wake`` is called from any thread when something has happened."""

    def start(self, wake: Callable[[], None]) -> None:
        """Begin to look."""
        ...

    def configure(self, config: Config) -> None:
        """Take in what is expected of the box."""
        ...

    def look(self, now: Now) -> tuple[Vitals, tuple[Happened, ...]]:
        """Return how the box is, and what has happened since the last look."""
        ...

    def figures(self, now: Now) -> dict[str, float]:
        """Return the figures of the box, by their names."""
        ...

    def stop(self) -> None:
        """Look no more."""
        ...


class Service:
    """One agent."""

    def __init__(self, settings: Settings, sensors: Sensors) -> None:
        self._sensors = sensors
        self._woken, self._stopping = threading.Event(), threading.Event()
        self._why = "stopped"
        self._door = _door(settings)
        self._pulse = pulse.begin(_portrait(settings, self._door.port if self._door else 0))
        self._spool = Spool(Path(settings.state) / "spool")
        self._sent_old = 0  # records of the parcel of old things that is on its way
        self._lookers = ThreadPoolExecutor(4, "looker")
        self._found: list[tuple[str, Finding]] = []
        self._looking = 0
        self._lock = threading.Lock()
        self._identity, self._renewal = _identity_folder(settings), 0.0
        address = settings.address
        self._uplink = Uplink(
            _broker(settings),
            (topic(address, Channel.CONFIG), topic(address, Channel.ASK)),
            self._opening,
            self._woken.set,
        )

    def stop(self, why: str) -> None:
        """Take leave and end; may be called from a signal handler."""
        self._why = why
        self._stopping.set()
        self._woken.set()

    def run(self) -> None:
        """Work until somebody calls stop."""
        self._sensors.start(self._woken.set)
        self._uplink.start()
        _notify("READY=1")
        try:
            while not self._stopping.is_set():
                now = clock()
                wait = min(LOOK_EVERY, max(0.0, self._pulse.due - now.elapsed)) if self._linked else LOOK_EVERY
                self._woken.wait(wait)
                self._woken.clear()
                self._turn()
            self._leave()
        finally:
            self._uplink.stop()
            self._sensors.stop()
            self._lookers.shutdown(wait=False, cancel_futures=True)
            if self._door:
                self._door.close()

    @property
    def _linked(self) -> bool:
        return bool(self._pulse.outbox.session)

    def _turn(self) -> None:
        for told in self._uplink.take():
            self._take(told)
        with self._lock:
            found, self._found = self._found, []
        for nonce, finding in found:
            self._do(pulse.answered(self._pulse, nonce, finding))
        now = clock()
        vitals, happened = self._sensors.look(now)
        for one in happened:
            self._do(pulse.happened(self._pulse, one, now))
        beaten = self._pulse.beaten
        self._do(pulse.observed(self._pulse, vitals, now))
        if self._pulse.beaten != beaten:
            self._catch_up(now)
        if now.elapsed >= self._pulse.figures:
            _notify("WATCHDOG=1")
            self._do(pulse.measured(self._pulse, self._sensors.figures(now), now))

        if self._identity and now.elapsed >= self._renewal:
            self._renewal = now.elapsed + RENEW_EVERY
            self._lookers.submit(_renew, self._identity)

    def _take(self, told: Told) -> None:
        match told:
            case Connected(session):
                log.info("connected: session %d", session)
                self._do(pulse.opened(self._pulse, session, clock()))
            case Lost(session, why):
                log.warning("the link is lost: %s", why)
                self._sent_old = 0
                self._do(pulse.closed(self._pulse))
            case Refused(why):
                log.warning("no link: %s", why)
            case Delivered(token):
                self._pulse, old = pulse.delivered(self._pulse, token)
                if old:
                    self._spool.told(self._sent_old)
            case Received(name, payload):
                self._receive(name, payload)

    def _receive(self, name: str, payload: bytes) -> None:
        config = self._pulse.config
        move, ask = pulse.received(self._pulse, name, payload, clock())
        self._do(move)
        if self._pulse.config is not config:
            self._sensors.configure(self._pulse.config)
        if ask is not None and self._looking < MOST_LOOKING:
            self._looking += 1
            self._lookers.submit(self._look_for, ask)

    def _look_for(self, ask: Ask) -> None:
        """In a thread of its own: see what a neighbour is."""
        found = lan.look(ask.lan, ask.port, ask.within, secrets.token_hex(8).encode())
        with self._lock:
            self._found.append((ask.nonce, found))
            self._looking -= 1
        self._woken.set()

    def _catch_up(self, now: Now) -> None:
        """Send some of what was kept; after a beat, so that nothing waits for it."""
        if not len(self._spool):
            return
        oldest = self._spool.oldest(PARCEL)
        rest = len(self._spool) - len(oldest)
        move, sent = pulse.caught_up(self._pulse, oldest, now, rest, self._spool.dropped)
        self._sent_old = sent or self._sent_old
        self._do(move)

    def _do(self, move: Move) -> None:
        self._pulse = move.pulse
        self._uplink.say(move.send)
        for one in move.keep:
            self._spool.keep(one, sure=bool(one.kind))

    def _leave(self) -> None:
        """Say that we stop on purpose, and wait a moment until that has arrived."""
        log.info("stopping: %s", self._why)
        self._do(pulse.left(self._pulse, self._why, clock()))
        deadline = time.monotonic() + LEAVE_WITHIN
        while self._linked and self._pulse.outbox.held and (wait := deadline - time.monotonic()) > 0:
            self._woken.wait(wait)
            self._woken.clear()
            for told in self._uplink.take():
                self._take(told)

    def _opening(self) -> tuple[int, Parcel]:
        """Of the uplink's thread: every session has a will of its own."""
        session = session_at(clock())
        return session, will(self._pulse.outbox.portrait, session)


def clock() -> Now:
    """Read the two clocks of the box."""
    return Now(time.clock_gettime(time.CLOCK_BOOTTIME), time.time())


def _portrait(settings: Settings, port: int) -> Portrait:
    return Portrait(
        address=settings.address,
        boot=boot_id(),
        version=version("edgefleet"),
        roles=settings.roles,
        lan=settings.lan or _own_addresses(settings),
        port=port,
        facts={"host": socket.gethostname(), "kernel": os.uname().release, "arch": os.uname().machine},
    )


def _broker(settings: Settings) -> Broker:
    link = settings.broker
    return Broker(link.host, link.port, str(settings.address), link.ca, link.certificate, link.key)


def _door(settings: Settings) -> lan.Door | None:
    """Return what answers neighbours; a box whose port is taken is a box that only cannot be told apart."""
    if not settings.lan_port:
        return None
    try:
        return lan.Door(settings.lan_port)
    except OSError as taken:
        log.warning("neighbours cannot look for this box at port %d: %s", settings.lan_port, taken.strerror)
        return None


def _identity_folder(settings: Settings) -> Path | None:
    """Return the folder of an identity that the fleet gave; None: the certificate is none of its, or there is none."""
    place = Path(settings.broker.certificate).parent
    return place.parent if place.name == "current" else None


def _renew(folder: Path) -> None:
    """In a thread of its own: get the next certificate if it is time; the next session uses it."""
    try:
        if identity.renew_if_due(folder, time.time()):
            log.info("the certificate is renewed")
    except (EnrolmentError, Unreachable) as wrong:
        log.warning("the certificate is not renewed, the old one stays: %s", wrong)


def _own_addresses(settings: Settings) -> tuple[str, ...]:
    """Return the address from which this machine reaches the broker; nothing is sent."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        way.connect((settings.broker.host, settings.broker.port))
        return (str(way.getsockname()[0]),)
    return ()


def _notify(state: str) -> None:
    """Tell systemd, where it asks for that."""
    if (path := os.environ.get("NOTIFY_SOCKET")) is None:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
        way.connect("\0" + path[1:] if path.startswith("@") else path)
        way.send(state.encode())
