"""The benchmark's script: which fault befalls whom when, from a seed, so that no two meet and none is told as flapping.

Faults of one family at one site are one alert, and its third begin within ten minutes is told as flapping; of one
family two messages go at once, the next are gathered over five seconds. So a family has a slot every six seconds, and a
site its turn again after more than five minutes.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from edgeagent.wire import Address
from simulator.mishaps import Blow, Mishap

SLOT: Final = 6.0  # seconds between two faults of one family
LASTS: Final = 36.0  # seconds; whatever lasted more than 30 is told as over at once
REST: Final = 330.0  # seconds until a site has its turn again
FIRST: Final = 2.0
OF_BOXES: Final = (Mishap.POWER_LOSS, Mishap.HANG, Mishap.AGENT_KILLED, Mishap.LINK_CUT)
OF_PARTS: Final = (Mishap.CRASH, Mishap.STALL, Mishap.GPU_LOST, Mishap.XID)
LOSSES: Final = (0.05, 0.10, 0.30)
LOSSY_SITES: Final = 8
STORMY: Final = 25  # faults of the usual kinds for one of what comes again and again


@dataclass(frozen=True, slots=True)
class Plan:
    """Who there is, what befalls them, and which sites only have poor links, by their loss."""

    boxes: tuple[Address, ...]
    blows: tuple[Blow, ...]
    lossy: dict[str, float]
    lasts: float  # seconds until the last fault is over


def plan(faults: int, seed: int, real: Sequence[Address] = ()) -> Plan:
    """Return the script for so many faults of each kind. ``real``: boxes with real agents, two at a site."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    lasts = (faults * len(OF_BOXES) + min(len(real), 2 * faults)) * SLOT
    turns = min(faults * len(OF_BOXES), int(REST / SLOT) + 1)
    groups = {"box": turns, "cut": min(faults, int(REST / SLOT / len(OF_BOXES)) + 1), "part": min(faults, 30)}
    sites = {name: [f"{name}-{number:03}" for number in range(count)] for name, count in groups.items()}
    often = max(1, faults // STORMY)
    sites |= {name: [f"{name}-{number:02}" for number in range(often)] for name in ("storm", "modem", "clone", "clock")}
    lossy = {f"lossy-{loss:.2f}-{number}".replace(".", "-"): loss for loss in LOSSES for number in range(LOSSY_SITES)}
    blows = [
        *_box_faults(sites["box"], faults, real, chance),
        *_spread(Mishap.LINK_CUT, sites["cut"], faults, chance, whole=True),
        *(blow for kind in OF_PARTS for blow in _spread(kind, sites["part"], faults, chance)),
        *(Blow(FIRST, Mishap.REBOOT_STORM, boxes=(f"{one}-1",), lasts=5.0, up=5.0, times=10) for one in sites["storm"]),
        *(Blow(FIRST, Mishap.FLAP, sites=(one,), lasts=4.0, up=4.0, times=12) for one in sites["modem"]),
        *(Blow(FIRST, Mishap.CLONE, boxes=(f"{one}-1",), lasts=LASTS) for one in sites["clone"]),
        *(
            Blow(FIRST, Mishap.CLOCK_STEP, boxes=(f"{one}-{1 + sign}",), by=3600.0 * (-1) ** sign, lasts=LASTS)
            for one in sites["clock"]
            for sign in (0, 1)
        ),
        *(Blow(0.0, Mishap.LOSS, sites=(site,), loss=loss) for site, loss in lossy.items()),
    ]
    everywhere = [*(site for group in sites.values() for site in group), *lossy]
    boxes = tuple(Address(site, f"{site}-{number}") for site in everywhere for number in (1, 2))
    return Plan(boxes, tuple(sorted(blows, key=lambda blow: blow.at)), lossy, FIRST + lasts + LASTS)


def _box_faults(sites: Sequence[str], faults: int, real: Sequence[Address], chance: random.Random) -> Iterator[Blow]:
    """All kinds in a mixed order, one a slot, each at the next site; a real agent is killed or stopped once."""
    kinds = [kind for kind in OF_BOXES for _ in range(faults)]
    chance.shuffle(kinds)
    struck = [(kind, f"{sites[place % len(sites)]}-{chance.choice((1, 2))}") for place, kind in enumerate(kinds)]
    for place, one in enumerate([*real[0::2], *real[1::2]][: 2 * faults]):  # a neighbour much later
        kind = (Mishap.AGENT_KILLED, Mishap.HANG)[place % 2]
        struck.insert(min(len(struck), place * (1 + len(kinds) // max(1, len(real)))), (kind, one.box))
    for place, (kind, box) in enumerate(struck):
        yield Blow(FIRST + (place + chance.uniform(0, 0.5)) * SLOT, kind, boxes=(box,), lasts=LASTS)


def _spread(
    kind: Mishap, sites: Sequence[str], faults: int, chance: random.Random, *, whole: bool = False
) -> Iterator[Blow]:
    """One kind evenly over the whole time; kinds of one family have slots of their own, and half the sites between."""
    step = SLOT * len(OF_BOXES)
    offset = OF_PARTS.index(kind) % 2 if kind in OF_PARTS else 0
    for place in range(faults):
        site = sites[(place + offset * len(sites) // 2) % len(sites)]
        at = FIRST + place * step + offset * step / 2 + chance.uniform(0, SLOT / 2)
        box = f"{site}-{chance.choice((1, 2))}"
        yield Blow(at, kind, boxes=() if whole else (box,), sites=(site,) if whole else (), lasts=LASTS)
