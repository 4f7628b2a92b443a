"""What a channel makes of notices, and of what the other side answers; which channel it is, is another file's matter.

What boxes and workloads are called is not ours: a name can be a link, a mention of everybody, or markup. Each channel
escapes what has a meaning there.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from cloud.alerts.notice import Language, Notice, Occasion, Severity


@dataclass(frozen=True, slots=True)
class Style:
    """How a channel speaks."""

    language: Language = Language.CHINESE
    runbooks: str = ""  # address that a runbook's path is put behind; empty: none is named
    secret: str = field(default="", repr=False)  # that messages are signed with; empty: they are not


@dataclass(frozen=True, slots=True)
class Message:
    """What is posted. ``query`` is added to the channel's own address."""

    body: bytes
    query: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)


@dataclass(frozen=True, slots=True)
class Delivered:
    """The other side has it."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Not now: nobody has done anything wrong, and it is tried again."""

    why: str
    after: float | None = None  # seconds until then, where the other side says so


@dataclass(frozen=True, slots=True)
class Refused:
    """Never like this: a person has to mend the channel's settings, or the other side's."""

    why: str


Outcome: TypeAlias = Delivered | Unavailable | Refused


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side said."""

    status: int
    body: bytes = b""
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """One kind of channel."""

    message: Callable[[Sequence[Notice], Style, datetime], Message]
    outcome: Callable[[Answer], Outcome]
    a_minute: int | None = None  # messages that the other side takes; None: it does not count


Block: TypeAlias = Callable[[Notice, Style], str]
"""Writes one notice."""
JOINT: Final = "\n\n"
BUSY: Final = frozenset({408, 425, 429})
"""Statuses of a server that wants it again later; so do those from 500 on."""
READ_ON: Final = {Language.CHINESE: "处理手册", Language.ENGLISH: "Runbook"}
_MARK: Final = {
    Severity.CRITICAL: {Language.CHINESE: "紧急", Language.ENGLISH: "CRITICAL"},
    Severity.WARNING: {Language.CHINESE: "警告", Language.ENGLISH: "WARNING"},
    Severity.INFO: {Language.CHINESE: "提示", Language.ENGLISH: "INFO"},
}
_OCCASION: Final = {
    Occasion.FIRING: {Language.CHINESE: "", Language.ENGLISH: ""},
    Occasion.CHANGED: {Language.CHINESE: "变化", Language.ENGLISH: "CHANGED"},
    Occasion.FLAPPING: {Language.CHINESE: "时好时坏", Language.ENGLISH: "FLAPPING"},
    Occasion.REPEATED: {Language.CHINESE: "仍未恢复", Language.ENGLISH: "STILL SO"},
    Occasion.RESOLVED: {Language.CHINESE: "已恢复", Language.ENGLISH: "RESOLVED"},
}


def headline(notice: Notice, language: Language, plain: Callable[[str], str] = str) -> str:
    """Return the line that a person decides by whether to read on: ``[紧急] 转运中心 tc-001 失联``.

    ``plain`` takes their meaning from letters of the title.
    """
    return f"[{_marks(notice, language)}] {plain(notice.words[language].title)}"


def _marks(notice: Notice, language: Language) -> str:
    occasion = _OCCASION[notice.occasion][language]
    if notice.occasion is Occasion.RESOLVED:
        return occasion
    return " · ".join(word for word in (_MARK[notice.severity][language], occasion) if word)


def digest_title(notices: Sequence[Notice], language: Language, plain: Callable[[str], str] = str) -> str:
    """Return the headline of one, or of several together."""
    gravest = min(notices, key=lambda one: (one.occasion is Occasion.RESOLVED, list(Severity).index(one.severity)))
    title = headline(gravest, language, plain)
    if len(notices) == 1:
        return title
    return f"{title} 等 {len(notices)} 条" if language is Language.CHINESE else f"{title} and {len(notices) - 1} more"


def runbook(notice: Notice, style: Style) -> str:
    """Return where it is written what to do; empty: nowhere, or there is nothing to do."""
    if not (style.runbooks and notice.runbook) or notice.occasion is Occasion.RESOLVED:
        return ""
    return f"{style.runbooks.rstrip('/')}/{notice.runbook}"


def fitting(notices: Sequence[Notice], style: Style, most: int, block: Block) -> str:
    """Return the text of as many notices as fit into so many bytes of UTF-8, and how many are left out."""
    blocks = [block(one, style) for one in notices]
    for kept in range(len(blocks), 0, -1):
        left = len(blocks) - kept
        text = JOINT.join([*blocks[:kept], *([_left_out(left, style.language)] if left else [])])
        if len(text.encode()) <= most:
            return text
    return cut(blocks[0], most)


def _left_out(count: int, language: Language) -> str:
    return f"另有 {count} 条未显示" if language is Language.CHINESE else f"{count} more are not shown"


def cut(text: str, most: int) -> str:
    """Return the text, cut at a letter so that it has at most so many bytes of UTF-8."""
    return text.encode()[:most].decode(errors="ignore")


def as_json(value: Mapping[str, Any]) -> bytes:
    """Return a JSON body; letters stay letters, for length limits are in bytes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def by_status(answer: Answer) -> Outcome:
    """Return what a status alone says."""
    if 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP
        return Delivered()
    why = f"HTTP status {answer.status}"
    if answer.status in BUSY or answer.status >= 500:  # noqa: PLR2004 - HTTP
        return Unavailable(why, answer.retry_after)
    return Refused(why)


def by_code(answer: Answer, name: str, busy: Collection[int], texts: str) -> Outcome:
    """Return what a code in the body says, as chat robots answer: HTTP 200, and 0 where all is well.

    ``name`` of the code and of its text; a code of ``busy`` asks for another try.
    """
    plain = by_status(answer)
    if not isinstance(plain, Delivered):
        return plain
    try:
        said = json.loads(answer.body)
        code, text = int(said[name]), str(said.get(texts, ""))[:200]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Unavailable("the answer is none of a robot: is there a proxy, or another server?")
    if code == 0:
        return Delivered()
    why = f"{name} {code}: {text}"
    return Unavailable(why) if code in busy else Refused(why)
