"""What a box and the fleet's authority say to each other when a box joins the fleet and when it stays in it.

A token is one line, ``efl1.<host>:<port>.<fingerprint>.<secret>``: where to ask, by which authority to know who
answers, and the proof that this box was expected. The secret is spoken only to a server that the fingerprint vouches
for. The box's key never leaves the box: what travels is a request signed with it, and the certificate that comes back.
"""

import re
from dataclasses import dataclass, field
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

PREFIX: Final = "efl1"
LARGEST: Final = 16 * 1024
"""Bytes of a question or an answer."""
AUTHORITY_PATH: Final = "/v1/authority"
ENROL_PATH: Final = "/v1/enrol"
RENEW_PATH: Final = "/v1/renew"

Pem = Annotated[str, Meta(min_length=1, max_length=LARGEST)]
Host = Annotated[str, Meta(min_length=1, max_length=253)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Seconds = Annotated[float, Meta(ge=0, le=253402300799)]  # since 1970
_TOKEN: Final = re.compile(
    rf"{PREFIX}\.(?P<host>[A-Za-z0-9.-]{{1,253}}|\[[0-9a-fA-F:.]{{2,45}}\]):(?P<port>[0-9]{{1,5}})"
    r"\.(?P<fingerprint>[0-9a-f]{64})\.(?P<secret>[0-9a-f]{40})"
)


class EnrolmentError(Exception):
    """A person has to act: the text says what is wrong and the next step. Never holds a secret."""


class Unreachable(Exception):  # noqa: N818 - it states a condition of the world, not a mistake
    """Nobody has to act: the other side did not answer in time, or is busy; try again later."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """A token, taken apart."""

    host: str
    port: int
    fingerprint: str  # of the authority's certificate: SHA-256 of its DER form, in hex
    secret: str = field(repr=False)

    def text(self) -> str:
        """Return the line that a person carries to the box."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{PREFIX}.{host}:{self.port}.{self.fingerprint}.{self.secret}"


class Enrol(Struct, frozen=True):
    """Let me in: the token's secret, and a certificate request in PEM, signed with the box's key."""

    secret: Annotated[str, Meta(pattern=r"^[0-9a-f]{40}\Z")]
    request: Pem


class Renew(Struct, frozen=True):
    """Let me stay: the present certificate, and a new request signed with the same key."""

    certificate: Pem
    request: Pem


class Admission(Struct, frozen=True):
    """Who the box is from now on, and where it speaks. The moments are the authority's, in seconds since 1970."""

    site: Host
    box: Host
    certificate: Pem  # of the box
    authority: Pem  # whose certificates the box trusts; several during a change
    host: Host  # of the broker
    port: Port
    renew_after: Seconds
    expires: Seconds


def read_token(text: str) -> Invitation:
    """Take a token apart. Raises EnrolmentError, which does not repeat it."""
    found = _TOKEN.fullmatch(text.strip())
    if found is None or not 0 < int(found["port"]) <= 65535:  # noqa: PLR2004 - the highest port
        raise EnrolmentError("that is no enrolment token: paste the whole line that `edgefleet enrol` printed")
    return Invitation(found["host"].strip("[]"), int(found["port"]), found["fingerprint"], found["secret"])


def read_admission(answer: bytes) -> Admission:
    """Return what the authority answered. Raises EnrolmentError."""
    try:
        return msgspec.json.decode(answer, type=Admission)
    except (ValueError, RecursionError):
        raise EnrolmentError("the server answers, but not as an enrolment server: check the address") from None


def due(renew_after: float, now: float) -> bool:
    """Tell whether it is time to ask for the next certificate."""
    return now >= renew_after
