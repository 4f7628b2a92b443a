"""A box that is hostile, at a real broker with the configuration that we ship: what it can say and hear is its own."""

import contextlib
import os
import socket
import ssl
import struct
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from paho.mqtt.enums import MQTTProtocolVersion

from cloud.identity.authority import Authority, Request, private_pem
from cloud.identity.broker import ROOM
from cloud.identity.names import box_name
from cloud.ingest.heard import Echo, Heard
from cloud.ingest.mqtt import Access, Ear
from edgeagent.mqtt import Broker, Connected, Delivered, Refused, Uplink
from edgeagent.outbox import Parcel
from edgeagent.wire import DOWN, LARGEST, UP, Address, Channel, topic
from tests.contract.fleetbroker import FleetBroker, Papers, Speaker, listens, refused
from tests.contract.plainbroker import ENOUGH, MOSQUITTO, until

pytestmark = pytest.mark.skipif(
    MOSQUITTO is None and not os.environ.get("CI"), reason="no mosquitto: apt-get install mosquitto"
)
OURS = Address("tc-001", "scan-12")  # the hostile box
NEIGHBOUR = Address("tc-001", "scan-1")  # whose name is the beginning of ours
BOTH = (MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetBroker]:
    one = FleetBroker(tmp_path_factory.mktemp("fleet"))
    one.start()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def papers(broker: FleetBroker) -> Papers:
    return broker.box(OURS)


@pytest.fixture
def opened() -> Iterator[Callable[[Speaker], Speaker]]:
    """Note who came, so that he goes."""
    there: list[Speaker] = []

    def note(one: Speaker) -> Speaker:
        there.append(one)
        return one

    yield note
    for one in there:
        one.close()


@pytest.fixture
def monitor(broker: FleetBroker, opened: Callable[[Speaker], Speaker]) -> Speaker:
    return opened(broker.listener())


def unheard(broker: FleetBroker, papers: Papers, monitor: Speaker, word: bytes) -> None:
    """See that a word reached neither a monitor nor what the broker keeps; the box's own word shows that time went."""
    honest = broker.speaker(papers)
    honest.say(topic(OURS, Channel.EVENT), b"after " + word)
    monitor.hears(b"after " + word)
    honest.close()
    late = broker.listener("other")
    late.say("edgefleet/v1/echo/other", b"echo " + word)
    late.hears(b"echo " + word)
    late.close()
    assert [one for one in (*monitor.heard, *late.heard) if one[1] == word] == []


def test_a_box_says_what_it_is_for_and_hears_what_is_for_it(
    broker: FleetBroker, papers: Papers, monitor: Speaker, opened: Callable[[Speaker], Speaker]
) -> None:
    box = opened(broker.speaker(papers))
    for channel in UP:
        box.say(topic(OURS, channel), channel.encode())
        assert monitor.hears(channel.encode()) == topic(OURS, channel)
    for channel in DOWN:
        box.subscribe(topic(OURS, channel))
        monitor.say(topic(OURS, channel), channel.encode())
        assert box.hears(channel.encode()) == topic(OURS, channel)


FOREIGN = {
    "a neighbour's birth, whose name ours begins with": topic(NEIGHBOUR, Channel.BIRTH),
    "a neighbour's beat": topic(Address("tc-001", "scan-123"), Channel.BEAT),
    "another site's birth": topic(Address("tc-002", "scan-12"), Channel.BIRTH),
    "our own birth in another shard": "edgefleet/v1/07/tc-001/scan-12/birth",
    "our own configuration": topic(OURS, Channel.CONFIG),
    "a question to ourselves": topic(OURS, Channel.ASK),
    "a neighbour's configuration": topic(NEIGHBOUR, Channel.CONFIG),
    "a question to a neighbour": topic(NEIGHBOUR, Channel.ASK),
    "a monitor's echo": "edgefleet/v1/echo/monitor",
    "the site": "edgefleet/v1/19/tc-001/birth",
    "the box itself": "edgefleet/v1/19/tc-001/scan-12",
    "below a channel": topic(OURS, Channel.BIRTH) + "/more",
    "an unknown channel": "edgefleet/v1/19/tc-001/scan-12/firmware",
    "another major version": "edgefleet/v2/19/tc-001/scan-12/birth",
    "an empty level": "edgefleet/v1//19/tc-001/scan-12/birth",
    "a slash before it": "/" + topic(OURS, Channel.BIRTH),
    "capital letters": topic(OURS, Channel.BIRTH).replace("tc", "TC"),
    "letters that look alike": topic(OURS, Channel.BIRTH).replace("c", "\u0441"),
    "the broker's own tree": "$SYS/broker/uptime",
    "the broker's control": "$CONTROL/dynamic-security/v1",
    "a shared subscription": "$share/g/" + topic(OURS, Channel.BIRTH),
    "the pattern itself": "edgefleet/v1/%u/birth",
}


