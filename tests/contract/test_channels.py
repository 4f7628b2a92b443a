"""Every channel, through its courier, against a server that behaves like the real one."""

import email
import email.policy
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cloud.alerts import courier as couriers
from cloud.alerts.channels import alertmanager, dingtalk, feishu, http, mail, slack, smtp, webhook, wecom
from cloud.alerts.channels.form import Answer, Form, Message, Style, Unavailable
from cloud.alerts.correlate import correlate
from cloud.alerts.courier import Channel, Courier
from cloud.alerts.fault import Code, Fault, Kind, Subject
from cloud.alerts.lifecycle import Book, Observed, step
from cloud.alerts.notice import Language, Notice, Occasion
from cloud.alerts.telling import Setting, notice
from tests.contract import recorders
from tests.contract.plainbroker import until
from tests.contract.recorders import Came, MailServer, Recorder, Reply

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
Post = Callable[[Message], Answer | Unavailable]
ENGLISH = Style(Language.ENGLISH, "https://book.example")
NASTY = "](http://evil.example) @all <!channel> **x** `"


def dark(number: int = 1) -> Notice:
    fault = Fault(Code.SITE_DARK, Subject(Kind.SITE, f"tc-{number:03}"), NOON)
    return notice(step(Book(), Observed(correlate([fault])), NOON).messages[0][0], Setting())


def crash(name: str = "scan") -> Notice:
    fault = Fault(Code.WORKLOAD_CRASHED, Subject(Kind.WORKLOAD, "tc-001", "tc-001-scan-1", name), NOON, {"exit": "1"})
    return notice(step(Book(), Observed(correlate([fault])), NOON).messages[0][0], Setting())


def over(one: Notice) -> Notice:
    return replace(one, occasion=Occasion.RESOLVED, serial=one.serial + 1, at=NOON + timedelta(minutes=5))


class Desk:
    """Servers and couriers of one test."""

    def __init__(self) -> None:
        self.servers: list[Recorder | MailServer] = []
        self.couriers: list[Courier] = []
        self.arrived: list[Notice] = []

    def serve(self, real: Callable[[Came], Reply]) -> Recorder:
        self.servers.append(server := Recorder(real))
        return server

    def courier(
        self, form: Form, post: Callable[[Message], Answer | Unavailable], style: Style | None = None
    ) -> Courier:
        channel = Channel("duty", form, style or Style(Language.ENGLISH, "https://book.example"), post)
        self.couriers.append(one := Courier(channel, lambda _, notices: self.arrived.extend(notices)))
        one.start()
        return one

    def arrives(self, *wanted: Notice) -> None:
        until(lambda: all(one in self.arrived for one in wanted), f"{len(wanted)} notices arrive")


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(couriers, "DELAYS", (0.01, 0.02))
    one = Desk()
    yield one
    for courier in one.couriers:
        courier.stop()
    for server in one.servers:
        server.close()


def test_a_robot_of_dingtalk_takes_a_signed_message(desk: Desk) -> None:
    robot = recorders.DingTalk("s3cret")
    server = desk.serve(robot)
    style = Style(Language.CHINESE, "https://book.example/", "s3cret")
    courier = desk.courier(dingtalk.FORM, http.poster(f"{server.address}/robot/send?access_token=t0ken"), style)
    courier.tell([one := dark()])
    desk.arrives(one)
    (said,) = robot.accepted
    assert said["markdown"]["title"] == "[紧急] 转运中心 tc-001 失联"
    assert said["markdown"]["text"].splitlines() == [
        "#### [紧急] 转运中心 tc-001 失联",
        "- 开始于 2026-11-02 12:00:00 UTC",
        "",
        "> 请检查该中心的上行链路和供电; 恢复后盒子会自己补上缺的版本。",
        "",
        "[处理手册](https://book.example/site-dark)",
    ]


def test_a_robot_of_wecom_and_one_of_feishu_take_their_messages(desk: Desk) -> None:
    wecoms, feishus = recorders.WeCom(), recorders.Feishu("s3cret")
    server = desk.serve(wecoms)
    desk.courier(wecom.FORM, http.poster(f"{server.address}/cgi-bin/webhook/send?key=t0ken")).tell([one := dark(1)])
    server = desk.serve(feishus)
    style = Style(Language.ENGLISH, secret="s3cret")  # noqa: S106 - of a recorder
    address = f"{server.address}/open-apis/bot/v2/hook/t0ken"
    desk.courier(feishu.FORM, http.poster(address), style).tell([two := dark(2), three := over(dark(3))])
    desk.arrives(one, two, three)
    assert "Site tc-001 is dark" in wecoms.accepted[0]["markdown"]["content"]
    card = feishus.accepted[0]["card"]
    assert card["header"]["template"] == "red"
    assert card["header"]["title"]["content"] == "[CRITICAL] Site tc-002 is dark and 1 more"


