"""What a release engineer and a CI are told when a release file is rehearsed."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.cluster.waiting import until
from tests.scenario.conftest import TREE, Fleetsim, surroundings

RELEASE = """
apiVersion: edgefleet.io/v1alpha1
kind: EdgeRelease
metadata: {name: scan-2-0, namespace: sorting}
spec:
  workload: {name: scan, image: registry.example/scan:2.0}
  targets: {selector: {matchLabels: {edgefleet.io/role: scan}}}
  stages:
    - {name: canary, upTo: 1, soak: 10m}
    - {name: rest, upTo: 100%, soak: 10m, approval: true}
  budget: {maxParallelSites: 50%}
  health: {maxRestarts: 0}
  windows: [{from: "22:00", to: "05:00"}]
"""
SAMPLES = TREE / "manifests/samples"
FLEET = "sites = 3\nboxes = 3\n"

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    path = tmp_path / "release.yaml"
    path.write_text(RELEASE)
    (tmp_path / "fleet.toml").write_text(FLEET)
    return path


@pytest.mark.cluster
def test_a_good_release_ends_with_nought_and_every_change_of_the_file_is_told(
    fleetsim: Fleetsim, release: Path, tmp_path: Path
) -> None:
    done = fleetsim(
        *("rehearse", "-f", release, "--fleet", "fleet.toml", "--fast", "--junit", "j.xml", "--report", "r.json")
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "scan-2-0 would have reached 3 of 3 boxes" in done.stdout
    assert "the rehearsal approves stage rest" in done.stdout
    assert "windows: left out, so it begins at once; --real-time keeps them" in done.stdout
    assert "stages.canary.soak: 10m → 5s (--fast)" in done.stdout
    suite = ET.parse(tmp_path / "j.xml").getroot().find("testsuite")  # noqa: S314 - our own file
    assert suite is not None
    assert suite.get("failures") == "0"
    assert {case.get("name") for case in suite.findall("testcase")} >= {"every box gets the new version"}
    told = json.loads((tmp_path / "r.json").read_text())
    assert (told["exitCode"], told["stopped"], told["boxes"]["released"]) == (0, False, 3)


@pytest.mark.cluster
def test_the_sample_files_can_be_rehearsed_as_they_are(fleetsim: Fleetsim, tmp_path: Path) -> None:
    done = fleetsim(
        *("rehearse", "--fast", "-f", SAMPLES / "release.yaml", "--report", "r.json"),
        *("--fleet", SAMPLES / "rehearsal/fleet.toml", "--scenario", SAMPLES / "rehearsal/scenario.toml"),
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr  # its crash may stop the release, which it allows
    told = json.loads((tmp_path / "r.json").read_text())
    assert (told["scenario"]["name"], told["boxes"]["targeted"]) == ("scenario", 4)
    assert all(one["ok"] for one in told["expectations"]), done.stdout


@pytest.mark.cluster
def test_a_crashing_version_is_stopped_at_its_canary_and_the_reason_is_told(
    fleetsim: Fleetsim, release: Path, tmp_path: Path
) -> None:
    done = fleetsim(
        *("rehearse", "-f", release, "--fleet", "fleet.toml", "--fast", "--scenario", "canary-crashes"),
        *("--report", "r.json", "--junit", "j.xml"),
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "scan-2-0 would have been stopped" in done.stdout
    assert "TooManyRestarts: tc-001-scan-1" in done.stdout
    assert "if that is right, say --expect-stop" in done.stdout
    suite = ET.parse(tmp_path / "j.xml").getroot().find("testsuite")  # noqa: S314 - our own file
    assert suite is not None
    failed = [case.get("name") for case in suite.findall("testcase") if case.find("failure") is not None]
    assert failed == ["the release is not stopped"]
    told = json.loads((tmp_path / "r.json").read_text())
    assert {one["name"]: one["ok"] for one in told["expectations"]} == dict.fromkeys(
        ("ends-in-time", "stopped", "first-stage-only", "back-again", "sites-budget"), True
    )
    assert told["boxes"] == {
        "targeted": 3,
        "released": 0,
        "wentBack": 1,
        "neverTouched": 2,
        "deferred": 0,
        "caughtUp": 0,
    }


@pytest.mark.cluster
def test_a_release_that_lets_a_bad_version_through_fails_the_drill(
    fleetsim: Fleetsim, release: Path, tmp_path: Path
) -> None:
    release.write_text(RELEASE + "  onFailure: {maxFailed: 100%, revertBox: false}\n")
    done = fleetsim(
        *("rehearse", "-f", release, "--fleet", "fleet.toml", "--fast", "--scenario", "canary-crashes"),
        *("--expect-stop", "--junit", "j.xml"),
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "✕  no box beyond the first stage gets the new version" in done.stdout
    suite = ET.parse(tmp_path / "j.xml").getroot().find("testsuite")  # noqa: S314 - our own file
    assert suite is not None
    failed = {case.get("name") for case in suite.findall("testcase") if case.find("failure") is not None}
    assert "the release stops by itself" in failed


@pytest.mark.cluster
def test_what_the_api_server_refuses_is_told_with_its_field_and_ends_with_two(
    fleetsim: Fleetsim, release: Path
) -> None:
    release.write_text(RELEASE.replace("maxParallelSites: 50%", "maxParallelSites: 0"))
    done = fleetsim("rehearse", "-f", release, "--fleet", "fleet.toml")
    assert done.returncode == 2
    assert "spec.budget.maxParallelSites: " in done.stderr
    assert "must be above 0" in done.stderr
    release.write_text(RELEASE.replace("edgefleet.io/role: scan", "edgefleet.io/role: gateway"))
    done = fleetsim("rehearse", "-f", release, "--fleet", "fleet.toml")
    assert done.returncode == 2
    assert "matches none of the fleet's boxes" in done.stderr


@pytest.mark.cluster
def test_kill_minus_nine_leaves_no_file_behind(release: Path, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    argv = [sys.executable, "-m", "simulator", "rehearse", "-f", str(release), "--fleet", "fleet.toml", "--fast"]
    environment = surroundings(tmp_path) | {"TMPDIR": str(temporary)}
    with subprocess.Popen(argv, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as rehearsal:
        assert rehearsal.stdout is not None
        assert any("goes to every box first" in line for line in rehearsal.stdout)
        (folder,) = temporary.iterdir()  # which holds all that its programs lay aside
        assert (folder / "kubeconfig").exists()
        rehearsal.kill()
    until(lambda: not list(temporary.iterdir()), "its folder has gone")


def test_wrong_files_are_told_all_at_once_before_anything_starts(
    fleetsim: Fleetsim, release: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.toml").write_text('sentence = "x"\n[[step]]\ndo = "cut"\nsiets = 1\n')
    (tmp_path / "fleet.toml").write_text("sites = 0\n")
    done = fleetsim("rehearse", "-f", release, "--fleet", "fleet.toml", "--scenario", "mine.toml")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "fleetsim: mine.toml: step 1: sites: is missing: add it",
        "fleetsim: mine.toml: step 1: siets: is unknown; did you mean sites?",
        "fleetsim: fleet.toml: sites: 0: write a whole number from 1 to 500",
    ]
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-f", "absent.yaml"), "absent.yaml: cannot be read: No such file or directory"),
        (("-f", "release.yaml", "--scenario", "clam"), "--scenario: 'clam' is none; did you mean calm?"),
        (
            ("-f", "release.yaml", "--junit", "no/such/j.xml"),
            "no/such/j.xml: cannot be written: No such file or directory; make its folder",
        ),
        (("-f", "release.yaml", "--report", "."), ".: cannot be written: Is a directory; make its folder"),
    ],
)
@pytest.mark.usefixtures("release")
def test_a_wrong_word_is_told_with_the_next_step(fleetsim: Fleetsim, words: tuple[str, ...], said: str) -> None:
    done = fleetsim("rehearse", *words)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_release_can_come_out_of_a_pipe(fleetsim: Fleetsim) -> None:
    done = fleetsim("rehearse", "-f", "-", given="kind: Pod")
    assert done.returncode == 2
    assert "-: holds 0 EdgeReleases (there is Pod)" in done.stderr


def test_scenarios_are_listed_and_one_can_be_taken_as_a_start(fleetsim: Fleetsim, release: Path) -> None:
    assert "seven-dark-sites" in fleetsim("scenarios").stdout
    shown = fleetsim("scenarios", "show", "calm")
    assert 'sentence = "Nothing goes wrong."' in shown.stdout
    release.with_name("mine.toml").write_text(shown.stdout)
    assert "did you mean calm?" in fleetsim("scenarios", "show", "clam").stderr
    assert fleetsim("scenarios", "list", "calm").returncode == 2
    assert fleetsim("scenarios", "show", "absent.toml").stderr == (
        "fleetsim: absent.toml: cannot be read: No such file or directory\n"
    )


def test_a_program_can_read_what_scenarios_and_expectations_there_are(fleetsim: Fleetsim) -> None:
    told = json.loads(fleetsim("scenarios", "--output", "json").stdout)
    assert {"name": "calm", "sentence": "Nothing goes wrong.", "ends": "released"} in told["scenarios"]
    assert {one["name"] for one in told["expectations"] if one["always"]} >= {"sites-budget"}