@pytest.mark.parametrize("version", BOTH, ids=("3.1.1", "5"))
def test_what_is_not_its_own_it_can_neither_say_nor_leave_behind(
    broker: FleetBroker, papers: Papers, monitor: Speaker, version: MQTTProtocolVersion
) -> None:
    victim = broker.speaker(broker.box(NEIGHBOUR))
    for channel in DOWN:
        victim.subscribe(topic(NEIGHBOUR, channel))
    word = f"poison {version}".encode()
    for where in FOREIGN.values():
        hostile = broker.speaker(papers, version=version)
        hostile.say(where, word, retain=True)
        hostile.close()
    unheard(broker, papers, monitor, word)
    monitor.say(topic(NEIGHBOUR, Channel.ASK), b"last")
    victim.hears(b"last")
    assert victim.heard == [(topic(NEIGHBOUR, Channel.ASK), b"last")]
    victim.close()


@pytest.mark.parametrize("where", [FOREIGN["a neighbour's beat"], FOREIGN["our own configuration"], "$SYS/x"])
@pytest.mark.parametrize("version", BOTH, ids=("3.1.1", "5"))
def test_its_will_speaks_for_nobody_else(
    broker: FleetBroker, papers: Papers, monitor: Speaker, where: str, version: MQTTProtocolVersion
) -> None:
    hostile = broker.speaker(papers, version=version, will=(where, b"ill will"))
    if hostile.up.is_set():
        hostile.cut()
    hostile.close()
    unheard(broker, papers, monitor, b"ill will")


FILTERS = (
    "#",
    "+/#",
    "edgefleet/#",
    "edgefleet/v1/+/+/+/config",
    "edgefleet/v1/+/+/+/birth",
    "edgefleet/v1/19/tc-001/+/ask",
    topic(NEIGHBOUR, Channel.CONFIG),
    topic(OURS, Channel.BIRTH),
    "edgefleet/v1/echo/#",
    "$share/g/#",
    "$share/g/edgefleet/v1/+/+/+/config",
    "$SYS/#",
)


@pytest.mark.parametrize("version", BOTH, ids=("3.1.1", "5"))
def test_whatever_it_subscribes_to_it_hears_nothing_that_is_not_its_own(
    broker: FleetBroker,
    papers: Papers,
    monitor: Speaker,
    opened: Callable[[Speaker], Speaker],
    version: MQTTProtocolVersion,
) -> None:
    neighbour, hostile = opened(broker.speaker(broker.box(NEIGHBOUR))), opened(broker.speaker(papers, version=version))
    for one in FILTERS:
        hostile.subscribe(one)
    assert not hostile.over.is_set()
    neighbour.say(topic(NEIGHBOUR, Channel.BIRTH), b"secret birth", retain=True)
    monitor.say(topic(NEIGHBOUR, Channel.CONFIG), b"secret config", retain=True)
    monitor.say("edgefleet/v1/echo/monitor", b"secret echo")
    late = opened(broker.speaker(broker.box(Address("tc-001", "scan-13")), version=version))
    for one in FILTERS:
        late.subscribe(one)
    for box, whose in ((hostile, OURS), (late, Address("tc-001", "scan-13"))):
        monitor.say(topic(whose, Channel.ASK), b"own")
        box.hears(b"own")
        assert {one[0] for one in box.heard} <= {topic(whose, channel) for channel in DOWN}