def test_slack_takes_a_message_and_no_mention_comes_from_outside(desk: Desk) -> None:
    server = desk.serve(recorders.slack)
    desk.courier(slack.FORM, http.poster(f"{server.address}/services/t0ken")).tell([one := crash(NASTY)])
    desk.arrives(one)
    text = server.came[0].json["blocks"][0]["text"]["text"]
    assert "<!channel>" not in text
    assert "&lt;!channel&gt;" in text
    assert "<https://book.example/workload-crashed|Runbook>" in text


@pytest.mark.parametrize("form", [dingtalk.FORM, wecom.FORM, feishu.FORM])
def test_a_name_is_no_link_and_no_mention(form: Form) -> None:
    body = form.message([crash(NASTY)], Style(Language.ENGLISH), NOON).body.decode()
    assert "@" not in body
    assert "http" not in body.replace("http\uff1a//evil.example", "")
    assert "](" not in body.replace("\uff3d(", "")
    assert "<" not in body


def test_a_webhook_gets_everything_signed_and_with_a_key_for_doubles(desk: Desk) -> None:
    server = desk.serve(lambda _: Reply(204))
    style = Style(secret="s3cret")  # noqa: S106 - of a recorder
    desk.courier(webhook.FORM, http.poster(server.address), style).tell([one := dark()])
    desk.arrives(one)
    (came,) = server.came
    (told,) = came.json["notices"]
    assert (told["key"], told["code"], told["subject"]["site"]) == (one.key, "SiteDark", "tc-001")
    assert told["words"]["zh"]["title"] == "转运中心 tc-001 失联"
    seconds = int(came.headers["Edgefleet-Signature"].split(",")[0].removeprefix("t="))
    at = datetime.fromtimestamp(seconds, UTC)
    assert came.headers["Edgefleet-Signature"] == webhook.signature("s3cret", came.body, at)
    assert len(came.headers["Idempotency-Key"]) == 32


def test_an_alertmanager_has_an_alert_open_until_it_is_over_and_one_code_at_a_time(desk: Desk) -> None:
    manager = recorders.Alertmanager()
    server = desk.serve(manager)
    courier = desk.courier(alertmanager.FORM, http.poster(f"{server.address}/api/v2/alerts"))
    fault = Fault(Code.BOX_SILENT, Subject(Kind.BOX, "tc-001", "tc-001-scan-1"), NOON)
    silent = notice(step(Book(), Observed(correlate([fault])), NOON).messages[0][0], Setting())
    down = replace(silent, code=Code.BOX_DOWN, serial=2, occasion=Occasion.CHANGED)
    for one, left in ((silent, ["BoxSilent"]), (down, ["BoxDown"]), (over(down), [])):
        courier.tell([one])
        desk.arrives(one)
        assert manager.open(one.at.isoformat()) == left


def test_a_letter_is_read_as_it_was_written_and_carries_an_identity(desk: Desk) -> None:
    desk.servers.append(server := MailServer())
    post = smtp.poster(smtp.Server("127.0.0.1", server.port, "fleet@a.example", ["li@a.example", "wang@a.example"]))
    desk.courier(mail.FORM, post, Style(Language.CHINESE)).tell([one := crash("scan\nBcc: all@a.example")])
    desk.arrives(one)
    ((sender, to, raw),) = server.letters
    letter = email.message_from_bytes(raw, policy=email.policy.default)
    assert ("fleet@a.example" in sender, len(to)) == (True, 2)
    assert letter["Bcc"] is None
    assert letter["Subject"] == "[警告] tc-001 的盒子 tc-001-scan-1 上 scan Bcc: all@a.example 崩溃"
    assert "退出码 1" in letter.get_content()
    assert str(letter["Message-ID"]).endswith("@edgefleet>")


@pytest.mark.parametrize(("word", "reply", "gone"), [("RCPT", "550 nobody", True), ("DATA", "451 later", False)])
def test_a_mail_server_says_no_for_good_or_for_now(desk: Desk, word: str, reply: str, *, gone: bool) -> None:
    desk.servers.append(server := MailServer())
    server.say[word] = reply
    post = smtp.poster(smtp.Server("127.0.0.1", server.port, "fleet@a.example", ["li@a.example"]))
    courier = desk.courier(mail.FORM, post)
    courier.tell([one := dark()])
    until(lambda: reply.split(maxsplit=1)[0] in courier.failing, "it fails")
    server.say.clear()
    if gone:
        assert courier.dropped == 1
        courier.tell([one := dark(2)])
    desk.arrives(one)
    assert courier.failing == ""


