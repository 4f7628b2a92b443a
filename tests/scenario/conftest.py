"""Programs of the command line as a person starts them, for tests of what people are told."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
LONGEST = 540  # seconds of one command; alone on two cores the longest takes 140
Fleetsim = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def fleetsim(tmp_path: Path) -> Fleetsim:
    """Run `fleetsim` in an empty folder; a list of words in, what was printed out."""

    def run(*words: str | Path, given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "simulator", *map(str, words)],
            cwd=tmp_path,
            env=surroundings(tmp_path),
            input=given,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )

    return run


def surroundings(folder: Path) -> dict[str, str]:
    """The environment of a person whose state lies in this folder."""
    return os.environ | {"PYTHONPATH": str(TREE), "XDG_STATE_HOME": str(folder / "state"), "NO_COLOR": "1"}
