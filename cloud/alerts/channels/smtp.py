"""Hands mail to a mail server, over TLS; a server that does not speak it gets nothing, unless it is on this machine."""

import smtplib
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import SMTP
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cloud.alerts.channels.form import Answer, Message, Unavailable

WITHIN: Final = 10.0
"""Seconds for each step of the talk."""
TLS_AT_ONCE: Final = 465


@dataclass(frozen=True, slots=True)
class Server:
    """Where mail goes, from whom and to whom."""

    host: str
    port: int
    sender: str
    to: Sequence[str]
    user: str = ""  # empty: nobody logs in
    password: str = field(default="", repr=False)
    ca: Path | None = None  # None: whom the machine trusts


def poster(server: Server) -> Callable[[Message], Answer | Unavailable]:
    """Return what sends a letter."""

    def post(message: Message) -> Answer | Unavailable:
        letter = message_from_bytes(message.body, policy=SMTP)
        letter["From"], letter["To"] = server.sender, ", ".join(server.to)
        try:
            with _talk(server) as talk:
                if server.user:
                    talk.login(server.user, server.password)
                refused = talk.sendmail(server.sender, list(server.to), letter.as_bytes())
        except smtplib.SMTPResponseException as said:
            text = said.smtp_error if isinstance(said.smtp_error, bytes) else str(said.smtp_error).encode()
            return Answer(said.smtp_code, text)
        except smtplib.SMTPRecipientsRefused as wrong:
            code, text = next(iter(wrong.recipients.values()))
            return Answer(code, text)
        except ssl.SSLCertVerificationError as wrong:
            return Unavailable(f"its certificate is not trusted: {wrong.verify_message}")
        except smtplib.SMTPNotSupportedError:
            return Unavailable("it does not speak TLS")
        except (OSError, smtplib.SMTPException) as wrong:
            return Unavailable(getattr(wrong, "strerror", None) or type(wrong).__name__)
        if refused:
            code, text = next(iter(refused.values()))
            return Answer(code, text)
        return Answer(250)

    return post


def _talk(server: Server) -> smtplib.SMTP:
    context = ssl.create_default_context(cafile=str(server.ca) if server.ca else None)
    if server.port == TLS_AT_ONCE:
        return smtplib.SMTP_SSL(server.host, server.port, timeout=WITHIN, context=context)
    talk = smtplib.SMTP(server.host, server.port, timeout=WITHIN)
    try:
        talk.ehlo()
        if talk.has_extn("starttls") or not _here(server.host):
            talk.starttls(context=context)
    except BaseException:
        talk.close()
        raise
    return talk


def _here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
