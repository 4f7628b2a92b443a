"""Everything that is known of the boxes we hear: takes in what they say, concludes what follows, tells what is wrong.

One thread owns it. ``clock`` is the listening clock (cloud/fleet/listening.py), which decides; ``at`` are seconds
since 1970 by the monitor's own calendar, which people read.

1. A site is looked at when it is due, or when a box spoke of which something is open. Nothing is done for the others,
   so a quiet fleet costs its beats alone.
2. A box that stopped on purpose has no faults, nor has anything on it. What was known of the parts of a box that fell
   silent stays as it is; correlation hides it.
3. After a restart what was concluded before stands until the box speaks.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from statistics import median_low
from typing import Final

import msgspec

from cloud.alerts.fault import Code, Fault, Kind, Subject
from cloud.fleet import doubt
from cloud.fleet.box import Health
from cloud.fleet.case import Case, Site, answered, verdict_on
from cloud.fleet.detector import Question, judge
from cloud.fleet.life import Life, Said, absorb, recall
from cloud.fleet.record import Remembered, Transition
from cloud.fleet.verdict import Reason, Verdict
from cloud.ingest import chart as charts
from cloud.ingest.chart import Chart
from edgeagent.wire import Address, Answer, Ask, Birth

CODES: Final[Mapping[Reason, Code]] = {
    Reason.POWER_OR_HANG: Code.BOX_DOWN,
    Reason.LINK: Code.BOX_UNREACHABLE,
    Reason.AGENT_DOWN: Code.AGENT_DOWN,
    Reason.SILENT: Code.BOX_SILENT,
    Reason.CLONED: Code.BOX_CLONED,
}
"""Of boxes; that a site is dark or its link poor is said once, of the site."""
MOST_ASKED: Final = 4096
"""Questions without an answer that are remembered; an answer to an older one is worth nothing."""

JUST_NOW: Final = 0.3
"""Seconds since a box spoke within which its site is not falling, however short its period is (0.2 s and more)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question on its way to a neighbour."""

    witness: Address
    ask: Ask


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of one look at the fleet."""

    transitions: tuple[Transition, ...] = ()
    ask: tuple[Asked, ...] = ()


@dataclass(slots=True)
class _Place:
    """A site as it is heard."""

    site: Site = field(default_factory=Site)
    lives: dict[str, Life] = field(default_factory=dict)
    spoke: float = 0.0  # when one of its boxes did, by the listening clock; 0: none has since we started
    due: float = 0.0
    dark: datetime | None = None  # since when; None: it is not
    poor: datetime | None = None


