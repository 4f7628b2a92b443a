"""One site in virtual time: boxes that beat over a link that loses and delays, neighbours that look, and a detector.

Loss is what TCP makes of it: a lost packet is sent again and again, at first in even steps, then after times that
double, and what was said later waits behind it. Nothing sleeps or reads a clock; the same seed gives the same story.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from cloud.fleet import case, detector
from cloud.fleet.case import Site
from cloud.fleet.detector import Question
from cloud.fleet.life import Life, absorb
from cloud.fleet.verdict import Reason
from edgeagent.happening import Happening
from edgeagent.wire import Beat, Birth, Event, Finding

LOOK = 0.1  # seconds between two looks of the monitor
ROUND_TRIP = 0.1
PROBE = 0.3  # seconds until a neighbour that hears nothing says so
FIRST_RETRY = 0.25  # seconds until TCP sends again what was lost
LONGEST_RETRY = 60.0
WARM = 20.0  # seconds that a site has beaten when its story begins


@dataclass
class Box:
    """A box as it really is."""

    name: str
    phase: float
    boot: str
    session: int = 1
    seq: int = 0
    power: bool = True
    agent: bool = True
    lan: bool = True
    answers: bool = True  # when asked about a neighbour
    delivered: float = 0.0  # when the last of what it said came through
    period: float = 1.0


@dataclass
class World:
    """A site, its uplink, and what was concluded when."""

    boxes: dict[str, Box]
    chance: random.Random
    loss: float = 0.0
    jitter: float = 0.02
    linear: int = 6  # tries after which TCP begins to double: for a thin stream that asks for it, as the agent's does
    up: bool = True
    now: float = 0.0
    lives: dict[str, Life] = field(default_factory=dict)
    site: Site = field(default_factory=Site)
    recheck: float = 0.0
    told: list[tuple[float, str, Reason]] = field(default_factory=list)  # every change of a verdict
    asked: list[tuple[float, Question]] = field(default_factory=list)
    eager: bool = False  # judges far more often than it must
    _due: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _order: "count[int]" = field(default_factory=count)

    def at(self, when: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, (max(when, self.now), next(self._order), act))

    def run(self, until: float) -> None:
        """Let time pass."""
        while self._due and self._due[0][0] <= until:
            self.now, _, act = heapq.heappop(self._due)
            act()
            if self.eager:
                self.judge()
        self.now = until

    def look(self) -> None:
        """The monitor's own beat: it judges what is due."""
        if self.now >= self.recheck:
            self.judge()
        self.at(self.now + LOOK, self.look)

    def judge(self) -> None:
        before = {name: self.reason(name) for name in self.lives}
        judgement = detector.judge(self.site, self.lives, self.now)
        self.site, self.recheck = judgement.site, judgement.recheck
        for question in judgement.ask:
            self.asked.append((self.now, question))
            self.ask(question)
        self.told += [
            (self.now, name, self.reason(name)) for name, old in before.items() if self.reason(name) is not old
        ]

    def reason(self, name: str) -> Reason:
        return case.verdict_on(self.site, name, self.lives[name], self.now).reason

    def beat(self, box: Box) -> None:
        if box.power and box.agent:
            box.seq += 1
            self.say(box, Beat(box.boot, box.session, box.seq, 1))
        self.at(self.now + box.period, lambda: self.beat(box))

    def say(self, box: Box, message: Beat | Birth | Event) -> None:
        """Send over the uplink; what is said while it is cut is gone with its connection."""
        if not self.up:
            return
        took, retry, tries = ROUND_TRIP / 2 + self.chance.random() * self.jitter, FIRST_RETRY, 0
        while self.chance.random() < self.loss:
            took, tries = took + retry, tries + 1
            retry = retry if tries < self.linear else min(2 * retry, LONGEST_RETRY)
        box.delivered = max(box.delivered, self.now + took)
        self.at(box.delivered, lambda: self.hear(box.name, message))

    def hear(self, name: str, message: Beat | Birth | Event, *, retained: bool = False) -> None:
        if not self.up and not retained:
            return
        was = self.lives.get(name)
        self.lives[name] = absorb(was, message, self.now, retained=retained).life
        if was is None or name in self.site.cases or self.lives[name].will != was.will or isinstance(message, Event):
            self.judge()

    def ask(self, question: Question) -> None:
        witness, suspect = self.boxes[question.witness], self.boxes[question.suspect]
        if not (self.up and witness.power and witness.agent and witness.answers):
            return
        if not suspect.power or not (suspect.lan and witness.lan):
            found, took = Finding.NOTHING, PROBE
        else:
            found, took = (Finding.AGENT if suspect.agent else Finding.MACHINE), 0.01

        def answer() -> None:
            if self.up:
                self.site = case.answered(self.site, question.witness, question.suspect, found)
                self.judge()

        self.at(self.now + ROUND_TRIP + took, answer)

    # what can befall a site

    def will_of(self, name: str, after: float) -> None:
        box = self.boxes[name]
        will = self.birth(box, dead=True)
        self.at(max(self.now + after, box.delivered + 0.001), lambda: self.hear_broker(name, will))

    def hear_broker(self, name: str, will: Birth) -> None:
        """A will comes from the broker, not over the uplink."""
        self.lives[name] = absorb(self.lives.get(name), will, self.now).life
        self.judge()

    def birth(self, box: Box, *, dead: bool = False) -> Birth:
        return Birth(
            boot=box.boot, session=box.session, seq=0 if dead else box.seq, site="tc-001", box=box.name, dead=dead,
            period=box.period,
        )  # fmt: skip

    def kill_agent(self, name: str) -> None:
        self.boxes[name].agent = False
        self.will_of(name, 0.01 + ROUND_TRIP / 2)

    def start_agent(self, name: str) -> None:
        box = self.boxes[name]
        box.agent, box.session, box.seq = True, box.session + 1, 0
        self.say(box, self.birth(box))

    def cut_power(self, name: str) -> None:
        self.boxes[name].power = False
        self.will_of(name, 8.0 + self.chance.random())

    def cut_link(self) -> None:
        self.up = False

    def heal_link(self) -> None:
        """Every box notices within its back-off and opens a new session."""
        self.up = True
        for box in self.boxes.values():
            box.delivered = self.now
            box.session, box.seq, box.agent = box.session + 1, 0, box.agent
            if box.power and box.agent:
                self.at(self.now + self.chance.random() * 5, lambda box=box: self.say(box, self.birth(box)))  # type: ignore[misc]

    def stop_cleanly(self, name: str) -> None:
        box = self.boxes[name]
        box.seq += 1
        self.say(
            box, Event(boot=box.boot, session=box.session, seq=box.seq, kind=Happening.GOODBYE)
        )  # fmt: skip
        box.agent = False

    def reasons(self, name: str, since: float = 0.0) -> list[Reason]:
        """What was concluded of a box, in order."""
        return [reason for at, box, reason in self.told if box == name and at >= since]

    def first(self, reason: Reason, since: float = 0.0) -> float:
        """When this was first concluded of any box."""
        return next(at for at, _, one in self.told if one is reason and at >= since)


def world(boxes: int = 3, seed: int = 1, *, loss: float = 0.0, jitter: float = 0.02, linear: int = 6) -> World:
    """A site whose boxes have beaten for a while."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    made = World({}, chance, loss=loss, jitter=jitter, linear=linear)
    for number in range(1, boxes + 1):
        box = Box(f"box-{number}", chance.random(), f"{number:016x}")
        made.boxes[box.name] = box
        made.at(box.phase, lambda box=box: made.beat(box))  # type: ignore[misc]
    made.at(0.0, made.look)
    made.run(WARM)
    return made
