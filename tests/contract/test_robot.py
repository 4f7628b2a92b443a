"""The demo's chat robot takes from our channel what the real one would take, and refuses the same things."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from cloud.alerts.channels import dingtalk, http
from cloud.alerts.channels.form import Answer, Delivered, Message, Refused, Style
from cloud.alerts.notice import Language
from simulator.news import read
from simulator.robot import LARGEST, Robot
from tests.contract.test_channels import crash, dark


@pytest.fixture
def robot() -> Iterator[Robot]:
    with Robot() as one:
        yield one


def message(robot: Robot, at: datetime | None = None) -> Message:
    style = Style(Language.ENGLISH, "", robot.secret)
    return dingtalk.message((dark(), crash()), style, at or datetime.now(UTC))


def answer(robot: Robot, sent: Message) -> Answer:
    got = http.poster(robot.address, None)(sent)
    assert isinstance(got, Answer)
    return got


def test_a_signed_message_is_taken_and_can_be_read_again(robot: Robot) -> None:
    assert dingtalk.outcome(answer(robot, message(robot))) == Delivered()
    (post,) = robot.posts
    first, second = read(post.text, post.at)
    assert first.names("tc-001")
    assert second.names("tc-001-scan-1")
    assert post.title.endswith("and 1 more")


@pytest.mark.parametrize("late", [timedelta(hours=-2), timedelta(hours=2)])
def test_an_old_signature_is_refused(robot: Robot, late: timedelta) -> None:
    refused = dingtalk.outcome(answer(robot, message(robot, datetime.now(UTC) + late)))
    assert isinstance(refused, Refused)
    assert "sign not match" in refused.why
    assert not robot.posts


def test_another_secret_and_another_token_are_refused(robot: Robot) -> None:
    sent = message(robot)
    for query in ({}, {"timestamp": "x", "sign": "x"}, {**sent.query, "sign": "AAAA"}):
        assert isinstance(dingtalk.outcome(answer(robot, replace(sent, query=query))), Refused)
    wrong = httpx.post(robot.address.replace("access_token=", "access_token=0"), content=sent.body, timeout=5)
    assert wrong.json()["errcode"] == 300005
    assert not robot.posts


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 5000, b"{}", b'{"markdown": 1}', b"x" * (LARGEST + 5)])
def test_what_is_no_message_is_refused(robot: Robot, body: bytes) -> None:
    said = json.loads(answer(robot, replace(message(robot), body=body)).body)
    assert said["errcode"] != 0
    assert not robot.posts
