"""One look at a workload, against the fake cluster: what the tests of looks share."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cloud.rollout.cluster import Answer, Write, always
from cloud.rollout.connectivity import NodeReady
from cloud.rollout.mirror import Mirror
from cloud.rollout.reconcile import Look
from cloud.rollout.release import Release
from cloud.rollout.telling import Trouble
from cloud.rollout.views import Kind, Raw
from tests.contract.fake_cluster import FakeCluster
from tests.unit.cloud.rollout.raw import raw_node, raw_pod

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SCAN = ("default", "scan")


class Pinned:
    """A registry that knows one digest."""

    def __init__(self, digest: str | None = "sha256:1") -> None:
        self.digest = digest  # None: digests are not asked for
        self.asked: list[str] = []

    def pin(self, image: str, _release: Release) -> str | None:
        self.asked.append(image)
        return None if self.digest is None else f"{image}@{self.digest}"


class Refusing(FakeCluster):
    """Answers one kind of write with an error."""

    def __init__(self, kind: Kind, failure: Exception) -> None:
        super().__init__()
        self.kind, self.failure = kind, failure

    def write(self, writes: Sequence[Write], may: Callable[[], bool] = always) -> Sequence[Answer]:
        return [self.failure if one.kind is self.kind else super(Refusing, self).write([one], may)[0] for one in writes]

    def tell(self, event: Raw) -> None:
        if self.kind is Kind.SITE:  # stands for events
            raise self.failure
        super().tell(event)


def cluster(*names: str, of: FakeCluster | None = None) -> FakeCluster:
    made = of or FakeCluster()
    for name in names or ("box-1", "box-2"):
        made.create(Kind.NODE, raw_node(name))
    return made


def held(of: FakeCluster, now: datetime = NOW) -> Mirror:
    mirror = Mirror(NodeReady())
    for kind in Kind:
        for raw in of.read(kind):
            mirror.absorb(kind, raw, now)
    return mirror


def look(
    of: FakeCluster,
    now: datetime = NOW,
    registry: Pinned | None = None,
    told: frozenset[Trouble] = frozenset(),
) -> Look:
    taken = Look(held(of, now).held(SCAN, now), of, registry or Pinned(None), now, told=told)
    taken.take()
    return taken


def settle(of: FakeCluster, now: datetime = NOW) -> datetime:
    """Let the DaemonSets' pods become what the labels ask for, and look until nothing is written."""
    for _ in range(12):
        before = len(of.writes)
        follow_labels(of)
        look(of, now)
        if len(of.writes) == before:
            return now
        now += timedelta(seconds=1)
    raise AssertionError(f"no rest: {of.writes[-3:]}")


def follow_labels(of: FakeCluster) -> None:
    for kind, key in list(of.objects):
        if kind is Kind.POD:
            del of.objects[kind, key]
    for node in of.read(Kind.NODE):
        for label in node["metadata"]["labels"]:
            if label.startswith("run.edgefleet.io/"):
                version = label.rpartition(".")[2]
                of.create(
                    Kind.POD, raw_pod(f"scan-{version}-{node['metadata']['name']}", node["metadata"]["name"], version)
                )


def status(of: FakeCluster, name: str) -> dict[str, Any]:
    return dict(of.get(Kind.RELEASE, name, "default")["status"])


def kinds(writes: Sequence[Write]) -> list[str]:
    return [f"{one.verb} {one.kind}" for one in writes]


def edited(fake: FakeCluster, **spec: Any) -> None:  # noqa: ANN401 - JSON
    """Change the spec of release `one`, as a person does."""
    made = fake.get(Kind.RELEASE, "one", "default")
    made["spec"] |= spec
    made["metadata"]["generation"] += 1
    fake.create(Kind.RELEASE, made)
