"""Cuts what a box saw to what the wire takes: texts of any length and bytes, figures that are no numbers."""

from collections.abc import Mapping
from typing import Final

import msgspec

_LARGEST_NUMBER: Final = 1e18


def short(details: Mapping[str, str], room: int = 8 * 1024) -> dict[str, str]:
    """Cut what the wire would refuse: 16 details of 512 letters, and in all ``room`` bytes as they travel."""
    kept: dict[str, str] = {}
    for name, text in list(details.items())[:16]:
        key, value = clean(name, 128) or "?", clean(text, 512)
        room -= len(msgspec.json.encode((key, value)))
        if room < 0:
            break
        kept[key] = value
    return kept


def few(values: Mapping[str, float]) -> dict[str, float]:
    """Leave out what the wire would refuse: what is no number, and what a message has no room for."""
    kept, room = {}, 8 * 1024
    for name, value in list(values.items())[:256]:
        key = clean(name, 128)
        room -= len(msgspec.json.encode((key, value)))
        if key and abs(value) <= _LARGEST_NUMBER and room >= 0:  # infinities and NaN are not
            kept[key] = value
    return kept


def clean(text: str, most: int) -> str:
    """Cut a text; bytes of a file name that are no text become question marks."""
    return text[:most].encode(errors="replace").decode()