@pytest.mark.parametrize("name", ["19/tc-001/scan-1", "monitor", "other", ""])
def test_it_closes_nobody_s_session_by_taking_his_client_id(
    broker: FleetBroker, papers: Papers, monitor: Speaker, opened: Callable[[Speaker], Speaker], name: str
) -> None:
    neighbour = opened(broker.speaker(broker.box(NEIGHBOUR)))
    for port in (broker.port, broker.cloud_port):
        opened(Speaker(port, papers, name or "-"))
    neighbour.say(topic(NEIGHBOUR, Channel.BEAT), b"still here " + name.encode())
    monitor.hears(b"still here " + name.encode())
    assert not neighbour.over.is_set()
    assert not monitor.over.is_set()


def test_two_sessions_of_one_box_are_not_open_at_once(
    broker: FleetBroker, papers: Papers, opened: Callable[[Speaker], Speaker]
) -> None:
    first = opened(broker.speaker(papers, "first"))
    opened(broker.speaker(papers, "second"))
    until(first.over.is_set, "the first is closed")


def packet(kind: int, body: bytes) -> bytes:
    length, size = b"", len(body)
    while True:
        size, digit = divmod(size, 128)
        length += bytes([digit | (128 if size else 0)])
        if not size:
            return bytes([kind]) + length + body


def text(raw: bytes) -> bytes:
    return struct.pack("!H", len(raw)) + raw


HELLO = packet(0x10, text(b"MQTT") + b"\x04\x02\x00\x05" + text(b"x"))
OWN = topic(OURS, Channel.BIRTH).encode()
RAW = {
    "a wildcard in a topic": HELLO + packet(0x31, text(b"edgefleet/v1/19/tc-001/+/birth") + b"raw"),
    "all topics at once": HELLO + packet(0x31, text(b"#") + b"raw"),
    "no topic": HELLO + packet(0x31, text(b"") + b"raw"),
    "a null in a topic": HELLO + packet(0x31, text(OWN[:-1] + b"\x00h") + b"raw"),
    "no UTF-8": HELLO + packet(0x31, text(OWN[:-1] + b"\xff\xfe") + b"raw"),
    "a surrogate": HELLO + packet(0x31, text(OWN[:-1] + b"\xed\xa0\x80") + b"raw"),
    "a topic of 65,535 letters": HELLO + packet(0x31, text(b"a" * 65535) + b"raw"),
    "a topic of 300 levels": HELLO + packet(0x31, text(b"a/" * 300) + b"raw"),
    "a message of 64 MB, announced": HELLO + b"\x31" + b"\xff\xff\xff\x1f",
    "a message above the limit": HELLO + packet(0x31, text(OWN) + b"raw" * LARGEST),
    "QoS 3": HELLO + packet(0x37, text(OWN) + b"\x00\x01raw"),
    "QoS 2": HELLO + packet(0x35, text(OWN) + b"\x00\x01raw"),
    "two greetings": HELLO + HELLO + packet(0x31, text(OWN) + b"raw"),
    "no greeting": packet(0x31, text(OWN) + b"raw"),
    "no protocol": packet(0x10, text(b"HTTP") + b"\x04\x02\x00\x05" + text(b"x")) + packet(0x31, text(OWN) + b"raw"),
    "a broker's packet": HELLO + packet(0x20, b"\x00\x00") + packet(0x31, text(OWN) + b"raw"),
    "a length that never ends": HELLO + b"\x31" + b"\xff" * 8,
}


@pytest.mark.parametrize("attack", RAW.values(), ids=RAW)
def test_what_is_no_mqtt_ends_the_session_and_nothing_else(
    broker: FleetBroker, papers: Papers, monitor: Speaker, attack: bytes
) -> None:
    with (
        socket.create_connection(("127.0.0.1", broker.port), ENOUGH) as link,
        papers.context().wrap_socket(link, server_hostname="127.0.0.1") as tls,
    ):
        tls.settimeout(ENOUGH)
        with contextlib.suppress(ConnectionError, ssl.SSLError):  # closed, perhaps before it has heard all
            tls.sendall(attack)
            while tls.recv(4096):
                pass
    unheard(broker, papers, monitor, b"raw")


