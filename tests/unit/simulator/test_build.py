"""Building into the cache, with a stand-in for the Go toolchain: a program that is asked what Go is asked."""

import os
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator import build
from simulator.binaries import find_binaries, whole
from simulator.progress import ClusterError, Step
from simulator.toolchain import find_go, is_new_enough

TOOLCHAIN = """\
# Answers like go: env, list, build; says what it was asked in `asked`, and does as its environment orders.
import os, pathlib, sys, time
words = sys.argv[1:]
with open(os.environ["ASKED"], "a") as asked:
    asked.write(" ".join(words) + "\\n")
if words[0] == "env":
    print(os.environ.get("PRETENDED_VERSION", "go1.26.8"))
elif words[:2] == ["list", "-deps"]:
    print("go: downloading example v1", file=sys.stderr)
    print("\\n".join("package" + str(number) for number in range(10)))
elif words[:2] == ["list", "-m"]:
    print(os.environ["KUBEEDGE_SOURCES"])
elif words[0] == "build":
    if os.environ.get("FAILS_WITH"):
        sys.exit(os.environ["FAILS_WITH"])
    print("package1", file=sys.stderr, flush=True)
    time.sleep(float(os.environ.get("TAKES", "0")))
    target = pathlib.Path(words[words.index("-o") + 1])
    packages = words[words.index("-o") + 2:]
    outputs = [target] if len(packages) == 1 else [target / pathlib.Path(name).name for name in packages]
    for output in outputs:
        output.write_text("#!/bin/sh\\n")
        output.chmod(0o755)
"""


