"""One turn of the monitor: what was heard becomes verdicts, faults and alerts, and what has to be said of them.

A turn looks at everything that is known, so nothing hangs on one message; a bad message is counted and dropped. What is
wrong with ourselves is one fault more, and while we do not hear well all others stay as they are.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from cloud.alerts.correlate import Concern, correlate
from cloud.alerts.fault import Code, Fault, Kind, Subject
from cloud.alerts.lifecycle import Announcement, Book, Observed, step
from cloud.fleet import listening as hearing_well
from cloud.fleet.record import Transition
from cloud.ingest.heard import Echo, Heard, Linked, Sound
from cloud.ingest.hearing import Asked, Hearing
from edgeagent.wire import Ask, Config, WireError, decode, read_topic

MOST_COUNTED: Final = 10_000
"""Topics of which bad messages are counted by name; those of others are counted together."""
OTHERS: Final = "others"


@dataclass(frozen=True, slots=True)
class Around:
    """What a turn has to know beside what was heard."""

    releases: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # what moves a box now, by box
    silenced: Callable[[Fault], bool] = lambda _: False
    failing: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # why, by channel
    dropped: bool = False  # something that was heard found no place in line since the last turn


@dataclass(frozen=True, slots=True)
class Turn:
    """What follows from a turn."""

    ask: tuple[Asked, ...]
    transitions: tuple[Transition, ...]
    messages: tuple[tuple[Announcement, ...], ...]
    book: Book


class Watch:
    """What a monitor knows. One thread owns it; ``now`` is the machine's monotonic clock, ``at`` the calendar's."""

    def __init__(self, hearing: Hearing, book: Book, now: float) -> None:
        self.hearing = hearing
        self.listening = hearing_well.begin(now)
        self.book = book
        self.refused: Counter[tuple[str, str]] = Counter()  # topic and objection
        self.heard = 0
        self._failing: dict[str, datetime] = {}
        self._deaf: datetime | None = None

    def turn(self, sounds: Sequence[Sound], now: float, at: float, around: Around) -> Turn:
        """Take in what was heard since the last turn, and conclude what follows."""
        before = self.listening.clock
        self._listen(sounds, now, dropped=around.dropped)
        for sound in sounds:
            if isinstance(sound, Heard):
                ago = now - sound.at
                self._hear(sound, max(before, self.listening.clock - ago), at - ago)
        looked = self.hearing.look(self.listening.clock, at)
        observed = Observed(
            self._concerns(around, datetime.fromtimestamp(at, UTC)),
            frozen=self.listening.deaf is not None,
            unheard=self.hearing.unheard,
        )
        done = step(self.book, observed, datetime.fromtimestamp(at, UTC))
        self.book = done.book
        return Turn(looked.ask, looked.transitions, done.messages, done.book)

    def _listen(self, sounds: Sequence[Sound], now: float, *, dropped: bool) -> None:
        """Let the listening clock run up to now. What was dropped makes us as deaf as what waits too long."""
        listening = self.listening
        for sound in sounds:
            if isinstance(sound, Echo):
                listening = hearing_well.echoed(listening, sound.sent)
            elif isinstance(sound, Linked):
                linked = sound.linked
                listening = hearing_well.linked(listening, sound.at) if linked else hearing_well.unlinked(listening)
        waited = now - sounds[0].at if sounds else 0.0
        self.listening = hearing_well.looked(listening, now, float("inf") if dropped else waited)

    def _hear(self, heard: Heard, clock: float, at: float) -> None:
        self.heard += 1
        try:
            address, channel = read_topic(heard.topic)
            message = decode(address, channel, heard.payload)
        except WireError as wrong:
            self._refuse(heard.topic, wrong)
            return
        if not isinstance(message, Ask | Config):  # what goes down is not asked for
            self.hearing.hear(address, message, clock, at, retained=heard.retained)

    def _refuse(self, topic: str, wrong: WireError) -> None:
        key = (topic, str(wrong.objection))
        if key not in self.refused and len(self.refused) >= MOST_COUNTED:
            key = (OTHERS, str(wrong.objection))
        self.refused[key] += 1

    def _concerns(self, around: Around, at: datetime) -> tuple[Concern, ...]:
        return correlate((*self._own(around, at), *self.hearing.faults()), around.releases, around.silenced)

    def _own(self, around: Around, at: datetime) -> Iterator[Fault]:
        """Yield what is wrong with ourselves."""
        deaf = self.listening.told()
        self._deaf = (self._deaf or at) if deaf else None
        if deaf and self._deaf:
            yield Fault(Code.OBSERVER_DEGRADED, Subject(Kind.FLEET), self._deaf, {"why": deaf})
        self._failing = {name: self._failing.get(name, at) for name in around.failing}
        for name, since in self._failing.items():
            yield Fault(Code.CHANNEL_FAILING, Subject(Kind.CHANNEL, part=name), since, {"why": around.failing[name]})
