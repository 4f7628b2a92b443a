"""Slack's incoming webhooks: mrkdwn, one message a second, plain words as answers.

Source: api.slack.com, incoming webhooks and formatting: of a text only &, < and > are escaped, and with them links and
mentions; too many messages are answered 429 with Retry-After.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from cloud.alerts.channels.form import (
    READ_ON,
    Answer,
    Form,
    Message,
    Outcome,
    Refused,
    Style,
    as_json,
    by_status,
    cut,
    digest_title,
    fitting,
    headline,
    runbook,
)  # fmt: skip
from cloud.alerts.notice import Notice

LARGEST: Final = 3_000
"""Letters of a section's text; counted here in bytes, which are at least as many."""


def message(notices: Sequence[Notice], style: Style, _: datetime) -> Message:
    """Return one message that tells of all these."""
    text = fitting(notices, style, LARGEST, _block)
    title = _plain(cut(digest_title(notices, style.language), 200))
    body = as_json({"text": title, "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": text}}]})
    return Message(body, headers={"Content-Type": "application/json"})


def _block(notice: Notice, style: Style) -> str:
    words = notice.words[style.language]
    lines = [f"*{_plain(headline(notice, style.language))}*", *(f"• {_plain(line)}" for line in words.lines)]
    if words.advice:
        lines.append(f"> {_plain(words.advice)}")
    if address := runbook(notice, style):
        lines.append(f"<{address}|{READ_ON[style.language]}>")
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Return a text without links and mentions, on one line; stars and backticks only change how it looks."""
    return " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def outcome(answer: Answer) -> Outcome:
    """Return what Slack's answer means: a word says what is wrong."""
    plain = by_status(answer)
    return Refused(answer.body.decode(errors="replace")[:200]) if isinstance(plain, Refused) else plain


FORM: Final = Form(message, outcome, a_minute=50)
