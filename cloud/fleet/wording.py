"""Numbers and names as sentences say them."""

from collections.abc import Collection
from itertools import islice
from typing import Final

SHOWN: Final = 5  # names that a sentence gives before it counts the rest


def many(number: int, thing: str) -> str:
    """Write a number of things: ``1 box``, ``3 boxes``, ``2 sites``."""
    plural = "es" if thing.endswith("x") else "s"
    return f"{number} {thing}{'' if number == 1 else plural}"


def some(names: Collection[str], most: int = SHOWN) -> str:
    """Write the first names, and how many there are beyond."""
    rest = len(names) - most
    return ", ".join(islice(names, most)) + (f" and {rest} more" if rest > 0 else "")
