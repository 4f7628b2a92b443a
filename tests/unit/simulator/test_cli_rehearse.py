"""How `fleetsim rehearse` ends when something goes wrong, and how it writes the files that were asked for."""

import pytest
import typer

from simulator.cli_rehearse import complaints
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
