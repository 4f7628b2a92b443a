"""What one turn of the planner came to, before it is put into words."""

from collections.abc import Mapping
from dataclasses import dataclass

from cloud.rollout.books import Books
from cloud.rollout.checks import Objection
from cloud.rollout.progress import Progress
from cloud.rollout.release import FailureAction
from cloud.rollout.status import Effort


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one turn of the planner came to."""

    books: Books
    progress: Progress
    efforts: Mapping[str, Effort]
    objections: tuple[Objection, ...]  # most important first
    retreat: FailureAction | None  # how far boxes go back; None: they do not
    moving: frozenset[str]  # boxes that are patched in this turn
