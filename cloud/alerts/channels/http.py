"""Posts over HTTP. Nothing of an address, which may hold a token, gets into an error's text."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx

from cloud.alerts.channels.form import Answer, Message, Unavailable

WITHIN: Final = 5.0
"""Seconds for the connection, again for the answer."""
LARGEST_ANSWER: Final = 64 * 1024
LONGEST_AFTER: Final = 600.0


def poster(address: str, ca: Path | None = None) -> Callable[[Message], Answer | Unavailable]:
    """Return what posts to an address; ``ca``: whom to trust beside the machine's own."""
    trust: ssl.SSLContext | bool = ssl.create_default_context(cafile=str(ca)) if ca else True
    client = httpx.Client(timeout=WITHIN, follow_redirects=False, verify=trust)

    def post(message: Message) -> Answer | Unavailable:
        try:
            url = httpx.URL(address).copy_merge_params(dict(message.query))
            with client.stream("POST", url, content=message.body, headers=dict(message.headers)) as answer:
                body = b""
                for piece in answer.iter_bytes():
                    body += piece
                    if len(body) > LARGEST_ANSWER:
                        break
            return Answer(answer.status_code, body[:LARGEST_ANSWER], _after(answer.headers.get("Retry-After", "")))
        except httpx.TimeoutException:
            return Unavailable(f"no answer within {WITHIN:.0f} s")
        except (httpx.HTTPError, httpx.InvalidURL) as wrong:
            return Unavailable(_cause(wrong))

    return post


def _cause(wrong: Exception) -> str:
    """Return what went wrong, in the system's words where there are any; httpx puts no address into those."""
    cause: BaseException | None = wrong
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return type(wrong).__name__


def _after(text: str) -> float | None:
    return min(float(text), LONGEST_AFTER) if text.isdigit() else None
