"""Notices as they are read out of a chat, and the judge of how often people were told."""

import pytest

from simulator.news import News, bad, once, read

DARK = "#### [CRITICAL] Site tc-001 is dark\n- Since 2026-11-27 10:00:00 CST\n\n> Call the carrier.\n"
BOX = "#### [WARNING] The agent on box tc-001-scan-1 at tc-001 is down\n- Seen by: its own silence"
BACK = "#### [RESOLVED] Site tc-001 is dark\n- It lasted 3 s"


def test_a_message_of_several_notices_is_read_in_its_order() -> None:
    first, second = read(f"{DARK}\n---\n{BOX}", 5.0)
    assert (first.mark, first.title) == ("CRITICAL", "Site tc-001 is dark")
    assert first.lines[:2] == ("Since 2026-11-27 10:00:00 CST", "Call the carrier.")
    assert (second.at, second.over) == (5.0, False)
    assert second.lines == ("Seen by: its own silence",)
    assert read(BACK, 0.0)[0].over
    assert read("#### [已恢复] 转运中心 tc-001 失联", 0.0)[0].over
    assert read("hello\n- world", 0.0) == ()


@pytest.mark.parametrize(
    ("title", "name", "named"),
    [
        ("Site tc-001 is dark", "tc-001", True),
        ("Box tc-001-scan-1 at tc-001 is silent", "tc-001", True),
        ("Box tc-001-scan-1 at tc-001 is silent", "tc-001-scan-1", True),
        ("Box tc-001-scan-11 at tc-001 is silent", "tc-001-scan-1", False),
        ("Site tc-0011 is dark", "tc-001", False),
        ("转运中心 tc-001 失联", "tc-001", True),
        ("tc-001 的盒子 tc-001-scan-1 断电或死机", "tc-001-scan-1", True),
    ],
)
def test_a_title_names_a_site_or_box_whole(title: str, name: str, *, named: bool) -> None:
    assert News(0.0, "CRITICAL", title).names(name) is named


def test_who_was_told_once_and_who_was_not() -> None:
    news = [*read(DARK, 12.5), *read(BACK, 20.0), *read(BOX, 30.0)]
    assert [one.at for one in bad(news, "tc-001", 10.0, 25.0)] == [12.5]
    kept = once("told once", news, [("tc-001", 10.0)], 25.0)
    assert (kept.ok, kept.happened, kept.seconds) == (True, "Site tc-001 is dark", 2.5)
    often = once("told once", news, [("tc-001", 10.0)])
    assert (often.ok, often.happened) == (False, "0 of 1 told once; tc-001 told more often")
    silent = once("told once", news, [("tc-001", 10.0), ("tc-002", 10.0)], 25.0)
    assert (silent.ok, silent.happened) == (False, "1 of 2 told once; tc-002 not told")
    assert once("told once", [], [("tc-001", 10.0)]).seconds is None
