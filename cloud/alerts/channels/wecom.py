"""WeCom's group robots: markdown of up to 4,096 bytes, 20 messages a minute of which we use 18.

Source: developer.work.weixin.qq.com, group robots. The key is part of the address; nothing is signed.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from cloud.alerts.channels import markdown
from cloud.alerts.channels.form import Answer, Form, Message, Outcome, Style, as_json, by_code, fitting
from cloud.alerts.notice import Notice

LARGEST: Final = 4096
_BUSY: Final = frozenset({-1, 45009, 45033})  # the system is busy; too many calls; too many at once


def message(notices: Sequence[Notice], style: Style, _: datetime) -> Message:
    """Return one message that tells of all these."""
    text = fitting(notices, style, LARGEST, markdown.block)
    body = as_json({"msgtype": "markdown", "markdown": {"content": text}})
    return Message(body, headers={"Content-Type": "application/json"})


def outcome(answer: Answer) -> Outcome:
    """Return what the robot's answer means."""
    return by_code(answer, "errcode", _BUSY, "errmsg")


FORM: Final = Form(message, outcome, a_minute=18)
