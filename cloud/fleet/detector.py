"""Decides what is the matter with the boxes of one site, from what was heard of them and what neighbours found.

1. A box that was silent for 2.5 periods is suspected. Nobody is told before it is clear what died: up to two neighbours
   that beat are asked to look for it on the LAN. What they find decides; the best news wins.
2. A neighbour that neither answers nor beats any more is no witness: the site may be falling. When all its boxes are
   silent the site is dark, one conclusion for all of them. A box alone at its site is just silent.
3. A session that broke off in mid-speech was closed by its machine: the agent died and its machine lives. That needs no
   witness, only a moment in which the agent may come back, and a neighbour whose session did not break off as well.
4. The more beats of a box come late, the less its silence proves: the site is told once as poor, and only a neighbour
   that finds no machine, or a much longer silence, makes a box more than that.
5. A box that beats is online at once. When a site returns, its boxes have time to connect again before any is
   suspected.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from cloud.fleet.case import Case, Inquiry, Site
from cloud.fleet.life import RETURN, Life
from cloud.fleet.verdict import Reason, Verdict
from edgeagent.wire import Finding

PATIENCE: Final = 2.5
"""Periods of silence until a box is suspected. Of a healthy link's gaps 1 in 10,000 is longer than 2 (5 % loss)."""
FRESH: Final = 1.5
"""Periods within which a neighbour must have beaten to be asked."""
WITNESSES: Final = 2
ANSWER_WITHIN: Final = 0.55
"""Seconds for a neighbour's answer: 0.3 for its own search, the rest for both ways."""
ROUNDS: Final = 3
"""Times that other neighbours are asked when those before have fallen silent."""
MOST_ASKED: Final = 32
"""Boxes of a site that neighbours are asked about at one time, so that a large site that falls asks no flood."""
DOUBT: Final = 0.5
"""Seconds until a site is looked at again that was not judged because we doubted ourselves."""
DEBOUNCE: Final = 0.1
"""Seconds that an agent whose session broke off has to come back."""
POOR: Final = 0.006
"""Share of late beats from which a link is poor: above 10 % loss (0.005); at 5 % (0.0002) three may come together."""
GOOD_AGAIN: Final = 0.001
LINK_PATIENCE: Final = 6.0
"""Periods of silence of a box whose neighbour sees its agent at work: it is most likely heard in a moment."""
PATIENCE_FOR_LATE: Final = 700.0
"""Periods more for a link all of whose beats come late: 6 in all at 10 % loss, 20 at 20 %, where gaps so long are seen
once in 10 million beats."""
MOST_PATIENCE: Final = 30.0
"""Periods; of TCP's gaps at 30 % loss the longest seen was 33 s."""


@dataclass(frozen=True, slots=True)
class Question:
    """Ask this neighbour about that box."""

    witness: str
    suspect: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """The conclusions about a site, whom to ask now, and when to look again if nothing is heard before."""

    site: Site
    ask: tuple[Question, ...] = ()
    recheck: float = float("inf")


def judge(site: Site, lives: Mapping[str, Life], now: float, *, doubted: bool = False) -> Judgement:
    """Conclude what can be concluded about a site now.

    ``lives`` has every box of the site by name, ``now`` is of the listening clock. ``doubted``: so many sites fell
    silent together that we rather doubt ourselves; nothing new is concluded then.
    """
    look = _Look(site, lives, now)
    site = replace(look.quality(), cases=look.settled())
    if doubted:
        return Judgement(site, recheck=now + DOUBT)
    if look.all_silent or (site.dark is not None and not look.lit):
        return look.darkened(site)
    if site.dark is not None:
        site = replace(site, dark=None, returned=now + RETURN, cases=look.spared(site))
    if now < site.returned:
        return Judgement(site, recheck=min(site.returned, look.next_due()))
    return look.confirmed(site)


