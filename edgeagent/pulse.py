"""Decides when a box speaks: in even steps, at once where a letter has changed, and of old things when nothing waits.

Everything that a box knows comes in as a value; what it says, and what it keeps for later, comes out. The real agent
and a simulated box run the same functions.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from edgeagent import outbox as saying
from edgeagent.counter import read_place
from edgeagent.happening import Happened, Happening, Trouble
from edgeagent.outbox import Now, Outbox, Parcel, Portrait, Untold, Vitals
from edgeagent.wire import Ask, Channel, Config, Finding, WireError, decode, read_topic

SOONEST: Final = 0.2
"""Seconds between two beats at least, however fast letters change."""
FIGURES_EVERY: Final = 10.0
"""Seconds between two messages of figures."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """A box's talk with the cloud as it stands. Times in seconds since the box's kernel started."""

    outbox: Outbox
    vitals: Vitals = field(default_factory=Vitals)
    config: Config = field(default_factory=lambda: Config(revision=0))  # in force
    refused: str = ""  # why the newest configuration was; empty: it is in force
    due: float = 0.0  # of the next beat
    beaten: float = 0.0  # when the last one went out
    figures: float = 0.0  # when the next figures are due


@dataclass(frozen=True, slots=True)
class Move:
    """What follows: the pulse after it, what to send now in this order, and what to keep for later."""

    pulse: Pulse
    send: tuple[Parcel, ...] = ()
    keep: tuple[Untold, ...] = ()


def begin(portrait: Portrait) -> Pulse:
    """Return the pulse of a box that has just started."""
    return Pulse(Outbox(portrait))


def opened(pulse: Pulse, session: int, now: Now) -> Move:
    """The broker listens: say what the box is, and beat."""
    move = _moved(pulse, saying.connected(pulse.outbox, session, _told(pulse), now))
    return replace(move, pulse=_beaten(move.pulse, now))


def closed(pulse: Pulse) -> Move:
    """The broker does not listen any more."""
    return _moved(pulse, saying.lost(pulse.outbox))


def observed(pulse: Pulse, vitals: Vitals, now: Now) -> Move:
    """Note how the box is. What a beat's letters would say anew is said at once."""
    before = _told(pulse)
    pulse = replace(pulse, vitals=vitals)
    after = _told(pulse)
    if (after.workloads, after.gpus, after.troubles) != (before.workloads, before.gpus, before.troubles):
        pulse = replace(pulse, due=min(pulse.due, pulse.beaten + SOONEST))
    return ticked(pulse, now)


def ticked(pulse: Pulse, now: Now) -> Move:
    """Beat if that is due."""
    if now.elapsed < pulse.due or not pulse.outbox.session:
        return Move(pulse)
    move = _moved(pulse, saying.beaten(pulse.outbox, _told(pulse), now))
    return replace(move, pulse=_beaten(move.pulse, now))


def happened(pulse: Pulse, one: Happened, now: Now) -> Move:
    """Tell what happened, or keep it."""
    return _moved(pulse, saying.happened(pulse.outbox, one.kind, now, one.part, one.details))


def measured(pulse: Pulse, figures: Mapping[str, float], now: Now) -> Move:
    """Tell figures, or keep them."""
    move = _moved(pulse, saying.measured(pulse.outbox, figures, now))
    return replace(move, pulse=replace(move.pulse, figures=now.elapsed + FIGURES_EVERY))


def caught_up(pulse: Pulse, oldest: tuple[Untold, ...], now: Now, left: int, dropped: int) -> tuple[Move, int]:
    """Send the oldest of what was kept; returns how many those are."""
    step, sent = saying.caught_up(pulse.outbox, oldest, now, left, dropped)
    return _moved(pulse, step), sent


def delivered(pulse: Pulse, token: int) -> tuple[Pulse, bool]:
    """Note that the broker has a parcel; tells whether what was kept need not be kept any more."""
    outbox, old = saying.acknowledged(pulse.outbox, token)
    return replace(pulse, outbox=outbox), old


def answered(pulse: Pulse, nonce: str, found: Finding) -> Move:
    """Tell what was found of a neighbour."""
    return _moved(pulse, saying.answered(pulse.outbox, nonce, found))


def left(pulse: Pulse, why: str, now: Now) -> Move:
    """Take leave."""
    return _moved(pulse, saying.farewell(pulse.outbox, why, now))


def received(pulse: Pulse, topic: str, payload: bytes, now: Now) -> tuple[Move, Ask | None]:
    """Take in what the cloud says: a configuration, or a question, which is returned. Anything else changes nothing."""
    try:
        address, channel = read_topic(topic)
    except WireError:
        return Move(pulse), None
    if address != pulse.outbox.portrait.address:
        return Move(pulse), None
    try:
        said = decode(address, channel, payload)
    except WireError as wrong:
        return (_refused(pulse, str(wrong), now) if channel is Channel.CONFIG else Move(pulse)), None
    if isinstance(said, Config):
        if unreadable := next(_unreadable(said), ""):
            return _refused(pulse, unreadable, now), None
        return _configured(pulse, said, now), None
    return Move(pulse), said if isinstance(said, Ask) else None


def _unreadable(config: Config) -> Iterator[str]:
    """Yield why a workload's counter cannot be found as the configuration says."""
    for workload, place in config.progress.items():
        try:
            read_place(place)
        except ValueError as wrong:
            yield f"progress of {workload}: {wrong}"


def _configured(pulse: Pulse, config: Config, now: Now) -> Move:
    if config == pulse.config and not pulse.refused:
        return Move(pulse)
    portrait = replace(pulse.outbox.portrait, period=config.period)
    outbox = pulse.outbox if portrait == pulse.outbox.portrait else saying.redrawn(pulse.outbox, portrait)
    pulse = replace(pulse, outbox=outbox, config=config, refused="", due=min(pulse.due, pulse.beaten + SOONEST))
    return happened(pulse, Happened(Happening.CONFIG_APPLIED, details={"revision": str(config.revision)}), now)


def _refused(pulse: Pulse, why: str, now: Now) -> Move:
    """Keep the configuration in force, and say so; the broker brings a bad one again with every session."""
    if why == pulse.refused:
        return Move(pulse)
    pulse = replace(pulse, refused=why, due=min(pulse.due, pulse.beaten + SOONEST))
    return happened(pulse, Happened(Happening.CONFIG_REFUSED, details={"why": why}), now)


def _told(pulse: Pulse) -> Vitals:
    """Return how the box is, with what is wrong with its configuration."""
    if not pulse.refused:
        return pulse.vitals
    return replace(pulse.vitals, troubles=(*pulse.vitals.troubles, Trouble.CONFIG_REFUSED))


def _beaten(pulse: Pulse, now: Now) -> Pulse:
    """Note that a beat went out. The next is due in an even step or, where that is too near or far, in a period."""
    period = pulse.outbox.portrait.period
    even = pulse.due + period
    fits = now.elapsed + SOONEST <= even <= now.elapsed + period
    return replace(pulse, beaten=now.elapsed, due=even if fits else now.elapsed + period)


def _moved(pulse: Pulse, step: saying.Step) -> Move:
    return Move(replace(pulse, outbox=step.outbox), step.send, step.keep)
