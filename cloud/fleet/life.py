"""What was heard of one box: which boot and session speak now, when last, how late its beats come.

Times are seconds of the listening clock (listening.py), which stands still while we are deaf. Nothing trusts the order
in which messages come: a box counts what it says in a session, and a will counts only for the session that speaks now.
"""

from typing import Final

import msgspec
from msgspec.structs import replace

from edgeagent.happening import Happening
from edgeagent.wire import Answer, Backlog, Beat, Birth, Event, Metrics

Said = Birth | Beat | Event | Metrics | Backlog | Answer
"""What a box can say."""

WINDOW: Final = 64
"""Messages of a session that may overtake each other and are still told from their doubles."""
LATE: Final = 1.5
"""Periods between two beats from which the second is late. Of a thousand gaps 1 is so long at 5 % loss, 10 at 10 %,
some 50 at 20 % (measured over plain TCP at 1 Hz); half as many where TCP repeats in even steps."""
MEMORY: Final = 512
"""Beats over which the share of late ones is a running mean: eight minutes at 1 Hz."""
MOST_LATE: Final = 0.04
"""What the share is cut to, so that a link that is mended is trusted again after half an hour."""
CLONE_FLIPS: Final = 2
"""A boot that was followed by another and speaks again, and again: one machine does not do that."""
CLONE_FORGOTTEN: Final = 60.0
"""Seconds without such a return after which there is one machine again."""
RETURN: Final = 10.0
"""Seconds within which a box that lives connects again: its longest back-off, 5 s, and the attempt itself."""


class Life(msgspec.Struct, frozen=True, gc=False):
    """What was heard of one box. A message a second makes a new one: a struct costs a tenth of a dataclass."""

    boot: str
    session: int
    seq: int = -1  # newest of the session
    seen: int = 0  # bit n: the message before that by n was heard
    heard: float = 0.0  # when it last spoke; of an unproven one, until when it need not have
    opened: float = 0.0  # when its session began to speak
    proven: bool = False  # it has spoken since we listen
    will: float | None = None  # when the broker told that this session broke off; None: it has not
    goodbye: bool = False  # it said that it stops
    period: float = 1.0
    beat: float | None = None  # of this session, when the newest came; None: none yet
    late: float = 0.0  # share of its beats, a running mean
    before: str = ""  # the boot that spoke before this one
    flips: int = 0  # times that a boot which was over has spoken again
    flipped: float = 0.0
    lan: tuple[str, ...] = ()
    port: int = 0

    def cloned(self, now: float) -> bool:
        """Tell whether two machines speak under this name."""
        return self.flips >= CLONE_FLIPS and now - self.flipped < CLONE_FORGOTTEN

    def broke_off(self, within: float) -> bool:
        """Tell whether the session ended in mid-speech: by a closed connection, not by a keep-alive that ran out."""
        return self.proven and self.will is not None and self.will - self.heard < within


class Absorbed(msgspec.Struct, frozen=True, gc=False):
    """A life after a message, and whether the message is news: neither double nor of a time that is over."""

    life: Life
    news: bool


def recall(boot: str, session: int, now: float, address: tuple[tuple[str, ...], int] = ((), 0)) -> Life:
    """Return the life of a box that is known from before: it has some time to speak."""
    lan, port = address
    return Life(boot, session, heard=now + RETURN, lan=lan, port=port)


def absorb(life: Life | None, said: Said, now: float, *, retained: bool = False) -> Absorbed:
    """Return what is known of a box after a message of its own; ``retained``: the broker had kept it."""
    if isinstance(said, Birth) and (said.dead or retained):
        return _second_hand(life, said, now)
    if life is None or (life.boot, life.session) == ("", 0):
        return Absorbed(_spoken(_opened(Life("", 0), said, now), said, now), news=True)
    if said.boot == life.boot:
        if said.session == life.session:
            return _same_session(life, said, now)
        if said.session > life.session:
            return Absorbed(_spoken(_opened(life, said, now), said, now), news=True)
        return Absorbed(life, news=False)
    return _another_boot(life, said, now)


def _second_hand(life: Life | None, birth: Birth, now: float) -> Absorbed:
    """The broker speaks for the box: a will, or a birth that it has kept. Neither proves that the box lives."""
    if life is None:
        life = recall(birth.boot, birth.session, now, (birth.lan, birth.port))
        life = replace(life, period=birth.period, will=now if birth.dead else None, goodbye=birth.planned)
        return Absorbed(life, news=not birth.dead)
    if (birth.boot, birth.session) != (life.boot, life.session):
        return Absorbed(life, news=False)
    if birth.planned:
        return Absorbed(replace(life, goodbye=True, will=None), news=False)
    if birth.dead:
        return Absorbed(life if life.will is not None or life.goodbye else replace(life, will=now), news=False)
    return Absorbed(replace(life, period=birth.period, lan=birth.lan, port=birth.port), news=True)


def _same_session(life: Life, said: Said, now: float) -> Absorbed:
    behind = life.seq - said.seq
    if behind >= WINDOW or (behind >= 0 and life.seen >> behind & 1):
        return Absorbed(life, news=False)
    return Absorbed(_spoken(life, said, now), news=True)


def _another_boot(life: Life, said: Said, now: float) -> Absorbed:
    """The machine was started anew; or it is another machine, when the boot before speaks again."""
    fresh = _opened(replace(life, before=life.boot), said, now)
    if said.boot == life.before:
        recent = now - life.flipped < CLONE_FORGOTTEN
        fresh = replace(fresh, flips=life.flips + 1 if recent else 1, flipped=now)
    return Absorbed(_spoken(fresh, said, now), news=True)


def _opened(life: Life, said: Said, now: float) -> Life:
    """Begin a session."""
    return replace(
        life, boot=said.boot, session=said.session, seq=-1, seen=0, opened=now, will=None, goodbye=False, beat=None
    )  # fmt: skip


def _spoken(life: Life, said: Said, now: float) -> Life:
    """Note that the box has just said this."""
    ahead = said.seq - life.seq
    newest = ahead > 0
    seen = (life.seen << min(ahead, WINDOW) | 1) & (1 << WINDOW) - 1 if newest else life.seen | 1 << -ahead
    beat, late = life.beat, life.late
    if isinstance(said, Beat) and newest:
        if beat is not None:
            late = min(MOST_LATE, late + ((now - beat > LATE * life.period) - late) / MEMORY)
        beat = now
    life = replace(
        life, seq=max(life.seq, said.seq), seen=seen, heard=now, proven=True, will=None, beat=beat, late=late,
    )  # fmt: skip
    match said:
        case Birth():
            return replace(life, period=said.period, lan=said.lan, port=said.port)
        case Event(kind=Happening.GOODBYE):
            return replace(life, goodbye=True)
        case _:
            return life
