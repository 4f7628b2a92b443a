"""What `fleetsim cluster` understands, and how it says no."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import typer
from typer.testing import CliRunner

from simulator import cli
from simulator.cli_cluster import app, exports, milliseconds, share, usual_folder, words
from simulator.fleet import usual_fleet
from simulator.keeper import end, spawn
from simulator.link import Shape
from simulator.programs import Place, Ports, Timing
from simulator.record import Record

FIVE = "\N{ARABIC-INDIC DIGIT FIVE}"  # which int() and float() take for one
TREE = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(("text", "value"), [("5%", 0.05), ("0.05", 0.05), ("0", 0), ("90%", 0.9), (" 2.5% ", 0.025)])
def test_a_share_is_a_percentage_or_a_number(text: str, value: float) -> None:
    assert share(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "5", "95%", "-1%", "five", "5 %", f"{FIVE}%"])
def test_no_share_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="such as 5%"):
        share(text)


@pytest.mark.parametrize(("text", "value"), [("100ms", 100), ("1.5s", 1500), ("0ms", 0)])
def test_a_delay_has_a_unit(text: str, value: float) -> None:
    assert milliseconds(text) == value


@pytest.mark.parametrize("text", ["100", "1m", "-1s", "fast", f"{FIVE}s"])
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


def test_to_stop_what_is_not_up_is_no_error_and_is_told(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["down", "--dir", str(tmp_path)])
    assert (told.exit_code, told.stdout) == (0, f"Nothing is up in {tmp_path}.\n")
    told = CliRunner().invoke(app, ["down", "--dir", str(tmp_path), "--output", "json"])
    assert json.loads(told.stdout) == {"dir": str(tmp_path), "stopped": False}


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Path]:
    """The folder of what other processes take for a cluster of two sites."""
    (tmp_path / "logs").mkdir()
    place = Place({}, tmp_path, tmp_path, Ports(1, 2, 3, 4, 5, 6, 7), "", Timing())
    Record(place, usual_fleet(2, 2), {}, {}).write()
    keeper, supervisor = spawn(tmp_path)
    yield tmp_path
    end(keeper, supervisor)


def offered(*words: str) -> list[str]:
    """What Tab offers in bash after these words."""
    asked = {"_FLEETSIM_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    command = [sys.executable, "-m", "simulator"]
    said = subprocess.run(command, capture_output=True, text=True, env=os.environ | asked, check=True)
    return said.stdout.split()


def test_tab_offers_the_sites_of_the_cluster_that_is_up(up: Path) -> None:
    say = ("fleetsim", "cluster", "cut", "--dir", str(up))
    assert offered(*say, "tc") == ["tc-001", "tc-002"]
    assert offered(*say, "tc-001", "") == ["tc-002"]
    assert offered(*say, "x") == []


def test_tab_offers_no_site_where_no_cluster_is_up(tmp_path: Path) -> None:
    assert offered("fleetsim", "cluster", "cut", "--dir", str(tmp_path), "") == []


def test_the_version_is_told_with_that_of_kubernetes_and_kubeedge() -> None:
    said = CliRunner().invoke(cli.app, ["--version"])
    assert said.exit_code == 0
    assert re.fullmatch(r"fleetsim \d\S* \(Kubernetes 1\.\d+\.\d+, KubeEdge 1\.\d+\.\d+\)\n", said.stdout)


def test_an_api_server_that_is_gone_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone(**_: str) -> None:
        raise httpx.ConnectError("Connection refused")

    monkeypatch.setattr(cli, "app", gone)
    with pytest.raises(SystemExit, match="1"):
        cli.main()
    assert capsys.readouterr().err.startswith("the API server did not answer as it should: Connection refused")


@pytest.mark.parametrize("command", ["demo", "rehearse", "scenarios"])
def test_commands_beside_the_cluster_help_with_an_example(command: str) -> None:
    said = CliRunner().invoke(cli.app, [command, "--help"])
    assert f"    fleetsim {command}" in said.stdout


def test_ctrl_c_while_modules_are_still_being_read_ends_it_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    for command in ([sys.executable, "-m", "simulator"], [str(Path(sys.executable).with_name("fleetsim"))]):
        path = os.pathsep.join([str(tmp_path), str(TREE)])
        ended = subprocess.run(
            [*command, "scenarios"], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}, check=False
        )
        assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


def test_what_is_to_be_typed_first_in_another_terminal_finds_every_command(tmp_path: Path) -> None:
    kubectl = tmp_path / "it's a folder" / "kubectl"
    kubectl.parent.mkdir()
    kubectl.touch(0o755)
    first = "; ".join(exports(tmp_path / "kube config", kubectl))
    script = f'{first}; command -v edgefleet fleetsim kubectl; echo "$KUBECONFIG"'
    said = subprocess.run(["/bin/bash", "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()
    assert [Path(line).name for line in said] == ["edgefleet", "fleetsim", "kubectl", "kube config"]
    assert said[2] == str(kubectl)
