"""Talks to the broker for many boxes: one thread reads and writes all sessions, a few others only connect.

Every session is a client of its own, as on a real box. What a box's link does to its bytes is told here where no
forwarder stands between: ``hold`` keeps them on both sides until ``release``.
"""

import contextlib
import queue
import selectors
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from edgeagent.outbox import MOST_HELD, Parcel
from edgeagent.redial import CONNECT_WITHIN, KEEPALIVE
from edgeagent.wire import Address

DIALERS: Final = 64
"""Threads that connect; at a dark site that takes the whole time-out."""
FORGOTTEN_AFTER: Final = 60.0
"""Seconds after which the broker has given up a session of which nobody spoke any more."""
MOST_READ: Final = 64
"""Packets of one session that are read before it is another's turn."""
Name: TypeAlias = tuple[Address, str]
"""Who has a session: a box, or with a further word another machine under its name."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the broker is for one box: itself, or the near end of the site's link. ``tls`` None: none, on loopback."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A session that is wanted."""

    name: Name
    endpoint: Endpoint
    client_id: str
    session: int
    will: Parcel
    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """A session is open."""

    name: Name
    session: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A session is over, or did not come about."""

    name: Name


@dataclass(frozen=True, slots=True)
class Delivered:
    """The broker has a parcel."""

    name: Name
    token: int


@dataclass(frozen=True, slots=True)
class Received:
    """Somebody spoke to a box."""

    name: Name
    topic: str
    payload: bytes


Told: TypeAlias = Opened | Ended | Delivered | Received


@dataclass(slots=True)
class _Line:
    call: Call
    client: paho.Client
    socket: socket.socket
    deadline: float  # for the broker's first word
    tokens: dict[int, int] = field(default_factory=dict)
    held: list[Parcel] | None = None  # what was said while bytes are held; None: they flow


class Switchboard:
    """The sessions of many boxes. All but ``wake`` is for one thread.

    ``entered`` is called once in every thread that connects, before it does: to choose a network namespace.
    """

    def __init__(self, entered: Callable[[], None] = lambda: None) -> None:
        self._selector = selectors.DefaultSelector()
        self._lines: dict[Name, _Line] = {}
        self._dialed: queue.SimpleQueue[_Line | Call] = queue.SimpleQueue()
        self._wanted: dict[Name, int] = {}  # session that is being connected
        self._told: deque[Told] = deque()
        self._lost: deque[tuple[float, _Line]] = deque()  # of machines without power: nobody closes these for a while
        self._pool = ThreadPoolExecutor(DIALERS, "dialer", initializer=entered)
        self._bell, self._rope = socket.socketpair()
        for one in (self._bell, self._rope):
            one.setblocking(False)  # noqa: FBT003 - the socket module has no other way
        self._selector.register(self._bell, selectors.EVENT_READ, None)
        self.sent = 0  # bytes of parcels
        self.parcels = 0

    def wake(self) -> None:
        """End the present wait; from any thread."""
        with contextlib.suppress(BlockingIOError):
            self._rope.send(b"!")

    def dial(self, call: Call) -> None:
        """Begin to connect; ``Opened`` or ``Ended`` follows."""
        self._wanted[call.name] = call.session
        self._pool.submit(self._connect, call)

    def say(self, name: Name, parcels: Sequence[Parcel]) -> None:
        """Send in this order; what is said without a session goes nowhere."""
        line = self._lines.get(name)
        if line is None:
            return
        if line.held is not None:
            line.held += parcels
            return
        for parcel in parcels:
            sent = line.client.publish(parcel.topic, parcel.payload, parcel.qos, parcel.retain)
            self.sent += len(parcel.payload)
            self.parcels += 1
            if parcel.token:
                line.tokens[sent.mid] = parcel.token
        self._interest(line)

    def tend(self, name: Name) -> None:
        """Keep a session alive; every second or so."""
        line = self._lines.get(name)
        if line is not None and line.held is None and line.client.loop_misc() != paho.MQTT_ERR_SUCCESS:
            self._over(line)

    def hold(self, name: Name) -> None:
        """Let no byte of a session pass, in either direction."""
        line = self._lines.get(name)
        if line is not None and line.held is None:
            line.held = []
            self._selector.unregister(line.socket)

    def release(self, name: Name) -> None:
        """Let the bytes flow again, those held first."""
        line = self._lines.get(name)
        if line is not None and line.held is not None:
            held, line.held = line.held, None
            self._selector.register(line.socket, selectors.EVENT_READ, line)
            self.say(name, held)

    def drop(self, name: Name, *, silently: bool = False) -> None:
        """End a session without a word: the broker speaks the will. ``silently``: nor does anybody close the socket."""
        self._wanted.pop(name, None)
        line = self._lines.pop(name, None)
        if line is None:
            return
        if line.held is None:
            self._selector.unregister(line.socket)
        self._lost.append((time.monotonic(), line)) if silently else line.socket.close()
        while self._lost and self._lost[0][0] < time.monotonic() - FORGOTTEN_AFTER:
            self._lost.popleft()[1].socket.close()

    def poll(self, seconds: float) -> Iterator[Told]:
        """Wait for bytes, not longer than that, and yield what was told."""
        for key, mask in self._selector.select(max(0.0, seconds)):
            line: _Line | None = key.data  # None: the bell
            if line is None:
                with contextlib.suppress(BlockingIOError):
                    self._bell.recv(4096)
            elif self._lines.get(line.call.name) is line:
                self._serve(line, mask)
        self._answered()
        while self._told:
            yield self._told.popleft()

    def close(self) -> None:
        """End everything."""
        for name in list(self._lines):
            self.drop(name)
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._wanted.clear()
        self._answered()
        for one in (*(line.socket for _, line in self._lost), self._bell, self._rope):
            one.close()
        self._selector.close()

    def _connect(self, call: Call) -> None:
        """In a thread of its own."""
        client = paho.Client(CallbackAPIVersion.VERSION2, call.client_id, clean_session=True)
        client.connect_timeout = CONNECT_WITHIN
        client.max_inflight_messages_set(MOST_HELD + 1)
        client.will_set(call.will.topic, call.will.payload, call.will.qos, call.will.retain)
        if call.endpoint.tls:
            client.tls_set_context(call.endpoint.tls)
        result: _Line | Call = call
        with contextlib.suppress(OSError, ValueError):
            client.connect(call.endpoint.host, call.endpoint.port, KEEPALIVE)
            opened = client.socket()
            if isinstance(opened, socket.socket):
                result = _Line(call, client, opened, time.monotonic() + CONNECT_WITHIN)
        self._dialed.put(result)
        self.wake()

    def _answered(self) -> None:
        """Take over from the threads that connect; give up where the broker has not said its first word."""
        with contextlib.suppress(queue.Empty):
            while True:
                result = self._dialed.get_nowait()
                call = result if isinstance(result, Call) else result.call
                wanted = self._wanted.get(call.name) == call.session
                if isinstance(result, Call):
                    if wanted:
                        del self._wanted[call.name]
                        self._told.append(Ended(call.name))
                elif wanted:
                    self._take(result)
                else:
                    result.socket.close()
        unanswered = [self._lines[name] for name in self._wanted if name in self._lines]
        for line in (one for one in unanswered if time.monotonic() > one.deadline):
            self._over(line)

    def _take(self, line: _Line) -> None:
        name = line.call.name
        self._lines[name] = line
        client = line.client

        def connected(_: paho.Client, __: object, ___: object, code: ReasonCode, ____: object) -> None:
            self._wanted.pop(name, None)
            if code.is_failure:
                return
            for topic in line.call.topics:
                client.subscribe(topic, 1)
            self._told.append(Opened(name, line.call.session))

        def published(_: paho.Client, __: object, mid: int, ___: object, ____: object) -> None:
            if token := line.tokens.pop(mid, 0):
                self._told.append(Delivered(name, token))

        client.on_connect, client.on_publish = connected, published
        client.on_message = lambda _, __, one: self._told.append(Received(name, one.topic, bytes(one.payload)))
        self._selector.register(line.socket, selectors.EVENT_READ, line)
        self._interest(line)

    def _serve(self, line: _Line, mask: int) -> None:
        ended = paho.MQTT_ERR_SUCCESS
        if mask & selectors.EVENT_READ:
            for _ in range(MOST_READ):
                ended = line.client.loop_read()
                waiting = isinstance(line.socket, ssl.SSLSocket) and line.client.socket() and line.socket.pending()
                if ended != paho.MQTT_ERR_SUCCESS or not waiting:
                    break
        if ended == paho.MQTT_ERR_SUCCESS and line.client.want_write():
            ended = line.client.loop_write()
        if ended == paho.MQTT_ERR_SUCCESS:
            self._interest(line)
        else:
            self._over(line)

    def _interest(self, line: _Line) -> None:
        """Ask to be told when more can be written, where something waits for that."""
        if line.client.socket() is None:
            self._over(line)
            return
        events = selectors.EVENT_READ | selectors.EVENT_WRITE * line.client.want_write()
        if self._selector.get_key(line.socket).events != events:
            self._selector.modify(line.socket, events, line)

    def _over(self, line: _Line) -> None:
        name = line.call.name
        if self._lines.get(name) is line:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(line.socket)
            self._wanted.pop(name, None)
            del self._lines[name]
            line.socket.close()
            self._told.append(Ended(name))
