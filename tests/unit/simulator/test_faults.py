"""Faults of a box, as the Go side reads them."""

import json
from pathlib import Path

from simulator import faults
from simulator.faults import Fault


def test_only_what_was_said_is_written_in_the_words_of_the_runtime(tmp_path: Path) -> None:
    faults.write(tmp_path, [Fault(image="*/vision:2.*", crash_after=0, exit_code=137), Fault(never_ready=True)])
    assert json.loads((tmp_path / "faults.json").read_text()) == [
        {"image": "*/vision:2.*", "crashAfter": 0, "exitCode": 137},
        {"image": "*", "neverReady": True},
    ]


def test_no_fault_makes_the_box_well(tmp_path: Path) -> None:
    faults.write(tmp_path, [Fault(pull_fail=True)])
    faults.write(tmp_path, [])
    assert json.loads((tmp_path / "faults.json").read_text()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["faults.json"]
