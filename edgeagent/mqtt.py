"""Talks to the broker: one thread that connects, connects again, and carries parcels out and messages in.

Every session is a client of its own with a will of its own, so that a late will can be told from the present session.
Whoever uses an uplink says parcels and takes what was told, both from one thread; tokens never leave it.
"""

import contextlib
import queue
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from edgeagent.outbox import MOST_HELD, Parcel
from edgeagent.redial import CONNECT_WITHIN, KEEPALIVE, delay, failures

MOST_TOLD: Final = 1024
"""Things told and not taken yet; beyond it questions and acknowledgements are dropped, the session's end never."""
_THIN_LINEAR_TIMEOUTS: Final = 16  # TCP_THIN_LINEAR_TIMEOUTS of linux/tcp.h: no exponential back-off of a thin stream


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is, and who we are to it."""

    host: str
    port: int
    client_id: str
    ca: str = ""  # path; empty: no TLS, for a broker on the same machine
    certificate: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Connected:
    """A session is open."""

    session: int


@dataclass(frozen=True, slots=True)
class Lost:
    """A session is over."""

    session: int
    why: str


@dataclass(frozen=True, slots=True)
class Refused:
    """No session came about."""

    why: str


@dataclass(frozen=True, slots=True)
class Delivered:
    """The broker has a parcel."""

    token: int


@dataclass(frozen=True, slots=True)
class Received:
    """Somebody spoke to us."""

    topic: str
    payload: bytes


Told: TypeAlias = Connected | Lost | Refused | Delivered | Received


class Uplink:
    """A link to the broker that comes back by itself.

    ``opening`` is called from the link's thread for every attempt and returns the number of the session and its will;
    ``wake`` from the same thread whenever there is something to take.
    """

    def __init__(
        self, broker: Broker, topics: Sequence[str], opening: Callable[[], tuple[int, Parcel]], wake: Callable[[], None]
    ) -> None:
        self._broker, self._topics, self._opening, self._wake = broker, topics, opening, wake
        self._told: queue.Queue[tuple[paho.Client | None, Any]] = queue.Queue(MOST_TOLD)
        self._client: paho.Client | None = None  # of the open session, as the saying thread knows it
        self._tokens: dict[int, int] = {}  # by message id of the open session
        self._stopping, self._hurry = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="uplink", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def hurry(self) -> None:
        """Try again now: the network has changed."""
        self._hurry.set()

    def say(self, parcels: Sequence[Parcel]) -> None:
        """Send in this order; what is said without a session goes nowhere."""
        if self._client is None:
            return
        for parcel in parcels:
            sent = self._client.publish(parcel.topic, parcel.payload, parcel.qos, parcel.retain)
            if parcel.token:
                self._tokens[sent.mid] = parcel.token

    def take(self) -> Iterator[Told]:
        """Yield what was told since the last time."""
        with contextlib.suppress(queue.Empty):
            while True:
                client, told = self._told.get_nowait()
                match told:
                    case Connected():
                        self._client, self._tokens = client, {}
                        yield told
                    case Lost():
                        self._client = None
                        yield told
                    case int():  # the message id of a parcel, of this session: the queue keeps their order
                        if token := self._tokens.pop(told, 0):
                            yield Delivered(token)
                    case _:
                        yield told

    def stop(self, within: float = 1.0) -> None:
        """Send what was said, take leave so that the broker speaks no will, and end, in ``within`` seconds."""
        self._stopping.set()
        self._hurry.set()
        if self._client is not None:
            self._client.disconnect()
        self._thread.join(within)

    def _run(self) -> None:
        failed = 0
        while not self._stopping.is_set():
            self._hurry.wait(delay(failed, random.random()))  # noqa: S311 - no secret
            self._hurry.clear()
            if not self._stopping.is_set():
                failed = failures(failed, self._live(*self._opening()))

    def _live(self, session: int, will: Parcel) -> float:
        """Have one session from its attempt to its end; returns how many seconds it was open."""
        opened, why = 0.0, ""
        client = self._made(session, will)
        try:
            client.connect(self._broker.host, self._broker.port, KEEPALIVE)
            deadline = time.monotonic() + CONNECT_WITHIN
            while opened or time.monotonic() < deadline:
                ended = client.loop(1.0)
                if client.is_connected() and not opened:
                    opened = time.monotonic()
                if ended != paho.MQTT_ERR_SUCCESS:
                    why = paho.error_string(ended)
                    break
        except (OSError, ValueError) as wrong:  # ssl.SSLError is an OSError; a host name that is none is a ValueError
            why = str(wrong)
        client.on_disconnect = None
        self._tell(client, Lost(session, why) if opened else Refused(client.user_data_get() or why or "no answer"))
        _close(client)
        return time.monotonic() - opened if opened else 0.0

    def _made(self, session: int, will: Parcel) -> paho.Client:
        client = paho.Client(CallbackAPIVersion.VERSION2, self._broker.client_id, clean_session=True)
        client.connect_timeout = CONNECT_WITHIN
        client.max_inflight_messages_set(MOST_HELD + 1)  # events, and one parcel of old things
        client.will_set(will.topic, will.payload, will.qos, will.retain)
        if self._broker.ca:
            client.tls_set_context(_tls(self._broker))

        def connected(_: paho.Client, __: object, ___: object, code: ReasonCode, ____: object) -> None:
            if code.is_failure:
                client.user_data_set(f"the broker says: {code}")
                return
            for topic in self._topics:
                client.subscribe(topic, 1)
            self._tell(client, Connected(session))

        client.on_connect = connected
        client.on_message = lambda _, __, message: self._tell(client, Received(message.topic, bytes(message.payload)))
        client.on_publish = lambda _, __, mid, ___, ____: self._tell(client, mid)
        client.on_socket_open = lambda _, __, opened: _tuned(opened)
        client.on_socket_register_write = lambda _, __, ___: None  # makes the loop's thread the only one that writes
        return client

    def _tell(self, client: paho.Client, told: Told | int) -> None:
        """Put in line; a full line costs what can be said again, but never that a session is open or over."""
        while True:
            try:
                self._told.put((client, told), timeout=1.0 if isinstance(told, Connected | Lost) else 0.0)
            except queue.Full:
                if isinstance(told, Connected | Lost) and not self._stopping.is_set():
                    continue
            return self._wake()


def _tuned(opened: object) -> None:
    """A beat goes out at once, and its repetitions in even steps: else one lost packet in three silences a link."""
    if not isinstance(opened, socket.socket):
        return
    with contextlib.suppress(OSError):  # a kernel that does not know it
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.setsockopt(socket.IPPROTO_TCP, _THIN_LINEAR_TIMEOUTS, 1)


def _tls(broker: Broker) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=broker.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if broker.certificate:
        context.load_cert_chain(broker.certificate, broker.key)
    return context


def _close(client: paho.Client) -> None:
    """Close the socket, also one whose session never opened."""
    with contextlib.suppress(OSError, ValueError):
        client.disconnect()
        client.loop(0.0)
    if (left := client.socket()) is not None:
        left.close()
    client.on_connect = client.on_message = client.on_publish = client.on_socket_open = None
    client.on_socket_register_write = None  # no ring of references: its wake-up sockets are closed with the last one
