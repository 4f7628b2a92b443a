"""``edgefleet sites import`` against the real API server: what it says, what it writes, what it leaves alone."""

import csv
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from kubernetes import client

from cloud.cli import sites
from cloud.cli.kube import Api, Conflict, connect
from cloud.crds import SITE
from cloud.fleet.imports import Wish
from cloud.fleet.resource import API_VERSION, GROUP, VERSION
from cloud.fleet.site import SiteSpec
from simulator.cluster import Cluster
from tests.cluster.kinds import install
from tests.cluster.waiting import SOON, until
from tests.resources import Json

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("shared")]

SAMPLES = Path(__file__).parents[2] / "manifests" / "samples"
MANY = 200


@dataclass(frozen=True, slots=True)
class Importer:
    """Runs the command as a user would, on site names of this test's own."""

    api: Api
    kubeconfig: Path
    folder: Path
    prefix: str

    def file(self, *rows: str, header: str = "name,timeZone,displayName,uplinkMbps") -> Path:
        """Write a file; each row begins with the part of the name that follows the prefix."""
        path = self.folder / "sites.csv"
        path.write_text("\n".join([header, *(f"{self.prefix}{row}" for row in rows)]) + "\n", encoding="utf-8")
        return path

    def run(self, file: Path, *options: str) -> subprocess.CompletedProcess[str]:
        command = [*self.command(file), *options]
        return subprocess.run(
            command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=SOON
        )

    def command(self, file: Path) -> list[str]:
        return [sys.executable, "-m", "cloud", "sites", "import", str(file), "--kubeconfig", str(self.kubeconfig)]

    def report(self, file: Path, *options: str) -> Json:
        found: Json = json.loads(self.run(file, "-o", "json", *options).stdout)
        return found

    @property
    def kept(self) -> dict[str, Json]:
        """The specs of this test's sites, by the part of the name after the prefix."""
        names = {item["metadata"]["name"]: item["spec"] for item in self.api.every(sites.SITES)}
        return {name.removeprefix(self.prefix): spec for name, spec in names.items() if name.startswith(self.prefix)}


@pytest.fixture
def importer(cluster: Cluster, tmp_path: Path) -> Iterator[Importer]:
    api = connect(str(cluster.kubeconfig))
    install(api, SITE)
    found = Importer(api, cluster.kubeconfig, tmp_path, f"t{uuid4().hex[:6]}-")
    yield found
    objects = client.CustomObjectsApi(api.client)  # kubectl would take its time: it throttles itself
    for name in found.kept:
        objects.delete_cluster_custom_object(GROUP, VERSION, SITE.plural, f"{found.prefix}{name}", _request_timeout=5)


def test_a_dry_run_says_what_it_would_create_and_writes_nothing(importer: Importer) -> None:
    done = importer.run(importer.file("a,Asia/Shanghai,杭州,100"), "--dry-run")
    assert done.returncode == 0
    assert done.stdout.splitlines()[:4] == [
        f"create  {importer.prefix}a",
        "        displayName: 杭州",
        "        timeZone: Asia/Shanghai",
        "        kind: TransferCentre",
    ]
    assert "1 to create, 0 to change, 0 stay as they are; nothing was changed." in done.stdout
    assert importer.kept == {}


def test_sites_are_created_changed_and_left_and_the_second_time_all_are_left(importer: Importer) -> None:
    importer.run(importer.file("a,Asia/Shanghai,杭州,100", "b,Asia/Urumqi,,"), "--yes")
    assert importer.kept["a"] == {
        "timeZone": "Asia/Shanghai",
        "displayName": "杭州",
        "uplinkMbps": 100,
        "kind": "TransferCentre",
    }
    file = importer.file("a,Asia/Shanghai,杭州,", "b,Asia/Urumqi,,", "c,UTC,,5")
    report = importer.report(file, "--yes")
    assert report["applied"] == 2
    assert [one["name"].removeprefix(importer.prefix) for one in report["create"]] == ["c"]
    assert report["change"][0]["fields"] == [{"field": "uplinkMbps", "old": 100, "new": None}]
    assert "uplinkMbps" not in importer.kept["a"]
    assert len(importer.report(file, "--yes")["leave"]) == 3


def test_one_bad_line_keeps_all_from_being_written_and_every_problem_is_told(importer: Importer) -> None:
    done = importer.run(importer.file("a,UTC,,1", "b,Mars/Base,,", "c,UTC,,fast"), "--yes")
    assert done.returncode == 1
    assert "line 3: timeZone 'Mars/Base': there is no such time zone" in done.stderr
    assert "line 4: uplinkMbps 'fast': write a whole number" in done.stderr
    assert "2 problems; nothing was done. Mend them and run again." in done.stderr
    assert importer.kept == {}


def test_with_nobody_to_ask_it_asks_for_yes(importer: Importer) -> None:
    done = importer.run(importer.file("a,UTC,,1"))
    assert done.returncode == 1
    assert "nobody is there to ask: add --yes" in done.stderr
    assert importer.kept == {}


