"""What reaches a terminal: nobody who writes a resource writes on it, and names stay whole however narrow it is."""

import json
import re
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from rich.cells import cell_len
from rich.live import Live
from rich.text import Text

from cloud.cli import output, report
from cloud.cli.gather import Seen
from cloud.rollout.release import Release, ReleaseSpec
from cloud.rollout.status import Counts, Phase, ReleaseStatus, StagePhase, StageStatus, Waiting, WaitingOn

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
EVIL = "\x1b[2J\x1b]0;owned\x07\x9b31m\x7f\x85\r\x08"
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def seen(name: str = "scan-2", phase: Phase = Phase.ROLLING, **status: Any) -> Seen:  # noqa: ANN401
    spec = {
        "workload": {"name": "scan", "template": {"spec": {"containers": [{"name": "scan", "image": f"scan{EVIL}"}]}}},
        "targets": {"selector": {"matchLabels": {"a": "b"}}},
        "stages": [{"name": "canary", "upTo": 1}, {"name": "rest"}],
        "control": {"approvals": [{"stage": "rest", "by": f"li{EVIL}", "reason": EVIL}]},
    }
    created = NOW - timedelta(minutes=1)
    release = Release(namespace="sorting", name=name, uid=name, created=created, spec=ReleaseSpec.model_validate(spec))
    return Seen(release, ReleaseStatus(observed_generation=1, phase=phase, **status), "1", {report.PAUSE_REASON: EVIL})


def evil() -> Seen:
    waiting = WaitingOn(reason=Waiting.APPROVAL, since=NOW, hint=f"look{EVIL}")
    return seen(message=f"Waits.{EVIL}", warnings=(EVIL,), waiting_on=waiting, resolved_image=f"scan:2{EVIL}")


def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int, *parts: Any) -> list[str]:  # noqa: ANN401
    monkeypatch.setenv("COLUMNS", str(width))
    output.show(*parts)
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_control_character_of_a_release_reaches_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    one = evil()
    table = report.listing([one], NOW, width, namespaces=True)
    lines = shown(
        monkeypatch, capsys, width, *report.story(one, NOW), table, *report.remarks([one], width), f"as it is {EVIL}"
    )
    assert not CONTROL.search("".join(lines))
    assert "␛[2J␛]0;owned" in "".join(line.strip() for line in lines)


def test_a_watch_and_its_lines_are_as_clean(capsys: pytest.CaptureFixture[str]) -> None:
    output.show(report.progress_line(evil(), NOW))
    with output.console().capture() as captured, Live(report.live(evil(), NOW), console=output.console()):
        pass
    assert not CONTROL.search(capsys.readouterr().out + captured.get())


def test_a_text_keeps_its_colours_and_its_lines_when_it_is_cleaned() -> None:
    console = output.console()
    console.file = StringIO()
    (first, *_) = console.render(Text.assemble(("a\x1bb", "red"), "\nc"))
    assert (first.text, str(first.style)) == ("a␛b", "red")
    assert output.visible("a\nb\tc") == "a\nb␉c"


def test_complaints_are_cleaned_and_programs_get_what_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    output.complain(EVIL)
    output.show_json({"told": EVIL})
    output.show_json_line({"told": EVIL})
    said = capsys.readouterr()
    assert not CONTROL.search(said.err + said.out)
    told = said.out.splitlines()
    assert json.loads("".join(told[:3])) == json.loads(told[3]) == {"told": EVIL}


def headers(line: str) -> list[str]:
    return line.split()


@pytest.mark.parametrize("width", [40, 50, 60, 79, 80, 129, 200])
def test_names_and_phases_stay_whole_and_what_is_least_missed_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    long = "vision-2-4-0"
    counts = Counts(targeted=120, done="100/120", failed=3, deferred=17)
    found = [seen(long, Phase.AWAITING_APPROVAL, stage="early", counts=counts), seen()]
    lines = shown(monkeypatch, capsys, width, report.listing(found, NOW, width, namespaces=False))
    assert max(map(cell_len, lines)) <= width
    assert len(lines) == 3
    assert re.search(rf"{long} .*AwaitingApproval", lines[1])
    told, first_to_go = headers(lines[0]), ["AGE", "DEFERRED", "FAILED", "STAGE", "WORKLOAD", "DONE"]
    gone = [header for header in first_to_go if header not in told]
    assert gone == first_to_go[: len(gone)]
    assert (gone == []) is (width >= 79)


def test_of_namespaces_the_longest_wraps_before_a_name_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [seen("vision-2-4-0", Phase.AWAITING_APPROVAL)]
    lines = shown(monkeypatch, capsys, 44, report.listing(found, NOW, 44, namespaces=True))
    assert headers(lines[0]) == ["NAMESPACE", "NAME", "PHASE"]
    assert "vision-2-4-0  AwaitingApproval" in lines[1]


def test_where_not_even_the_names_fit_nothing_of_them_is_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "a-name-as-long-as-this-one-is-on-a-narrow-screen"
    lines = shown(monkeypatch, capsys, 40, report.listing([seen(name)], NOW, 40, namespaces=False))
    column = "".join(line.split("Rolling")[0].strip() for line in lines[1:])
    assert column == name


@pytest.mark.parametrize("width", [30, 40, 60, 80, 100])
def test_the_stages_of_a_release_fit_as_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    sites = tuple(f"tc-{number:03}" for number in range(100))
    counts = Counts(targeted=100, succeeded=40, deferred=60, done="40/100")
    stages = (StageStatus(name="canary", phase=StagePhase.ROLLING, sites=sites, counts=counts, started_at=NOW),)
    lines = shown(monkeypatch, capsys, width, *report.story(seen(stages=stages), NOW))
    (row,) = [number for number, line in enumerate(lines) if line.startswith("canary")]
    assert re.match(r"canary +Rolling +40/100\b", lines[row])
    assert max(map(cell_len, lines[row - 1 : lines.index("", row)])) <= width
