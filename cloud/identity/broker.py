"""What the broker is told: its configuration, and who may say and hear what.

Written for mosquitto 2.0 and newer. Versions 2.1.0 to 2.1.2 let no box speak: their patterns end at the first slash of
a name (mosquitto#3520); they refuse too much, never too little.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from edgeagent.wire import DOWN, LARGEST, MAJOR, UP

ROOM: Final = 1024
"""Bytes of a packet beside the message: topic, header, and the other strings of a CONNECT."""
MOST_QUEUED_BYTES: Final = 256 * 2**20

CONFIGURATION: Final = """\
# Written by `edgefleet identity init`; change it there. Reload after a change of certificates, of {rules} or of
# {revoked}: `kill -HUP` of the broker. Existing sessions keep their TLS; the rules hold for them at once.
# Each box takes a file; with the usual limit of 1,024 the 1,018th is not let in: LimitNOFILE=65536 in its unit.
user {user}
allow_anonymous false
acl_file {home}/{rules}
allow_zero_length_clientid false

# A will for every box may come in one moment, and a monitor may be slow: with the defaults (20 and 1000) 1,020 of
# 5,000 wills arrived. Large numbers instead of 0, by which 2.0.2 and 2.0.16 drop every QoS 0 message (mosquitto#2879).
max_inflight_messages 65535
max_queued_messages 1000000
max_queued_bytes {queued_bytes}
# A larger packet ends its session.
max_packet_size {packet}
# Holds for MQTT 5 alone; our boxes ask for 5.
max_keepalive 60
# No box keeps a session; one that asks for it is forgotten soon.
persistent_client_expiration 1h
# Nagle's delay costs 1 ms and halves the broker's work: 200,000 messages a second instead of 120,000.
set_tcp_nodelay false

# Retained births and configurations. After a crash every box says its birth anew with its next session.
persistence true
persistence_location {data}/
autosave_interval 300
autosave_on_changes false

# Who came and went; never what was said.
log_dest stderr
log_type error
log_type warning
log_type notice
connection_messages true
log_timestamp_format %Y-%m-%dT%H:%M:%S%z
sys_interval 0
"""
LISTENER: Final = """
# {purpose}
listener {port}{address}
max_connections {connections}
max_qos 1
max_topic_alias 0
cafile {home}/authority.crt
certfile {home}/server.crt
keyfile {home}/server.key
crlfile {home}/{revoked}
tls_version tlsv1.2
require_certificate true
use_identity_as_username true
# A name is one session: nobody closes another's by its client id, and nobody has two.
use_username_as_clientid true
"""
RULES_FILE: Final = "rules.acl"
REVOKED_FILE: Final = "revoked.pem"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the broker runs."""

    home: str  # folder of its configuration, certificates and rules
    data: str  # folder that it may write to
    user: str  # whom it becomes when started by root
    port: int  # for boxes
    cloud_port: int  # for the cloud's own processes
    address: str = ""  # that both listen on; empty: all
    most_boxes: int = 20_000  # connections of boxes


def configuration(place: Place) -> str:
    """Return the broker's configuration file."""
    names = {"home": place.home, "rules": RULES_FILE, "revoked": REVOKED_FILE}
    head = CONFIGURATION.format(
        **names,
        data=place.data.rstrip("/"),
        user=place.user,
        packet=LARGEST + ROOM,
        queued_bytes=MOST_QUEUED_BYTES,
    )
    address = f" {place.address}" if place.address else ""
    boxes = LISTENER.format(**names, purpose="Boxes.", port=place.port, address=address, connections=place.most_boxes)
    cloud = LISTENER.format(
        **names,
        purpose="The cloud's own processes: no flood of connections outside keeps them out.",
        port=place.cloud_port,
        address=address,
        connections=64,
    )
    return head + boxes + cloud


def rules(monitors: Iterable[str], barred: Iterable[str] = ()) -> str:
    """Return the broker's rules. ``barred``: names of boxes whose open sessions are to fall silent at once."""
    lines = ["# Written by `edgefleet identity`. A line lets a name do what it says; nothing else is let."]
    for name in sorted(barred):
        lines += ["", f"user {name}", "topic deny #"]
    for name in sorted(monitors):
        lines += ["", f"user {name}"]
        lines += [f"topic read edgefleet/{MAJOR}/+/+/+/{channel}" for channel in UP]
        lines += [f"topic write edgefleet/{MAJOR}/+/+/+/{channel}" for channel in DOWN]
        lines += [f"topic readwrite edgefleet/{MAJOR}/echo/{name}"]
    lines += ["", "# %u is <shard>/<site>/<box> for a box."]
    lines += [f"pattern write edgefleet/{MAJOR}/%u/{channel}" for channel in UP]
    lines += [f"pattern read edgefleet/{MAJOR}/%u/{channel}" for channel in DOWN]
    return "\n".join(lines) + "\n"