def test_a_message_as_large_as_our_own_passes(
    broker: FleetBroker, monitor: Speaker, opened: Callable[[Speaker], Speaker]
) -> None:
    longest = Address("s" * 30, "b" * 30)
    box = opened(broker.speaker(broker.box(longest)))
    box.say(topic(longest, Channel.BACKLOG), b"f" * LARGEST)
    monitor.hears(b"f" * LARGEST)
    assert len(topic(longest, Channel.BACKLOG)) + 8 < ROOM


def test_no_certificate_or_one_that_does_not_hold_lets_nobody_in(broker: FleetBroker, papers: Papers) -> None:
    now, name = datetime.now(UTC), box_name(OURS)
    server = broker.folder.path / "enrolment/server"
    another = Authority.create(now)
    cases = {
        "none": Papers(papers.ca),
        "another fleet's": broker.client(name, authority=another),
        "over": broker.client(name, now - timedelta(days=91)),
        "not yet": broker.client(name, now + timedelta(days=1)),
        "a server's": Papers(papers.ca, server.with_suffix(".crt"), server.with_suffix(".key")),
    }
    for port in (broker.port, broker.cloud_port):
        assert [what for what, papers in cases.items() if not refused(port, papers)] == []
        assert refused(port, papers) == ""


def test_a_certificate_that_a_box_signed_for_another_lets_nobody_in(broker: FleetBroker, papers: Papers) -> None:
    assert papers.certificate
    assert papers.key
    posing = Authority.load(papers.certificate.read_bytes(), papers.key.read_bytes())
    private = ec.generate_private_key(ec.SECP256R1())
    made = posing.admit("monitor", Request(private.public_key(), ""), datetime.now(UTC))
    chain = made.pem + papers.certificate.read_bytes()
    assert refused(broker.port, broker.saved("posing", chain, private_pem(private)))


@pytest.mark.parametrize("name", ["#", "+/+/+", "19/tc-001/+", "nobody"])
def test_a_name_that_nobody_has_may_do_nothing(
    broker: FleetBroker, papers: Papers, monitor: Speaker, name: str
) -> None:
    stranger = broker.speaker(broker.client(name))
    for where in (FOREIGN["a neighbour's birth, whose name ours begins with"], topic(OURS, Channel.CONFIG), "x"):
        stranger.say(where, b"strange")
    stranger.close()
    unheard(broker, papers, monitor, b"strange")


def test_without_tls_nobody_is_heard(broker: FleetBroker) -> None:
    with socket.create_connection(("127.0.0.1", broker.port), ENOUGH) as link:
        link.sendall(HELLO)
        link.settimeout(ENOUGH)
        with contextlib.suppress(ConnectionResetError):
            assert link.recv(64)[:1] in {b"", b"\x15"}  # closed, or TLS's alert; never 0x20, a welcome


