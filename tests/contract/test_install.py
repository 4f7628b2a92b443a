"""What is installed from the locks is enough: the cloud side, and the agent with nothing beside it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
UV = [str(Path(sys.executable).with_name("uv"))]


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    built = run(
        *UV, "build", "--quiet", "--wheel", "--no-build-isolation", "-p", sys.executable, "--out-dir", folder, TREE
    )
    assert built.returncode == 0, built.stderr
    return next(folder.glob("*.whl"))


def installed(folder: Path, lock: str, wheel: Path) -> Path:
    """Return the programs of a new environment that holds the lock and the wheel."""
    commands: tuple[list[str | Path], ...] = (
        ["venv", "--quiet", "--python", sys.executable, folder],
        ["pip", "install", "--quiet", "-p", folder, "--require-hashes", "-r", TREE / "requirements" / lock],
        ["pip", "install", "--quiet", "-p", folder, "--no-deps", wheel],
    )
    for command in commands:
        ended = run(*UV, *command)
        assert ended.returncode == 0, ended.stderr
    return folder / "bin"


def test_the_cloud_lock_is_all_that_the_operator_and_the_command_line_need(tmp_path: Path, wheel: Path) -> None:
    programs = installed(tmp_path / "a b", "cloud.txt", wheel)

    told = run(programs / "edgefleet", "version", "-o", "json")
    helped = run(programs / "edgefleet", "operator", "--help")
    scenes = run(programs / "fleetsim", "--help")

    assert json.loads(told.stdout)["version"]
    assert "EdgeRelease" in helped.stdout
    assert scenes.returncode == 0, scenes.stderr


def test_the_agent_runs_on_the_standard_library_alone(tmp_path: Path, wheel: Path) -> None:
    programs = installed(tmp_path / "box", "agent.txt", wheel)

    told = run(programs / "edgeagent", "facts", "--output", "json")

    assert "cores" in json.loads(told.stdout)
