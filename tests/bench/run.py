"""Measures what was promised, prints it as a table, and writes build/bench.json; ends with 1 if a promise is broken.

Ratios are against a baseline of the same run, for seconds alone say more of the machine than of the product.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from simulator.progress import Step

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE))  # tests are no package that is installed

from tests.bench import growth, planning, rollouts  # noqa: E402 - after the path
from tests.bench.figures import Figure, show  # noqa: E402 - after the path

SECTIONS = ("plan", "rollout", "growth")


def main(arguments: list[str] | None = None) -> None:
    """Run the sections that were asked for; None: of the command line."""
    parser = argparse.ArgumentParser(description="Measure what edgefleet promises.")
    known = ", ".join(SECTIONS)
    parser.add_argument("sections", nargs="*", type=_section_name, metavar="SECTION", help=f"{known}; default: all")
    parser.add_argument("--output", type=Path, default=TREE / "build" / "bench.json", help="where the figures go")
    options = parser.parse_args(arguments)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    figures: list[Figure] = []
    say = _speaker()
    with tempfile.TemporaryDirectory(prefix="edgefleet-bench-") as folder:
        for section in options.sections or SECTIONS:
            for figure in _section(section, Path(folder), say):
                figures.append(figure)  # told and kept at once: the whole takes long, and may be broken off
                options.output.write_text(json.dumps([one.dump() for one in figures], indent=2) + "\n")
                say(Step(f"{figure.name}: {figure.value:.4g} {figure.unit}"))
    show(figures)
    sys.exit(0 if all(one.ok for one in figures) else 1)


def _section_name(text: str) -> str:
    if text not in SECTIONS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(SECTIONS)}")
    return text


def _section(name: str, folder: Path, say: Callable[[Step], None]) -> Iterator[Figure]:
    match name:
        case "plan":
            yield from planning.measure()
        case "rollout":
            yield from rollouts.measure(folder / name, say)
        case "growth":
            yield from growth.measure(folder / name, say)


def _speaker() -> Callable[[Step], None]:
    """Return what tells a person of each step once, whatever its counts."""
    console = Console(stderr=True)
    told: set[str] = set()

    def say(step: Step) -> None:
        if step.what not in told:
            told.add(step.what)
            console.print(f"… {step.what}")

    return say


if __name__ == "__main__":
    main()
