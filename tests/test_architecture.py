"""The tree keeps what it promises of itself, and each rule is shown to find what it forbids."""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from simulator import locks
from tests import architecture as rules

TREE = rules.TREE
PURE_MODULES = [rules.module_name(path) for path in rules.pure_files()]


@pytest.mark.parametrize("path", rules.pure_files(), ids=lambda path: str(path.relative_to(TREE)))
def test_a_pure_file_reads_no_clock_and_does_no_io(path: Path) -> None:
    assert rules.impurities(path.read_text(), PURE_MODULES) == []


@pytest.mark.parametrize(
    ("source", "objection"),
    [
        ("import datetime as dt\nx = dt.datetime.now()", "reads a clock: dt.datetime.now"),
        ("from datetime import datetime as d\nf = d.utcnow", "reads a clock: d.utcnow"),
        ("from datetime import date\ndate.today()", "reads a clock: date.today"),
        ("import time\ntime.monotonic()", "imports time"),
        ("from time import monotonic", "imports time"),
        ("def f():\n    import os\n    return os.environ", "imports os"),
        ("import subprocess", "imports subprocess"),
        ("from urllib import request", "imports urllib"),
        ("import sys", "imports sys"),
        ("from sys import argv, intern", "imports sys"),
        ("import random", "imports random"),
        ("from kubernetes import client", "imports kubernetes"),
        ("import httpx", "imports httpx"),
        ("from . import kube", "imports a relative name"),
        ("from cloud.rollout import kube", "imports cloud.rollout"),
        ("from cloud.rollout.kube import patch", "imports cloud.rollout.kube"),
        ("open('x')", "uses open"),
        ("show = print", "uses print"),
    ],
)
def test_an_impure_line_is_found(source: str, objection: str) -> None:
    assert [found.partition(": ")[2] for found in rules.impurities(source, ["cloud.rollout.plan"])] == [objection]


@pytest.mark.parametrize(
    "source",
    [
        "from datetime import datetime\ndef plan(now: datetime) -> datetime: return now",
        "def plan(snapshot): return snapshot.now",
        "from cloud.rollout.plan import plan",
        "from cloud.rollout import plan",
        "from sys import intern",
        "from collections.abc import Mapping\nfrom pydantic import BaseModel",
    ],
)
def test_a_pure_line_passes(source: str) -> None:
    assert rules.impurities(source, ["cloud.rollout.plan"]) == []


def test_a_new_file_in_a_pure_room_is_pure_unless_named_after_a_technology(tmp_path: Path) -> None:
    for name in ("cloud/rollout/soak.py", "cloud/rollout/kube.py", "cloud/rollout/__init__.py", "cloud/operator.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert rules.pure_files(tmp_path) == [tmp_path / "cloud/rollout/soak.py"]


def test_the_import_rules_hold() -> None:
    result = lint_imports(TREE)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("importer", "imported", "broken"),
    [
        ("simulator/demo.py", "cloud.fleet", "The simulator never imports the cloud"),
        ("cloud/fleet/site.py", "simulator", "The cloud never imports the simulator"),
        ("cloud/fleet/site.py", "cloud.rollout", "Inside the cloud imports go downwards only"),
        ("cloud/surprise.py", "cloud.fleet", "Inside the cloud imports go downwards only"),
        ("cloud/fleet/site.py", "edgeagent.spool", "Of the agent the cloud knows the wire"),
        ("simulator/demo.py", "edgeagent.spool", "Of the agent the simulator knows what decides"),
        ("edgeagent/spool.py", "cloud.fleet", "The agent stands alone"),
        ("edgeagent/spool.py", "simulator", "The agent stands alone"),
    ],
)
def test_a_wrong_import_is_found(tmp_path: Path, importer: str, imported: str, broken: str) -> None:
    shutil.copy(TREE / "pyproject.toml", tmp_path)
    for package in ("cloud", "cloud/fleet", "cloud/rollout", "edgeagent", "simulator"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / "edgeagent" / "spool.py").touch()
    (tmp_path / importer).write_text(f"import {imported}\n")
    result = lint_imports(tmp_path)
    assert result.returncode == 1
    assert f"{broken}" in result.stdout.partition("Broken contracts")[2]


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    """Run the contracts of a tree on that tree and not on the installed one."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_the_top_level_holds_what_it_should_and_nothing_else() -> None:
    assert (
        rules.strangers((entry.name for entry in TREE.iterdir()), (TREE / ".gitignore").read_text().splitlines()) == []
    )


def test_a_stranger_at_the_top_level_is_found() -> None:
    assert rules.strangers(["cloud", "build", "notes.txt", ".coverage.a1"], ["build/", "# x", ".coverage*"]) == [
        "notes.txt"
    ]


def test_no_file_names_a_registry_or_a_machine() -> None:
    said = {
        str(path.relative_to(TREE)): rules.unsaid_words(path.read_text(errors="replace")) for path in rules.own_files()
    }
    assert {name: words for name, words in said.items() if words} == {}


@pytest.mark.parametrize("words", rules.UNSAID.values(), ids=rules.UNSAID)
def test_a_registry_or_a_machine_is_found(words: tuple[str, ...]) -> None:
    assert [found.partition(": ")[2] for word in words for found in rules.unsaid_words(f"x={word}x")] == list(words)


def test_init_files_are_empty() -> None:
    assert [path for path in rules.own_files() if path.name == "__init__.py" and path.read_bytes()] == []


def test_no_file_is_long_without_a_reason() -> None:
    product = [path for path in rules.own_files() if path.suffix in {".py", ".go"} and "tests" not in path.parts]
    lines = {str(path.relative_to(TREE)): len(path.read_bytes().splitlines()) for path in product}
    assert rules.too_long(lines, rules.LONG_FOR_A_REASON) == []


def test_a_long_file_and_a_needless_reason_are_found() -> None:
    assert rules.too_long({"a.py": 301, "b.py": 300, "c.py": 999}, {"b.py": "was long", "c.py": "a table"}) == [
        "a.py: 301 lines; split it by idea, or say why not",
        "b.py: no longer long, so needs no reason",
    ]


def test_a_python_that_is_too_old_can_still_read_why_nothing_starts() -> None:
    tree = ast.parse((TREE / "simulator" / "bootstrap.py").read_text(), feature_version=(3, 7))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    said = [
        node.returns if isinstance(node, ast.FunctionDef) else node.annotation
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.arg | ast.AnnAssign)
    ]
    newer = [ast.unparse(one) for one in said if isinstance(one, ast.Subscript | ast.BinOp)]
    assert newer == [], "a Python 3.6 evaluates these: put them in quotes"


@pytest.mark.parametrize("role", locks.ROLES)
def test_a_lock_belongs_to_the_project_file_and_carries_hashes_and_no_address(role: str) -> None:
    header, *lines = (TREE / "requirements" / f"{role}.txt").read_text().splitlines()
    project = tomllib.loads((TREE / "pyproject.toml").read_text())
    assert header == locks.HEADER + locks.dependency_digest(project), "run `make lock`"
    assert [line for line in lines if "://" in line or line.startswith("-")] == []
    pinned = [number for number, line in enumerate(lines) if line[:1].isalnum()]
    assert [lines[number] for number in pinned if "--hash=sha256:" not in lines[number + 1]] == []


def test_another_dependency_makes_the_locks_stale() -> None:
    project = tomllib.loads((TREE / "pyproject.toml").read_text())
    before = locks.dependency_digest(project)
    project["dependency-groups"]["dev"].append("another>=1")
    assert locks.dependency_digest(project) != before