def test_an_old_tls_is_refused(broker: FleetBroker, papers: Papers) -> None:
    context = papers.context()
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with (
        socket.create_connection(("127.0.0.1", broker.port), ENOUGH) as link,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(link, server_hostname="127.0.0.1")


@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")  # paho leaves it to the collector
def test_a_box_s_certificate_cannot_pose_as_the_broker(broker: FleetBroker, papers: Papers) -> None:
    assert papers.certificate
    posing = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    posing.load_cert_chain(papers.certificate, papers.key)
    with socket.create_server(("127.0.0.1", 0)) as place:
        there = place.getsockname()[1]
        other = broker.box(NEIGHBOUR)
        box = Uplink(
            Broker("127.0.0.1", there, "x", str(other.ca), str(other.certificate), str(other.key)),
            (),
            lambda: (1, Parcel("w", b"")),
            lambda: None,
        )
        box.start()
        link, _ = place.accept()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            posing.wrap_socket(link, server_side=True)
        link.close()
        told = gathered(box.take, bool, "it is refused")
        assert isinstance(told[0], Refused)
        assert "certificate" in told[0].why
        box.stop()


def test_a_revoked_box_falls_silent_at_once_and_does_not_come_back(
    broker: FleetBroker, monitor: Speaker, opened: Callable[[Speaker], Speaker]
) -> None:
    lost, now = Address("tc-009", "lost"), datetime.now(UTC)
    theirs, other = broker.box(lost), broker.box(NEIGHBOUR)
    session = opened(broker.speaker(theirs))
    session.say(topic(lost, Channel.BEAT), b"before")
    monitor.hears(b"before")
    books = broker.folder.books()
    assert books.revoke(box_name(lost), lost, now.timestamp()) == 1
    broker.folder.tell_broker(now)
    broker.reload()
    until(lambda: "revoked" in refused(broker.port, theirs), "its certificate is refused")
    assert "revoked" in refused(broker.cloud_port, theirs)
    assert refused(broker.port, other) == ""
    session.say(topic(lost, Channel.BIRTH), b"silent", retain=True)
    unheard(broker, other_box(broker), monitor, b"silent")

    books.unbar(box_name(lost))
    books.close()
    broker.folder.tell_broker(now)
    broker.reload()
    again = opened(broker.speaker(broker.box(lost)))
    until(lambda: heard(again, monitor, topic(lost, Channel.BEAT)), "its successor is heard")
    assert "revoked" in refused(broker.port, theirs)


def other_box(broker: FleetBroker) -> Papers:
    return broker.box(OURS)


def heard(box: Speaker, monitor: Speaker, where: str) -> bool:
    """Say it once, and once more is no harm."""
    box.say(where, b"anew")
    return (where, b"anew") in monitor.heard


def gathered(take: Callable[[], Iterable[Any]], enough: Callable[[list[Any]], bool], what: str) -> list[Any]:
    """Take until it is enough."""
    got: list[Any] = []

    def more() -> bool:
        got.extend(take())
        return enough(got)

    until(more, what)
    return got


def test_our_own_two_sides_get_on_with_this_broker(broker: FleetBroker, papers: Papers) -> None:
    their = broker.monitor()
    ear = Ear(
        Access("127.0.0.1", broker.cloud_port, "monitor", their.ca, their.certificate, their.key),
        range(64),
        lambda: None,
    )
    ear.start()
    uplink = Uplink(
        Broker("127.0.0.1", broker.port, "any", str(papers.ca), str(papers.certificate), str(papers.key)),
        [topic(OURS, channel) for channel in DOWN],
        lambda: (1, Parcel(topic(OURS, Channel.BIRTH), b"will", qos=1, retain=True)),
        lambda: None,
    )
    uplink.start()
    gathered(uplink.take, lambda told: Connected(1) in told, "the box is in")
    gathered(ear.take, lambda heard: any(isinstance(one, Echo) for one in heard), "the monitor hears itself")
    uplink.say([Parcel(topic(OURS, Channel.BEAT), b"own", qos=1, token=7)])
    gathered(uplink.take, lambda told: Delivered(7) in told, "it is delivered")
    gathered(ear.take, lambda heard: any(isinstance(one, Heard) for one in heard), "it is heard")
    uplink.stop()
    ear.stop()


def test_a_flood_of_connections_outside_keeps_the_monitor_not_out(tmp_path: Path) -> None:
    one = FleetBroker(tmp_path)
    one.config.write_text(one.config.read_text().replace("max_connections 20000", "max_connections 20"))
    one.start()
    flood = [socket.create_connection(("127.0.0.1", one.port), ENOUGH) for _ in range(40)]
    try:
        monitor = one.listener()
        monitor.say("edgefleet/v1/echo/monitor", b"here")
        monitor.hears(b"here")
        monitor.close()
        assert listens(one.cloud_port)
    finally:
        for link in flood:
            link.close()
        one.stop()
