"""What is known of a fleet that is heard: stories of boxes that beat, fall silent, return, and what is wrong then."""

from datetime import UTC, datetime
from itertools import count

import pytest

from cloud.fleet.detector import Question
from cloud.fleet.record import Remembered
from cloud.fleet.verdict import Reason
from cloud.ingest.hearing import MOST_ASKED, Asked, Hearing
from edgeagent.happening import Happening
from edgeagent.wire import Address, Answer, Beat, Birth, Event, Finding

BOOT, OTHER = "0" * 16, "1" * 16
EPOCH = 1.8e9  # of the calendar when the listening clock stood at 0
TICK = 0.1


class Fleet:
    """Boxes at sites that beat once a second, and what a hearing makes of them."""

    def __init__(self, sites: int = 1, boxes: int = 3) -> None:
        numbers = count()
        self.hearing = Hearing(lambda: f"nonce-{next(numbers)}")
        self.boxes = [Address(f"tc-{s}", f"tc-{s}-scan-{b}") for s in range(sites) for b in range(boxes)]
        self.silent: set[Address] = set()
        self.letters = dict.fromkeys(self.boxes, "rr")
        self.boots = dict.fromkeys(self.boxes, BOOT)
        self.seq, self.clock = count(1), 0.0
        self.transitions: list[tuple[float, str, Reason]] = []
        self.asked: list[Asked] = []

    def born(self) -> "Fleet":
        for box in self.boxes:
            self.say(box, Birth(
                boot=BOOT, session=1, seq=next(self.seq), site=box.site, box=box.box, roles=("scan",), at=self.at,
                workloads=("scan", "sort"), lan=("10.0.0.1",), port=7,
            ))  # fmt: skip
        return self

    @property
    def at(self) -> float:
        return EPOCH + self.clock

    def say(self, box: Address, said: Birth | Beat | Event | Answer, *, retained: bool = False) -> None:
        self.hearing.hear(box, said, self.clock, self.at, retained=retained)

    def run(self, seconds: float) -> "Fleet":
        for _ in range(round(seconds / TICK)):
            self.clock = round(self.clock + TICK, 3)
            if abs(self.clock - round(self.clock)) < TICK / 2:
                for box in self.boxes:
                    if box not in self.silent:
                        self.say(box, Beat(self.boots[box], 1, next(self.seq), 1, self.letters[box]))
            looked = self.hearing.look(self.clock, self.at)
            self.transitions += [(self.clock, one.address.box, one.verdict.reason) for one in looked.transitions]
            self.asked += looked.ask
        return self

    def answer(self, found: Finding) -> None:
        for asked in self.asked:
            self.say(
                asked.witness, Answer(boot=BOOT, session=1, seq=next(self.seq), nonce=asked.ask.nonce, found=found)
            )

    def wrong(self) -> list[str]:
        return sorted(f"{one.code} {one.subject}" for one in self.hearing.faults())

    @property
    def reasons(self) -> list[tuple[str, Reason]]:
        return [(box, reason) for _, box, reason in self.transitions]


def test_a_fleet_that_beats_has_no_faults() -> None:
    fleet = Fleet(3).born().run(30)
    assert (fleet.wrong(), fleet.transitions, fleet.asked) == ([], [], [])
    assert (len(fleet.hearing), fleet.hearing.unheard) == (9, set())
    assert fleet.hearing.roles["tc-0-scan-0"] == ("scan",)


def test_a_silent_box_is_asked_about_and_what_its_neighbours_found_is_told() -> None:
    fleet = Fleet().born().run(5)
    fleet.silent.add(fleet.boxes[0])
    fleet.run(3)
    assert {one.ask.box for one in fleet.asked} == {"tc-0-scan-0"}
    assert {one.witness.box for one in fleet.asked} == {"tc-0-scan-1", "tc-0-scan-2"}
    assert (fleet.asked[0].ask.lan, fleet.asked[0].ask.port) == (("10.0.0.1",), 7)
    fleet.answer(Finding.NOTHING)
    fleet.run(TICK)
    assert fleet.wrong() == ["BoxDown tc-0/tc-0-scan-0"]
    (fault,) = fleet.hearing.faults()
    assert fault.since == datetime.fromtimestamp(EPOCH + 5, UTC)
    assert fault.details["witness"] in {"tc-0-scan-1", "tc-0-scan-2"}
    fleet.silent.clear()
    fleet.run(2)
    assert (fleet.wrong(), fleet.reasons) == (
        [],
        [("tc-0-scan-0", Reason.POWER_OR_HANG), ("tc-0-scan-0", Reason.BEATS)],
    )


def test_an_answer_counts_only_from_whom_was_asked_and_once() -> None:
    fleet = Fleet().born().run(5)
    fleet.silent.add(fleet.boxes[0])
    fleet.run(2.5)
    stranger = next(box for box in fleet.boxes[1:])
    for asked in fleet.asked:
        other = fleet.boxes[1] if asked.witness == fleet.boxes[2] else fleet.boxes[2]
        fleet.say(
            other, Answer(boot=BOOT, session=1, seq=next(fleet.seq), nonce=asked.ask.nonce, found=Finding.NOTHING)
        )
    fleet.say(stranger, Answer(boot=BOOT, session=1, seq=next(fleet.seq), nonce="guess", found=Finding.NOTHING))
    fleet.run(2)
    assert fleet.wrong() == ["BoxSilent tc-0/tc-0-scan-0"]


