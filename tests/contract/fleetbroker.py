"""A real broker with the configuration that we ship, and the identities of a fleet to come to it with."""

import getpass
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from cryptography.hazmat.primitives.asymmetric import ec
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from cloud.identity import folder as identity
from cloud.identity.authority import Authority, Request, private_pem
from cloud.identity.folder import Fleet, Folder
from cloud.identity.names import box_name
from edgeagent.wire import Address
from tests.contract.plainbroker import ENOUGH, MOSQUITTO, until


@dataclass(frozen=True, slots=True)
class Papers:
    """Files with which somebody comes to the broker."""

    ca: Path
    certificate: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca))
        if self.certificate:
            context.load_cert_chain(self.certificate, self.key)
        return context


class FleetBroker:
    """A fleet's identity in a folder, and its broker on loopback."""

    def __init__(self, place: Path) -> None:
        self.place = place
        (place / "data").mkdir()
        self.port, self.cloud_port = free_port(), free_port()
        fleet = Fleet(
            host="127.0.0.1",
            enrolment_port=free_port(),
            broker_port=self.port,
            broker_cloud_port=self.cloud_port,
            broker_home=str(place / "fleet/broker"),
            broker_data=str(place / "data"),
            broker_user=getpass.getuser(),
            monitors=("monitor", "other"),
        )
        self.folder: Folder = identity.create(place / "fleet", fleet, datetime.now(UTC))
        self.folder.furnish(datetime.now(UTC))
        self.config = place / "fleet/broker/mosquitto.conf"
        self.log = place / "broker.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert MOSQUITTO
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([MOSQUITTO, "-c", str(self.config)], stderr=log, cwd=self.place)
        until(lambda: listens(self.port) and listens(self.cloud_port), "the broker listens")

    def stop(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(ENOUGH)
            self.process = None

    def reload(self) -> None:
        """Have the broker read its files again; that it has, only its answers tell."""
        assert self.process
        self.process.send_signal(signal.SIGHUP)

    def box(self, address: Address, now: datetime | None = None, authority: Authority | None = None) -> Papers:
        """Return the papers of a box, as the enrolment server would make them."""
        return self.client(box_name(address), now, authority)

    def client(self, name: str, now: datetime | None = None, authority: Authority | None = None) -> Papers:
        private = ec.generate_private_key(ec.SECP256R1())
        issued = (authority or self.folder.authority).admit(
            name, Request(private.public_key(), ""), now or datetime.now(UTC)
        )
        if authority is None:
            books = self.folder.books()
            books.record(issued.serial, name, issued.expires.timestamp())
            books.close()
        return self.saved(f"{issued.serial:x}", issued.pem, private_pem(private))

    def saved(self, name: str, certificate: bytes, key: bytes) -> Papers:
        files = self.place / f"{name}.crt", self.place / f"{name}.key"
        files[0].write_bytes(certificate)
        files[1].write_bytes(key)
        return Papers(self.place / "fleet/authority.crt", *files)

    def monitor(self, name: str = "monitor") -> Papers:
        home = self.place / "fleet"
        return Papers(home / "authority.crt", home / f"monitor/{name}.crt", home / f"monitor/{name}.key")

    def speaker(self, papers: Papers, client_id: str = "x", **how: Any) -> "Speaker":  # noqa: ANN401 - passed on
        return Speaker(self.port, papers, client_id, **how)

    def listener(self, name: str = "monitor") -> "Speaker":
        """Return a monitor, which hears everything that it may."""
        speaker = Speaker(self.cloud_port, self.monitor(name), name)
        speaker.subscribe("#")
        return speaker


class Speaker:
    """Somebody at the broker, with whatever papers and intentions."""

    def __init__(
        self,
        port: int,
        papers: Papers,
        client_id: str,
        version: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311,
        will: tuple[str, bytes] | None = None,
    ) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.over = threading.Event()
        self.up = threading.Event()
        self.done: set[int] = set()
        clean = None if version == MQTTProtocolVersion.MQTTv5 else True
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id, clean, protocol=version)
        self.client.tls_set_context(papers.context())
        if will:
            self.client.will_set(will[0], will[1], 1, retain=True)
        self.client.on_connect = lambda _, __, ___, code, ____: None if code.is_failure else self.up.set()
        self.client.on_message = lambda _, __, one: self.heard.append((one.topic, bytes(one.payload)))
        self.client.on_disconnect = lambda *_: self._ended()
        self.client.on_publish = lambda _, __, mid, ___, ____: self.done.add(mid)
        self.client.on_subscribe = lambda _, __, mid, ___, ____: self.done.add(mid)
        self.client.connect("127.0.0.1", port, 5)
        self.client.loop_start()
        self.until(self.up.is_set, "let in")

    def say(self, topic: str, payload: bytes = b"x", *, retain: bool = False) -> None:
        """Say something, and wait for the broker's word or the end of the session."""
        mid = self.client.publish(topic, payload, 1, retain).mid
        self.until(lambda: mid in self.done, f"{topic[:80]} taken")

    def subscribe(self, topic: str) -> None:
        mid = self.client.subscribe(topic, 1)[1]
        assert mid
        self.until(lambda: mid in self.done, f"{topic[:80]} subscribed")

    def until(self, true: Callable[[], bool], what: str) -> None:
        until(lambda: true() or self.over.is_set(), what)

    def hears(self, payload: bytes) -> str:
        """Wait for a message; returns its topic."""
        until(lambda: any(one[1] == payload for one in self.heard), f"{payload!r} heard; heard: {self.heard}")
        return next(topic for topic, one in self.heard if one == payload)

    def _ended(self) -> None:
        self.over.set()
        self.client.disconnect()  # nor try again

    def cut(self) -> None:
        """End as a killed process does: without a word."""
        link = self.client.socket()
        assert isinstance(link, socket.socket)
        link.shutdown(socket.SHUT_RDWR)
        self.until(lambda: False, "the end")
        self.close()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def refused(port: int, papers: Papers) -> str:
    """Come to the broker, with TLS 1.2 so that its word comes within the handshake; returns why it lets nobody in."""
    context = papers.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        with (
            socket.create_connection(("127.0.0.1", port), ENOUGH) as link,
            context.wrap_socket(link, server_hostname="127.0.0.1"),
        ):
            return ""
    except (ssl.SSLError, ConnectionError) as why:
        return str(why)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