class Hearing:
    """What is known of all boxes. ``nonce`` makes a word that nobody guesses."""

    def __init__(self, nonce: Callable[[], str]) -> None:
        self._nonce = nonce
        self._places: dict[str, _Place] = {}
        self._charts: dict[Address, Chart] = {}
        self._ill: set[Address] = set()  # of whose parts, or clock, something is wrong
        self._concluded: dict[Address, tuple[Verdict, datetime]] = {}  # all but beats
        self._roles: dict[str, tuple[str, ...]] = {}
        self._questions: dict[str, tuple[Address, str]] = {}  # nonce: who was asked about whom
        self._flipped: set[Address] = set()  # that another machine may speak for
        self._doubted: datetime | None = None  # since when; None: we do not doubt ourselves
        self.unheard: set[str] = set()  # boxes that have not spoken since we started

    @property
    def roles(self) -> Mapping[str, tuple[str, ...]]:
        """What boxes are for, by name."""
        return self._roles

    def __len__(self) -> int:
        return sum(len(place.lives) for place in self._places.values())

    def addresses(self) -> Iterator[Address]:
        """Yield the boxes that we know."""
        return (Address(name, box) for name, place in self._places.items() for box in place.lives)

    def restore(self, known: Iterable[Remembered], clock: float, at: float) -> None:
        """Take in what was known before we started."""
        for one in known:
            self._recalled(one, clock, at)

    def hear(self, address: Address, said: Said, clock: float, at: float, *, retained: bool = False) -> None:
        """Take in what a box said; ``retained``: the broker had kept it."""
        place = self._places.get(address.site)
        if place is None:
            place = self._places[address.site] = _Place()
        life = place.lives.get(address.box)
        absorbed = absorb(life, said, clock, retained=retained)
        place.lives[address.box] = fresh = absorbed.life
        if fresh is life:
            return
        if fresh.proven and fresh.heard == clock:
            self.unheard.discard(address.box)
            place.spoke = clock
        elif life is None:
            self.unheard.add(address.box)
        if fresh.flips and fresh.cloned(clock):
            self._flipped.add(address)
        if address.box in place.site.cases or place.site.dark is not None or fresh.will is not None or fresh.goodbye:
            place.due = clock
        if absorbed.news:
            self._noted(address, said, place, at)

    def look(self, clock: float, at: float) -> Looked:
        """Conclude what can be concluded now."""
        for address in self._flipped:
            self._places[address.site].due = clock
        due = [(name, place) for name, place in self._places.items() if place.due <= clock]
        if not due:
            return Looked()
        self._doubt(clock, at)
        transitions: list[Transition] = []
        ask: list[Asked] = []
        for name, place in due:
            judgement = judge(place.site, place.lives, clock, doubted=self._doubted is not None)
            before, place.site, place.due = place.site, judgement.site, judgement.recheck
            transitions += self._transitions(name, before, clock, at)
            ask += [self._question(name, question) for question in judgement.ask]
        return Looked(tuple(transitions), tuple(ask))

    def faults(self) -> Iterator[Fault]:
        """Yield all that is wrong now, but for what is wrong with ourselves."""
        if self._doubted is not None:
            yield Fault(Code.FLEET_DARK, Subject(Kind.FLEET), self._doubted)
        for name, place in self._places.items():
            if place.dark is not None:
                yield Fault(Code.SITE_DARK, Subject(Kind.SITE, name), place.dark)
            if place.poor is not None and place.dark is None:
                yield Fault(Code.SITE_LINK_POOR, Subject(Kind.SITE, name), place.poor)
        for address, (verdict, since) in self._concluded.items():
            if (code := CODES.get(verdict.reason)) is not None:
                details = {"witness": verdict.witness}
                yield Fault(code, Subject(Kind.BOX, address.site, address.box), since, details)
        skew = self._skew()
        for address in self._ill:
            known = self._concluded.get(address)
            if known is None or known[0].reason is not Reason.PLANNED:
                yield from charts.faults(self._charts[address], address, skew)

    def remembered(self, address: Address) -> Remembered:
        """Return what should be kept of a box. Raises KeyError for one that we do not know."""
        life = self._places[address.site].lives[address.box]
        verdict, since = self._concluded.get(address, (Verdict(Reason.BEATS, 0.0), None))
        return Remembered(
            address, life.boot, life.session, verdict.reason, since, verdict.witness,
            self._roles.get(address.box, ()), life.lan, life.port,
        )  # fmt: skip

    def forget(self, address: Address) -> None:
        """Know nothing more of a box: it is no part of the fleet any more."""
        place = self._places.get(address.site)
        if place is None or place.lives.pop(address.box, None) is None:
            return
        self._charts.pop(address, None)
        self._concluded.pop(address, None)
        self._ill.discard(address)
        self._flipped.discard(address)
        self._roles.pop(address.box, None)
        self.unheard.discard(address.box)
        place.due = 0.0
        if not place.lives:
            del self._places[address.site]

    def _recalled(self, one: Remembered, clock: float, at: float) -> None:
        place = self._places.setdefault(one.address.site, _Place())
        box = one.address.box
        place.lives[box] = recall(one.boot, one.session, clock, (one.lan, one.port))
        self._charts[one.address] = Chart()
        self._roles[box] = one.roles
        self.unheard.add(box)
        if one.reason is Reason.PLANNED:
            place.lives[box] = msgspec.structs.replace(place.lives[box], goodbye=True)
        if one.reason in {Reason.BEATS, Reason.POOR_LINK, Reason.CLONED}:
            return
        verdict, since = Verdict(one.reason, clock, one.witness), one.since or _day(at)
        dark = place.site.dark
        if one.reason is Reason.SITE_DARK:
            dark, place.dark = clock, min(place.dark or since, since)
        place.site = replace(place.site, cases={**place.site.cases, box: Case(verdict=verdict)}, dark=dark)
        self._concluded[one.address] = (verdict, since)

    def _noted(self, address: Address, said: Said, place: _Place, at: float) -> None:
        """Take in what a box says of its parts, and what a neighbour found."""
        if isinstance(said, Answer):
            self._answered(address, said, place)
            return
        if isinstance(said, Birth):
            self._roles[address.box] = said.roles
        before = self._charts.get(address)
        after = charts.absorb(before or Chart(), said, at)
        if after is before:
            return
        self._charts[address] = after
        if after.ills or after.skewed:
            self._ill.add(address)
        else:
            self._ill.discard(address)

    def _answered(self, address: Address, answer: Answer, place: _Place) -> None:
        asked = self._questions.pop(answer.nonce, None)
        if asked is not None and asked[0] == address:
            place.site = answered(place.site, address.box, asked[1], answer.found)
            place.due = 0.0

    def _question(self, site: str, question: Question) -> Asked:
        suspect = self._places[site].lives[question.suspect]
        witness, nonce = Address(site, question.witness), self._nonce()
        if len(self._questions) >= MOST_ASKED:
            del self._questions[next(iter(self._questions))]
        self._questions[nonce] = (witness, question.suspect)
        return Asked(witness, Ask(nonce=nonce, box=question.suspect, lan=suspect.lan, port=suspect.port))

    def _doubt(self, clock: float, at: float) -> None:
        doubted = doubt.doubted(
            (_falling(place, clock) for place in self._places.values()), before=self._doubted is not None
        )
        self._doubted = (self._doubted or _day(at)) if doubted else None

    def _transitions(self, name: str, before: Site, clock: float, at: float) -> Iterator[Transition]:
        """Note what has changed at a site, and yield it box by box."""
        place = self._places[name]
        quiet = max(0.0, clock - place.spoke) if place.spoke else 0.0
        place.dark = (place.dark or _day(at - quiet)) if place.site.dark is not None else None
        place.poor = (place.poor or _day(at)) if place.site.poor is not None else None
        whole = (before.poor is None) is not (place.site.poor is None)
        flipped = {address.box for address in self._flipped if address.site == name}
        touched = place.lives.keys() if whole else (before.cases.keys() | place.site.cases.keys() | flipped)
        for box in sorted(touched & place.lives.keys()):
            life, address = place.lives[box], Address(name, box)
            verdict = verdict_on(place.site, box, life, clock)
            known = self._concluded.get(address)
            reason = Reason.BEATS if known is None else known[0].reason
            if verdict.reason is reason:
                continue
            since = _day(at - max(0.0, clock - life.heard) if verdict.health is Health.OFFLINE else at)
            self._concluded[address] = (verdict, since)
            if verdict.reason is Reason.BEATS:
                del self._concluded[address]
            if not life.cloned(clock):
                self._flipped.discard(address)
            yield Transition(address, reason, verdict, _day(at), since)

    def _skew(self) -> float:
        """Return how far most clocks are from ours: where half of them are wrong, ours is."""
        wrong = [chart.skew for address in self._ill if (chart := self._charts[address]).skewed]
        return median_low([one.skew for one in self._charts.values()]) if 2 * len(wrong) > len(self._charts) else 0.0


def _falling(place: _Place, clock: float) -> bool | None:
    """Tell whether a site is falling; None: it was dark before. Of most sites a box has spoken just now."""
    if place.site.dark is not None:
        return None
    return False if clock - place.spoke < JUST_NOW else doubt.falling(place.lives, clock)


def _day(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