def test_questions_that_nobody_answers_are_forgotten() -> None:
    fleet = Fleet().born().run(5)
    for _ in range(MOST_ASKED + 5):
        fleet.hearing._question("tc-0", Question("tc-0-scan-1", "tc-0-scan-0"))  # noqa: SLF001 - the only way to have so many
    assert len(fleet.hearing._questions) == MOST_ASKED  # noqa: SLF001


def test_a_dark_site_is_one_fault_since_its_last_word() -> None:
    fleet = Fleet(4).born().run(5)
    fleet.silent |= {box for box in fleet.boxes if box.site == "tc-2"}
    fleet.run(5)
    assert fleet.wrong() == ["SiteDark tc-2"]
    assert next(fleet.hearing.faults()).since == datetime.fromtimestamp(EPOCH + 5, UTC)
    assert {reason for _, reason in fleet.reasons} == {Reason.SITE_DARK}
    fleet.silent.clear()
    fleet.run(3)
    assert fleet.wrong() == []


def test_when_most_sites_fall_together_the_fleet_is_dark_and_no_site_is_blamed() -> None:
    fleet = Fleet(10).born().run(5)
    fleet.silent |= {box for box in fleet.boxes if box.site != "tc-2"}
    fleet.run(30)
    assert (fleet.wrong(), fleet.transitions) == (["FleetDark fleet"], [])
    fleet.silent.clear()
    fleet.run(3)
    assert (fleet.wrong(), fleet.transitions) == ([], [])


def test_what_is_wrong_on_a_box_is_told_and_is_over_when_its_letters_say_so() -> None:
    fleet = Fleet().born().run(2)
    fleet.letters[fleet.boxes[0]] = "cr"
    assert fleet.run(1).wrong() == ["WorkloadCrashed tc-0/tc-0-scan-0/scan"]
    fleet.letters[fleet.boxes[0]] = "rr"
    assert fleet.run(1).wrong() == []


def test_what_was_wrong_on_a_box_stays_while_it_is_silent() -> None:
    fleet = Fleet().born().run(2)
    fleet.letters[fleet.boxes[0]] = "cr"
    fleet.run(2)
    fleet.silent.add(fleet.boxes[0])
    assert fleet.run(10).wrong() == ["BoxSilent tc-0/tc-0-scan-0", "WorkloadCrashed tc-0/tc-0-scan-0/scan"]


def test_a_box_that_took_its_leave_has_no_faults_nor_has_anything_on_it() -> None:
    fleet = Fleet().born().run(2)
    fleet.letters[fleet.boxes[0]] = "cr"
    fleet.run(2)
    fleet.say(fleet.boxes[0], Event(boot=BOOT, session=1, seq=next(fleet.seq), kind=Happening.GOODBYE))
    fleet.silent.add(fleet.boxes[0])
    assert fleet.run(30).wrong() == []
    assert fleet.reasons == [("tc-0-scan-0", Reason.PLANNED)]


def test_two_machines_under_one_name_are_told_until_there_is_one() -> None:
    fleet = Fleet().born().run(2)
    for boot in (OTHER, BOOT, OTHER, BOOT):
        fleet.say(fleet.boxes[0], Beat(boot, 1, next(fleet.seq), 1))
    fleet.run(2)
    assert fleet.wrong() == ["BoxCloned tc-0/tc-0-scan-0"]
    fleet.run(70)
    assert (fleet.wrong(), fleet.reasons) == ([], [("tc-0-scan-0", Reason.CLONED), ("tc-0-scan-0", Reason.BEATS)])


def test_a_poor_link_is_one_fault_of_the_site_and_every_box_is_degraded() -> None:
    fleet = Fleet().born().run(5)
    for _ in range(12):
        fleet.silent.update(fleet.boxes)
        fleet.run(1)
        fleet.silent.clear()
        fleet.run(1)
        if fleet.wrong():
            break
    assert fleet.wrong() == ["SiteLinkPoor tc-0"]
    assert fleet.reasons == [(box.box, Reason.POOR_LINK) for box in fleet.boxes]


def test_the_clock_of_a_box_is_wrong_and_where_most_are_wrong_it_is_ours() -> None:
    fleet = Fleet().born().run(2)

    def ahead(box: Address, by: float) -> None:
        fleet.say(box, Birth(
            boot=BOOT, session=1, seq=next(fleet.seq), site=box.site, box=box.box, at=fleet.at + by,
            workloads=("scan", "sort"),
        ))  # fmt: skip

    ahead(fleet.boxes[0], 3600)
    assert fleet.wrong() == ["ClockWrong tc-0/tc-0-scan-0"]
    ahead(fleet.boxes[1], 3600)
    assert fleet.wrong() == []
    ahead(fleet.boxes[0], 0)
    assert fleet.wrong() == ["ClockWrong tc-0/tc-0-scan-1"]


