"""`edgefleet doctor` as a person or a program calls it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from cloud.cli.doctor import doctor, render
from cloud.doctor.findings import Finding, Level
from cloud.rollout.peering import leader


def run(*arguments: str) -> Result:
    """Call the command alone, as the program would."""
    app = typer.Typer()
    app.command()(doctor)
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def no_cluster(tmp_path: Path) -> tuple[str, str]:
    """Arguments that point at a kubeconfig that is not there."""
    return ("--kubeconfig", str(tmp_path / "none"))


def test_without_a_cluster_it_says_so_and_ends_with_1(no_cluster: tuple[str, str]) -> None:
    result = run("--cluster", *no_cluster)
    assert result.exit_code == 1
    assert f"✕ no kubeconfig at {no_cluster[1]}: no such file" in result.output
    assert "→ set KUBECONFIG" in result.output


def test_the_machine_alone_does_not_ask_for_a_cluster() -> None:
    answer = json.loads(run("--machine", "--output", "json").output)
    assert answer.keys() == {"ready", "machine"}
    assert answer["ready"] == all(finding["level"] != "blocked" for finding in answer["machine"])


def test_without_a_choice_it_looks_at_both(no_cluster: tuple[str, str]) -> None:
    result = run("--output", "json", *no_cluster)
    answer = json.loads(result.output)
    assert answer.keys() == {"ready", "machine", "cluster"}
    assert answer["ready"] is False
    assert [finding["subject"] for finding in answer["cluster"]] == ["ApiServer"]


def test_a_cluster_that_does_not_answer_is_told_apart_from_none(tmp_path: Path) -> None:
    given = tmp_path / "config"
    given.write_text(KUBECONFIG)
    result = run("--cluster", "--kubeconfig", str(given))
    assert result.exit_code == 1
    assert "cannot reach the Kubernetes API at http://127.0.0.1:9" in result.output


def test_in_a_pipe_there_are_no_colours() -> None:
    assert "\x1b" not in run("--machine").output


def test_a_finding_reads_what_then_why_then_the_next_step() -> None:
    finding = Finding("Cores", Level.WARNING, "1 core", "it is slow", "get another")
    assert render(finding).plain == "  ▲ 1 core\n      it is slow\n      → get another"
    assert render(Finding("Cores", Level.OK, "2 cores")).plain == "  ✓ 2 cores"


NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def signed(priority: object, seconds_ago: float = 0) -> dict[str, object]:
    return {"priority": priority, "lifetime": 20, "lastseen": (NOW - timedelta(seconds=seconds_ago)).isoformat()}


@pytest.mark.parametrize(
    ("peers", "leads"),
    [
        ({}, None),
        ({"a": signed(1)}, "a"),
        ({"a": signed(1), "b": signed(2)}, "b"),
        ({"a": signed(1), "b": signed(2, seconds_ago=21)}, "a"),
        ({"a": signed(1, seconds_ago=30)}, None),
        ({"a": signed("high"), "b": signed(1)}, "b"),
        ({"a": "junk"}, None),
    ],
)
def test_of_the_operators_that_live_the_one_of_the_highest_priority_leads(
    peers: dict[str, object], leads: str | None
) -> None:
    assert leader(peers, NOW) == leads


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: gone
contexts: [{name: gone, context: {cluster: gone, user: nobody}}]
clusters: [{name: gone, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: nobody, user: {}}]
"""
