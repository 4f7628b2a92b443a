"""What boxes and cloud say to each other over MQTT: topics, messages, their JSON; every bad input is a WireError.

A message goes to ``edgefleet/v1/<shard>/<site>/<box>/<channel>``. The shard is two digits of the site, so that one
monitor hears all boxes of a site. A box names its boot (16 hex digits of the kernel's boot id), its session (the
milliseconds of that boot at which the box connected: grows without a disk to remember it) and counts its messages, so
that the order of what it said is known in whatever order it arrives. The will is the birth of its session, ``dead``.

Unknown fields and letters are ignored: a box may be newer than the cloud. Another major version is another topic.
Beats are arrays and states are letters, for a beat goes out every second: 54 bytes for a box with two workloads.
"""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct

MAJOR: Final = "v1"
SHARDS: Final = 64
LARGEST: Final = 16 * 1024
"""Bytes of a message; the broker refuses larger ones as well."""


class Objection(StrEnum):
    """What is wrong with a message, for counting."""

    TOPIC = "Topic"  # not one of ours, or of another site's shard
    VERSION = "Version"  # another major version
    SIZE = "Size"
    FORM = "Form"  # no JSON, or not the fields of this channel
    ADDRESS = "Address"  # speaks for another box


class WireError(ValueError):
    """The peer sent what it should not: drop it and count the objection. Never the fault of whoever reads."""

    def __init__(self, objection: Objection, text: str) -> None:
        super().__init__(text)
        self.objection = objection


class Channel(StrEnum):
    """The last word of a topic: what kind of message it carries."""

    BIRTH = "birth"  # up, QoS 1, retained: what the box is
    BEAT = "beat"  # up, QoS 0, every second
    EVENT = "event"  # up, QoS 1: what happened
    METRICS = "metrics"  # up, QoS 0, every ten seconds
    BACKLOG = "backlog"  # up, QoS 1: what was kept while dark
    ANSWER = "answer"  # up, QoS 0: what a box found of a neighbour it was asked about
    CONFIG = "config"  # down, QoS 1, retained
    ASK = "ask"  # down, QoS 0: a neighbour is silent, have a look


UP: Final = (Channel.BIRTH, Channel.BEAT, Channel.EVENT, Channel.METRICS, Channel.BACKLOG, Channel.ANSWER)
DOWN: Final = (Channel.CONFIG, Channel.ASK)


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Who speaks or is spoken to."""

    site: str
    box: str

    def __str__(self) -> str:
        return f"{self.site}/{self.box}"


class WorkloadState(StrEnum):
    """The state of a workload as a beat's letter."""

    RUNNING = "r"
    STARTING = "s"
    CRASHED = "c"  # ended by itself, not started again yet
    CRASH_LOOPING = "l"
    STALLED = "t"  # its process lives, its counter stands still
    MISSING = "m"  # should be here, is not
    ENDED = "e"  # stopped on purpose


class GpuState(StrEnum):
    """The state of a GPU as a beat's letter."""

    OK = "o"
    LOST = "l"
    FAILING = "f"
    UNKNOWN = "u"  # the driver does not answer


Count = Annotated[int, Meta(ge=0, le=2**53)]
Number = Annotated[float, Meta(ge=-1e18, le=1e18)]
Moment = Annotated[float, Meta(ge=0, le=253402300799)]
"""Seconds since 1970 by the box's own clock, up to the year 9999: for people to read, never for a decision."""
Boot = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]
Word = Annotated[str, Meta(min_length=1, max_length=128)]
Text = Annotated[str, Meta(max_length=512)]
Details = Annotated[dict[Word, Text], Meta(max_length=16)]
Parts = Annotated[tuple[Word, ...], Meta(max_length=64)]