def test_mail_to_another_machine_never_goes_unencrypted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.servers.append(server := MailServer())
    server.say["STARTTLS"] = "502 not here"
    real = socket.create_connection
    monkeypatch.setattr(socket, "create_connection", lambda address, *rest: real(("127.0.0.1", address[1]), *rest))
    post = smtp.poster(smtp.Server("mail.example", server.port, "fleet@a.example", ["li@a.example"]))
    assert post(mail.message([dark()], Style(), NOON)) == Unavailable("it does not speak TLS")
    assert server.letters == []


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(500), "HTTP status 500"),
        (Reply(429, headers={"Retry-After": "0"}), "HTTP status 429"),
        (Reply(200, b"<html>log in</html>"), "none of a robot"),
        (Reply(200, b"[" * 100_000), "none of a robot"),
        (Reply(200, json.dumps({"errcode": -1, "errmsg": "busy"}).encode()), "errcode -1: busy"),
        (Reply(0), "RemoteProtocolError"),
    ],
)
def test_what_goes_wrong_for_now_is_tried_again(desk: Desk, reply: Reply, why: str) -> None:
    robot = recorders.DingTalk()
    server = desk.serve(robot)
    server.next_ones = [reply] * 3
    seen: list[str] = []
    post = http.poster(f"{server.address}/robot/send?access_token=t0ken")

    def watched(message: Message) -> Answer | Unavailable:
        seen.append(courier.failing)
        return post(message)

    courier = desk.courier(dingtalk.FORM, watched)
    courier.tell([one := dark()])
    desk.arrives(one)
    assert why in seen[1], seen
    assert (len(robot.accepted), courier.failing, courier.dropped) == (1, "", 0)


@pytest.mark.parametrize(("address", "why"), [("wrong", "300001"), ("t0ken", "310000")])
def test_what_a_person_must_mend_is_told_and_not_tried_again(desk: Desk, address: str, why: str) -> None:
    server = desk.serve(recorders.DingTalk("s3cret"))
    courier = desk.courier(dingtalk.FORM, http.poster(f"{server.address}/robot/send?access_token={address}"))
    courier.tell([dark()])
    until(lambda: why in courier.failing, "it fails")
    assert (courier.dropped, len(server.came), desk.arrived) == (1, 1, [])


def test_nobody_at_the_other_end_is_told_without_the_token_in_the_address(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        post = http.poster(f"http://127.0.0.1:{taken.getsockname()[1]}/robot/send?access_token=t0ken")
        courier = desk.courier(dingtalk.FORM, post)
        courier.tell([one := dark()])
        until(lambda: courier.failing == "Connection refused", "it fails")
        assert courier.stop() == (one,)
    assert "t0ken" not in "".join(capsys.readouterr())


def test_no_secret_is_shown() -> None:
    style = Style(secret="s3cret")  # noqa: S106 - of a recorder
    server = smtp.Server("h", 25, "a@b", ["c@d"], "user", "s3cret")
    message = dingtalk.message([dark()], style, NOON)
    assert "s3cret" not in repr((style, server, message))


def test_a_flood_is_a_few_messages_and_every_notice_is_in_one(desk: Desk) -> None:
    robot = recorders.DingTalk()
    server = desk.serve(robot)
    courier = desk.courier(dingtalk.FORM, http.poster(f"{server.address}/robot/send?access_token=t0ken"))
    many = [dark(number) for number in range(40)]
    for one in many:
        courier.tell([one])
        if len(desk.arrived) < 18:
            desk.arrives(one)
    assert len(robot.accepted) == 18
    until(lambda: len(desk.arrived) == 40, "all arrive")
    assert len(robot.accepted) == 19
    assert robot.accepted[-1]["markdown"]["title"] == "[CRITICAL] Site tc-018 is dark and 21 more"


def test_who_hands_a_notice_over_twice_is_told_once(desk: Desk) -> None:
    server = desk.serve(lambda _: Reply())
    courier = desk.courier(webhook.FORM, http.poster(server.address))
    courier.tell([one := dark()])
    desk.arrives(one)
    courier.tell([one, two := dark(2)])
    desk.arrives(two)
    assert [len(came.json["notices"]) for came in server.came] == [1, 1]
