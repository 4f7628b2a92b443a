"""Files of mishaps: what they may say, that every problem is told at once, and what follows from them when."""

from typing import Any

import pytest

from edgeagent.wire import Address
from simulator.mishaps import TURNS, Blow, Change, Mishap, Script, Turn, parse_script, turns
from simulator.tables import FileError

BOXES = tuple(Address(site, f"{site}-scan-{number}") for site in ("tc-001", "tc-002") for number in (1, 2))


def blow(**entries: Any) -> Blow:  # noqa: ANN401 - any TOML value
    return parse_script({"sentence": "It rains.", "mishap": [{"at": "1s", **entries}]}).blows[0]


def problems(*mishaps: dict[str, Any]) -> list[str]:
    with pytest.raises(FileError) as wrong:
        parse_script({"sentence": "It rains.", "mishap": list(mishaps)})
    return list(wrong.value.problems)


def test_the_smallest_script_is_a_sentence() -> None:
    assert parse_script({"sentence": "It rains."}) == Script("It rains.", ())


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"do": "power-loss", "boxes": ["a"], "lasts": "20s"}, Blow(1.0, Mishap.POWER_LOSS, boxes=("a",), lasts=20.0)),
        ({"do": "link-cut", "sites": ["a", "b"]}, Blow(1.0, Mishap.LINK_CUT, sites=("a", "b"))),
        ({"do": "crash", "boxes": ["a"], "part": "scan", "exit": 137},
         Blow(1.0, Mishap.CRASH, boxes=("a",), part="scan", exit=137)),
        ({"do": "xid", "boxes": ["a"], "part": "1", "xid": 48}, Blow(1.0, Mishap.XID, boxes=("a",), part="1", xid=48)),
        ({"do": "stall", "boxes": ["a"]}, Blow(1.0, Mishap.STALL, boxes=("a",))),
        ({"do": "loss", "sites": ["a"], "loss": "5%"}, Blow(1.0, Mishap.LOSS, sites=("a",), loss=0.05)),
        ({"do": "clock-step", "boxes": ["a"], "by": "-1h"}, Blow(1.0, Mishap.CLOCK_STEP, boxes=("a",), by=-3600.0)),
        ({"do": "flap", "sites": ["a"], "down": "3s", "up": "5s", "times": 9},
         Blow(1.0, Mishap.FLAP, sites=("a",), lasts=3.0, up=5.0, times=9)),
        ({"do": "reboot-storm", "boxes": ["a"]},
         Blow(1.0, Mishap.REBOOT_STORM, boxes=("a",), lasts=4.0, up=4.0, times=5)),
    ],
)  # fmt: skip
def test_what_is_said_is_meant(said: dict[str, Any], meant: Blow) -> None:
    assert blow(**said) == meant


def test_every_problem_is_told_at_once_with_its_place() -> None:
    assert problems(
        {"do": "power-los", "boxes": ["a"]},
        {"at": "1s", "do": "loss", "boxes": ["a"], "sites": ["b"], "loss": "95%"},
        {"at": "1s", "do": "clock-step", "boxes": ["a"], "by": "900000h"},
        {"at": "1s", "do": "clock-step", "boxes": ["a"], "by": 3},
        {"at": "1s", "do": "clock-step", "boxes": ["a"]},
        {"at": "1s", "do": "crash", "boxes": ["a"], "runs": "3s"},
    ) == [
        "mishap 1: at: is missing: add it",
        "mishap 1: do: 'power-los' is unknown; did you mean power-loss?",
        "mishap 2: boxes: or sites: write one of the two",
        'mishap 2: loss: \'95%\': write "1%" to "90%"; to let nothing pass, do = "link-cut"',
        "mishap 3: by: '900000h': write more than nothing and at most a year",
        'mishap 4: by: 3: write for example "1h" or "-1h"',
        "mishap 5: by: is missing: add it",
        "mishap 6: runs: is unknown; there is at, boxes, do, exit, lasts, part, sites",
    ]


def test_a_file_holds_so_many_mishaps() -> None:
    assert problems(*[{"at": "1s", "do": "hang", "boxes": ["a"]}] * 5001) == [
        "mishap: there are 5001: 5000 are enough for one run"
    ]


def test_every_mishap_begins_and_is_mended_unless_it_stays() -> None:
    assert set(TURNS) == set(Mishap)
    short, stays = (
        Blow(1.0, Mishap.HANG, boxes=("tc-001-scan-1",), lasts=2.0),
        Blow(2.0, Mishap.LINK_CUT, sites=("*2",)),
    )
    assert turns([short, stays], BOXES) == (
        Turn(1.0, Change.FREEZE, BOXES[:1], short),
        Turn(2.0, Change.CUT, BOXES[2:], stays),
        Turn(3.0, Change.THAW, BOXES[:1], short),
    )


def test_what_comes_again_and_again_does() -> None:
    storm = Blow(10.0, Mishap.REBOOT_STORM, boxes=("*",), lasts=4.0, up=6.0, times=3)
    assert [(turn.at, turn.change) for turn in turns([storm], BOXES)] == [
        (10.0, Change.POWER_OFF), (14.0, Change.BOOT), (20.0, Change.POWER_OFF), (24.0, Change.BOOT),
        (30.0, Change.POWER_OFF), (34.0, Change.BOOT),
    ]  # fmt: skip


def test_places_without_boxes_are_told() -> None:
    with pytest.raises(FileError) as wrong:
        turns([Blow(0, Mishap.HANG, boxes=("tc-001-scan-1",)), Blow(0, Mishap.HANG, sites=("tc-01",))], BOXES)
    assert wrong.value.problems == ("mishap 2: 'tc-01': nothing is called so; did you mean tc-001 or tc-002?",)