@pytest.mark.parametrize(("answer", "written"), [("y\n", ["a"]), ("n\n", [])])
def test_at_a_terminal_the_answer_decides(importer: Importer, answer: str, written: list[str]) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        importer.command(importer.file("a,UTC,,1")), stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as run:
        os.write(ours, answer.encode())
        output, _ = run.communicate(timeout=SOON)
    os.close(ours)
    os.close(theirs)
    assert b"Write 1 site?" in output
    assert sorted(importer.kept) == written
    assert run.returncode == (0 if written else 1)


def test_nothing_is_ever_deleted(importer: Importer) -> None:
    importer.run(importer.file("a,UTC,,1", "b,UTC,,1"), "--yes")
    importer.run(importer.file("a,UTC,,2"), "--yes")
    assert sorted(importer.kept) == ["a", "b"]


def test_a_field_that_somebody_else_set_is_changed_when_the_file_says_so(importer: Importer) -> None:
    importer.run(importer.file("a,UTC,,1"), "--yes")
    theirs = {"spec": {"uplinkMbps": 7, "region": "east"}}
    importer.api.merge(f"{sites.SITES}/{importer.prefix}a", theirs, fieldManager="somebody")
    assert importer.report(importer.file("a,UTC,,"), "--yes")["change"][0]["fields"] == [
        {"field": "uplinkMbps", "old": 7, "new": None}
    ]
    assert "uplinkMbps" not in importer.kept["a"]
    assert importer.kept["a"]["region"] == "east"


def test_a_site_that_changed_since_it_was_shown_is_not_overwritten(importer: Importer) -> None:
    importer.run(importer.file("a,UTC,,1"), "--yes")
    name = f"{importer.prefix}a"
    shown = importer.api.get(f"{sites.SITES}/{name}")
    importer.api.merge(f"{sites.SITES}/{name}", {"spec": {"uplinkMbps": 7}}, fieldManager="somebody")
    before = SiteSpec.model_validate(shown["spec"])
    with pytest.raises(Conflict):
        sites.write(importer.api, Wish(2, name, before, before.model_copy(update={"uplink_mbps": 3})), shown)
    assert importer.kept["a"]["uplinkMbps"] == 7


def test_a_site_that_appeared_since_the_preview_is_not_overwritten(importer: Importer) -> None:
    name = f"{importer.prefix}a"
    theirs = {"apiVersion": API_VERSION, "kind": "EdgeSite", "metadata": {"name": name}, "spec": {"timeZone": "UTC"}}
    importer.api.create(sites.SITES, theirs)
    with pytest.raises(Conflict):
        sites.write(importer.api, Wish(2, name, None, SiteSpec(time_zone="Asia/Shanghai")), None)
    assert importer.kept["a"]["timeZone"] == "UTC"


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 1), (signal.SIGTERM, 143)])
def test_an_import_that_was_interrupted_is_simply_run_again(
    importer: Importer, sent: signal.Signals, code: int
) -> None:
    file = importer.file(*(f"{number:03},UTC,site {number},{number + 1}" for number in range(MANY)))
    leisurely = ["nice", "-n", "19"]  # so that we come in time, however busy the machine is
    with subprocess.Popen(
        [*leisurely, *importer.command(file), "--yes"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as run:
        until(lambda: importer.kept, "the first is written")
        run.send_signal(sent)
        _, said = run.communicate(timeout=SOON)
    written = len(importer.kept)
    assert 0 < written < MANY
    assert run.returncode == code
    told = re.search(rf"stopped: (\d+) of {MANY} sites are known to be written; run the same command again", said)
    assert told, said
    assert int(told[1]) in (written - 1, written)  # one may have been under way
    report = importer.report(file, "--yes")
    assert (len(report["create"]), len(report["leave"])) == (MANY - written, written)
    assert len(importer.kept) == MANY


def test_a_file_of_another_encoding_is_named_before_anything_is_asked_of_the_cluster(importer: Importer) -> None:
    file = importer.file()
    file.write_bytes("name,timeZone,displayName\na,UTC,杭州转运中心\n".encode("gb18030"))
    done = importer.run(file, "--yes")
    assert done.returncode == 1
    assert "it looks like GB18030; `iconv -f GB18030 -t UTF-8` converts it" in done.stderr


def test_a_file_that_is_not_there_is_named(importer: Importer) -> None:
    done = importer.run(importer.folder / "none.csv")
    assert (done.returncode, "name a CSV file that can be read" in done.stderr) == (1, True)


def test_the_sample_file_is_taken(importer: Importer) -> None:
    rows = list(csv.reader((SAMPLES / "sites.csv").read_text(encoding="utf-8").splitlines()))
    named = [rows[0], *([f"{importer.prefix}{name}", *rest] for name, *rest in rows[1:])]
    file = importer.folder / "sample.csv"
    with file.open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened).writerows(named)
    assert importer.report(file, "--yes")["applied"] == len(rows) - 1
    assert importer.kept["bangkok-campus"]["displayName"] == "Bangkok, smart campus"
