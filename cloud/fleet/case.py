"""What we have concluded about a site and its boxes so far: suspects, whom was asked about them, verdicts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from cloud.fleet.life import Life
from cloud.fleet.verdict import Reason, Verdict
from edgeagent.wire import Finding


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What neighbours were asked about a box."""

    at: float
    witnesses: tuple[str, ...]
    answers: Mapping[str, Finding] = field(default_factory=lambda: MappingProxyType({}))
    rounds: int = 1


@dataclass(frozen=True, slots=True)
class Case:
    """A box that is suspected, and what has come of it."""

    inquiry: Inquiry | None = None  # None: nobody was asked yet
    verdict: Verdict | None = None  # None: not concluded yet


@dataclass(frozen=True, slots=True)
class Site:
    """What we have concluded about a site. A box without a case is online."""

    cases: Mapping[str, Case] = field(default_factory=lambda: MappingProxyType({}))
    dark: float | None = None  # since when the whole site is; None: it is not
    poor: float | None = None  # since when its beats come late; None: they do not
    returned: float = 0.0  # until then boxes of a site that was dark may connect again


def answered(site: Site, witness: str, suspect: str, found: Finding) -> Site:
    """Note what a neighbour found; an answer that nobody waits for changes nothing."""
    case = site.cases.get(suspect)
    if case is None or case.inquiry is None or case.verdict is not None or witness not in case.inquiry.witnesses:
        return site
    inquiry = replace(case.inquiry, answers={**case.inquiry.answers, witness: found})
    return replace(site, cases={**site.cases, suspect: replace(case, inquiry=inquiry)})


def verdict_on(site: Site, box: str, life: Life, now: float) -> Verdict:
    """Return the conclusion about one box as it stands."""
    case = site.cases.get(box)
    if case is not None and case.verdict is not None:
        return case.verdict
    if life.cloned(now):
        return Verdict(Reason.CLONED, life.flipped)
    if site.poor is not None:
        return Verdict(Reason.POOR_LINK, site.poor)
    return Verdict(Reason.BEATS, 0.0)
