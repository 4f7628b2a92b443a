"""What one box does wrong: the file that its pretended container runtime reads, changeable while it runs."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from simulator.folder import naming

FILE = "faults.json"


@dataclass(frozen=True, slots=True)
class Fault:
    """Which images misbehave on a box, and how; None leaves a field as the image or the pod's annotations say.

    `image` is a pattern of the whole reference in which * matches anything. `crash_after` counts, for a container
    that runs already, from when the fault is set.
    """

    image: str = "*"
    pull_seconds: float | None = None
    pull_fail: bool | None = None
    crash_after: float | None = None  # seconds
    exit_code: int | None = None  # with crash_after, 1 if None; alone: ends at once with it
    never_ready: bool | None = None


def write(folder: Path, faults: Iterable[Fault]) -> None:
    """Make these the faults of the box in the folder, in place of any before; none makes it well."""
    fresh = folder / f"{FILE}.new"
    with naming(fresh):
        fresh.write_text(json.dumps([as_read(fault) for fault in faults]))
    fresh.replace(folder / FILE)


def as_read(fault: Fault) -> dict[str, object]:
    """In the words of the Go side."""
    return {camel(name): value for name, value in asdict(fault).items() if value is not None}


def camel(name: str) -> str:
    """crash_after becomes crashAfter."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