def reborn(fleet: Fleet) -> Fleet:
    """A monitor that has just started, with what the one before has kept."""
    fresh = Fleet(1, 3)
    fresh.clock, fresh.seq, fresh.silent, fresh.letters = 100.0, fleet.seq, fleet.silent, fleet.letters
    fresh.hearing.restore((fleet.hearing.remembered(box) for box in fleet.boxes), fresh.clock, fresh.at)
    return fresh


def test_after_a_restart_what_was_concluded_stands_and_nothing_is_told_twice() -> None:
    fleet = Fleet().born().run(5)
    fleet.silent.add(fleet.boxes[0])
    fleet.run(10)
    (fault,) = fleet.hearing.faults()
    again = reborn(fleet)
    assert list(again.hearing.faults()) == [fault]
    assert again.hearing.unheard == {box.box for box in fleet.boxes}
    again.run(30)
    assert (again.transitions, list(again.hearing.faults())) == ([], [fault])
    assert again.hearing.unheard == {"tc-0-scan-0"}
    again.silent.clear()
    assert again.run(3).reasons == [("tc-0-scan-0", Reason.BEATS)]


def test_after_a_restart_a_dark_site_is_still_dark_and_comes_back_once() -> None:
    fleet = Fleet().born().run(5)
    fleet.silent.update(fleet.boxes)
    fleet.run(10)
    faults = list(fleet.hearing.faults())
    again = reborn(fleet).run(30)
    assert (again.transitions, list(again.hearing.faults())) == ([], faults)
    again.silent.clear()
    again.run(20)
    assert (again.wrong(), {reason for _, reason in again.reasons}) == ([], {Reason.BEATS})


def test_after_a_restart_a_box_that_had_taken_its_leave_is_not_missed() -> None:
    fleet = Fleet().born().run(2)
    fleet.say(fleet.boxes[0], Event(boot=BOOT, session=1, seq=next(fleet.seq), kind=Happening.GOODBYE))
    fleet.silent.add(fleet.boxes[0])
    fleet.run(5)
    assert reborn(fleet).run(60).wrong() == []


def test_after_a_restart_a_poor_link_is_learned_anew() -> None:
    kept = Remembered(Address("tc-0", "tc-0-scan-0"), BOOT, 1, Reason.POOR_LINK)
    fleet = Fleet(1, 1)
    fleet.hearing.restore([kept], 0.0, EPOCH)
    assert fleet.run(20).wrong() == []


def test_a_box_that_fell_while_nobody_listened_is_told() -> None:
    fleet = Fleet().born().run(5)
    again = reborn(fleet)
    again.silent.add(fleet.boxes[0])
    assert again.run(30).wrong() == ["BoxSilent tc-0/tc-0-scan-0"]


def test_a_retained_birth_of_a_box_proves_nothing() -> None:
    fleet = Fleet(1, 1)
    for lan in ("10.0.0.1", "10.0.0.2"):
        birth = Birth(boot=BOOT, session=1, seq=0, site="tc-0", box="tc-0-scan-0", lan=(lan,))
        fleet.say(fleet.boxes[0], birth, retained=True)
    assert fleet.hearing.unheard == {"tc-0-scan-0"}
    fleet.silent.update(fleet.boxes)
    assert fleet.run(60).wrong() == ["BoxSilent tc-0/tc-0-scan-0"]


def test_what_is_forgotten_is_not_missed() -> None:
    fleet = Fleet().born().run(5)
    fleet.letters[fleet.boxes[0]] = "cr"
    fleet.run(2)
    gone, fleet.boxes = fleet.boxes[0], fleet.boxes[1:]
    fleet.hearing.forget(gone)
    assert (fleet.run(30).wrong(), len(fleet.hearing)) == ([], 2)
    for box in (gone, *fleet.boxes):
        fleet.hearing.forget(box)
    with pytest.raises(KeyError):
        fleet.hearing.remembered(gone)
    assert (len(fleet.hearing), fleet.hearing.roles) == (0, {})


def test_a_session_that_broke_off_is_looked_at_at_once() -> None:
    fleet = Fleet().born().run(5)
    fleet.silent.add(fleet.boxes[0])
    box = fleet.boxes[0]
    fleet.say(box, Birth(boot=BOOT, session=1, seq=0, site=box.site, box=box.box, dead=True))
    assert fleet.run(0.2).wrong() == ["AgentDown tc-0/tc-0-scan-0"]


def test_a_double_changes_nothing() -> None:
    fleet = Fleet().born().run(2)
    beat = Beat(BOOT, 1, 99, 1, "cr")
    fleet.say(fleet.boxes[0], beat)
    fleet.letters[fleet.boxes[0]] = "rr"
    fleet.seq = count(100)
    fleet.run(1)
    fleet.say(fleet.boxes[0], beat)
    assert fleet.wrong() == []
