"""Every command of the README does what it is said to do, in the order in which it stands there."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from simulator.cluster import Cluster
from simulator.fleet import Box, Fleet, Site
from simulator.operating import install
from tests.cluster.waiting import SOON

TREE: Final = Path(__file__).resolve().parents[2]
ELSEWHERE: Final = {  # commands that take minutes, or need the demo: the test that runs them
    "make demo": "tests/scenario/test_demo.py",
    "make test": ".ci/run",
    "edgefleet identity": "tests/contract/test_enrolment.py",
    "edgefleet enrol": "tests/contract/test_enrolment.py",
    "edgeagent enrol": "tests/contract/test_enrolment.py",
    "edgeagent run": "tests/contract/test_agent.py",
    "edgefleet monitor": "tests/contract/test_monitor_process.py",
    "edgefleet why tc-042-scan-1": "tests/cluster/test_cli.py",
    "fleetsim cluster cut tc-042": "tests/cluster/test_cluster_itself.py",
    "fleetsim rehearse": "tests/scenario/test_rehearsal.py",
}


def commands(text: str) -> list[str]:
    """Return the commands of all shell blocks, without their comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = (line.partition("  #")[0].strip() for block in blocks for line in block.splitlines())
    return [line for line in lines if line]


def elsewhere(command: str) -> str | None:
    return next((test for start, test in ELSEWHERE.items() if command.startswith(start)), None)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with the box that the README speaks of, and an operator beside it."""
    fleet = Fleet((Site("hangzhou-xiaoshan", (Box("box-17"),)),))
    with Cluster.up(fleet, tmp_path_factory.mktemp("readme") / "cluster") as made:
        install(made, lambda _: None)
        yield made


def test_each_command_that_is_not_run_here_is_run_by_a_test_that_exists() -> None:
    text = (TREE / "README.md").read_text()

    unused = [start for start in ELSEWHERE if not any(one.startswith(start) for one in commands(text))]

    assert not unused
    assert all((TREE / test).exists() for test in ELSEWHERE.values())


@pytest.mark.cluster
def test_every_command_of_the_readme_ends_well(cluster: Cluster, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "kubectl").symlink_to(cluster.kubectl)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "KUBECONFIG": str(cluster.kubeconfig), "NO_COLOR": "1"}

    for command in commands((TREE / "README.md").read_text()):
        if elsewhere(command):
            continue
        ended = subprocess.run(  # as a person types it
            ["/bin/bash", "-c", command],
            cwd=TREE,
            env=environment,
            capture_output=True,
            text=True,
            timeout=SOON,
            check=False,
        )
        assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}"


def test_the_first_release_of_the_readme_is_the_sample() -> None:
    block = re.search(r"^```yaml\n(.*?)^```", (TREE / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert block is not None
    sample = (TREE / "manifests/samples/release.yaml").read_text()

    without_comments = "".join(line for line in sample.splitlines(keepends=True) if not line.startswith("#"))

    assert block[1] == without_comments


def test_the_alert_plan_of_the_readme_begins_the_sample() -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", (TREE / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    sample = (TREE / "manifests/samples/monitor/alerts.yaml").read_text()

    without_comments = "".join(line for line in sample.splitlines(keepends=True) if not line.startswith("#"))

    assert without_comments.startswith(blocks[1])
