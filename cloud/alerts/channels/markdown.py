"""Markdown as chat robots read it. Names stay names: no link, no mention, no picture comes from outside.

Robots differ in what a backslash does, so a letter that could mean something becomes its wide twin, which does not.
"""

import re
from typing import Final

from cloud.alerts.channels.form import READ_ON, Style, headline, runbook
from cloud.alerts.notice import Notice

_SPACE: Final = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")
_WIDE: Final = str.maketrans({letter: chr(ord(letter) + 0xFEE0) for letter in "@<>[]`"})


def plain(text: str) -> str:
    """Return a text that is shown as it is written, on one line."""
    return _SPACE.sub(" ", text).translate(_WIDE).replace("://", "\uff1a//")


def block(notice: Notice, style: Style) -> str:
    """Return one notice: what, what is known, what to do, where to read on."""
    words = notice.words[style.language]
    lines = [f"#### {headline(notice, style.language, plain)}", *(f"- {plain(line)}" for line in words.lines)]
    if words.advice:
        lines += ["", f"> {plain(words.advice)}"]
    if address := runbook(notice, style):
        lines += ["", f"[{READ_ON[style.language]}]({address})"]
    return "\n".join(lines)
