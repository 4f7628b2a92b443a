"""One-time tokens: whether one still lets a box in.

Of a secret only the digest is kept. A token belongs to the first key that comes with it: whoever holds that key may ask
again until the token expires, so that a box that died between question and answer is not locked out; nobody else may.
A secret has 160 random bits, and what is compared is its digest: how long that takes tells nothing of use.
"""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from edgeagent.wire import Address

SECRET_BYTES: Final = 20
SHORTEST_LIFE: Final = timedelta(minutes=1)
LONGEST_LIFE: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is kept."""

    digest: str
    address: Address
    expires: float  # seconds since 1970
    key: str = ""  # fingerprint of the key that has used it; empty: nobody has


class Refusal(StrEnum):
    """Why a token lets nobody in: for our log; whoever asks is told nothing of it."""

    UNKNOWN = "TokenUnknown"
    EXPIRED = "TokenExpired"
    USED = "TokenUsed"  # by another key


def digest(secret: str) -> str:
    """Return what is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def refusal(token: Token | None, key: str, now: float) -> Refusal | None:
    """Return why a token that was claimed for a key does not let it in. None: it does."""
    if token is None:
        return Refusal.UNKNOWN
    if now >= token.expires:
        return Refusal.EXPIRED
    return None if token.key == key else Refusal.USED
