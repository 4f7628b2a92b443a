"""What people are told of alerts as the minutes go by, and the laws of the life cycle over random histories."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.alerts.catalogue import Family
from cloud.alerts.correlate import Key, correlate
from cloud.alerts.fault import Code, Fault, Kind, Subject
from cloud.alerts.lifecycle import Book, Observed, dump, firing, load, step, take
from cloud.alerts.notice import Occasion

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
MINUTE, HOUR = 60.0, 3600.0


@dataclass
class Duty:
    """Somebody on duty, whom a life cycle tells things as the seconds go by."""

    book: Book = field(default_factory=Book)
    second: float = 0.0
    messages: list[tuple[float, list[str]]] = field(default_factory=list)
    since: dict[str, datetime] = field(default_factory=dict)
    every: float = 1.0

    def see(
        self, *faults: Fault, lasts: float, silenced: bool = False, frozen: bool = False, unheard: Iterable[str] = ()
    ) -> "Duty":
        """Let these faults be there for some seconds. Each is as old as its first look."""
        end = self.second + lasts
        self.since = {one.fingerprint: self.since.get(one.fingerprint, self.now) for one in faults}
        aged = [Fault(one.code, one.subject, self.since[one.fingerprint], one.details) for one in faults]
        while self.second < end:
            concerns = correlate(aged, silenced=lambda _: silenced)
            done = step(self.book, Observed(concerns, frozen=frozen, unheard=frozenset(unheard)), self.now)
            assert (
                step(done.book, Observed(concerns, frozen=frozen, unheard=frozenset(unheard)), self.now).messages == ()
            )
            self.book = load(dump(done.book)) if done.messages else done.book
            for message in done.messages:
                said = [f"{one.occasion} {one.alert.concern.code} {one.alert.concern.subject}" for one in message]
                self.messages.append((self.second, said))
            self.second += self.every
        return self

    @property
    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.second)

    @property
    def told(self) -> list[tuple[float, str]]:
        return [(second, said) for second, message in self.messages for said in message]


def site(name: str = "tc-001", code: Code = Code.SITE_DARK) -> Fault:
    return Fault(code, Subject(Kind.SITE, name), NOON)


def box(name: str = "tc-001-scan-1", code: Code = Code.BOX_DOWN) -> Fault:
    return Fault(code, Subject(Kind.BOX, name[:6], name), NOON)


def scan(name: str = "tc-001-scan-1", code: Code = Code.WORKLOAD_CRASHED) -> Fault:
    return Fault(code, Subject(Kind.WORKLOAD, name[:6], name, "scan"), NOON)


def test_a_fault_is_told_at_once_and_its_end_at_once() -> None:
    duty = Duty().see(box(), lasts=40).see(lasts=HOUR)
    assert duty.told == [(0, "firing BoxDown tc-001/tc-001-scan-1"), (40, "resolved BoxDown tc-001/tc-001-scan-1")]
    assert duty.book == Book()


def test_a_short_fault_is_told_as_over_only_when_it_stays_away() -> None:
    duty = Duty().see(box(), lasts=4).see(lasts=10).see(box(), lasts=4).see(lasts=MINUTE)
    assert [(second, said.split()[0]) for second, said in duty.told] == [(0, "firing"), (33, "resolved")]


def test_what_the_catalogue_holds_back_is_told_when_it_has_lasted() -> None:
    poor = site(code=Code.SITE_LINK_POOR)
    assert Duty().see(poor, lasts=MINUTE).see(lasts=HOUR).told == []
    assert Duty().see(poor, lasts=61).told == [(60, "firing SiteLinkPoor tc-001")]


def test_a_box_that_toggles_for_an_hour_is_three_notices() -> None:
    duty = Duty()
    for _ in range(450):
        duty.see(box(), lasts=4).see(lasts=4)
    duty.see(lasts=HOUR)
    assert [(second, said.split()[0]) for second, said in duty.told] == [
        (0, "firing"),
        (16, "flapping"),
        (3896, "resolved"),
    ]


def test_slow_flapping_is_told_as_flapping_when_it_begins_for_the_third_time() -> None:
    duty = (
        Duty()
        .see(box(), lasts=40)
        .see(lasts=40)
        .see(box(), lasts=40)
        .see(lasts=40)
        .see(box(), lasts=40)
        .see(lasts=HOUR)
    )
    assert [said.split()[0] for _, said in duty.told] == [
        "firing",
        "resolved",
        "firing",
        "resolved",
        "flapping",
        "resolved",
    ]
    assert duty.told[-1][0] == 500


def test_what_flapped_and_has_come_for_good_is_told_once_more() -> None:
    duty = Duty().see(box(), lasts=4).see(lasts=4).see(box(), lasts=4).see(lasts=4).see(box(), lasts=HOUR)
    assert [(second, said.split()[0]) for second, said in duty.told] == [
        (0, "firing"), (16, "flapping"), (316, "changed"), (316 + 30 * MINUTE, "repeated"),
    ]  # fmt: skip


def test_a_second_box_that_falls_is_told_in_a_moment_and_a_third_a_minute_later() -> None:
    first, second, third = box("tc-001-scan-1"), box("tc-001-scan-2"), box("tc-001-scan-3")
    duty = Duty().see(first, lasts=1).see(first, second, lasts=10).see(first, second, third, lasts=HOUR / 3)
    assert [(at, said.split()[0]) for at, said in duty.told] == [(0, "firing"), (5, "changed"), (65, "changed")]
    assert firing(duty.book)[0].members == ("tc-001-scan-1", "tc-001-scan-2", "tc-001-scan-3")


def test_a_box_that_died_is_told_while_its_neighbour_flaps() -> None:
    duty = Duty()
    for _ in range(10):
        duty.see(box(), lasts=4).see(lasts=4)
    for _ in range(10):
        duty.see(box(), box("tc-001-scan-2"), lasts=4).see(box("tc-001-scan-2"), lasts=4)
    assert [said.split()[0] for _, said in duty.told] == ["firing", "flapping", "changed"]


def test_a_graver_cause_is_told_and_a_lesser_one_is_not() -> None:
    duty = (
        Duty()
        .see(box(code=Code.BOX_SILENT), lasts=20)
        .see(box(), lasts=20)
        .see(box(code=Code.BOX_SILENT), lasts=HOUR / 3)
    )
    assert duty.told == [
        (0, "firing BoxSilent tc-001/tc-001-scan-1"), (20, "changed BoxDown tc-001/tc-001-scan-1"),
    ]  # fmt: skip


def test_what_nobody_takes_is_told_again_and_less_and_less_often() -> None:
    duty = Duty(every=30).see(box(), lasts=24 * HOUR)
    assert [round(second / MINUTE) for second, _ in duty.told] == [0, 30, 90, 210, 450, 690, 930, 1170, 1410]
    assert {said.split()[0] for _, said in duty.told[1:]} == {"repeated"}


def test_a_warning_is_not_repeated() -> None:
    assert len(Duty(every=30).see(scan(), lasts=24 * HOUR).told) == 1


def test_what_somebody_has_taken_is_not_repeated_until_it_comes_back() -> None:
    key = Key(Family.BOX, "tc-001")
    duty = Duty(every=10).see(box(), lasts=MINUTE)
    duty.book = take(duty.book, key, "li")
    duty.see(box(), lasts=5 * HOUR).see(lasts=HOUR).see(box(), lasts=HOUR)
    assert [said.split()[0] for _, said in duty.told] == ["firing", "resolved", "firing", "repeated"]


def test_only_what_is_told_can_be_taken() -> None:
    key = Key(Family.BOX, "tc-001")
    with pytest.raises(KeyError):
        take(Book(), key, "li")
    with pytest.raises(KeyError):
        take(Duty().see(box(), lasts=5, silenced=True).book, key, "li")


def test_a_dark_site_is_one_notice_and_what_it_hid_has_time_to_recover() -> None:
    duty = Duty().see(site(), box(), scan(), lasts=MINUTE).see(box(), scan(), lasts=10).see(lasts=HOUR)
    assert duty.told == [(0, "firing SiteDark tc-001"), (60, "resolved SiteDark tc-001")]


def test_what_is_still_wrong_when_the_site_is_back_is_told_then() -> None:
    duty = Duty().see(site(), scan(), lasts=MINUTE).see(scan(), lasts=MINUTE)
    assert duty.told[2:] == [(75 - 1, "firing WorkloadCrashed tc-001/tc-001-scan-1/scan")]


def test_what_was_told_before_its_site_fell_is_told_as_over_when_it_is() -> None:
    duty = Duty().see(scan(), lasts=MINUTE).see(site(), scan(), lasts=MINUTE).see(scan(), lasts=5).see(lasts=HOUR)
    assert [said for _, said in duty.told] == [
        "firing WorkloadCrashed tc-001/tc-001-scan-1/scan",
        "firing SiteDark tc-001",
        "resolved SiteDark tc-001",
        "resolved WorkloadCrashed tc-001/tc-001-scan-1/scan",
    ]


def test_a_silenced_fault_is_told_when_the_silence_ends_if_it_is_still_there() -> None:
    assert Duty().see(box(), lasts=HOUR, silenced=True).see(lasts=HOUR).told == []
    duty = Duty().see(box(), lasts=HOUR, silenced=True).see(box(), lasts=MINUTE)
    assert duty.told == [(HOUR + 14, "firing BoxDown tc-001/tc-001-scan-1")]


def test_while_we_do_not_hear_well_only_that_is_told() -> None:
    deaf = Fault(Code.OBSERVER_DEGRADED, Subject(Kind.FLEET), NOON)
    duty = Duty().see(box(), lasts=MINUTE).see(deaf, site("tc-002"), lasts=MINUTE, frozen=True).see(box(), lasts=MINUTE)
    assert [said.split()[:2] for _, said in duty.told] == [
        ["firing", "BoxDown"], ["firing", "ObserverDegraded"], ["resolved", "ObserverDegraded"],
    ]  # fmt: skip


def test_what_belongs_to_a_box_that_has_not_spoken_since_we_started_is_not_over() -> None:
    duty = Duty().see(scan(), lasts=MINUTE)
    duty.see(lasts=MINUTE, unheard=["tc-001-scan-1"]).see(scan(), lasts=MINUTE)
    assert len(duty.told) == 1


def test_forty_sites_at_once_are_one_message_and_those_that_follow_are_two() -> None:
    duty = Duty(every=0.1).see(*(site(f"tc-{n:03}") for n in range(40)), lasts=12)
    assert [(second, len(said)) for second, said in duty.messages] == [(0, 40)]
    duty = Duty(every=0.1)
    for n in range(40):
        duty.see(*(site(f"tc-{m:03}") for m in range(n + 1)), lasts=0.1)
    duty.see(*(site(f"tc-{m:03}") for m in range(40)), lasts=12)
    assert [len(said) for _, said in duty.messages] == [1, 1, 38]
    assert duty.messages[-1][0] == pytest.approx(5, abs=0.2)


def test_faults_that_go_on_falling_are_gathered_for_longer_and_longer() -> None:
    duty = Duty()
    for n in range(100):
        duty.see(*(site(f"tc-{m:03}") for m in range(n + 1)), lasts=2)
    assert [second for second, _ in duty.messages] == [0, 2, 5, 15, 35, 75, 135, 195]


def test_sites_far_apart_in_time_are_told_at_once() -> None:
    duty = Duty()
    for n in range(10):
        duty.see(*(site(f"tc-{m:03}") for m in range(n + 1)), lasts=6)
    assert [second for second, _ in duty.messages] == [6.0 * n for n in range(10)]


def test_what_is_gone_before_the_gathering_ends_is_never_told() -> None:
    duty = Duty().see(site("tc-001"), lasts=1).see(site("tc-001"), site("tc-002"), lasts=1)
    duty.see(site("tc-001"), site("tc-002"), site("tc-003"), lasts=1).see(site("tc-001"), site("tc-002"), lasts=MINUTE)
    assert [len(said) for _, said in duty.messages] == [1, 1]


@pytest.mark.parametrize("kept", [b"", b"{}", b"[[], [], []]", b"[[{}], []]", b"\xff", b'[[{"concern": 1}], []]'])
def test_what_is_no_book_is_refused(kept: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        load(kept)


FAULTS = (box(), box("tc-001-scan-2"), box(code=Code.BOX_SILENT), scan(), site(), site(code=Code.SITE_LINK_POOR))
PIECES = st.tuples(
    st.sets(st.sampled_from(range(len(FAULTS)))),
    st.sampled_from([1, 3, 7, 16, 31, 70]),
    st.booleans(),
    st.booleans(),
)


@given(st.lists(PIECES, max_size=8))
def test_the_laws_of_the_life_cycle(pieces: list[tuple[set[int], int, bool, bool]]) -> None:
    book, second, serials, open_ones = Book(), 0, dict[str, int](), set[str]()
    for chosen, lasts, silenced, frozen in pieces:
        faults = [Fault(f.code, f.subject, NOON + timedelta(seconds=second)) for f in map(FAULTS.__getitem__, chosen)]
        concerns = correlate(faults, silenced=lambda _, silenced=silenced: silenced)  # type: ignore[misc]
        visible = {one.key for one in concerns if not one.hidden}
        for _ in range(lasts):
            done = step(book, Observed(concerns, frozen=frozen), NOON + timedelta(seconds=second))
            for told in (one for message in done.messages for one in message):
                alert = told.alert
                assert not frozen
                assert alert.serial == serials.get(alert.fingerprint, 0) + 1
                serials[alert.fingerprint] = alert.serial
                if told.occasion is Occasion.RESOLVED:
                    assert alert.concern.key not in {one.key for one in concerns}
                    open_ones.remove(alert.fingerprint)
                else:
                    assert alert.concern.key in visible
                    assert (alert.fingerprint in open_ones) is (
                        told.occasion is not Occasion.FIRING or alert.serial > 1
                    ) or (told.occasion is Occasion.FLAPPING and alert.serial == 1)
                    open_ones.add(alert.fingerprint)
            book, second = load(dump(done.book)) if done.messages else done.book, second + 1
            assert {one.fingerprint for one in firing(book)} == open_ones
    for _ in range(0, 2000, 10):
        book, second = step(book, Observed(()), NOON + timedelta(seconds=second)).book, second + 10
    assert book == Book()
