"""What a person reads."""

import string
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from cloud.alerts import phrases
from cloud.alerts.correlate import correlate
from cloud.alerts.fault import Code, Fault, Kind, Subject
from cloud.alerts.lifecycle import Announcement, Book, Observed, Step, step
from cloud.alerts.notice import Language, Notice, Occasion, Words
from cloud.alerts.telling import Setting, notice, span

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
ZH, EN = Language.CHINESE, Language.ENGLISH
SETTING = Setting({"tc-001-scan-1": ["scan"], "tc-001-gpu-1": ["vision", "scan"]}, ZoneInfo("Asia/Shanghai"))
FIELDS = {"site", "box", "part", "count"}


def down(name: str = "tc-001-scan-1", **details: str) -> Fault:
    return Fault(Code.BOX_DOWN, Subject(Kind.BOX, name[:6], name), NOON, details)


def scan(**details: str) -> Fault:
    return Fault(Code.WORKLOAD_CRASHED, Subject(Kind.WORKLOAD, "tc-001", "tc-001-scan-1", "scan"), NOON, details)


def fire(*faults: Fault, **releases: str) -> Step:
    done = step(
        Book(), Observed(correlate(faults, {box.replace("_", "-"): name for box, name in releases.items()})), NOON
    )
    assert len(done.messages) == 1
    return done


def told(*faults: Fault, **releases: str) -> Notice:
    return notice(fire(*faults, **releases).messages[0][0], SETTING)


def test_a_box_that_lost_power_says_all_that_a_person_needs() -> None:
    found = told(down(witness="tc-001-scan-2"))
    assert found.words[EN] == Words(
        "Box tc-001-scan-1 at tc-001 has no power or hangs",
        ("Since 2026-11-02 20:00:00 CST", "Seen by: its neighbour tc-001-scan-2 had a look"),
        "It does not answer its neighbours either. Have the site check its power and start it anew.",
    )
    assert found.words[ZH] == Words(
        "tc-001 的盒子 tc-001-scan-1 断电或死机",
        ("开始于 2026-11-02 20:00:00 CST", "依据: 邻居 tc-001-scan-2 的探测"),
        "它对同一局域网的盒子也没有应答。请现场检查电源, 必要时重启。",
    )
    assert found.key == "Box/tc-001@2026-11-02T12:00:00+00:00#1"
    assert (found.roles, found.runbook) == (("scan",), "box-down")


def test_several_boxes_are_counted_and_named() -> None:
    found = told(down(), down("tc-001-gpu-1"))
    assert found.words[EN].title == "2 boxes at tc-001 have no power or hang"
    assert "Boxes: tc-001-gpu-1, tc-001-scan-1" in found.words[EN].lines
    assert found.roles == ("scan", "vision")


def test_of_many_boxes_some_are_named_and_all_are_counted() -> None:
    found = told(*(down(f"tc-001-scan-{number:02}") for number in range(30)))
    assert found.words[EN].lines[1].endswith("tc-001-scan-07 and others, 30 in all")
    assert found.words[ZH].lines[1].endswith("tc-001-scan-07 等 30 台")


def test_what_hangs_on_a_box_and_what_moved_it_are_named() -> None:
    lines = told(down(), scan(), tc_001_scan_1="shop/scan-7").words[EN].lines
    assert lines[-2:] == (
        "Faults that follow from it and are not told one by one: 1", "Being released there at that time: shop/scan-7",
    )  # fmt: skip


def test_a_crash_tells_what_is_known_of_it_and_nothing_else() -> None:
    assert told(scan(exit="139", ran="3600", unheard="x")).words[EN].lines[1:] == (
        "Exit code 139",
        "It had run for 3600 s",
    )


def test_words_of_a_box_are_words_and_no_template() -> None:
    nasty = "{0.__class__} {box} %s"
    assert told(scan(why=nasty)).words[EN].lines[-1] == f"Reason: {nasty}"
    there = Fault(Code.WORKLOAD_STALLED, Subject(Kind.WORKLOAD, "tc-001", "tc-001-scan-1", nasty), NOON)
    assert nasty in told(there).words[ZH].title


def test_the_end_says_how_long_it_lasted_and_of_which_boxes_and_asks_nothing() -> None:
    book, late = fire(down(), down("tc-001-gpu-1")).book, NOON + timedelta(minutes=4, seconds=10)
    (message,) = step(book, Observed(()), late).messages
    said = notice(message[0], SETTING)
    assert said.occasion is Occasion.RESOLVED
    assert said.words[EN].title == "2 boxes at tc-001 have no power or hang"
    assert said.words[EN].lines[0] == "It lasted 4 min 10 s"
    assert said.words[ZH].lines[0] == "历时 4 分 10 秒"
    assert said.words[EN].lines[2:] == ("Boxes: tc-001-gpu-1, tc-001-scan-1",)
    assert said.words[EN].advice == ""


@pytest.mark.parametrize("code", Code)
@pytest.mark.parametrize("occasion", Occasion)
def test_every_code_has_words_for_every_occasion(code: Code, occasion: Occasion) -> None:
    fault = Fault(code, Subject(Kind.BOX, "tc-001", "tc-001-scan-1", "scan"), NOON)
    first = fire(down()).messages[0][0].alert
    for faults in ([fault], [fault, replace(fault, subject=replace(fault.subject, box="tc-001-scan-2"))]):
        alert = replace(first, concern=correlate(faults)[0])
        for words in notice(Announcement(alert, occasion), SETTING).words.values():
            assert len(words.title) > len(phrases.SAME)
            assert "{" not in words.title + words.advice + "".join(words.lines)
            assert bool(words.advice) is (occasion is not Occasion.RESOLVED)


def test_a_template_names_only_what_is_known() -> None:
    assert phrases.PHRASES.keys() == set(Code)
    for languages in phrases.PHRASES.values():
        assert languages.keys() == set(Language)
        for phrase in languages.values():
            for text in (phrase.one, phrase.many, phrase.advice):
                assert {name for _, name, _, _ in string.Formatter().parse(text) if name} <= FIELDS


@pytest.mark.parametrize(
    ("seconds", "english", "chinese"),
    [
        (-1, "0 s", "0 秒"),
        (0.4, "0 s", "0 秒"),
        (59, "59 s", "59 秒"),
        (60, "1 min", "1 分"),
        (3600, "1 h", "1 小时"),
        (3661, "1 h 1 min", "1 小时 1 分"),
        (90000, "1 d 1 h", "1 天 1 小时"),
    ],
)
def test_a_span_is_told_in_two_units(seconds: float, english: str, chinese: str) -> None:
    assert (span(timedelta(seconds=seconds), EN), span(timedelta(seconds=seconds), ZH)) == (english, chinese)
