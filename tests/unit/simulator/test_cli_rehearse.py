"""How `fleetsim rehearse` ends when something goes wrong, and how it writes the files that were asked for."""

import contextlib
import errno
import tempfile
from pathlib import Path

import pytest
import typer

from simulator.cli_rehearse import complaints, folder, writable, write
from simulator.progress import ClusterError
from simulator.tables import FileError


@pytest.mark.parametrize(
    ("wrong", "status", "said"),
    [
        (FileError(["a.toml: sites: is missing: add it"]), 2, "fleetsim: a.toml: sites: is missing: add it"),
        (ClusterError("etcd ended with 1"), 3, "fleetsim: etcd ended with 1"),
        (KeyError("surprise"), 3, "KeyError: 'surprise'"),
    ],
)
def test_a_rehearsal_that_breaks_off_never_ends_as_if_the_release_had_failed(
    wrong: Exception, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended, complaints():
        raise wrong
    assert ended.value.exit_code == status
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "stays"),
    [
        (None, False),
        (KeyboardInterrupt(), False),
        (FileError(["metadata.name: is taken"]), False),
        (OSError(5, "Input/output error"), False),
        (ClusterError("etcd ended with 1"), True),
        (KeyError("surprise"), True),
    ],
)
def test_a_folder_stays_only_where_its_logs_tell_why_a_rehearsal_broke_off(
    wrong: BaseException | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, stays: bool
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with contextlib.suppress(Exception, KeyboardInterrupt), folder() as made:
        assert made.is_dir()
        if wrong:
            raise wrong
    assert list(tmp_path.iterdir()) == ([made] if stays else [])


def test_a_file_of_the_cluster_for_which_there_is_no_room_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, complaints():
        raise OSError(errno.ENOSPC, "No space left on device", "/tmp/edgefleet-rehearsal-x/cluster.new")  # noqa: S108 - nothing is there
    assert ended.value.exit_code == 3
    assert capsys.readouterr().err == (
        "fleetsim: /tmp/edgefleet-rehearsal-x/cluster.new: cannot be written: No space left on device; "
        "make room on its disk\n"
    )


def test_a_machine_without_room_for_temporary_files_is_told_where_it_was_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(**_: str) -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "mkdtemp", nowhere)
    with pytest.raises(ClusterError, match=r"found in \['/tmp'\]: make room in one of them, or set TMPDIR"), folder():
        pass


def test_a_file_that_cannot_be_written_is_found_out_before_anything_starts(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent" / "j.xml", Path("/proc/j.xml")):
        with pytest.raises(FileError, match=r"cannot be written: .*; make its folder, or name another file"):
            writable(path)


def test_looking_whether_a_file_can_be_written_changes_nothing(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("of yesterday")
    for path in (kept, tmp_path / "new", None):
        writable(path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert kept.read_text() == "of yesterday"


def test_a_file_that_cannot_be_written_in_the_end_keeps_no_other_from_being_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [write(Path("/dev/full"), "<x/>"), write(tmp_path / "r.json", "{}"), write(None, "")] == [False, True, True]
    assert (tmp_path / "r.json").read_text() == "{}"
    assert "fleetsim: /dev/full: cannot be written: No space left on device" in capsys.readouterr().err
