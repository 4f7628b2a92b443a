"""Decides what a box says to the cloud: stamps it, keeps what was not acknowledged, and what could not be said at all.

1. A session opens with its birth. Beats follow; their letters belong to the newest birth, so a changed list of
   workloads or GPUs is told by another birth first.
2. An event is sent at once and held until the broker has acknowledged it. What is still held when the link is lost, and
   what happens while there is none, is kept for later as ``Untold``.
3. What was kept goes out after the first beat, one parcel at a time, so that it never stands in the way of a beat.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

import msgspec

from edgeagent.fitting import clean, few, short
from edgeagent.happening import Happening, Trouble
from edgeagent.wire import (
    Address,
    Answer,
    Backlog,
    Beat,
    Birth,
    Channel,
    Event,
    Finding,
    GpuState,
    Kept,
    Message,
    Metrics,
    WireError,
    WorkloadState,
    encode,
    topic,
)

MOST_HELD: Final = 64
"""Events that wait for the broker's word; beyond it they are kept for later, so a flood costs no memory."""
MOST_WORKLOADS: Final = 64
MOST_GPUS: Final = 16
"""Of a box; the names of so many, at their longest, fit into one birth."""
PARCEL: Final = 32
"""Untold things in one parcel: about 4 KiB, a tenth of a second on a link of 256 kbit/s."""


@dataclass(frozen=True, slots=True)
class Now:
    """The two clocks of a box."""

    elapsed: float  # seconds since the kernel started; never jumps, goes on while the machine sleeps
    at: float  # seconds since 1970, for people


