"""Files from outside: how much of them is read, and that whatever is in them is wrong input and no fault of ours."""

from pathlib import Path

import pytest

from simulator.files import LARGEST, find_scenario, read_fleet, read_release, read_text
from simulator.tables import FileError


def problem_of(path: Path, content: str) -> str:
    path.write_text(content)
    with pytest.raises(FileError) as wrong:
        (read_release if path.suffix == ".yaml" else read_fleet)(path)
    (problem,) = wrong.value.problems
    return problem.removeprefix(f"{path}: ")


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    fleet, release = tmp_path / "fleet.toml", tmp_path / "release.yaml"
    fleet.write_text("sites = 2\r\n", encoding="utf-8-sig")
    release.write_text("kind: EdgeRelease\nmetadata: {name: a}\nspec: {}\n", encoding="utf-8-sig")
    assert len(read_fleet(fleet).sites) == 2
    assert read_release(release)["metadata"] == {"name": "a", "namespace": "default"}


def test_no_more_is_read_of_a_file_than_shows_that_it_is_too_large(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="/dev/zero: is larger than 4 MB: give a file that holds nothing else"):
        read_text(Path("/dev/zero"))
    (tmp_path / "just").write_text("x" * LARGEST)
    assert len(read_text(tmp_path / "just")) == LARGEST


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"sites = {'[' * 3000}{']' * 3000}", "nests too deep: no fleet and no scenario does"),
        (f"sites.{'a.' * 5000}a = 1", "nests too deep: no fleet and no scenario does"),
        (f"sites = {'9' * 5000}", "is no TOML: Exceeds the limit"),
        ("sites = ", "is no TOML: Invalid value"),
        (
            "boxes = 1\nsites = 2",
            "boxes: 1: each of the 2 sites has at least one box: write 2 or more",
        ),
    ],
)
def test_a_fleet_that_cannot_be_read_is_wrong_input_in_words_of_the_file(
    tmp_path: Path, content: str, said: str
) -> None:
    assert problem_of(tmp_path / "fleet.toml", content).startswith(said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"a: {'[' * 3000}{']' * 3000}", "line 1: nests deeper than 100 levels"),
        ("kind: EdgeRelease\nspec: {}\nspec: {}\n", "line 3: spec stands here twice, first in line 2: leave one out"),
    ],
)
def test_a_release_that_cannot_be_read_is_wrong_input(tmp_path: Path, content: str, said: str) -> None:
    assert problem_of(tmp_path / "release.yaml", content).startswith(said)


def test_a_number_in_letters_of_another_script_is_none(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    five = "\N{ARABIC-INDIC DIGIT FIVE}"
    steps = (f'do = "degrade"\nsites = 1\nloss = "{five}%"', f'do = "cut"\nsites = 1\nafter = "{five}s"')
    for step in (*steps, f'do = "cut"\nsites = "last 1{five}"'):
        path.write_text(f'sentence = "It rains."\n[[step]]\n{step}\n')
        with pytest.raises(FileError, match=f"step 1: .*{five}.*: write"):
            find_scenario(str(path))
