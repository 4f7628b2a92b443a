"""How the command line speaks: its help, its tables at any width, its words for time and number."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from cloud.__main__ import app
from cloud.cli import output, report
from cloud.cli.gather import Seen
from cloud.fleet.wording import many, some
from cloud.rollout.release import Release, ReleaseSpec
from cloud.rollout.status import Breach, Counts, Phase, ReleaseStatus, StagePhase, StageStatus, Waiting, WaitingOn

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
COMMANDS = [command.callback.__name__ for command in app.registered_commands if command.callback]
LOOKING = ("releases", "status", "watch", "why", "plan", "approve", "pause", "resume", "rollback", "halt")


def seen(name: str = "scan-2", phase: Phase = Phase.ROLLING, age: timedelta = MINUTE, **status: Any) -> Seen:  # noqa: ANN401
    spec = {
        "workload": {"name": "scan", "image": "scan:2"},
        "targets": {"selector": {"matchLabels": {"a": "b"}}},
        "stages": [{"name": "canary", "upTo": 1}, {"name": "rest"}],
    }
    release = Release(
        namespace="sorting", name=name, uid=name, created=NOW - age, spec=ReleaseSpec.model_validate(spec)
    )
    return Seen(release, ReleaseStatus(observed_generation=1, phase=phase, **status), "1", {})


def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int, *parts: Any) -> list[str]:  # noqa: ANN401
    monkeypatch.setenv("COLUMNS", str(width))
    output.show(*parts)
    return capsys.readouterr().out.splitlines()


def test_every_command_of_a_release_engineers_day_is_there() -> None:
    assert {*LOOKING, "operator", "doctor", "crds", "version"} <= set(COMMANDS)


@pytest.mark.parametrize("name", LOOKING)
def test_every_command_explains_itself_with_examples_and_exit_codes(name: str) -> None:
    said = CliRunner().invoke(app, [name, "--help"]).stdout
    examples = re.search(r"\n  Examples:\n((?:    .*\n)+)", said)
    assert examples is not None, said
    assert f"edgefleet {name}" in examples[1]
    assert "Exit codes: 0 done, 1 failed" in said
    assert "Errors are text on standard error" in " ".join(said.split())
    for option in ("--namespace", "--kubeconfig", "--context", "--output"):
        assert option in said


@pytest.mark.parametrize("words", [[name] for name in COMMANDS if name != "operator"] + [["sites", "import"]])
def test_every_command_that_ends_shows_how_it_is_typed(words: list[str]) -> None:
    said = CliRunner().invoke(app, [*words, "--help"]).stdout
    assert f"  Examples:\n    edgefleet {' '.join(words)}" in said


def test_the_version_is_told_as_an_option_too() -> None:
    said = CliRunner().invoke(app, ["--version"])
    assert (said.exit_code, said.stdout) == (0, CliRunner().invoke(app, ["version"]).stdout)
    assert re.fullmatch(r"edgefleet \d.*\n", said.stdout)


def test_wrong_usage_is_2() -> None:
    assert CliRunner().invoke(app, ["status"]).exit_code == 2
    assert CliRunner().invoke(app, ["watch", "x", "--timeout", "soon"]).exit_code == 2
    assert CliRunner().invoke(app, ["releases", "-o", "yaml"]).exit_code == 2


@pytest.mark.parametrize(
    "words",
    [
        ["status", ""],
        ["status", "../edgereleases"],
        ["status", "a b/.."],
        ["status", "nope/../scan-2-0"],
        ["watch", "Scan-2"],
        ["approve", "a/b", "--stage", "x"],
        ["status", "scan-2", "-n", "a/b"],
        ["releases", "-n", ""],
        ["why", ""],
        ["why", "tc-1?x=y"],
        ["why", "tc-1", "-n", "A"],
    ],
)
def test_what_cannot_be_a_name_never_becomes_a_part_of_a_path(words: list[str]) -> None:
    said = CliRunner().invoke(app, words)
    assert said.exit_code == 2
    assert "write lower-case letters, digits" in " ".join(said.stderr.split())


def test_a_rollback_needs_a_reason_of_a_few_words() -> None:
    said = CliRunner().invoke(app, ["rollback", "scan-2", "--yes", "--reason", " "])
    assert (said.exit_code, "is empty: say it in a few words" in said.stderr) == (2, True)


def test_a_terminal_without_our_letters_gets_plain_ones() -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "cloud", "doctor", "--machine"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert ended.stderr == ""
    assert ended.stdout.isascii()
    assert f"  + Python {sys.version_info[0]}" in ended.stdout


@pytest.mark.parametrize("words", [["version"], ["version", "-o", "json"], ["--help"]])
def test_an_answer_that_cannot_be_written_is_told_in_a_sentence(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "cloud", *words]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("edgefleet: the answer could not be written: No space left on device; make room")


def test_the_version_is_json_for_programs() -> None:
    assert json.loads(CliRunner().invoke(app, ["version", "-o", "json"]).stdout)["version"]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0s"), (45, "45s"), (90, "1m30s"), (720, "12m"), (12000, "3h20m"), (7200, "2h"), (439200, "5d2h"), (-5, "0s")],
)
def test_a_length_of_time_is_told_in_two_units_at_most(seconds: int, told: str) -> None:
    assert output.span(timedelta(seconds=seconds)) == told


def test_a_moment_is_told_with_its_day_unless_it_is_today() -> None:
    assert re.fullmatch(r"\d\d:\d\d:\d\d", output.clock(NOW, NOW))
    assert re.fullmatch(r"\w+ \d\d Feb \d\d:\d\d", output.clock(NOW - timedelta(days=10), NOW))


def test_numbers_and_names_read_as_people_write_them() -> None:
    assert (many(1, "box"), many(2, "box"), many(0, "site")) == ("1 box", "2 boxes", "0 sites")
    assert some(["a", "b"], 2) == "a, b"
    assert some(["a", "b", "c"], 2) == "a, b and 1 more"


def test_json_writes_moments_as_the_resources_do(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_json({"at": NOW, "phase": Phase.ROLLING, "name": "扫描"})
    said = capsys.readouterr().out
    assert json.loads(said) == {"at": "2026-03-02T12:00:00Z", "phase": "Rolling", "name": "扫描"}
    assert "扫描" in said


def test_releases_that_need_a_person_come_first() -> None:
    breach = Breach(at=NOW, stage="canary", generation=1, failed=2, attempted=3, message="too many")
    order = [
        seen("failed", Phase.FAILED),
        seen("stopped", Phase.PAUSED, breach=breach),
        seen("paused", Phase.PAUSED),
        seen("asks", Phase.AWAITING_APPROVAL),
        seen("new", Phase.ROLLING, MINUTE),
        seen("old", Phase.ROLLING, 2 * MINUTE),
        seen("done", Phase.SUCCEEDED),
    ]
    assert report.worst_first(order[::-1]) == order
    assert set(report.WORST_FIRST) == set(Phase)


def test_a_narrow_terminal_gets_messages_below_the_table_and_a_pipe_beside(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting = WaitingOn(reason=Waiting.APPROVAL, since=NOW)
    found = [seen("scan-2", Phase.AWAITING_APPROVAL, message="等待批准 of stage early.", waiting_on=waiting)]
    for width in (80, 200):
        table = report.listing(found, NOW, width, namespaces=False)
        lines = shown(monkeypatch, capsys, width, table, *report.remarks(found, width))
        assert max(map(cell_len, lines)) <= width
        assert ("MESSAGE" in lines[0]) is (width == 200)
        assert sum("等待批准 of stage early." in line for line in lines) == 1
        assert not any(line.endswith(" ") for line in lines)


def test_a_release_of_a_hundred_sites_fits_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sites = tuple(f"tc-{number:03}" for number in range(100))
    stages = (StageStatus(name="canary", phase=StagePhase.ROLLING, sites=sites, started_at=NOW),)
    waiting = WaitingOn(reason=Waiting.HEALTH, since=NOW, until=NOW + MINUTE, boxes=sites[:10], hint="look at 盒子")
    counts = Counts(targeted=100, succeeded=40, deferred=60, done="40/100", excluded=2)
    one = seen(stages=stages, counts=counts, waiting_on=waiting, warnings=("杭州转运中心" * 12,))
    lines = shown(monkeypatch, capsys, 80, *report.story(one, NOW))
    assert max(map(cell_len, lines)) <= 80
    assert len(lines) < 30
    text = "\n".join(lines)
    assert "tc-000, tc-001, tc-002 and 97 more" in re.sub(r"\s+", " ", text)
    assert "40 done, 60 deferred (dark)" in text
    assert "edgefleet pause scan-2 -n sorting" in text


def test_names_are_never_taken_for_markup(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    one = seen(message="[red]no markup[/red] :smile:", warnings=("[bold]",))
    text = "\n".join(shown(monkeypatch, capsys, 200, *report.story(one, NOW)))
    assert "[red]no markup[/red] :smile:" in text
    assert "[bold]" in text


def test_the_words_by_which_it_was_called_stand_in_every_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/local/bin/kubectl-edgefleet"])
    assert output.invocation("status x", "sorting") == "kubectl edgefleet status x -n sorting"
    monkeypatch.setattr("sys.argv", ["/usr/local/bin/edgefleet"])
    assert output.invocation("doctor", "sorting") == "edgefleet doctor"


@pytest.mark.parametrize(("name", "offered"), [("edgefleet", True), ("kubectl-edgefleet", False)])
def test_completion_is_installed_only_under_the_name_that_the_shell_sees(name: str, offered: bool) -> None:
    program = Path(sys.executable).with_name(name)
    said = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    assert ("--install-completion" in said) is offered


@pytest.mark.parametrize(
    ("template", "image"),
    [
        (None, ""),
        ({}, ""),
        ({"spec": {"containers": [{"image": "scan:2"}, {"name": "proxy", "image": "proxy:1"}]}}, "scan:2"),
        (
            {"spec": {"containers": [{"name": "log", "image": "log:1"}, {"name": "scan", "image": "scan:2"}]}},
            "scan:2",
        ),
    ],
)
def test_a_release_is_told_by_the_image_of_its_template(template: dict[str, Any] | None, image: str) -> None:
    assert report.image_in(template, "scan") == image


def test_a_line_of_a_watch_says_where_the_release_stands() -> None:
    one = seen(stage="canary", message="On its way.", counts=Counts(targeted=3, done="1/3", failed=1, deferred=1))
    assert report.progress_line(one, NOW).endswith("Rolling canary: 1/3 done, 1 failed, 1 deferred. On its way.")
