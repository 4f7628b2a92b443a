r"""Feishu's (Lark's) custom robots: a card, signed, 100 messages a minute and 5 a second, bodies up to 20 KB.

Source: open.feishu.cn, custom bots: ``timestamp`` in seconds and ``sign``, the Base64 of the HMAC-SHA256 of nothing
under the key "timestamp\nsecret", go into the body.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

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
from cloud.alerts.notice import Notice, Occasion, Severity

LARGEST: Final = 20_000
_FRAME: Final = 1_000
_BUSY: Final = frozenset({9499, 11232})  # too many requests; the frequency limit
_COLOUR: Final = {Severity.CRITICAL: "red", Severity.WARNING: "orange", Severity.INFO: "blue"}


def message(notices: Sequence[Notice], style: Style, at: datetime) -> Message:
    """Return one message that tells of all these."""
    room = (LARGEST - _FRAME) // 2
    text = fitting(notices, style, room, markdown.block)
    title = {"tag": "plain_text", "content": digest_title(notices, style.language, markdown.plain)[:100]}
    card = {
        "header": {"title": title, "template": _colour(notices)},
        "elements": [{"tag": "markdown", "content": text}],
    }
    body: dict[str, Any] = {**_signed(style.secret, at), "msg_type": "interactive", "card": card}
    return Message(as_json(body), headers={"Content-Type": "application/json"})


def _colour(notices: Sequence[Notice]) -> str:
    open_ones = [one.severity for one in notices if one.occasion is not Occasion.RESOLVED]
    return _COLOUR[min(open_ones, key=list(Severity).index)] if open_ones else "green"


def _signed(secret: str, at: datetime) -> dict[str, str]:
    if not secret:
        return {}
    timestamp = str(int(at.timestamp()))
    digest = hmac.digest(f"{timestamp}\n{secret}".encode(), b"", hashlib.sha256)
    return {"timestamp": timestamp, "sign": base64.b64encode(digest).decode()}


def outcome(answer: Answer) -> Outcome:
    """Return what the robot's answer means."""
    return by_code(answer, "code", _BUSY, "msg")


FORM: Final = Form(message, outcome, a_minute=90)
