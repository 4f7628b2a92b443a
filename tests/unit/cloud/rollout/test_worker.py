"""The loop of the operator against the fake cluster: what one answer or one object can do to all others."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from cloud.fleet.errors import Unavailable
from cloud.rollout import parsing, worker
from cloud.rollout.cluster import Answer, Missing, Refused, Write, always
from cloud.rollout.connectivity import NodeReady
from cloud.rollout.mirror import Mirror
from cloud.rollout.views import Kind, Mark, Raw, View
from cloud.rollout.worker import Work
from tests.contract.fake_cluster import FakeCluster
from tests.unit.cloud.rollout.looking import Pinned, cluster, status
from tests.unit.cloud.rollout.raw import raw_node, raw_release


class Unlisted(FakeCluster):
    """Answers the lists of some kinds with an error."""

    def __init__(self) -> None:
        super().__init__()
        self.lists: dict[Kind, Exception] = {}
        self.asked = 0

    def marks(self, kind: Kind) -> Sequence[Mark]:
        self.asked += kind in self.lists
        if kind in self.lists:
            raise self.lists[kind]
        return super().marks(kind)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AUDIT_AGAIN", "FIRST_AUDITS"):
        monkeypatch.setattr(worker, name, 0.01)


def work_on(fake: FakeCluster) -> Work:
    return Work(fake, Pinned(None), Mirror(NodeReady()), pace=0.01, audit_every=0.02)


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - threads make it true
            await asyncio.sleep(0.01)


def carried_out(work: Work, fake: FakeCluster, *steps: Callable[[], object]) -> None:
    """Show the operator all there is, then let it run until each step in turn is true."""

    async def run() -> None:
        for kind in Kind:
            for raw in fake.read(kind):
                work.seen(kind, None, raw)
        running = asyncio.create_task(work.run())
        for step in steps:
            await until(lambda step=step: running.done() or step())  # type: ignore[misc]
        running.cancel()
        await work.stop(5)
        await asyncio.gather(running, return_exceptions=True)
        if not running.cancelled():
            running.result()

    asyncio.run(run())


def moved(fake: FakeCluster, name: str) -> Callable[[], bool]:
    return lambda: any(label.startswith("run.") for label in fake.get(Kind.NODE, name)["metadata"]["labels"])


@pytest.mark.parametrize("failure", [Unavailable("the continue parameter is too old"), Missing("no such page")])
@pytest.mark.parametrize("kind", [Kind.NODE, Kind.POD, Kind.DAEMON_SET])
def test_a_list_that_fails_takes_nothing_away(kind: Kind, failure: Exception) -> None:
    fake = cluster("box-1", of=Unlisted())
    assert isinstance(fake, Unlisted)
    fake.create(Kind.RELEASE, raw_release())
    work = work_on(fake)

    def fail() -> bool:
        fake.lists[kind] = failure
        return True

    carried_out(work, fake, moved(fake, "box-1"), fail, lambda: fake.asked > 3)
    assert set(work.mirror.nodes()) == {"box-1"}
    assert len(work.mirror.marks(Kind.DAEMON_SET)) == 1


def test_a_kind_of_ours_that_is_not_installed_has_no_objects() -> None:
    fake = cluster("box-1", of=Unlisted())
    assert isinstance(fake, Unlisted)
    fake.lists[Kind.SITE] = Missing("404 page not found")
    fake.create(Kind.RELEASE, raw_release())
    carried_out(work_on(fake), fake, moved(fake, "box-1"))


def unreadable(monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    """Have this program fail on every object of a name; return what it was asked to read of it."""
    read: list[str] = []

    def parse(kind: Kind, raw: Raw, known: View | None = None) -> View:
        if raw["metadata"]["name"] == name:
            read.append(raw["metadata"]["resourceVersion"])
            raise RecursionError("too deep")
        return parsing.parse(kind, raw, known)

    monkeypatch.setattr("cloud.rollout.mirror.parse", parse)
    return read


@pytest.mark.parametrize("kind", [Kind.NODE, Kind.RELEASE, Kind.SITE])
def test_one_object_that_cannot_be_read_holds_up_no_other_and_is_told_once(
    kind: Kind, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = cluster("box-1")
    odd: dict[Kind, Any] = {
        Kind.NODE: raw_node("odd"),
        Kind.RELEASE: raw_release("odd", namespace="tenant"),
        Kind.SITE: {"metadata": {"name": "odd", "uid": "uid-odd"}, "spec": {"timeZone": "Asia/Shanghai"}},
    }
    fake.create(kind, odd[kind])
    fake.create(Kind.RELEASE, raw_release())
    read, work = unreadable(monkeypatch, "odd"), work_on(fake)

    def again() -> bool:
        work.seen(kind, "MODIFIED", fake.create(kind, odd[kind]))
        return len(read) > 2

    carried_out(work, fake, moved(fake, "box-1"), again)
    assert status(fake, "one")["phase"] == "Rolling"
    assert capsys.readouterr().out.count("] Unreadable") == 1


class Fussy(FakeCluster):
    """Does not want one EdgeBox."""

    def write(self, writes: Sequence[Write], may: Callable[[], bool] = always) -> Sequence[Answer]:
        return [
            Refused("EdgeBox 'box-1' is invalid: spec.node") if (one.kind, one.name) == (Kind.BOX, "box-1") else answer
            for one, answer in zip(writes, super().write(writes, may), strict=True)
        ]


def test_an_edge_box_that_is_refused_is_told_once_and_delays_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cloud.rollout.upkeep.BATCH", 1)
    names = [f"box-{number}" for number in range(1, 6)]
    fake = cluster(*names, of=Fussy())
    work = work_on(fake)

    def written() -> bool:
        boxes = {raw["metadata"]["name"]: raw.get("status") for raw in fake.read(Kind.BOX)}
        return all(boxes.get(name) for name in names[1:])

    carried_out(work, fake, written)
    said = capsys.readouterr().out
    assert said.count("UnfitNode") == 1
    assert "spec.node" in said
    assert "retry_in" not in said
