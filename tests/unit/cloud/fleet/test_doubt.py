"""Where most sites fall silent together the fault is ours."""

import pytest

from cloud.fleet.doubt import doubted, falling
from cloud.fleet.life import Life


def life(heard: float, *, proven: bool = True, goodbye: bool = False, period: float = 1.0) -> Life:
    return Life("a" * 16, 1, heard=heard, proven=proven, goodbye=goodbye, period=period)


@pytest.mark.parametrize(
    ("lives", "answer"),
    [
        ([], None),
        ([life(98.0, proven=False)], None),
        ([life(98.0, goodbye=True)], None),
        ([life(98.0)], True),
        ([life(98.0), life(98.6)], False),
        ([life(98.0), life(50.0, proven=False), life(99.0, goodbye=True)], True),
        ([life(98.0, period=5.0)], False),
    ],
)
def test_a_site_falls_when_all_its_boxes_are_silent(lives: list[Life], *, answer: bool | None) -> None:
    assert falling({str(number): one for number, one in enumerate(lives)}, 100.0) is answer


@pytest.mark.parametrize(
    ("fallen", "lit", "begins", "goes_on"),
    [(0, 100, False, False), (2, 0, False, True), (3, 0, True, True), (3, 3, False, True), (4, 3, True, True),
     (50, 50, False, True), (51, 49, True, True), (25, 75, False, False), (26, 74, False, True)],
)  # fmt: skip
def test_doubt_begins_with_most_sites_and_ends_with_few(fallen: int, lit: int, *, begins: bool, goes_on: bool) -> None:
    sites = [True] * fallen + [False] * lit + [None] * 7
    assert doubted(sites, before=False) is begins
    assert doubted(sites, before=True) is goes_on
