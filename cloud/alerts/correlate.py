"""Decides which faults are one concern, and which are only the effect of a wider one.

1. A dark fleet hides what is at its sites, a dark site what is at it, a box that is away what is on it. What is hidden
   is counted in the concern that hides it.
2. Faults of one family at one site are one concern, whichever boxes they are on: three boxes that fall one after the
   other are one alert that grows. A workload is a concern of its own; so are the GPUs of a site.
"""

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final

from cloud.alerts.catalogue import CATALOGUE, OF_OURSELVES, Family
from cloud.alerts.fault import Code, Fault, Subject

NAMED: Final = frozenset({Family.WORKLOAD, Family.CHANNEL})
"""Families whose parts are told apart by name: the scan workload of a site is another concern than its vision."""


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What makes faults one concern."""

    family: Family
    site: str = ""
    part: str = ""

    def __str__(self) -> str:
        return "/".join(word for word in (self.family, self.site, self.part) if word)


@dataclass(frozen=True, slots=True)
class Concern:
    """Faults that people hear of as one thing."""

    key: Key
    code: Code  # of the gravest
    subject: Subject  # the one thing, or what all of them have in common
    since: datetime  # of the earliest
    members: tuple[str, ...]  # boxes, by name; the site itself has none
    details: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # of the gravest
    effects: int = 0  # faults that it hides
    release: str = ""  # that was moving one of the boxes
    hidden: bool = False  # by a wider one, or silenced


def correlate(
    faults: Iterable[Fault],
    releases: Mapping[str, str] = MappingProxyType({}),
    silenced: Callable[[Fault], bool] = lambda _: False,
) -> tuple[Concern, ...]:
    """Return the concerns, in the order of their keys.

    ``releases``: what moves a box now, by box. ``silenced``: whether somebody asked not to be told; such a fault hides
    others as it always does.
    """
    known = tuple(faults)
    wrong = {(CATALOGUE[one.code].family, one.subject.site, one.subject.box) for one in known}
    effects: dict[Key, int] = defaultdict(int)
    groups: dict[tuple[Key, bool], list[Fault]] = defaultdict(list)
    for fault in known:
        hider = _cause(fault, wrong)
        if hider is not None:
            effects[hider] += 1
        groups[key_of(fault), hider is not None or silenced(fault)].append(fault)
    return tuple(
        _concern(key, group, effects.get(key, 0), releases, hidden=hidden)
        for (key, hidden), group in sorted(groups.items(), key=lambda item: item[0])
        if not hidden or (key, False) not in groups
    )


def key_of(fault: Fault) -> Key:
    """Return which concern a fault belongs to."""
    family = CATALOGUE[fault.code].family
    return Key(family, fault.subject.site, fault.subject.part if family in NAMED else "")


def _cause(fault: Fault, wrong: Container[tuple[Family, str, str]]) -> Key | None:
    """Return the widest concern that a fault is only an effect of; None: it stands for itself.

    ``wrong``: family, site and box of all faults.
    """
    family, subject = CATALOGUE[fault.code].family, fault.subject
    if family in OF_OURSELVES:
        return None
    for wider, site, box in (
        (Family.FLEET, "", ""),
        (Family.SITE, subject.site, ""),
        (Family.BOX, subject.site, subject.box),
    ):
        if wider is family:
            return None
        if (wider, site, box) in wrong:
            return Key(wider, site)
    return None


def _concern(key: Key, faults: list[Fault], effects: int, releases: Mapping[str, str], *, hidden: bool) -> Concern:
    gravest = max(faults, key=lambda fault: (CATALOGUE[fault.code].rank, _earlier(fault), fault.fingerprint))
    boxes = tuple(sorted({fault.subject.box for fault in faults if fault.subject.box}))
    return Concern(
        key=key,
        code=gravest.code,
        subject=gravest.subject if len(faults) == 1 else _common(faults),
        since=min(fault.since for fault in faults),
        members=boxes,
        details=gravest.details,
        effects=effects,
        release=next((releases[box] for box in boxes if box in releases), ""),
        hidden=hidden,
    )


def _earlier(fault: Fault) -> float:
    return -fault.since.timestamp()


def _common(faults: list[Fault]) -> Subject:
    """Return what all have in common: the site, and of a workload its name."""
    first = faults[0].subject
    box = first.box if len({fault.subject.box for fault in faults}) == 1 else ""
    part = first.part if len({fault.subject.part for fault in faults}) == 1 else ""
    return Subject(first.kind, first.site, box, part)
