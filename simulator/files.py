"""Reads the files a rehearsal is made of; every problem names the file, the place in it and the next step."""

import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from simulator.adjust import Manifest, release_in
from simulator.documents import documents
from simulator.expectations import EXPECTATIONS
from simulator.fleet import Fleet
from simulator.fleetfile import fleet_for, parse_fleet
from simulator.mishaps import Script, parse_script
from simulator.scenario import Scenario, parse_scenario
from simulator.tables import FileError, near

STANDARD_INPUT: Final = Path("-")
SCENARIOS: Final = Path(__file__).parent / "scenarios"
LARGEST: Final = 4 * 2**20  # bytes of a file; an API server takes objects of 1.5 MB at most

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked for on the command line."""

    release: Path
    scenario: str = "calm"  # a name, or the path of a file
    fleet: Path | None = None  # None: one that fits the release
    previous: Path | None = None  # None: the same release with a stand-in image
    fast: bool = False
    real_time: bool = False
    limit: float = 600.0  # seconds from the release's creation


@dataclass(frozen=True, slots=True)
class Files:
    """What the wish's files hold."""

    release: Manifest
    previous: Manifest | None
    scenario: Scenario
    fleet: Fleet


def read_files(wish: Wish) -> Files:
    """Read them all. Raises FileError with the problems of every file that is wrong."""
    problems: list[str] = []

    def tried(read: Callable[[], T]) -> T | None:
        try:
            return read()
        except FileError as wrong:
            problems.extend(wrong.problems)
            return None

    release = tried(lambda: read_release(wish.release))
    previous = tried(partial(read_release, wish.previous)) if wish.previous else None
    scenario = tried(lambda: find_scenario(wish.scenario))
    fleet = tried(partial(read_fleet, wish.fleet)) if wish.fleet else None
    if release is None or scenario is None or problems:
        raise FileError(problems)
    return Files(release, previous, scenario, fleet or fleet_for(selector_of(release)))


def read_release(path: Path) -> Manifest:
    """The one EdgeRelease in a file. Raises FileError."""
    return release_in(documents(read_text(path), str(path)), str(path))


def selector_of(release: Manifest) -> Mapping[str, Any]:
    """The selector of a release that nobody has checked yet; empty where there is none."""
    targets = release["spec"].get("targets")
    selector = targets.get("selector") if isinstance(targets, dict) else None
    return selector if isinstance(selector, dict) and isinstance(selector.get("matchLabels", {}), dict) else {}


def read_fleet(path: Path) -> Fleet:
    """The fleet in a file. Raises FileError."""
    return in_file(path, parse_fleet)


def find_scenario(wanted: str) -> Scenario:
    """A scenario by its name, or in a file. Raises FileError."""
    return in_file(scenario_path(wanted), lambda entries: parse_scenario(Path(wanted).stem, entries, EXPECTATIONS))


def read_script(path: Path) -> Script:
    """The mishaps in a file. Raises FileError."""
    return in_file(path, parse_script)


def scenario_path(wanted: str) -> Path:
    """Where a scenario lies. Raises FileError when it is neither one of ours nor a TOML file."""
    shipped = {path.stem: path for path in SCENARIOS.glob("*.toml")}
    if wanted not in shipped and not wanted.endswith(".toml"):
        raise FileError([f"--scenario: {wanted!r} is none; {near(wanted, shipped)}; or give a file ending in .toml"])
    return shipped.get(wanted, Path(wanted))


def shipped_scenarios() -> list[Scenario]:
    """Those that come with the simulator, by name."""
    return [find_scenario(path.stem) for path in sorted(SCENARIOS.glob("*.toml"))]


def in_file(path: Path, parse: Callable[[Mapping[str, Any]], T]) -> T:
    """What a TOML file holds. Raises FileError, each problem with the file's name before it."""
    text = read_text(path)
    try:
        return parse(entries_in(text))
    except FileError as wrong:
        raise FileError(f"{path}: {problem}" for problem in wrong.problems) from wrong
    except RecursionError:
        raise FileError([f"{path}: nests too deep: no fleet and no scenario does"]) from None


def entries_in(text: str) -> dict[str, Any]:
    """The entries of a TOML file. Raises FileError."""
    try:
        return tomllib.loads(text)
    except ValueError as wrong:  # a number of thousands of digits as well
        raise FileError([f"is no TOML: {wrong}"]) from wrong


def read_text(path: Path) -> str:
    """What is in a file, or comes in from another program; a byte order mark is none of it. Raises FileError."""
    try:
        read = first_bytes(path)
    except OSError as wrong:
        raise FileError([f"{path}: cannot be read: {wrong.strerror}"]) from wrong
    if len(read) > LARGEST:
        raise FileError([f"{path}: is larger than {LARGEST // 2**20} MB: give a file that holds nothing else"])
    try:
        return read.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        raise FileError([f"{path}: is no text: {wrong}"]) from wrong


def first_bytes(path: Path) -> bytes:
    """As much of a file as is needed to see that it is too large."""
    if path == STANDARD_INPUT:
        return sys.stdin.buffer.read(LARGEST + 1)
    with path.open("rb") as file:
        return file.read(LARGEST + 1)
