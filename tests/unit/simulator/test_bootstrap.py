"""Setting up asks before it installs, does nothing twice, and follows what pip was told."""

import os
import sys
from pathlib import Path

import pytest

from simulator import bootstrap

PROJECT = """
[build-system]
requires = ["hatchling"]
[project]
name = "edgefleet"
[tool.hatch.build]
dev-mode-dirs = ["."]
[tool.ruff]
line-length = 120
"""
WANTED = [bootstrap.Package("gcc", "gcc", "build", "compiles")]


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing but an apt-get, which writes down how it is called; the file it writes to."""
    written = tmp_path / "calls"
    program(tmp_path / "bin" / "apt-get", f'echo "$@" >> "{written}"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
    for name in ("YES", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    return written


def program(path: Path, script: str) -> None:
    """Write a shell script that can be run."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_nothing_is_installed_without_a_yes(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bootstrap.offer_debian(WANTED)
    assert not calls.exists()
    said = capsys.readouterr().err
    assert "missing: gcc - compiles" in said
    assert "apt-get install --yes --no-install-recommends gcc" in said


@pytest.mark.parametrize(("name", "value"), [("YES", "1"), ("CI", "true"), ("CI", "1")])
def test_a_yes_given_beforehand_installs(calls: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    bootstrap.offer_debian(WANTED)
    assert "install --yes --no-install-recommends gcc" in calls.read_text()


@pytest.mark.parametrize("value", ["", "0", "false", "No"])
def test_a_no_given_beforehand_is_a_no(calls: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("YES", value)
    bootstrap.offer_debian(WANTED)
    assert not calls.exists()


@pytest.mark.parametrize(("answer", "installs"), [("y", True), ("Yes ", True), ("", False), ("n", False)])
def test_on_a_terminal_the_answer_counts(
    calls: Path, monkeypatch: pytest.MonkeyPatch, answer: str, installs: bool
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    bootstrap.offer_debian(WANTED)
    assert calls.exists() == installs


def test_a_normal_user_gets_the_command_and_nothing_is_tried(
    calls: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("YES", "1")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    bootstrap.offer_debian(WANTED)
    assert not calls.exists()
    assert "sudo apt-get install" in capsys.readouterr().err


def test_lists_that_are_too_old_are_fetched_and_the_install_is_tried_once_more(
    tmp_path: Path, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YES", "1")
    fails_until_updated = f'echo "$@" >> "{calls}"; [ "$1" = update ] || grep -q update "{calls}"'
    program(tmp_path / "bin" / "apt-get", fails_until_updated)
    bootstrap.offer_debian(WANTED)
    *_, update, install = calls.read_text().splitlines()
    assert update == "update --quiet"
    assert install.startswith("install --yes --no-install-recommends gcc")


def test_where_there_is_no_apt_get_the_names_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    bootstrap.offer_debian(WANTED)
    assert "This is not Debian" in capsys.readouterr().err


def test_what_is_on_path_or_on_disk_is_not_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_program = bootstrap.Package("one", "edgefleet-program", "test", "")
    by_file = bootstrap.Package("two", str(tmp_path / "file"), "test", "")
    monkeypatch.setattr(bootstrap, "PACKAGES", (by_program, by_file))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert bootstrap.missing_packages() == [by_program, by_file]
    program(tmp_path / "bin" / "edgefleet-program", "true")
    (tmp_path / "file").touch()
    assert bootstrap.missing_packages() == []


def test_only_what_an_environment_follows_from_makes_it_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "TREE", tmp_path)
    (tmp_path / "requirements").mkdir()
    lock, project = tmp_path / "requirements" / "dev.txt", tmp_path / "pyproject.toml"
    lock.write_text("a==1")
    project.write_text(PROJECT)
    before = bootstrap.environment_key()
    project.write_text(PROJECT.replace("120", "100"))
    assert bootstrap.environment_key() == before
    project.write_text(PROJECT.replace("edgefleet", "other"))
    assert changed(before) == {"project"}
    project.write_text(PROJECT)
    lock.write_text("a==2")
    assert changed(before) == {"lock"}


def changed(before: dict[str, str]) -> set[str]:
    """Return which parts of the environment's key are not what they were."""
    return {name for name, value in bootstrap.environment_key().items() if before[name] != value}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with an environment that is all right, and a uv that writes down how it is called."""
    monkeypatch.setattr(bootstrap, "TREE", tmp_path)
    monkeypatch.setattr(bootstrap, "VENV", tmp_path / ".venv")
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "dev.txt").write_text("a==1")
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / ".venv").mkdir()
    program(tmp_path / ".venv" / "bin" / "python", f"echo '{sys.version_info[:2]}'")
    program(tmp_path / "bin" / "uv", f'echo "$@" >> "{tmp_path / "calls"}"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
    return tmp_path


@pytest.mark.parametrize("stamp", [b"", b"{", b"[]", b"\xff"])
def test_a_stamp_that_cannot_be_read_is_no_stamp(tree: Path, stamp: bytes) -> None:
    path = tree / ".venv" / "edgefleet-stamp.json"
    path.write_bytes(stamp)
    bootstrap.make_environment()
    assert "pip sync" in (tree / "calls").read_text()
    assert bootstrap.read_stamp(path) == bootstrap.environment_key()
    (tree / "calls").unlink()
    bootstrap.make_environment()
    assert not (tree / "calls").exists()


@pytest.mark.parametrize("target", [None, "nowhere"])
def test_where_no_environment_can_be_it_is_said_what_is_in_the_way(tree: Path, target: str | None) -> None:
    (tree / ".venv").rename(tree / "away")
    (tree / ".venv").symlink_to(target) if target else (tree / ".venv").touch()
    with pytest.raises(bootstrap.CannotGoOnError, match=r"\.venv is no folder, or a link to nowhere: remove it \(rm "):
        bootstrap.make_environment()


def test_what_another_user_left_is_told_with_its_owner_and_the_remedy(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tree / "build" / "environment.lock"
    owner = bootstrap.name_of(tree.stat().st_uid)
    told = bootstrap.not_yours(lock)
    assert told.startswith(f"{lock} is not yours to write: {tree} belongs to {owner}. Remove what was made")
    assert "`sudo rm -rf build .venv`" in told
    monkeypatch.setattr(os, "geteuid", lambda: 123456)
    assert bootstrap.not_yours(lock).endswith(f"Run as {owner}, or in your own clone.")


def test_uv_is_told_what_pip_was_told(tmp_path: Path) -> None:
    lines = (
        "global.index-url='https://mirror.example/simple'",
        r":env:.extra-index-url='\nhttps://a.example\nhttps://b.example'",
        "global.timeout='60'",
    )
    program(tmp_path / "bin" / "python", "cat <<'END'\n" + "\n".join(lines) + "\nEND")
    assert bootstrap.pip_settings(tmp_path / "bin" / "python") == {
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
        "UV_INDEX": "https://a.example https://b.example",
    }


@pytest.mark.parametrize("usable", [True, False])
def test_a_cache_that_cannot_be_written_moves_into_the_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, usable: bool
) -> None:
    user = tmp_path / "user"
    if not usable:
        user.write_text("a file where the folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(user))
    monkeypatch.setattr(bootstrap, "TREE", tmp_path)
    assert bootstrap.cache_folder() == (user / "edgefleet" if usable else tmp_path / "build" / "cache")


def test_an_interpreter_that_is_gone_or_another_one_does_not_work(tmp_path: Path) -> None:
    assert not bootstrap.works(tmp_path / "none")
    program(tmp_path / "bin" / "python", "echo '(3, 8)'")
    assert not bootstrap.works(tmp_path / "bin" / "python")
    program(tmp_path / "bin" / "python", f"echo '{sys.version_info[:2]}'")
    assert bootstrap.works(tmp_path / "bin" / "python")
