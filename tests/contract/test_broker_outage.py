"""A big outage at the broker that we configure: every will of it arrives, also at a monitor that is slow."""

import os
import re
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.identity.broker import Place, configuration
from tests.contract.fleetbroker import free_port, listens
from tests.contract.plainbroker import ENOUGH, MOSQUITTO, until

pytestmark = pytest.mark.skipif(
    MOSQUITTO is None and not os.environ.get("CI"), reason="no mosquitto: apt-get install mosquitto"
)
BOXES = 1500  # more than mosquitto's own 20 and 1000
OF_IDENTITY = re.compile(r"(?m)^(acl_file|cafile|certfile|keyfile|crlfile|tls_|require_|use_|user |allow_).*\n")


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Start a broker with our configuration, but for who may speak: 1,500 handshakes would be the test's whole time."""
    assert MOSQUITTO
    one, other = free_port(), free_port()
    told = configuration(Place(str(tmp_path), str(tmp_path), "", one, other, "127.0.0.1"))
    config = tmp_path / "mosquitto.conf"
    config.write_text(OF_IDENTITY.sub("", told) + "allow_anonymous true\n")
    with (tmp_path / "log").open("wb") as log:
        broker = subprocess.Popen([MOSQUITTO, "-c", str(config)], stderr=log)
    until(lambda: listens(one), "the broker listens")
    yield one
    broker.kill()
    broker.wait(ENOUGH)


def text(raw: bytes) -> bytes:
    return struct.pack("!H", len(raw)) + raw


def packet(kind: int, body: bytes) -> bytes:
    assert len(body) < 16384
    length = bytes([len(body) % 128 | 128, len(body) // 128])
    return bytes([kind]) + length + body


def greeted(port: int, name: str, will: bytes = b"") -> socket.socket:
    """Open a session; its will is a retained birth."""
    link = socket.create_connection(("127.0.0.1", port), ENOUGH)
    last = text(b"edgefleet/v1/00/s/" + name.encode() + b"/birth") + text(will) if will else b""
    flags = 0x2E if will else 0x02  # will, QoS 1, retained, clean session
    link.sendall(packet(0x10, text(b"MQTT") + bytes([4, flags]) + struct.pack("!H", 60) + text(name.encode()) + last))
    assert link.recv(4) == b"\x20\x02\x00\x00"
    return link


def test_every_will_of_an_outage_arrives_at_a_monitor_that_reads_when_it_is_over(port: int) -> None:
    monitor = greeted(port, "monitor")
    monitor.sendall(packet(0x82, b"\x00\x01" + text(b"edgefleet/v1/+/+/+/birth") + b"\x01"))
    assert monitor.recv(5) == b"\x90\x03\x00\x01\x01"
    boxes = [greeted(port, f"b{number}", b"dead" * 75) for number in range(BOXES)]
    for one in boxes:
        one.close()
    assert wills(monitor) == {f"b{number}" for number in range(BOXES)}
    monitor.close()


def wills(monitor: socket.socket) -> set[str]:
    """Read and acknowledge until all are there, or nothing comes any more."""
    got, rest = set[str](), b""
    monitor.settimeout(ENOUGH)
    while len(got) < BOXES:
        rest += monitor.recv(65536)
        while (end := size(rest)) and len(rest) >= end:
            body, rest = rest[3:end], rest[end:]  # two bytes of length: our wills have 300
            long = struct.unpack("!H", body[:2])[0]
            got.add(body[2 : 2 + long].decode().split("/")[4])
            monitor.sendall(b"\x40\x02" + body[2 + long : 4 + long])
    return got


def size(data: bytes) -> int:
    """Return how long the first packet is; zero: it is not there yet."""
    return 3 + (data[1] & 127) + data[2] * 128 if len(data) > 2 else 0
