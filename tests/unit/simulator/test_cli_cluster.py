"""What `fleetsim cluster` understands, and how it says no."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from simulator.cli_cluster import app, exports, milliseconds, share, usual_folder, words
from simulator.cluster import clear
from simulator.link import Shape
from simulator.progress import ClusterError


@pytest.mark.parametrize(("text", "value"), [("5%", 0.05), ("0.05", 0.05), ("0", 0), ("90%", 0.9), (" 2.5% ", 0.025)])
def test_a_share_is_a_percentage_or_a_number(text: str, value: float) -> None:
    assert share(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "5", "95%", "-1%", "five", "5 %"])
def test_no_share_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="such as 5%"):
        share(text)


@pytest.mark.parametrize(("text", "value"), [("100ms", 100), ("1.5s", 1500), ("0ms", 0)])
def test_a_delay_has_a_unit(text: str, value: float) -> None:
    assert milliseconds(text) == value


@pytest.mark.parametrize("text", ["100", "1m", "-1s", "fast"])
def test_no_delay_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="such as 100ms"):
        milliseconds(text)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (Shape(cut=False, delay_ms=0, loss=0), "good"),
        (Shape(cut=True, delay_ms=100, loss=0.1), "cut"),
        (Shape(cut=False, delay_ms=100, loss=0.05), "100 ms late, 5% lost"),
    ],
)
def test_a_link_is_told_in_words(shape: Shape, said: str) -> None:
    assert words(shape) == said


def test_the_usual_folder_follows_the_users_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert usual_folder() == tmp_path / "edgefleet" / "cluster"


def test_a_fleet_with_fewer_boxes_than_sites_is_wrong_usage() -> None:
    said = CliRunner().invoke(app, ["up", "--sites", "5", "--boxes", "3"])
    assert (said.exit_code, "every site has at least one box, so ask for 5" in said.stderr) == (2, True)


def test_who_has_the_programs_already_finds_how_to_say_so() -> None:
    assert "EDGEFLEET_CLUSTER_BIN=FOLDER" in CliRunner().invoke(app, ["build", "--help"]).stdout


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/x")):
        with pytest.raises(ClusterError, match=f"{folder} cannot be used: .*: give an empty or new folder"):
            clear(folder)


def test_output_that_cannot_be_written_is_told_in_a_sentence() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "simulator", "scenarios"]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 3
    assert ended.stderr.startswith("fleetsim: output could not be written: No space left on device")


@pytest.mark.parametrize("command", ["build", "up", "status", "cut", "heal", "degrade", "down"])
def test_every_command_helps_with_an_example(command: str) -> None:
    said = CliRunner().invoke(app, [command, "--help"])
    assert said.exit_code == 0
    assert f"    fleetsim cluster {command}" in said.stdout


def test_what_is_to_be_typed_first_in_another_terminal_finds_every_command(tmp_path: Path) -> None:
    kubectl = tmp_path / "it's a folder" / "kubectl"
    kubectl.parent.mkdir()
    kubectl.touch(0o755)
    first = "; ".join(exports(tmp_path / "kube config", kubectl))
    script = f'{first}; command -v edgefleet fleetsim kubectl; echo "$KUBECONFIG"'
    said = subprocess.run(["/bin/bash", "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()
    assert [Path(line).name for line in said] == ["edgefleet", "fleetsim", "kubectl", "kube config"]
    assert said[2] == str(kubectl)
