"""What a long step tells while it goes on, and when it cannot go on."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """How far a long piece of work has come; `total` 0: it cannot be counted."""

    what: str
    done: int = 0
    total: int = 0


Report = Callable[[Step], None]


def silent(_: Step) -> None:
    """Report to nobody."""


class ClusterError(RuntimeError):
    """Something about the cluster could not be done; the text names the thing and the next step."""
