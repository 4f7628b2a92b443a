"""The loop of the operator against the fake cluster: what one answer or one object can do to all others."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from cloud.fleet.errors import Unavailable
from cloud.rollout import worker
from cloud.rollout.cluster import Missing
from cloud.rollout.connectivity import NodeReady
from cloud.rollout.mirror import Mirror
from cloud.rollout.views import Kind, Mark
from cloud.rollout.worker import Work
from tests.contract.fake_cluster import FakeCluster
from tests.unit.cloud.rollout.looking import Pinned, cluster
from tests.unit.cloud.rollout.raw import raw_release


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
