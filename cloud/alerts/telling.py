"""Puts an announcement into words: a notice in every language that we speak, with what is known and what to do."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, timedelta, tzinfo
from typing import Final

from cloud.alerts import phrases
from cloud.alerts.catalogue import CATALOGUE, Family
from cloud.alerts.lifecycle import Alert, Announcement
from cloud.alerts.notice import Language, Notice, Occasion, Words
from cloud.alerts.phrases import SAME

MOST_NAMED: Final = 8
"""Boxes that a notice names; of more it gives the number."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is known of those concerned."""

    roles: Mapping[str, Collection[str]] = field(default_factory=dict)  # of boxes, by name
    zone: tzinfo = UTC  # of the times that people read


def notice(told: Announcement, setting: Setting) -> Notice:
    """Return what people are told. The announcement must come from a step, for that says when."""
    alert, concern = told.alert, told.alert.concern
    roles = {role for box in alert.members for role in setting.roles.get(box, ())}
    return Notice(
        fingerprint=alert.fingerprint,
        serial=alert.serial,
        occasion=told.occasion,
        code=concern.code,
        severity=CATALOGUE[concern.code].severity,
        subject=concern.subject,
        roles=tuple(sorted(roles)),
        since=concern.since,
        at=alert.last or concern.since,
        words={language: _words(told, language, setting.zone) for language in Language},
        runbook=CATALOGUE[concern.code].runbook,
    )


def _words(told: Announcement, language: Language, zone: tzinfo) -> Words:
    concern = told.alert.concern
    phrase = phrases.PHRASES[concern.code][language]
    members = _affected(told.alert)
    names = {
        "site": concern.subject.site, "box": concern.subject.box, "part": concern.subject.part, "count": len(members),
    }  # fmt: skip
    title = phrase.many if len(members) > 1 and phrase.many != SAME else phrase.one
    advice = "" if told.occasion is Occasion.RESOLVED else phrase.advice.format(**names)
    return Words(title.format(**names), tuple(_lines(told, language, zone)), advice)


def _affected(alert: Alert) -> tuple[str, ...]:
    """Return the boxes that people think of: those of the whole episode once it is over."""
    return alert.concern.members if alert.gone is None else alert.members


def _lines(told: Announcement, language: Language, zone: tzinfo) -> Iterator[str]:
    alert, concern = told.alert, told.alert.concern
    at = alert.last or concern.since
    if (line := phrases.OCCASIONS.get(told.occasion)) is not None:
        lasted = (alert.gone or at) - alert.onset
        yield line[language].format(lasted=span(lasted, language))
    yield phrases.SINCE[language].format(since=f"{concern.since.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}")
    if len(members := _affected(alert)) > 1:
        more = phrases.MORE[language].format(count=len(members)) if len(members) > MOST_NAMED else ""
        yield phrases.MEMBERS[language].format(names=", ".join(members[:MOST_NAMED]) + more)
    if told.occasion is Occasion.RESOLVED:
        return
    for names, line in phrases.DETAILS:
        if names <= concern.details.keys():
            yield line[language].format(**concern.details)
    if concern.key.family is Family.BOX:
        witness = concern.details.get("witness", "")
        kind = witness if witness in phrases.WITNESS else "box"
        yield phrases.WITNESS[kind][language].format(witness=witness)
    if concern.effects:
        yield phrases.EFFECTS[language].format(count=concern.effects)
    if concern.release:
        yield phrases.RELEASE[language].format(release=concern.release)


def span(lasted: timedelta, language: Language) -> str:
    """Return a span of time in its two largest units: ``4 min 10 s``."""
    seconds = max(0, round(lasted.total_seconds()))
    counts = (seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60, seconds % 60)
    said = [f"{count} {unit}" if count else "" for count, unit in zip(counts, _UNITS[language], strict=True)]
    first = next((place for place, text in enumerate(said) if text), None)
    if first is None:
        return f"0 {_UNITS[language][-1]}"
    return " ".join(text for text in said[first : first + 2] if text)


_UNITS: Final = {Language.CHINESE: ("天", "小时", "分", "秒"), Language.ENGLISH: ("d", "h", "min", "s")}
