"""Decides what people are told of concerns that come, change and go: once, at once where it matters, and not in floods.

1. A concern fires when it has lasted as long as its catalogue entry holds it back, and is told at once.
2. It is told again as changed when it grows or turns graver, at most once a minute; as repeated while it is critical
   and nobody has taken it.
3. It is told as resolved when it is gone: at once if it lasted, after a moment if it was short, for it may come back.
   One that has begun three times within ten minutes is told as flapping, and then no more until it is stable.
4. What is hidden (by a wider concern, by a silence) is not told. Once it is hidden no more it has time to go by itself.
5. While we do not hear well, all but what is about ourselves stays as it is. What belongs to a box that we have not
   heard since we started is not gone because nobody speaks of it.
6. Concerns of one family that come together are one message, whatever their sites: the first at once, those that follow
   gathered over some seconds.

Everything is told from the state alone, so what could not be told now is told at the next step.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby
from types import MappingProxyType
from typing import Final, TypeAlias, assert_never

import msgspec

from cloud.alerts.catalogue import CATALOGUE, OF_OURSELVES, Entry, Family
from cloud.alerts.correlate import Concern, Key
from cloud.alerts.notice import Occasion, Severity

GATHER: Final = timedelta(seconds=5)
"""How long followers are gathered; twice as long each time that there are more, up to a minute."""
LONGEST_GATHERING: Final = timedelta(minutes=1)
AT_ONCE: Final = 2
"""Messages of a gathering that do not wait for its end: two sites may fall in the same moment by chance."""
CHANGES_APART: Final = timedelta(minutes=1)
SHORT: Final = timedelta(seconds=30)
"""A fault that lasted less may come back in a moment."""
QUIET_AFTER_SHORT: Final = timedelta(seconds=15)
FLAPS: Final = 3
FLAPS_WITHIN: Final = timedelta(minutes=10)
STABLE_AFTER: Final = timedelta(minutes=5)
"""What flapped must be gone, or there, for so long to be stable."""
GRACE: Final = timedelta(seconds=15)
"""What a wider concern has hidden may need a moment after it: a box that boots starts its workloads last."""
REPEAT_AFTER: Final = timedelta(minutes=30)
REPEATED_AT_MOST: Final = timedelta(hours=4)


@dataclass(frozen=True, slots=True)
class Alert:
    """A concern, and what people know of it. ``fired`` starts an episode, a told resolution ends it."""

    concern: Concern  # as it was seen last
    onset: datetime  # when it came, or came back after it had been told as resolved
    onsets: tuple[datetime, ...] = ()  # of the last ten minutes
    gone: datetime | None = None  # since when it is; None: it is there
    hidden: datetime | None = None  # when it was last
    fired: datetime | None = None  # when it was told first; None: people do not know of it
    last: datetime | None = None  # when it was told last
    serial: int = 0  # of the newest notice
    members: tuple[str, ...] = ()  # that people know of
    rank: int = 0  # that people know of
    changed: datetime | None = None  # when that was told last
    repeats: int = 0
    flapping: bool = False  # and people know
    taken_by: str = ""  # who looks after it; empty: nobody has said so

    @property
    def fingerprint(self) -> str:
        """The same for one episode, another for the next one: ``Box/tc-001@2026-11-27T04:00:00+00:00``."""
        return f"{self.concern.key}@{self.onset.isoformat()}"

    @property
    def entry(self) -> Entry:
        """What the catalogue says."""
        return CATALOGUE[self.concern.code]


class Gathering(msgspec.Struct, frozen=True):
    """Messages of one kind that belong together."""

    opened: datetime
    lasts: timedelta = GATHER
    messages: int = 0


Sort: TypeAlias = tuple[Family, Occasion]


@dataclass(frozen=True, slots=True)
class Book:
    """All alerts, and which of them are being gathered."""

    alerts: Mapping[Key, Alert] = field(default_factory=lambda: MappingProxyType({}))
    gatherings: Mapping[Sort, Gathering] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Observed:
    """What is wrong now."""

    concerns: Iterable[Concern]
    frozen: bool = False  # we do not hear well
    unheard: Container[str] = frozenset()  # boxes that were not heard since we started


@dataclass(frozen=True, slots=True)
class Announcement:
    """One thing to tell, and the alert as people then know it."""

    alert: Alert
    occasion: Occasion


@dataclass(frozen=True, slots=True)
class Step:
    """The book after a step, and the messages that follow from it, each of one or more announcements."""

    book: Book
    messages: tuple[tuple[Announcement, ...], ...] = ()


def step(book: Book, observed: Observed, now: datetime) -> Step:
    """Take in what is wrong now, and decide what is told."""
    alerts = dict(_taken_in(book.alerts, observed, now))
    due = [
        (key, occasion)
        for key, alert in sorted(alerts.items())
        if not _frozen(key, observed) and (occasion := _due(alert, now)) is not None
    ]
    gatherings = {sort: one for sort, one in book.gatherings.items() if now < one.opened + one.lasts}
    messages: list[tuple[Announcement, ...]] = []
    for sort, several in groupby(sorted(due, key=_sort), key=_sort):
        before = book.gatherings.get(sort)
        gathering = _gathered(before, now)
        if gathering is None:
            continue
        gatherings[sort] = gathering
        told = [Announcement(_told(alerts[key], occasion, now), occasion) for key, occasion in several]
        alerts.update({one.alert.concern.key: _kept(one) for one in told})
        messages.append(tuple(told))
    return Step(Book(alerts, gatherings), tuple(messages))


def take(book: Book, key: Key, who: str) -> Book:
    """Note that somebody looks after an alert; it is not repeated then. Raises KeyError if people know of none."""
    alert = book.alerts[key]
    if alert.fired is None:
        raise KeyError(key)
    return replace(book, alerts={**book.alerts, key: replace(alert, taken_by=who)})


def firing(book: Book) -> tuple[Alert, ...]:
    """Return what people know of and what is not told as resolved, in the order of keys."""
    return tuple(alert for _, alert in sorted(book.alerts.items()) if alert.fired is not None)


def _taken_in(alerts: Mapping[Key, Alert], observed: Observed, now: datetime) -> Iterator[tuple[Key, Alert]]:
    """Yield the alerts as they are after what was observed; those that nobody needs to remember are left out."""
    concerns = {one.key: one for one in observed.concerns}
    for key in alerts.keys() | concerns.keys():
        alert, concern = alerts.get(key), concerns.get(key)
        if _frozen(key, observed):
            if alert is not None:
                yield key, alert
        elif concern is not None:
            yield key, _there(alert, concern, now)
        elif alert is not None and (absent := _absent(alert, observed.unheard, now)) is not None:
            yield key, absent


def _frozen(key: Key, observed: Observed) -> bool:
    return observed.frozen and key.family not in OF_OURSELVES


def _there(alert: Alert | None, concern: Concern, now: datetime) -> Alert:
    if alert is not None and alert.gone is None and alert.concern == concern and not concern.hidden:
        return alert
    concern = replace(concern, details=dict(concern.details))
    if alert is None:
        alert = Alert(concern, onset=now, onsets=(now,))
    elif alert.gone is not None:
        onsets = (*_recent(alert, now), now)[-FLAPS:]
        alert = replace(alert, gone=None, onsets=onsets)
        if alert.fired is None:
            alert = Alert(concern, onset=now, onsets=onsets)
    return replace(alert, concern=concern, hidden=now if concern.hidden else alert.hidden)


def _absent(alert: Alert, unheard: Container[str], now: datetime) -> Alert | None:
    if any(box in unheard for box in alert.concern.members):
        return alert
    if alert.gone is None:
        return replace(alert, gone=now)
    return alert if alert.fired is not None or _recent(alert, now) else None


def _recent(alert: Alert, now: datetime) -> tuple[datetime, ...]:
    return tuple(at for at in alert.onsets if now - at < FLAPS_WITHIN)


def _due(alert: Alert, now: datetime) -> Occasion | None:
    """Return what has to be told of an alert now; None: nothing."""
    if alert.gone is not None:
        told = alert.fired is not None and now >= alert.gone + _quiet(alert, alert.gone)
        return Occasion.RESOLVED if told else None
    if alert.hidden is not None and now < alert.hidden + GRACE:
        return None
    if alert.fired is None or alert.last is None:
        if now < alert.concern.since + alert.entry.hold:
            return None
        return Occasion.FLAPPING if len(alert.onsets) >= FLAPS else Occasion.FIRING
    if not alert.flapping and len(alert.onsets) >= FLAPS and now - alert.onsets[0] < FLAPS_WITHIN:
        return Occasion.FLAPPING
    return _due_again(alert, alert.last, now)


def _due_again(alert: Alert, last: datetime, now: datetime) -> Occasion | None:
    graver = alert.entry.rank > alert.rank and not alert.flapping
    grown = not set(alert.concern.members) <= set(alert.members)
    changed_after = last + GATHER if alert.changed is None else alert.changed + CHANGES_APART
    if (_stays(alert, now) or graver or grown) and now >= changed_after:
        return Occasion.CHANGED
    loud = alert.entry.severity is Severity.CRITICAL and not alert.taken_by and not alert.flapping
    if loud and now >= last + min(REPEATED_AT_MOST, REPEAT_AFTER * 2**alert.repeats):
        return Occasion.REPEATED
    return None


def _stays(alert: Alert, now: datetime) -> bool:
    """Tell whether what came and went has come for good."""
    return alert.flapping and now >= alert.onsets[-1] + STABLE_AFTER


def _quiet(alert: Alert, gone: datetime) -> timedelta:
    """Return how long it must be gone until that is told."""
    if alert.flapping:
        return STABLE_AFTER
    short = gone - alert.onset < SHORT
    return max(alert.entry.clear, QUIET_AFTER_SHORT if short else timedelta(0))


def _sort(item: tuple[Key, Occasion]) -> Sort:
    return item[0].family, item[1]


def _gathered(before: Gathering | None, now: datetime) -> Gathering | None:
    """Return the gathering after one more message now; None: that has to wait for its end."""
    if before is None:
        return Gathering(now, messages=1)
    if now >= before.opened + before.lasts:
        return Gathering(now, min(LONGEST_GATHERING, before.lasts * 2), AT_ONCE)
    return msgspec.structs.replace(before, messages=before.messages + 1) if before.messages < AT_ONCE else None


def _told(alert: Alert, occasion: Occasion, now: datetime) -> Alert:
    """Return the alert once people know."""
    members = tuple(sorted({*alert.members, *alert.concern.members}))
    told = replace(alert, serial=alert.serial + 1, last=now, members=members, rank=max(alert.rank, alert.entry.rank))
    match occasion:
        case Occasion.FIRING:
            return replace(told, fired=now)
        case Occasion.FLAPPING:
            return replace(told, fired=told.fired or now, flapping=True)
        case Occasion.CHANGED:
            told = replace(told, changed=now)
            return replace(told, flapping=False, onsets=()) if _stays(told, now) else told
        case Occasion.REPEATED:
            return replace(told, repeats=told.repeats + 1)
        case Occasion.RESOLVED:
            return told
        case never:
            assert_never(never)


def _kept(told: Announcement) -> Alert:
    """Return the alert as it is remembered: after its end only for how often it came."""
    alert = told.alert
    if told.occasion is not Occasion.RESOLVED:
        return alert
    return replace(alert, fired=None, onsets=() if alert.flapping else alert.onsets, flapping=False)


def dump(book: Book) -> bytes:
    """Return a book as it is kept, JSON."""
    return msgspec.json.encode((tuple(book.alerts.values()), tuple(book.gatherings.items())))


def load(kept: bytes) -> Book:
    """Return what was kept. Raises ValueError for what is no book of ours."""
    alerts, gatherings = msgspec.json.decode(kept, type=tuple[tuple[Alert, ...], tuple[tuple[Sort, Gathering], ...]])
    return Book({one.concern.key: one for one in alerts}, dict(gatherings))
