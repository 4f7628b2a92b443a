"""A fuzzer that follows the branches of the wire finds nothing but WireErrors."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parent.parent.parent
RUNS = 200_000


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris has no build for this Python")
def test_a_fuzzer_that_follows_branches_finds_nothing_but_wire_errors(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    command = [sys.executable, "tests/fuzz/wire.py", f"-runs={RUNS}", "-seed=1", "-max_len=2048", "-timeout=5"]
    command += [f"-artifact_prefix={tmp_path}/", str(corpus)]
    environment = os.environ | {"PYTHONPATH": str(TREE)}
    ended = subprocess.run(command, cwd=TREE, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert f"Done {RUNS} runs" in ended.stderr
