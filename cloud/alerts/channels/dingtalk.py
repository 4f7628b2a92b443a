r"""DingTalk's custom robots: markdown, signed, 20 messages a minute of which we use 18, bodies up to 20,000 bytes.

Source: open.dingtalk.com, custom robot access. ``timestamp`` in milliseconds and ``sign``, the Base64 of the
HMAC-SHA256 of "timestamp\nsecret", go into the query; a robot that is sent more is blocked for ten minutes.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from cloud.alerts.channels import markdown
from cloud.alerts.channels.form import (
    Answer,
    Form,
    Message,
    Outcome,
    Style,
    as_json,
    by_code,
    digest_title,
    fitting,
)  # fmt: skip
from cloud.alerts.notice import Notice

LARGEST: Final = 20_000
_FRAME: Final = 600  # bytes of a body around its text, with a title
_BUSY: Final = frozenset({-1, 130101, 130102})  # the system is busy; more than 20 a minute
_LONGEST_TITLE: Final = 60


def message(notices: Sequence[Notice], style: Style, at: datetime) -> Message:
    """Return one message that tells of all these."""
    language = style.language
    room = (LARGEST - _FRAME) // 2  # a quotation mark and a backslash take two bytes in JSON
    text = fitting(notices, style, room, markdown.block)
    title = digest_title(notices, language, markdown.plain)[:_LONGEST_TITLE]
    body = as_json({"msgtype": "markdown", "markdown": {"title": title, "text": text}})
    return Message(body, _signed(style.secret, at), {"Content-Type": "application/json"})


def _signed(secret: str, at: datetime) -> dict[str, str]:
    if not secret:
        return {}
    timestamp = str(round(at.timestamp() * 1000))
    digest = hmac.digest(secret.encode(), f"{timestamp}\n{secret}".encode(), hashlib.sha256)
    return {"timestamp": timestamp, "sign": base64.b64encode(digest).decode()}


def outcome(answer: Answer) -> Outcome:
    """Return what the robot's answer means."""
    return by_code(answer, "errcode", _BUSY, "errmsg")


FORM: Final = Form(message, outcome, a_minute=18)
