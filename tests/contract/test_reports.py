"""What a monitor tells a cluster, and hears of it, when the cluster answers, refuses, and is away."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from cloud import reports as reporting
from cloud.fleet.errors import Unavailable
from cloud.fleet.record import Remembered, Transition
from cloud.fleet.verdict import Reason, Verdict
from cloud.reports import Reports
from cloud.rollout.cluster import Missing, Refused
from cloud.rollout.views import Kind
from edgeagent.wire import Address
from tests.contract.plainbroker import until

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
OBSERVER = "edgefleet-monitor-0"


class Cluster:
    """An API server in memory."""

    def __init__(self) -> None:
        self.objects: dict[Kind, list[dict[str, Any]]] = {Kind.SITE: [], Kind.BOX: [], Kind.RELEASE: []}
        self.written: list[tuple[str, Mapping[str, Any]]] = []
        self.leases = 0
        self.failure: Callable[[str], Exception | None] = lambda _: None
        self.closed = threading.Event()

    def ask(self, method: str, path: str, query: Mapping[str, str], *, body: Mapping[str, Any], kind: str) -> object:
        assert (method, query["fieldManager"], kind) == ("PATCH", "edgefleet-monitor", "application/apply-patch+yaml")
        if failure := self.failure(path):
            raise failure
        if "/leases/" in path:
            self.leases += 1
        else:
            self.written.append((path.split("/")[-2], body["status"]))
        return {}

    def read(self, kind: Kind) -> Sequence[Mapping[str, Any]]:
        if failure := self.failure(str(kind)):
            raise failure
        return self.objects[kind]

    def close(self) -> None:
        self.closed.set()

    def box(self, name: str, **status: str) -> None:
        self.objects[Kind.BOX].append(
            {"metadata": {"name": name}, "spec": {"node": name, "site": "a"}, "status": status}
        )


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def reports(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reports]:
    for name in ("RENEW_EVERY", "RELEASES_EVERY", "GATHER_EVERY"):
        monkeypatch.setattr(reporting, name, 0.02)
    monkeypatch.setattr(reporting, "BACK_OFF", (0.02,))
    one = Reports(cluster, OBSERVER, "edgefleet")  # type: ignore[arg-type] # as much of a cluster as it asks for
    yield one
    one.stop()
    assert cluster.closed.is_set()


def transition(box: str, reason: Reason, before: Reason = Reason.BEATS) -> Transition:
    return Transition(Address("a", box), before, Verdict(reason, 0.0, "b-2"), NOON, NOON)


def test_a_transition_is_written_in_words(cluster: Cluster, reports: Reports) -> None:
    reports.start(())
    reports.tell([transition("b-1", Reason.POWER_OR_HANG)])
    until(lambda: bool(cluster.written), "it is written")
    box, status = cluster.written[0]
    assert (box, status["health"], status["reason"], status["witness"]) == ("b-1", "Offline", "PowerOrHang", OBSERVER)
    assert status["message"].endswith("Asked: b-2.")
    assert status["since"].startswith("2026-11-02T12:00:00")
    before = cluster.leases
    until(lambda: cluster.leases > before + 2, "the lease is renewed again and again")


@pytest.mark.parametrize("failure", [Unavailable("away"), None])
def test_what_was_decided_while_the_cluster_was_away_is_said_later_and_once(
    cluster: Cluster, reports: Reports, failure: Exception | None
) -> None:
    cluster.failure = lambda _: failure
    reports.start(())
    for reason in (Reason.SILENT, Reason.POWER_OR_HANG, Reason.LINK):
        reports.tell([transition("b-1", reason)])
    if failure:
        cluster.failure = lambda _: None
    until(lambda: bool(cluster.written) and cluster.written[-1][1]["reason"] == "Link", "the newest is written")
    if failure:
        assert [status["reason"] for _, status in cluster.written] == ["Link"]


@pytest.mark.parametrize("no", [Missing("there is none"), Refused("may not")])
def test_a_box_that_cannot_be_written_holds_up_no_other(cluster: Cluster, reports: Reports, no: Exception) -> None:
    cluster.failure = lambda path: no if "/b-1/" in path else None
    reports.start(())
    reports.tell([transition("b-1", Reason.LINK), transition("b-2", Reason.LINK)])
    until(lambda: [box for box, _ in cluster.written] == ["b-2"], "the other is written")


def test_a_right_that_is_missing_is_waited_for(cluster: Cluster, reports: Reports) -> None:
    cluster.failure = lambda path: Refused("may not") if "/leases/" in path else None
    reports.start(())
    reports.tell([transition("b-1", Reason.LINK)])
    until(lambda: bool(cluster.written), "verdicts are written all the same")
    cluster.failure = lambda _: None
    until(lambda: cluster.leases > 0, "the lease is renewed once it may be")


def test_after_a_restart_only_what_differs_is_written(cluster: Cluster, reports: Reports) -> None:
    cluster.box("same", health="Offline", reason="Link", witness=OBSERVER)
    cluster.box("other", health="Online", reason="NodeReady", witness="NodeReady")
    cluster.box("well", health="Online", reason="NodeReady", witness="NodeReady")
    cluster.box("back", health="Offline", reason="Silent", witness=OBSERVER)
    known = {
        "same": Reason.LINK,
        "other": Reason.SILENT,
        "well": Reason.BEATS,
        "back": Reason.BEATS,
        "away": Reason.LINK,
    }
    reports.start(
        Remembered(Address("a", box), reason=reason, since=None if reason is Reason.BEATS else NOON)
        for box, reason in known.items()
    )
    until(lambda: {box for box, _ in cluster.written} >= {"other", "back"}, "both are written")
    assert {box for box, _ in cluster.written} == {"other", "back"}


def test_zones_releases_and_boxes_that_people_take_out_are_known(cluster: Cluster, reports: Reports) -> None:
    cluster.objects[Kind.SITE] = [
        {"metadata": {"name": "a"}, "spec": {"timeZone": "Asia/Urumqi"}},
        {"metadata": {"name": "b"}, "spec": {"timeZone": "Nowhere"}},
        {"metadata": {"name": "c"}, "spec": 5},
    ]
    cluster.objects[Kind.RELEASE] = [
        {"metadata": {"name": "scan-2"}, "status": {"phase": "Rolling", "boxes": {"b-1": {}, "b-2": {}}}},
        {"metadata": {"name": "scan-1"}, "status": {"phase": "Superseded", "boxes": {"b-3": {}}}},
        {"metadata": {"name": "scan-0"}, "status": {"phase": "Rolling", "boxes": 7}},
        {"metadata": {"name": "new"}},
    ]
    cluster.box("b-1")
    cluster.box("b-2")
    reports.start(())
    until(lambda: len(reports.releases) == 2, "the releases are known")
    assert reports.releases == {"b-1": "scan-2", "b-2": "scan-2"}
    assert {name: str(zone) for name, zone in reports.zones.items()} == {"a": "Asia/Urumqi"}
    assert reports.gone() == set()
    del cluster.objects[Kind.BOX][0]
    until(lambda: reports.gone() == {"b-1"}, "it is missed")
