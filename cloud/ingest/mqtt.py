"""Talks to the broker: one thread that hears all boxes of our shards and puts what it hears into a bounded line.

Four times a second it speaks to itself through the broker: whoever does not hear himself must not accuse others.
"""

import contextlib
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from cloud.ingest.heard import Echo, Heard, Linked, Sound
from edgeagent.wire import MAJOR, SHARDS, UP, Channel

KEEPALIVE: Final = 5
CONNECT_WITHIN: Final = 5.0
"""Seconds for the connection, again for TLS, again for the broker's first word."""
AGAIN_AFTER: Final = 0.5
"""Seconds between attempts: the broker is near, and while we are away nobody watches."""
ECHO_EVERY: Final = 0.25
MOST_WAITING: Final = 200_000
"""Messages that were heard and not looked at yet: two seconds of 100,000 boxes. Beyond it new ones are dropped, and
whoever counts them knows that it is deaf."""
_SURE: Final = frozenset({Channel.BIRTH, Channel.EVENT, Channel.BACKLOG})  # asked for with QoS 1


@dataclass(frozen=True, slots=True)
class Access:
    """Where the broker is, and who we are to it."""

    host: str
    port: int
    client_id: str
    ca: Path | None = None  # None: no TLS, for a broker on the same machine
    certificate: Path | None = None
    key: Path | None = None


class Ear:
    """Hears boxes. ``dropped`` counts what found no place in line; ``wake`` is called when the line was empty."""

    def __init__(self, access: Access, shards: Collection[int], wake: Callable[[], None]) -> None:
        self._access, self._wake = access, wake
        self._filters = filters(shards)
        self._echo = f"edgefleet/{MAJOR}/echo/{access.client_id}"
        self._line: deque[Sound] = deque()
        self._client: paho.Client | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ear", daemon=True)
        self.dropped = 0

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def stop(self, within: float = 2.0) -> None:
        """Take leave, so that nothing is redelivered, and end."""
        self._stopping.set()
        self._thread.join(within)

    def take(self, most: int = 10_000) -> Sequence[Sound]:
        """Return the oldest that wait, in the order in which they came."""
        line = self._line
        return [line.popleft() for _ in range(min(most, len(line)))]

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """Say something to a box; False: the broker does not listen now."""
        client = self._client
        if client is None:
            return False
        return client.publish(topic, payload, int(retain), retain).rc == paho.MQTT_ERR_SUCCESS

    def _run(self) -> None:
        while not self._stopping.is_set():
            why = self._listen()
            self._put(Linked(time.monotonic(), linked=False, why=why))
            self._stopping.wait(AGAIN_AFTER)

    def _listen(self) -> str:
        """Have one session from its attempt to its end; returns why it ended."""
        client = self._made()
        try:
            client.connect(self._access.host, self._access.port, KEEPALIVE)
            deadline, next_echo = time.monotonic() + CONNECT_WITHIN, 0.0
            while not self._stopping.is_set():
                ended = client.loop(ECHO_EVERY)
                now = time.monotonic()
                if ended != paho.MQTT_ERR_SUCCESS:
                    return str(client.user_data_get() or paho.error_string(ended))
                if self._client is None and now > deadline:
                    return "the broker does not answer"
                if self._client is not None and now >= next_echo:
                    next_echo = now + ECHO_EVERY
                    client.publish(self._echo, repr(now).encode())
        except (OSError, ValueError) as wrong:  # ssl.SSLError is an OSError; a host name that is none is a ValueError
            return str(wrong)
        finally:
            self._client = None
            _close(client)
        return "we stop"

    def _made(self) -> paho.Client:
        client = paho.Client(CallbackAPIVersion.VERSION2, self._access.client_id, clean_session=True)
        client.connect_timeout = CONNECT_WITHIN
        client.max_queued_messages_set(10_000)  # configurations for a whole fleet; questions go with QoS 0
        if self._access.ca:
            client.tls_set_context(_tls(self._access))

        def connected(_: paho.Client, __: object, ___: object, code: ReasonCode, ____: object) -> None:
            if code.is_failure:
                client.user_data_set(f"the broker says: {code}")
                return
            client.subscribe([*self._filters, (self._echo, 0)])

        def subscribed(_: paho.Client, __: object, ___: int, codes: list[ReasonCode], ____: object) -> None:
            if any(code.is_failure for code in codes):
                client.user_data_set("the broker lets us not hear all boxes: its access rules lack our name")
                client.disconnect()
                return
            self._client = client
            self._put(Linked(time.monotonic(), linked=True))

        client.on_connect, client.on_subscribe, client.on_message = connected, subscribed, self._hear
        client.on_socket_register_write = lambda _, __, ___: None  # makes this thread the only one that writes
        return client

    def _hear(self, _: paho.Client, __: object, message: paho.MQTTMessage) -> None:
        at = time.monotonic()
        if message.topic == self._echo:
            with contextlib.suppress(ValueError):
                self._put(Echo(at, float(message.payload)))
        elif len(self._line) < MOST_WAITING:
            self._put(Heard(at, message.topic, bytes(message.payload), message.retain))
        else:
            self.dropped += 1

    def _put(self, item: Sound) -> None:
        self._line.append(item)
        if len(self._line) == 1:
            self._wake()


def filters(shards: Collection[int]) -> list[tuple[str, int]]:
    """Return what to subscribe to, each with its quality of service; all shards at once where we have them all."""
    names = ["+"] if len(set(shards)) == SHARDS else [f"{shard:02}" for shard in sorted(set(shards))]
    return [(f"edgefleet/{MAJOR}/{name}/+/+/{channel}", int(channel in _SURE)) for name in names for channel in UP]


def _tls(access: Access) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(access.ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if access.certificate and access.key:
        context.load_cert_chain(access.certificate, access.key)
    return context


def _close(client: paho.Client) -> None:
    """Close the socket, also one whose session never opened."""
    with contextlib.suppress(OSError, ValueError):
        client.disconnect()
        client.loop(0.0)
    if (left := client.socket()) is not None:
        left.close()
    client.on_connect = client.on_subscribe = client.on_message = None
    client.on_socket_register_write = None  # no ring of references: its wake-up sockets are closed with the last one