@pytest.fixture
def toolchain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-in is the only Go on PATH; caches and asked questions lie in tmp_path. Returns what was asked."""
    programs = tmp_path / "programs with spaces"
    programs.mkdir()
    (programs / "go.py").write_text(TOOLCHAIN)
    run = shlex.join([sys.executable, "-I", str(programs / "go.py")])  # a first line of #! takes no path with spaces
    (programs / "go").write_text(f'#!/bin/sh\nexec {run} "$@"\n')
    (programs / "go").chmod(0o755)
    sources = tmp_path / "kubeedge" / "build" / "crds" / "apps"
    sources.mkdir(parents=True)
    (sources / "node-group.yaml").write_text("kind: CustomResourceDefinition\n")
    settings = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(tmp_path / "cache with spaces"),
        "KUBEEDGE_SOURCES": str(tmp_path / "kubeedge"),
        "ASKED": str(tmp_path / "asked"),
        "TMPDIR": str(tmp_path),
        "CC": "sh",  # a compiler is asked for, and never used by the stand-in
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    for name in ("EDGEFLEET_CLUSTER_BIN", "KUBEBUILDER_ASSETS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tempfile.tempdir", None)  # Python looks at TMPDIR only once
    return tmp_path / "asked"


def builds(asked: Path) -> int:
    """How often the toolchain compiled."""
    return sum(line.startswith("build ") for line in asked.read_text().splitlines())


def told() -> tuple[list[Step], Callable[[Step], None]]:
    """A report and what it was told."""
    steps: list[Step] = []
    return steps, steps.append


def test_an_empty_cache_is_filled_and_a_full_one_is_used(toolchain: Path) -> None:
    steps, report = told()
    entry = build.build(report)
    assert build.is_whole(entry)
    assert (entry / "kubectl").resolve() == entry / "controlplane"
    assert (entry / "crds" / "node-group.yaml").exists()
    assert entry.parent == build.cache_folder()
    assert builds(toolchain) == len(build.MODULES)
    assert Step("building kubeedge with go1.26.8", 10, 10) in steps
    again, report = told()
    assert build.build(report) == entry
    assert builds(toolchain) == len(build.MODULES)
    assert again == []


def test_a_full_cache_is_used_without_writing_into_it_and_without_a_toolchain(
    toolchain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = build.build(lambda _: None)
    (build.cache_folder() / "build.lock").unlink()
    monkeypatch.setattr(build, "find_go", lambda _: None)
    assert build.build(lambda _: None) == entry
    assert [path.name for path in build.cache_folder().iterdir()] == [entry.name]
    assert builds(toolchain) == len(build.MODULES)


def test_another_toolchain_builds_its_own_entry(toolchain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build.build(lambda _: None)
    monkeypatch.setenv("PRETENDED_VERSION", "go1.27.3")
    second = build.build(lambda _: None)
    assert first != second
    assert builds(toolchain) == 2 * len(build.MODULES)


def test_an_entry_that_nobody_used_for_weeks_makes_room_for_a_new_one(
    toolchain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build.build(lambda _: None)
    monkeypatch.setenv("PRETENDED_VERSION", "go1.27.3")
    second = build.build(lambda _: None)
    os.utime(first, (0, 0))
    monkeypatch.setenv("PRETENDED_VERSION", "go1.28.0")
    third = build.build(lambda _: None)
    assert sorted(path for path in toolchain.parent.glob("cache*/*/*/*") if path.is_dir()) == sorted([second, third])


def test_a_damaged_entry_is_built_anew(toolchain: Path) -> None:
    entry = build.build(lambda _: None)
    (entry / "hollownode").unlink()
    assert build.build(lambda _: None) == entry
    assert build.is_whole(entry)
    assert builds(toolchain) == 2 * len(build.MODULES)


@pytest.mark.usefixtures("toolchain")
def test_a_cache_that_cannot_be_written_is_told_and_another_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")  # not even root can make a folder there
    steps, report = told()
    entry = build.build(report)
    assert build.is_whole(entry)
    assert any("/dev/null/edgefleet/cluster cannot be written" in step.what for step in steps)
    assert entry.parent.stat().st_mode & 0o077 == 0
    assert build.build(lambda _: None) == entry


ANOTHER = "from simulator.build import build; print(build(lambda step: print(step.what, flush=True)))"


def test_two_builds_at_once_are_one_build(toolchain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAKES", "1")
    command = [sys.executable, "-c", ANOTHER]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as one,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other,
    ):
        said = [one.communicate(timeout=60)[0], other.communicate(timeout=60)[0]]
    assert builds(toolchain) == len(build.MODULES)
    assert ["waiting for it" in words for words in said].count(True) == 1
    assert said[0].splitlines()[-1] == said[1].splitlines()[-1]


def test_a_build_that_was_killed_leaves_nothing_that_could_be_taken_for_one(
    toolchain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAKES", "30")
    with subprocess.Popen([sys.executable, "-c", ANOTHER], stdout=subprocess.DEVNULL, process_group=0) as victim:
        deadline = time.monotonic() + 30
        while not (toolchain.exists() and builds(toolchain)) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(victim.pid, signal.SIGKILL)
    left = [path.name for path in build.cache_folder().iterdir()]
    assert any(name.endswith(".half") for name in left), "it was killed in the middle"
    assert build.built(build.cache_folder(), find_go(build.cache_folder())) is None
    monkeypatch.setenv("TAKES", "0")
    entry = build.build(lambda _: None)
    assert build.is_whole(entry)
    assert not list(build.cache_folder().glob("*.half"))


@pytest.mark.parametrize(
    ("words", "step"),
    [
        ("write /tmp/x: no space left on device", "free some disk space"),
        ("example: Get: dial tcp: lookup x: no such host", "check the network"),
        ("verifying module: checksum mismatch", "go clean -modcache"),
        ("sqlite3-binding.c:123: fatal error: stdlib.h: No such file", "C compiler"),
        ("compile: signal: killed", "memory"),
        ("something new", "read the lines above"),
    ],
)
@pytest.mark.usefixtures("toolchain")
def test_a_failure_says_why_and_what_to_do(monkeypatch: pytest.MonkeyPatch, words: str, step: str) -> None:
    monkeypatch.setenv("FAILS_WITH", words)
    with pytest.raises(ClusterError) as failure:
        build.build(lambda _: None)
    assert words in str(failure.value)
    assert step in str(failure.value).partition("Next step: ")[2]
    assert [path.name for path in build.cache_folder().iterdir()] == ["build.lock"]


@pytest.mark.usefixtures("toolchain")
def test_a_missing_c_compiler_is_named_before_anything_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(ClusterError, match=r"no-such-compiler is missing(.|\n)*gcc libc6-dev"):
        build.build(lambda _: None)


@pytest.mark.parametrize(
    ("version", "enough"),
    [("go1.25.0", True), ("go1.27rc1", True), ("go2.0", True), ("go1.24.9", False), ("devel", False), ("", False)],
)
def test_an_old_toolchain_is_not_taken(version: str, enough: bool) -> None:
    assert is_new_enough(version) is enough


def test_ready_programs_are_used_instead_of_a_build(toolchain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = build.build(lambda _: None)
    before = builds(toolchain)
    monkeypatch.setenv("EDGEFLEET_CLUSTER_BIN", str(entry))
    steps, report = told()
    assert find_binaries(report).programs["etcd"] == entry / "etcd"
    assert "EDGEFLEET_CLUSTER_BIN" in steps[0].what
    assert builds(toolchain) == before


@pytest.mark.usefixtures("toolchain")
def test_a_control_plane_of_the_users_replaces_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assets = tmp_path / "assets"
    assets.mkdir()
    (assets / "kube-apiserver").write_text("#!/bin/sh\n")
    (assets / "kube-apiserver").chmod(0o755)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    steps, report = told()
    found = find_binaries(report)
    assert found.programs["kube-apiserver"] == assets / "kube-apiserver"
    assert found.programs["etcd"].parent.parent == build.cache_folder()
    assert f"kube-apiserver from {assets} (KUBEBUILDER_ASSETS)" in steps[-1].what


def test_a_folder_that_lacks_a_program_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=textwrap.dedent(r"lacks etcd, .*crds/\*.yaml: complete it")):
        whole(tmp_path)
