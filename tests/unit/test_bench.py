"""The benchmark's command: which sections it runs, what it writes, how it ends. What it measures is not judged here."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import growth, planning, rollouts, run
from tests.bench.figures import Figure

SEVEN = Figure("moved boxes", 7.0, "boxes", goal=7.0)
ABOVE = Figure("seconds", 2.5, "s", goal=2.0)


@pytest.mark.parametrize(
    ("asked", "found", "code"),
    [([], [7.0, 2.5, 1.0], 1), (["plan"], [7.0], 0), (["growth", "rollout"], [1.0, 2.5], 1)],
)
def test_the_benchmark_runs_what_is_asked_for_or_all_and_ends_with_1_where_a_goal_is_missed(
    asked: list[str], found: list[float], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def figure(one: Figure) -> object:
        def measure(*_: object) -> Iterator[Figure]:
            yield one

        return measure

    monkeypatch.setattr(planning, "measure", figure(SEVEN))
    monkeypatch.setattr(rollouts, "measure", figure(ABOVE))
    monkeypatch.setattr(growth, "measure", figure(Figure("growth", 1.0, "ratio")))
    with pytest.raises(SystemExit) as end:
        run.main([*asked, "--output", str(tmp_path / "new" / "bench.json")])
    written = json.loads((tmp_path / "new" / "bench.json").read_text())
    assert ([one["value"] for one in written], end.value.code) == (found, code)
    assert all(one.keys() == {"name", "value", "unit", "goal", "ok"} for one in written)


def test_a_section_that_does_not_exist_is_named_with_those_that_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run.main(["planning"])
    assert end.value.code == 2
    assert "'planning' is none of plan, rollout, growth" in capsys.readouterr().err
