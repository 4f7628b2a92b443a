"""``edgefleet sites import`` as far as no cluster is needed: how a file is named, and how it ends when it is ended."""

import os
import signal
from pathlib import Path

import pytest
import typer

from cloud.cli import sites
from cloud.fleet.errors import SpecError
from cloud.fleet.imports import Wish
from cloud.fleet.site import SiteSpec

WORK = tuple(Wish(number + 2, f"site-{number}", None, SiteSpec(time_zone="UTC")) for number in range(5))


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 1)])
def test_ended_in_the_middle_it_says_how_far_it_came(
    capsys: pytest.CaptureFixture[str], sent: signal.Signals, code: int
) -> None:
    def write(wish: Wish) -> None:
        if wish.name == "site-3":
            os.kill(os.getpid(), sent)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(typer.Exit) as ended:
        sites._apply(WORK, write)  # noqa: SLF001 - what is around it needs a cluster
    assert ended.value.exit_code == code
    said = capsys.readouterr().err
    assert "stopped: 3 of 5 sites are known to be written; run the same command again to go on" in said
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_file_of_another_encoding_is_named(tmp_path: Path) -> None:
    file = tmp_path / "sites.csv"
    file.write_bytes("name,timeZone\n杭州,UTC\n".encode("gb18030"))
    with pytest.raises(SpecError, match=rf"^{file}: line 2: not UTF-8: it looks like GB18030"):
        sites.import_sites(file)


def test_a_site_that_was_written_by_looser_rules_is_named_with_its_field() -> None:
    item = {"metadata": {"name": "old"}, "spec": {"timeZone": "UTC", "displayName": "a\x1bb"}}
    with pytest.raises(SpecError, match=r"EdgeSite 'old': spec.displayName: .*`kubectl edit edgesite old` mends it"):
        sites._known(item)  # noqa: SLF001 - the same