class _Look:
    """One look at a site: which of its boxes beat, which are silent, which are none of our business."""

    def __init__(self, site: Site, lives: Mapping[str, Life], now: float) -> None:
        self.site, self.lives, self.now = site, lives, now
        self.lit: list[str] = []  # proven, and heard within patience
        self.silent: list[str] = []  # for longer, and not concluded upon before
        self.broke: list[str] = []  # in mid-speech, a moment ago
        self.waited: list[str] = []  # unproven, and may still come
        for name, life in lives.items():
            if (group := self._group(name, life)) is not None:
                group.append(name)
        self.watched = len(self.lit) + len(self.silent) + len(self.broke)
        self.all_silent = bool(self.silent) and not self.lit and not self.broke

    def _group(self, name: str, life: Life) -> list[str] | None:
        """None: it stopped on purpose, or what it has is concluded already."""
        if life.goodbye:
            return None
        if self.now - life.heard < self._patience(life):
            if life.broke_off(FRESH * life.period):
                return None if self._concluded(name) else self.broke
            return self.lit if life.proven else self.waited
        return None if self._concluded(name) else self.silent

    def _concluded(self, name: str) -> bool:
        case = self.site.cases.get(name)
        return case is not None and case.verdict is not None and case.verdict.reason is not Reason.SITE_DARK

    def _patience(self, life: Life) -> float:
        return PATIENCE * life.period

    def quality(self) -> Site:
        """Tell whether the site's link is poor, by the middle one of its boxes; while it is dark as it was."""
        if not self.lit:
            return self.site
        shares = sorted(self.lives[name].late for name in self.lit)
        late = shares[len(shares) // 2]
        if self.site.poor is None:
            return replace(self.site, poor=self.now) if late > POOR else self.site
        return replace(self.site, poor=None) if late < GOOD_AGAIN else self.site

    def settled(self) -> dict[str, Case]:
        """Return the cases without those of boxes that beat or are gone; whoever stopped on purpose has one."""
        known_boxes = ((name, case) for name, case in self.site.cases.items() if name in self.lives)
        cases = {name: case for name, case in known_boxes if not self._beats(name, case)}
        for name, life in self.lives.items():
            known = cases.get(name)
            if life.goodbye and (known is None or known.verdict is None or known.verdict.reason is not Reason.PLANNED):
                cases[name] = Case(verdict=Verdict(Reason.PLANNED, self.now))
        return cases

    def _beats(self, name: str, case: Case) -> bool:
        """Tell whether a box has answered for itself. Unproven is not enough where something was concluded."""
        life = self.lives[name]
        quiet = life.goodbye or self.now - life.heard >= self._patience(life)
        if quiet or life.broke_off(FRESH * life.period):
            return False
        return life.proven or case.verdict is None

    def darkened(self, site: Site) -> Judgement:
        """Conclude that the whole site is dark; a single box has no site to speak of, and a poor link has time."""
        alone = self.watched == 1 and site.dark is None
        ready = max((self._ready(name, Reason.SILENT) for name in self.silent), default=0.0)
        if ready > self.now:
            return Judgement(site, recheck=ready)
        reason = Reason.SILENT if alone else Reason.SITE_DARK
        since = self.now if site.dark is None else site.dark
        cases = {**site.cases, **{name: Case(verdict=Verdict(reason, since)) for name in self.silent}}
        return Judgement(replace(site, cases=cases, dark=None if alone else since), recheck=self.next_due())

    def spared(self, site: Site) -> dict[str, Case]:
        """Return the cases of a site that has just returned: nothing is concluded of boxes that were dark with it."""
        return {
            name: case
            for name, case in site.cases.items()
            if case.verdict is None or case.verdict.reason is not Reason.SITE_DARK
        }

    def confirmed(self, site: Site) -> Judgement:
        """Go on with every suspect by itself."""
        cases, ask, recheck = dict(site.cases), list[Question](), self.next_due()
        for name in self.broke:
            broke_off = self.lives[name].will or 0.0
            if self.now < broke_off + DEBOUNCE:
                recheck = min(recheck, broke_off + DEBOUNCE)
            elif self.watched == 1 or any(self.lives[one].opened < broke_off for one in self.lit):
                cases[name] = Case(verdict=Verdict(Reason.AGENT_DOWN, self.now, "broker"))
        room = MOST_ASKED - sum(_open(cases.get(name)) for name in self.silent)
        for name in self.silent:
            if not _open(cases.get(name)):
                if room <= 0:
                    continue
                room -= 1
            case, due = self._went_on(name, cases.get(name, Case()))
            if case.inquiry is not None and case.verdict is None and case.inquiry.at == self.now:
                ask += [Question(witness, name) for witness in case.inquiry.witnesses]
            cases[name], recheck = case, min(recheck, due)
        return Judgement(replace(site, cases=cases), tuple(ask), recheck)

    def _went_on(self, name: str, case: Case) -> tuple[Case, float]:
        """Return the case of a silent box after this look, and when it goes on by itself."""
        inquiry = case.inquiry
        if inquiry is None:
            return self._asked(name, case)
        answers, deadline = inquiry.answers, inquiry.at + ANSWER_WITHIN
        if Finding.AGENT in answers.values():
            return self._concluding(name, case, Reason.LINK, inquiry)
        if Finding.MACHINE in answers.values() and (len(answers) == len(inquiry.witnesses) or self.now >= deadline):
            return self._concluding(name, case, Reason.AGENT_DOWN, inquiry)
        if answers and (len(answers) == len(inquiry.witnesses) or self.now >= deadline):
            return self._concluding(name, case, Reason.POWER_OR_HANG, inquiry)
        if self.now < deadline:
            return case, deadline
        if any(self.lives[one].heard > deadline for one in inquiry.witnesses if one in self.lives):
            return self._concluding(name, case, Reason.SILENT, inquiry)
        return self._asked(name, case)

    def _asked(self, name: str, case: Case) -> tuple[Case, float]:
        """Ask those that beat; wait for those that were asked and may beat again, and where nobody beats."""
        before, rounds = (case.inquiry.witnesses, case.inquiry.rounds) if case.inquiry else ((), 0)
        chosen = self._witnesses(without={name, *before})
        if not self.lit or any(one in self.lit for one in before) or (rounds < ROUNDS and not chosen):
            return case, self.now + self.lives[name].period / 4
        if rounds < ROUNDS:
            return replace(case, inquiry=Inquiry(self.now, chosen, rounds=rounds + 1)), self.now + ANSWER_WITHIN
        return self._concluding(name, case, Reason.SILENT, None)

    def _witnesses(self, without: set[str]) -> tuple[str, ...]:
        fresh = [
            name
            for name in self.lit
            if name not in without and self.now - self.lives[name].heard < FRESH * self.lives[name].period
        ]
        return tuple(sorted(fresh, key=lambda name: (-self.lives[name].heard, name))[:WITNESSES])

    def _concluding(self, name: str, case: Case, reason: Reason, inquiry: Inquiry | None) -> tuple[Case, float]:
        """Conclude, unless the link is so poor that the silence may still be its doing."""
        if self.now < (ready := self._ready(name, reason)):
            return case, ready
        witness = next((one for one in inquiry.witnesses if one in inquiry.answers), "") if inquiry else ""
        return replace(case, verdict=Verdict(reason, self.now, witness)), float("inf")

    def _ready(self, name: str, reason: Reason) -> float:
        """Return when the silence of a box is enough for such a conclusion; what is seen on the LAN needs no more."""
        life = self.lives[name]
        if reason in {Reason.POWER_OR_HANG, Reason.AGENT_DOWN}:
            return self.now
        least = LINK_PATIENCE if reason is Reason.LINK else PATIENCE
        return life.heard + life.period * min(MOST_PATIENCE, least + PATIENCE_FOR_LATE * life.late)

    def next_due(self) -> float:
        """When the next box will have been silent for too long."""
        quiet = [self.lives[name] for name in (*self.lit, *self.broke, *self.waited)]
        return min((life.heard + self._patience(life) for life in quiet), default=float("inf"))


def _open(case: Case | None) -> bool:
    return case is not None and case.inquiry is not None and case.verdict is None
