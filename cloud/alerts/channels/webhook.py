"""A webhook of one's own: all that we know of the notices, as JSON, signed, with a key by which doubles are known.

``Edgefleet-Signature: t=<seconds>,v1=<hex>`` is the HMAC-SHA256 of "seconds.body"; ``Idempotency-Key`` is the same each
time that the same message is sent.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from cloud.alerts.channels.form import Form, Message, Style, as_json, by_status, runbook
from cloud.alerts.notice import Notice


def message(notices: Sequence[Notice], style: Style, at: datetime) -> Message:
    """Return one message that tells of all these."""
    body = as_json({"version": 1, "notices": [told(one, style) for one in notices]})
    key = hashlib.sha256("\n".join(one.key for one in notices).encode()).hexdigest()[:32]
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    if style.secret:
        headers["Edgefleet-Signature"] = signature(style.secret, body, at)
    return Message(body, headers=headers)


def signature(secret: str, body: bytes, at: datetime) -> str:
    """Return what proves that a body is ours, and when it was made."""
    seconds = str(int(at.timestamp()))
    return f"t={seconds},v1={hmac.new(secret.encode(), f'{seconds}.'.encode() + body, hashlib.sha256).hexdigest()}"


def told(notice: Notice, style: Style) -> dict[str, Any]:
    """Return a notice as JSON has it."""
    return {
        "key": notice.key,
        "alert": notice.fingerprint,
        "serial": notice.serial,
        "occasion": notice.occasion,
        "code": notice.code,
        "severity": notice.severity,
        "subject": asdict(notice.subject),
        "roles": list(notice.roles),
        "since": notice.since.isoformat(),
        "at": notice.at.isoformat(),
        "words": {str(language): asdict(words) for language, words in notice.words.items()},
        "runbook": runbook(notice, style),
    }


FORM: Final = Form(message, by_status)
