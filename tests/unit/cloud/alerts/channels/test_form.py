"""What a channel makes of notices and answers."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from cloud.alerts.channels import dingtalk, feishu, mail, markdown, slack, wecom
from cloud.alerts.channels.form import (
    Answer,
    Delivered,
    Form,
    Outcome,
    Refused,
    Style,
    Unavailable,
    by_code,
    by_status,
    cut,
    digest_title,
    fitting,
    runbook,
)  # fmt: skip
from cloud.alerts.fault import Code, Kind, Subject
from cloud.alerts.notice import Language, Notice, Occasion, Severity, Words

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
ZH, EN = Style(Language.CHINESE), Style(Language.ENGLISH)


def said(title: str = "dark", occasion: Occasion = Occasion.FIRING, severity: Severity = Severity.CRITICAL) -> Notice:
    words = {language: Words(title, ("since noon",), "look") for language in Language}
    site = Subject(Kind.SITE, "tc-001")
    return Notice(title, 1, occasion, Code.SITE_DARK, severity, site, (), NOON, NOON, words, "site-dark")


@pytest.mark.parametrize(
    ("occasion", "english", "chinese"),
    [
        (Occasion.FIRING, "[WARNING] dark", "[警告] dark"),
        (Occasion.CHANGED, "[WARNING · CHANGED] dark", "[警告 · 变化] dark"),
        (Occasion.FLAPPING, "[WARNING · FLAPPING] dark", "[警告 · 时好时坏] dark"),
        (Occasion.REPEATED, "[WARNING · STILL SO] dark", "[警告 · 仍未恢复] dark"),
        (Occasion.RESOLVED, "[RESOLVED] dark", "[已恢复] dark"),
    ],
)
def test_a_headline_says_how_grave_and_why_now(occasion: Occasion, english: str, chinese: str) -> None:
    one = said(occasion=occasion, severity=Severity.WARNING)
    assert (digest_title([one], Language.ENGLISH), digest_title([one], Language.CHINESE)) == (english, chinese)


def test_of_several_the_gravest_that_holds_is_named() -> None:
    several = [said("over", Occasion.RESOLVED), said("warm", severity=Severity.WARNING), said("dark")]
    assert digest_title(several, Language.ENGLISH) == "[CRITICAL] dark and 2 more"
    assert digest_title(several, Language.CHINESE) == "[紧急] dark 等 3 条"


def test_a_runbook_is_named_where_there_is_something_to_do() -> None:
    style = Style(runbooks="https://book.example/")
    assert runbook(said(), style) == "https://book.example/site-dark"
    assert runbook(said(), Style()) == runbook(said(occasion=Occasion.RESOLVED), style) == ""
    assert runbook(replace(said(), runbook=""), style) == ""


def test_what_does_not_fit_is_counted_and_one_that_does_not_is_cut() -> None:
    many = [said(f"site {number}") for number in range(50)]
    text = fitting(many, EN, 500, markdown.block)
    assert len(text.encode()) <= 500
    shown = text.count("#### ")
    assert text.endswith(f"{50 - shown} more are not shown")
    assert fitting(many, ZH, 500, markdown.block).endswith("条未显示")
    long = fitting([said("汉" * 1000)], ZH, 100, markdown.block)
    assert 97 <= len(long.encode()) <= 100
    assert cut("汉汉", 4) == "汉"


@pytest.mark.parametrize("form", [dingtalk.FORM, wecom.FORM, feishu.FORM, slack.FORM, mail.FORM])
@pytest.mark.parametrize("letter", ["x", "汉", '"', "\\", "\n", "@", "😀"])
def test_the_longest_message_is_as_long_as_the_other_side_allows(form: Form, letter: str) -> None:
    body = form.message([said(letter * 300) for _ in range(100)], EN, NOON).body
    largest = {dingtalk.FORM: 20_000, feishu.FORM: 20_000, slack.FORM: 20_000, wecom.FORM: 20_000, mail.FORM: 400_000}
    assert len(body) <= largest[form]
    if form is wecom.FORM:
        assert len(json.loads(body)["markdown"]["content"].encode()) <= 4096
    if form is slack.FORM:
        assert len(json.loads(body)["blocks"][0]["text"]["text"]) <= 3000


@pytest.mark.parametrize("form", [dingtalk.FORM, wecom.FORM, feishu.FORM, slack.FORM, mail.FORM])
def test_a_notice_without_advice_or_runbook_is_written(form: Form) -> None:
    words = {language: Words("dark", (), "") for language in Language}
    assert form.message([replace(said(), words=words)], EN, NOON).body
    assert form.message([said()], Style(Language.ENGLISH, "https://book.example"), NOON).body


def test_a_card_is_as_red_as_the_gravest_that_holds() -> None:
    def colour(*notices: Notice) -> str:
        return str(json.loads(feishu.message(notices, EN, NOON).body)["card"]["header"]["template"])

    over, warning = said(occasion=Occasion.RESOLVED), said(severity=Severity.WARNING)
    assert (colour(over), colour(over, warning), colour(warning, said())) == ("green", "orange", "red")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Delivered()),
        (204, Delivered()),
        (302, Refused("HTTP status 302")),
        (404, Refused("HTTP status 404")),
        (429, Unavailable("HTTP status 429", 7.0)),
        (503, Unavailable("HTTP status 503", 7.0)),
    ],
)
def test_a_status_says_whether_to_try_again(status: int, outcome: Outcome) -> None:
    assert by_status(Answer(status, retry_after=7.0)) == outcome


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (b'{"errcode": 0}', Delivered()),
        (b'{"errcode": 9, "errmsg": "later"}', Unavailable("errcode 9: later")),
        (b'{"errcode": "8", "errmsg": "no"}', Refused("errcode 8: no")),
        (b'{"errcode": 8}', Refused("errcode 8: ")),
        *((body, Unavailable("the answer is none of a robot: is there a proxy, or another server?")) for body in (
            b"", b"[]", b"{}", b"<html>", b'{"errcode": null}', b"7", b"[" * 100_000,
        )),
    ],
)  # fmt: skip
def test_a_code_says_whether_to_try_again(body: bytes, outcome: Outcome) -> None:
    assert by_code(Answer(200, body), "errcode", {9}, "errmsg") == outcome
    assert by_code(Answer(404, body), "errcode", {9}, "errmsg") == Refused("HTTP status 404")


def test_slack_says_in_words_what_is_wrong() -> None:
    assert slack.outcome(Answer(403, b"invalid_token")) == Refused("invalid_token")
    assert (slack.outcome(Answer(200, b"ok")), slack.outcome(Answer(500))) == (
        Delivered(), Unavailable("HTTP status 500"),
    )  # fmt: skip


@pytest.mark.parametrize(("status", "kind"), [(250, Delivered), (451, Unavailable), (550, Refused), (99, Refused)])
def test_a_mail_server_s_reply_says_whether_to_try_again(status: int, kind: type[Outcome]) -> None:
    assert isinstance(mail.outcome(Answer(status, b"x")), kind)
