"""What comes out of the broker: messages of boxes, our own echo, and whether the broker listens to us."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Heard:
    """One message. ``at`` by the monotonic clock, when it came out of the socket."""

    at: float
    topic: str
    payload: bytes
    retained: bool = False


@dataclass(frozen=True, slots=True)
class Echo:
    """We heard ourselves, ``sent`` at that time of the monotonic clock."""

    at: float
    sent: float


@dataclass(frozen=True, slots=True)
class Linked:
    """The broker listens to us, or no longer does."""

    at: float
    linked: bool
    why: str = ""


Sound: TypeAlias = Heard | Echo | Linked
