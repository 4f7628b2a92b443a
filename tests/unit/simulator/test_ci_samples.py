"""The workflow samples are YAML, and every word they say to fleetsim is one that it knows."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from simulator.cli import app
from simulator.files import scenario_path

SAMPLES = Path(__file__).resolve().parents[3] / "manifests" / "samples" / "ci"


@pytest.mark.parametrize("name", ["github-actions.yaml", "gitlab-ci.yaml"])
def test_a_sample_uses_only_options_and_scenarios_that_there_are(name: str) -> None:
    text = (SAMPLES / name).read_text()
    known = options_in(CliRunner().invoke(app, ["rehearse", "--help"]).output)
    call = re.search(r"fleetsim\"? rehearse(.*?)(?=\n\s*(- uses|artifacts))", text, re.DOTALL)
    assert call is not None
    used = options_in(call[1])
    assert used >= {"-f", "--fast", "--scenario", "--junit", "--report"}
    assert used <= known
    assert "--expect-stop" in known
    for scenario in scenarios_of(yaml.safe_load(text)):
        assert scenario_path(scenario).exists()


def options_in(text: str) -> set[str]:
    """The words that are options."""
    return set(re.findall(r"(?<![\w-])--?[a-z]+(?:-[a-z]+)*(?=[\s,\\}])", text))


def scenarios_of(parsed: dict[str, Any]) -> list[str]:
    """The scenarios that a sample plays."""
    if "jobs" in parsed:
        return [one["scenario"] for one in parsed["jobs"]["rehearse"]["strategy"]["matrix"]["include"]]
    found: list[str] = []
    for one in parsed["rehearse"]["parallel"]["matrix"]:
        found += [one["SCENARIO"]] if isinstance(one["SCENARIO"], str) else one["SCENARIO"]
    return found