class Birth(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a box is. ``roster`` counts the births of a session: a beat's letters belong to the birth it names."""

    boot: Boot
    session: Count
    seq: Count
    site: Word
    box: Word
    dead: bool = False  # true: the will, or the last word of a box that stops
    planned: bool = False  # true: it stops on purpose; nobody needs to be told
    roster: Count = 1
    version: Text = ""  # of the agent
    period: Annotated[float, Meta(ge=0.05, le=3600)] = 1.0  # seconds between beats
    at: Moment = 0.0  # zero: the box has no clock
    roles: Parts = ()
    workloads: Parts = ()
    gpus: Parts = ()  # names, by index
    lan: Annotated[tuple[Text, ...], Meta(max_length=8)] = ()  # addresses at which neighbours may probe it
    port: Annotated[int, Meta(ge=0, le=65535)] = 0  # of the agent's answer to such a probe; zero: none
    facts: Details = {}  # architecture, kernel, model: for people


class Beat(Struct, frozen=True, array_like=True):
    """I live, and so do these: ``workloads`` and ``gpus`` hold a letter for each that the birth ``roster`` names."""

    boot: Boot
    session: Count
    seq: Count
    roster: Count
    workloads: Annotated[str, Meta(max_length=64)] = ""
    gpus: Annotated[str, Meta(max_length=64)] = ""
    load: Number = 0.0  # mean number of running processes over a minute, for each core
    troubles: Annotated[str, Meta(max_length=16)] = ""  # letters of Trouble, of the box itself


class Event(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What happened on a box. A kind that the cloud does not know is kept for people and decides nothing."""

    boot: Boot
    session: Count
    seq: Count
    kind: Word  # a Happening, for example exited
    part: Text = ""  # the workload's name or the GPU's index; empty: the box itself
    at: Moment = 0.0
    details: Details = {}


class Metrics(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Figures of a box, under the names that node_exporter and dcgm-exporter give them."""

    boot: Boot
    session: Count
    seq: Count
    values: Annotated[dict[Word, Number], Meta(max_length=256)]
    at: Moment = 0.0


class Kept(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An event or figures from the time when nobody could be told. ``age`` in seconds, by a clock that never jumps."""

    age: Number
    at: Moment = 0.0
    kind: Text = ""  # empty: these are figures
    part: Text = ""
    details: Details = {}
    values: Annotated[dict[Word, Number], Meta(max_length=256)] = {}


class Backlog(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What was kept while the box was dark, oldest first. ``left`` more are to come, ``dropped`` never will."""

    boot: Boot
    session: Count
    seq: Count
    kept: Annotated[tuple[Kept, ...], Meta(max_length=64)]
    left: Count = 0
    dropped: Count = 0


class Finding(StrEnum):
    """What a box found when it looked for its neighbour."""

    NOTHING = "nothing"  # the machine does not answer
    MACHINE = "machine"  # the machine answers, its agent does not
    AGENT = "agent"  # the agent answers: only its way to us is cut


class Answer(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a box found when it looked for its neighbour."""

    boot: Boot
    session: Count
    seq: Count
    nonce: Word  # of the question
    found: Finding


class Ask(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Look for a neighbour on the LAN. ``within`` seconds, or not at all."""

    nonce: Word
    box: Word
    lan: Annotated[tuple[Text, ...], Meta(max_length=8)]
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    within: Annotated[float, Meta(gt=0, le=10)] = 0.3


class Config(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a box is to do. A box keeps what it has when it does not like this, and says so."""

    revision: Count
    period: Annotated[float, Meta(ge=0.2, le=60)] = 1.0  # seconds between beats
    expected: Parts = ()  # workloads that must be here
    progress: Annotated[dict[Word, Text], Meta(max_length=64)] = {}  # workload: address or file of its counter
    expected_gpus: Annotated[int, Meta(ge=0, le=64)] = 0


Message: TypeAlias = Birth | Beat | Event | Metrics | Backlog | Answer | Ask | Config

_TYPES: Final[Mapping[Channel, type[Message]]] = {
    Channel.BIRTH: Birth,
    Channel.BEAT: Beat,
    Channel.EVENT: Event,
    Channel.METRICS: Metrics,
    Channel.BACKLOG: Backlog,
    Channel.ANSWER: Answer,
    Channel.ASK: Ask,
    Channel.CONFIG: Config,
}
_ENCODER: Final = msgspec.json.Encoder()
_DECODERS: Final = {channel: msgspec.json.Decoder(kind) for channel, kind in _TYPES.items()}
_NAME: Final = r"[a-z0-9](?:[-.a-z0-9]*[a-z0-9])?"
_TOPIC: Final = re.compile(rf"edgefleet/([^/]+)/([0-9][0-9])/({_NAME})/({_NAME})/({'|'.join(Channel)})")
_LONGEST_SITE: Final = 63
_LONGEST_BOX: Final = 253  # names of Kubernetes nodes


def shard(site: str) -> str:
    """Return the shard of a site: two digits, the same for ever."""
    return f"{zlib.crc32(site.encode()) % SHARDS:02}"


def topic(address: Address, channel: Channel) -> str:
    """Return where a message to or from a box goes."""
    return f"edgefleet/{MAJOR}/{shard(address.site)}/{address.site}/{address.box}/{channel}"


def read_topic(name: str) -> tuple[Address, Channel]:
    """Return who speaks on a topic, and what. Raises WireError."""
    parts = _TOPIC.fullmatch(name)
    if parts is None:
        raise WireError(Objection.TOPIC, "the topic is none of edgefleet/v1/<shard>/<site>/<box>/<channel>")
    major, digits, site, box, channel = parts.groups()
    if major != MAJOR:
        raise WireError(Objection.VERSION, f"speaks version {major[:8]!r}, we speak {MAJOR}: update the older side")
    if len(site) > _LONGEST_SITE or len(box) > _LONGEST_BOX:
        raise WireError(Objection.TOPIC, "the name of the site or box is too long")
    if digits != shard(site):
        raise WireError(Objection.TOPIC, f"site {site} belongs to shard {shard(site)}, not {digits}")
    return Address(site, box), Channel(channel)


def encode(message: Message) -> bytes:
    """Return a message as it travels. Raises WireError if it is larger than the peer would take."""
    payload = _ENCODER.encode(message)
    if len(payload) > LARGEST:
        raise WireError(Objection.SIZE, f"{len(payload)} bytes are more than {LARGEST}")
    return payload


def decode(address: Address, channel: Channel, payload: bytes) -> Message:
    """Return what was said on a topic that has been read. Raises WireError, and nothing else."""
    if len(payload) > LARGEST:
        raise WireError(Objection.SIZE, f"{len(payload)} bytes are more than {LARGEST}")
    try:
        message = _DECODERS[channel].decode(payload)
    except (ValueError, RecursionError) as wrong:  # deep nesting is a RecursionError, the rest are ValueErrors
        raise WireError(Objection.FORM, f"no {channel}: {wrong}"[:200]) from None
    if isinstance(message, Birth) and (message.site, message.box) != (address.site, address.box):
        raise WireError(Objection.ADDRESS, f"a birth of another box on the topic of {address}")
    return message


def workload_states(beat: Beat) -> tuple[WorkloadState | None, ...]:
    """Return the states that a beat's letters mean. None: a letter of a newer agent."""
    return tuple(_WORKLOAD_LETTERS.get(letter) for letter in beat.workloads)


def gpu_states(beat: Beat) -> tuple[GpuState | None, ...]:
    """Return the states that a beat's letters mean. None: a letter of a newer agent."""
    return tuple(_GPU_LETTERS.get(letter) for letter in beat.gpus)


_WORKLOAD_LETTERS: Final[Mapping[str, WorkloadState]] = {state.value: state for state in WorkloadState}
_GPU_LETTERS: Final[Mapping[str, GpuState]] = {state.value: state for state in GpuState}
