"""The programs of the simulated cluster: built before any test's time runs, for the first build takes minutes.

A test marked ``cluster`` needs them: where they cannot be had it is skipped with the reason, and fails in CI. Several
processes (pytest-xdist) find them built by the one that starts them, which alone can tell a person how far it is.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from simulator.binaries import find_binaries
from simulator.progress import ClusterError, Step

FOLDERS: Final = [Path(__file__).parent / name for name in ("cluster", "contract", "scenario")]  # of such tests
MISSING = pytest.StashKey[str]()  # why the programs cannot be had; empty: they are there


def pytest_sessionstart(session: pytest.Session) -> None:
    """In the process that starts the others: it does not collect, so what it was asked for has to decide."""
    config = session.config
    starts_others = config.getoption("dist", "no") != "no"
    asked = [(config.invocation_params.dir / word.partition("::")[0]).resolve() for word in config.args]
    if starts_others and any(
        path.is_relative_to(folder) or folder.is_relative_to(path) for path in asked for folder in FOLDERS
    ):
        prepare(config)


def pytest_collection_finish(session: pytest.Session) -> None:
    """In every process that runs tests."""
    if any(item.get_closest_marker("cluster") for item in session.items):
        prepare(session.config)


@pytest.hookimpl(tryfirst=True)  # before the fixtures
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip loudly where there are none; never in CI."""
    reason = item.config.stash.get(MISSING, "")
    if reason and item.get_closest_marker("cluster"):
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


def prepare(config: pytest.Config) -> None:
    """Build what is not built yet, and keep the reason if that is impossible."""
    if config.option.collectonly:
        return
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    config.stash[MISSING] = ""
    try:
        find_binaries(lines(terminal.write_line) if terminal else lambda _: None)
    except ClusterError as reason:
        config.stash[MISSING] = str(reason)


def lines(write: Callable[[str], None]) -> Callable[[Step], None]:
    """A report of a line for each tenth of a step."""
    said = set[str]()

    def report(step: Step) -> None:
        line = f"{step.what}: {10 * step.done // step.total * 10} %" if step.total else step.what
        if line not in said:
            said.add(line)
            write(line)

    return report