@dataclass(frozen=True, slots=True)
class Portrait:
    """What the box is, as its births tell it."""

    address: Address
    boot: str  # 16 hex digits
    version: str = ""
    period: float = 1.0  # seconds between beats
    roles: tuple[str, ...] = ()
    lan: tuple[str, ...] = ()
    port: int = 0
    facts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Vitals:
    """How the box and its parts are now, in the order in which births and beats name them."""

    workloads: Mapping[str, WorkloadState] = field(default_factory=lambda: MappingProxyType({}))
    gpus: Mapping[str, GpuState] = field(default_factory=lambda: MappingProxyType({}))  # by name, in the order of index
    load: float = 0.0
    troubles: tuple[Trouble, ...] = ()

    @property
    def parts(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The names that a birth tells."""
        return tuple(self.workloads), tuple(self.gpus)


class Untold(msgspec.Struct, frozen=True, omit_defaults=True):
    """What could not be said yet: an event, or figures. The spool keeps it through a restart and a reboot."""

    boot: str  # during which it happened
    elapsed: float  # of that boot
    at: float
    kind: str = ""  # empty: figures
    part: str = ""
    details: dict[str, str] = {}
    values: dict[str, float] = {}


@dataclass(frozen=True, slots=True)
class Parcel:
    """One thing to publish. ``token`` comes back when the broker has acknowledged it; 0: nobody waits for that."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    token: int = 0


@dataclass(frozen=True, slots=True)
class Outbox:
    """What was said in this session, and what waits for the broker's word."""

    portrait: Portrait
    session: int = 0  # 0: no link
    seq: int = 0  # of the next message
    roster: int = 0  # births of this session
    told: tuple[tuple[str, ...], tuple[str, ...]] | None = None  # parts that the newest birth names; None: tell anew
    held: Mapping[int, Untold] = field(default_factory=lambda: MappingProxyType({}))  # by token, oldest first
    backlog: int = 0  # token of the parcel of old things that is on its way; 0: none
    next_token: int = 1


@dataclass(frozen=True, slots=True)
class Step:
    """What follows: the outbox after it, what to send now in this order, and what to keep for later."""

    outbox: Outbox
    send: tuple[Parcel, ...] = ()
    keep: tuple[Untold, ...] = ()


def will(portrait: Portrait, session: int) -> Parcel:
    """Return what the broker says for the box if the session ends without a word."""
    dead = _birth(portrait, session, seq=0, roster=1, dead=True)
    return Parcel(topic(portrait.address, Channel.BIRTH), encode(dead), qos=1, retain=True)


def session_at(now: Now) -> int:
    """Return the number of a session that opens now: later sessions of a boot have larger ones."""
    return max(1, int(now.elapsed * 1000))


def connected(outbox: Outbox, session: int, vitals: Vitals, now: Now) -> Step:
    """Open a session: what the box is, then that it lives."""
    fresh = replace(outbox, session=session, seq=0, roster=0, told=None, backlog=0)
    born = _announced(fresh, vitals, now)
    return _and_then(born, beaten(born.outbox, vitals, now))


def lost(outbox: Outbox) -> Step:
    """Close the session; what the broker has not acknowledged is kept for later."""
    return Step(replace(outbox, session=0, held=MappingProxyType({}), backlog=0), keep=tuple(outbox.held.values()))


def beaten(outbox: Outbox, vitals: Vitals, now: Now) -> Step:
    """Say that the box lives; first what it is, where that has changed. Nothing while there is no link."""
    if not outbox.session:
        return Step(outbox)
    if vitals.parts == outbox.told:
        return _beat(outbox, vitals)
    born = _announced(outbox, vitals, now)
    return _and_then(born, _beat(born.outbox, vitals))


def happened(
    outbox: Outbox, kind: Happening, now: Now, part: str = "", details: Mapping[str, str] | None = None
) -> Step:
    """Tell an event, or keep it where nobody listens."""
    untold = Untold(outbox.portrait.boot, now.elapsed, now.at, kind, clean(part, 512), short(details or {}))
    if not outbox.session or len(outbox.held) >= MOST_HELD:
        return Step(outbox, keep=(untold,))
    event = Event(
        boot=untold.boot, session=outbox.session, seq=outbox.seq, kind=kind, part=untold.part, at=untold.at,
        details=untold.details,
    )  # fmt: skip
    return _held(outbox, event, untold)


def measured(outbox: Outbox, values: Mapping[str, float], now: Now) -> Step:
    """Tell figures, or keep them."""
    untold = Untold(outbox.portrait.boot, now.elapsed, now.at, values=few(values))
    if not outbox.session:
        return Step(outbox, keep=(untold,))
    figures = Metrics(boot=untold.boot, session=outbox.session, seq=outbox.seq, values=untold.values, at=untold.at)
    return _sent(outbox, Channel.METRICS, figures)


def answered(outbox: Outbox, nonce: str, found: Finding) -> Step:
    """Tell what was found of a neighbour; an answer that comes too late for the link is worth nothing."""
    if not outbox.session:
        return Step(outbox)
    answer = Answer(boot=outbox.portrait.boot, session=outbox.session, seq=outbox.seq, nonce=nonce, found=found)
    return _sent(outbox, Channel.ANSWER, answer)


def caught_up(outbox: Outbox, oldest: tuple[Untold, ...], now: Now, left: int, dropped: int) -> tuple[Step, int]:
    """Send the oldest of what was kept, as many as fit into one message; returns how many that are.

    ``left`` counts what is kept beyond ``oldest``. None go while there is no link or while others are on their way.
    """
    if not outbox.session or outbox.backlog or not oldest:
        return Step(outbox), 0
    kept = tuple(_kept(one, outbox.portrait.boot, now) for one in oldest[:PARCEL])
    while True:
        old = Backlog(
            boot=outbox.portrait.boot, session=outbox.session, seq=outbox.seq, kept=kept,
            left=left + len(oldest) - len(kept), dropped=dropped,
        )  # fmt: skip
        try:
            step = _sent(outbox, Channel.BACKLOG, old, token=outbox.next_token)
        except WireError:
            kept = kept[: len(kept) // 2]  # one alone always fits: see short and few
            continue
        return replace(step, outbox=replace(step.outbox, backlog=outbox.next_token)), len(kept)


def redrawn(outbox: Outbox, portrait: Portrait) -> Outbox:
    """Note that the box is another one now; the next beat is preceded by a birth that says so."""
    return replace(outbox, portrait=portrait, told=None)


def farewell(outbox: Outbox, why: str, now: Now) -> Step:
    """Take leave: the event for whoever listens, and the last birth for whoever comes later."""
    said = happened(outbox, Happening.GOODBYE, now, details={"why": why})
    if not outbox.session:
        return said
    gone = _birth(outbox.portrait, outbox.session, said.outbox.seq, outbox.roster, dead=True)
    gone = msgspec.structs.replace(gone, planned=True, at=now.at)
    return _and_then(said, _sent(said.outbox, Channel.BIRTH, gone, token=said.outbox.next_token))


def acknowledged(outbox: Outbox, token: int) -> tuple[Outbox, bool]:
    """Note that the broker has a parcel; tells whether that was the one of old things, which need not be kept now."""
    if token and token == outbox.backlog:
        return replace(outbox, backlog=0), True
    return replace(outbox, held={one: untold for one, untold in outbox.held.items() if one != token}), False


def _announced(outbox: Outbox, vitals: Vitals, now: Now) -> Step:
    roster = outbox.roster + 1
    workloads = tuple(clean(name, 127) for name in tuple(vitals.workloads)[:MOST_WORKLOADS])
    gpus = tuple(clean(name, 32) for name in tuple(vitals.gpus)[:MOST_GPUS])
    birth = _birth(outbox.portrait, outbox.session, outbox.seq, roster)
    birth = msgspec.structs.replace(birth, at=now.at, workloads=workloads, gpus=gpus)
    return _sent(replace(outbox, roster=roster, told=vitals.parts), Channel.BIRTH, birth)


def _beat(outbox: Outbox, vitals: Vitals) -> Step:
    workloads, gpus = "".join(vitals.workloads.values())[:MOST_WORKLOADS], "".join(vitals.gpus.values())[:MOST_GPUS]
    load = round(min(max(vitals.load, 0.0), 1e6), 2)
    beat = Beat(
        outbox.portrait.boot, outbox.session, outbox.seq, outbox.roster, workloads, gpus, load, "".join(vitals.troubles)
    )
    return _sent(outbox, Channel.BEAT, beat)


def _birth(portrait: Portrait, session: int, seq: int, roster: int, *, dead: bool = False) -> Birth:
    return Birth(
        boot=portrait.boot, session=session, seq=seq, site=portrait.address.site, box=portrait.address.box, dead=dead,
        roster=roster, version=portrait.version, period=portrait.period, roles=portrait.roles, lan=portrait.lan,
        port=portrait.port, facts=short(portrait.facts, 3 * 1024),
    )  # fmt: skip


_RETAINED: Final = frozenset({Channel.BIRTH})
_ACKNOWLEDGED: Final = frozenset({Channel.BIRTH, Channel.EVENT, Channel.BACKLOG})


def _sent(outbox: Outbox, channel: Channel, message: Message, token: int = 0) -> Step:
    qos, retain = int(channel in _ACKNOWLEDGED), channel in _RETAINED
    parcel = Parcel(topic(outbox.portrait.address, channel), encode(message), qos, retain, token)
    return Step(replace(outbox, seq=outbox.seq + 1, next_token=outbox.next_token + bool(token)), (parcel,))


def _held(outbox: Outbox, event: Event, untold: Untold) -> Step:
    token = outbox.next_token
    step = _sent(outbox, Channel.EVENT, event, token)
    return replace(step, outbox=replace(step.outbox, held={**outbox.held, token: untold}))


def _and_then(first: Step, second: Step) -> Step:
    return Step(second.outbox, first.send + second.send, first.keep + second.keep)


def _kept(untold: Untold, boot: str, now: Now) -> Kept:
    """By the clock that never jumps where it is the same boot, else by the box's calendar."""
    age = now.elapsed - untold.elapsed if untold.boot == boot else now.at - untold.at
    return Kept(
        age=round(max(age, 0.0), 3), at=untold.at, kind=untold.kind, part=untold.part, details=untold.details,
        values=untold.values,
    )  # fmt: skip
