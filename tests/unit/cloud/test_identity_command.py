"""``edgefleet identity`` and ``edgefleet enrol`` as a person uses them: what they write, say and refuse."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cloud.__main__ import app
from cloud.fleet.errors import SpecError
from cloud.identity.folder import Folder
from edgeagent.enrolment import read_token


def told(*words: str) -> Result:
    return CliRunner().invoke(app, words)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    made = told("identity", "init", "--host", "fleet.example.com", "--folder", str(tmp_path / "f"))
    assert made.exit_code == 0, made.output
    assert "start the broker with" in made.stderr
    return str(tmp_path / "f")


def test_a_token_tells_the_box_where_to_ask_and_whom_to_believe(folder: str) -> None:
    said = told("enrol", "tc-001/scan-1", "--folder", folder)
    token = read_token(said.stdout)
    assert (token.host, token.port) == ("fleet.example.com", 8443)
    assert token.fingerprint == Folder.load(Path(folder)).authority.fingerprint
    assert "run `edgeagent enrol` there" in said.stderr
    assert token.secret not in said.stderr


def test_for_programs_a_token_comes_with_its_end(folder: str) -> None:
    said = json.loads(told("enrol", "tc-001/scan-1", "--valid", "30m", "--folder", folder, "-o", "json").stdout)
    assert (said["site"], said["box"], said["token"][:5]) == ("tc-001", "scan-1", "efl1.")
    left = datetime.fromisoformat(said["expires"]) - datetime.now(UTC)
    assert timedelta(minutes=29) < left <= timedelta(minutes=30)


def test_several_boxes_get_a_token_each_in_one_go(folder: str) -> None:
    boxes = ("tc-001/scan-1", "tc-001/vision-1", "tc-001/scan-1")
    said = told("enrol", *boxes, "--folder", folder)
    lines = [line.split(" ") for line in said.stdout.splitlines()]
    assert [box for box, _ in lines] == ["tc-001/scan-1", "tc-001/vision-1"]
    assert len({read_token(token).secret for _, token in lines}) == 2
    assert "on each box" in said.stderr
    listed = json.loads(told("enrol", *boxes, "--folder", folder, "-o", "json").stdout)
    assert [one["box"] for one in listed] == ["scan-1", "vision-1"]


def test_one_name_that_is_none_and_nobody_gets_a_token(folder: str) -> None:
    said = told("enrol", "tc-001/scan-1", "scan-2", "--folder", folder)
    assert isinstance(said.exception, SpecError)
    assert not said.stdout


@pytest.mark.parametrize("valid", ["", "1", "0m", "31d", "1w", "-1h", "1h1m", "99999d"])
def test_a_life_that_is_none_is_refused_with_an_example(folder: str, valid: str) -> None:
    said = told("enrol", "tc-001/scan-1", "--valid", valid, "--folder", folder)
    assert said.exit_code == 2
    assert "24h" in said.stderr or "30d" in said.stderr


@pytest.mark.parametrize("box", ["scan-1", "tc-001/", "tc-001/scan/1", "tc-001/+", f"{'s' * 40}/{'b' * 40}"])
def test_a_box_that_can_have_no_name_gets_no_token(folder: str, box: str) -> None:
    assert isinstance(told("enrol", box, "--folder", folder).exception, SpecError)


def test_a_box_that_returns_after_it_was_revoked_may_speak_again(folder: str) -> None:
    rules = Path(folder, "broker/rules.acl")
    assert told("identity", "revoke", "tc-001/scan-1", "--folder", folder).stdout.endswith("0 certificates revoked\n")
    assert "user 19/tc-001/scan-1" in rules.read_text()
    said = told("enrol", "tc-001/scan-1", "--folder", folder)
    assert "may speak again once the broker has reloaded" in said.stderr
    assert "user 19/tc-001/scan-1" not in rules.read_text()


def test_init_run_again_changes_what_was_asked_for_and_nothing_else(folder: str) -> None:
    before = Folder.load(Path(folder)).authority.fingerprint
    again = ("identity", "init", "--host", "fleet.example.com", "--folder", folder)
    assert told(*again).stdout == f"authority {before}\n"
    said = told(*again, "--monitor", "monitor-0", "--monitor", "monitor-1").stdout
    assert [line.rpartition("/")[2] for line in said.splitlines()[:-1]] == [
        *("monitor-0.key: written", "monitor-0.crt: written"),
        *("monitor-1.key: written", "monitor-1.crt: written", "rules.acl: written"),
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("--host", "a b"),
        ("--host", "h\nuser root"),
        ("--host", "h:8443"),
        ("--host", "h", "--broker-home", "relative"),
        ("--host", "h", "--broker-data", "/a\nallow_anonymous true"),
    ],
)
def test_nothing_gets_into_the_broker_s_configuration_that_is_no_name(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert told("identity", "init", "--folder", str(tmp_path / "f"), *words).exit_code == 2
    assert not (tmp_path / "f").exists()


def test_a_fleet_without_an_identity_is_told_how_to_get_one(tmp_path: Path) -> None:
    said = told("enrol", "tc-001/scan-1", "--folder", str(tmp_path))
    assert isinstance(said.exception, SpecError)
    assert "edgefleet identity init" in str(said.exception)


@pytest.mark.parametrize("command", [("enrol",), ("identity", "init"), ("identity", "revoke"), ("identity", "serve")])
def test_every_command_explains_itself_with_an_example(command: tuple[str, ...]) -> None:
    said = told(*command, "--help").stdout
    assert f"edgefleet {' '.join(command)}" in said.partition("Examples:")[2]
