"""E-mail: plain text, one message for what belongs together, with an identity by which a double is known."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final

from cloud.alerts.channels.form import (
    READ_ON,
    Answer,
    Delivered,
    Form,
    Message,
    Outcome,
    Refused,
    Style,
    Unavailable,
    digest_title,
    fitting,
    headline,
    runbook,
)  # fmt: skip
from cloud.alerts.notice import Notice

LARGEST: Final = 256 * 1024
_DONE: Final = range(200, 300)
_LATER: Final = range(400, 500)


def message(notices: Sequence[Notice], style: Style, at: datetime) -> Message:
    """Return one letter that tells of all these; whoever sends it adds from whom and to whom."""
    letter = EmailMessage(policy=SMTP)
    letter["Subject"] = " ".join(digest_title(notices, style.language).split())[:200]
    letter["Date"] = format_datetime(at)
    letter["Message-ID"] = (
        f"<{hashlib.sha256('|'.join(one.key for one in notices).encode()).hexdigest()[:32]}@edgefleet>"
    )
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(fitting(notices, style, LARGEST, _block), charset="utf-8", cte="base64")
    return Message(letter.as_bytes())


def _block(notice: Notice, style: Style) -> str:
    words = notice.words[style.language]
    lines = [headline(notice, style.language), *(f"  {line}" for line in words.lines)]
    if words.advice:
        lines += ["", f"  {words.advice}"]
    if address := runbook(notice, style):
        lines.append(f"  {READ_ON[style.language]}: {address}")
    return "\n".join(lines)


def outcome(answer: Answer) -> Outcome:
    """Return what the mail server's reply means: from 400 on later, from 500 on never."""
    if answer.status in _DONE:
        return Delivered()
    why = f"the mail server says {answer.status}: {answer.body.decode(errors='replace')[:200]}"
    return Unavailable(why) if answer.status in _LATER else Refused(why)


FORM: Final = Form(message, outcome)
