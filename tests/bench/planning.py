"""How long the planner thinks, and how that grows with the fleet."""

import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from cloud.rollout.ownership import snapshot
from cloud.rollout.plan import plan
from cloud.rollout.reconcile import Look
from cloud.rollout.release import Release, ReleaseSpec
from cloud.rollout.snapshot import Box, Fleet, Pod, Snapshot, Standing, Version
from cloud.rollout.status import Phase, ReleaseStatus
from cloud.rollout.views import Kind
from tests.bench.figures import Figure
from tests.unit.cloud.rollout.looking import SCAN, Pinned, cluster, held, settle
from tests.unit.cloud.rollout.raw import raw_release

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LONG_AGO = "2025-02-01T00:00:00Z"
RELEASES_OVER = 100
ROUNDS = 15
SITES_FOR = {100: 50, 1_000: 300, 10_000: 2_000}
SPEC = {
    "workload": {"name": "scan", "image": "scan:2"},
    "targets": {"selector": {"matchLabels": {"edgefleet.io/role": "scan"}}},
}


def measure() -> Iterator[Figure]:
    """Yield the time of one decision at three sizes, in the middle of a rollout, and how it grows."""
    times = {}
    for count in SITES_FOR:
        fleet = halfway(count)
        times[count] = _milliseconds(snapshot(fleet, fleet.standings[-1]))
        goal = 50.0 if count == max(SITES_FOR) else None
        yield Figure(f"plan() of {count} boxes, half of them done", times[count], "ms", goal)
    growth = times[10_000] / times[1_000] / 10
    yield Figure("growth of plan() from 1,000 to 10,000 boxes, against linear", growth, "ratio", 1.5)
    alone, after_many = look_milliseconds(0), look_milliseconds(RELEASES_OVER)
    yield Figure("one look at a workload on 1,000 boxes, all done", alone, "ms")
    name = f"the same with {RELEASES_OVER} older releases that are over, against without"
    yield Figure(name, after_many / alone, "ratio", 2.0)


def look_milliseconds(over: int) -> float:
    """Return the CPU time of a look that finds nothing to write; so many releases came before the one in force."""
    fake = cluster(*(f"box-{number}" for number in range(1_000)))
    past = {"phase": "Superseded", "observedGeneration": 1, "startedAt": LONG_AGO, "completedAt": LONG_AGO}
    for number in range(over):
        status = past | {
            "template": {"metadata": {}, "spec": {"containers": [{"name": "scan", "image": f"s:{number}"}]}}
        }
        created = f"2025-01-{1 + number // 24:02}T{number % 24:02}:00:00Z"
        fake.create(Kind.RELEASE, raw_release(f"old-{number}", created=created, status=status))
    fake.create(Kind.RELEASE, raw_release("newest", spec={"watchAfter": "0s"}))
    rest = settle(fake)
    writes, taken = len(fake.writes), []
    for _ in range(ROUNDS):
        looking = Look(held(fake, rest).held(SCAN, rest), fake, Pinned(None), rest)
        began = time.process_time()
        looking.take()
        taken.append(time.process_time() - began)
    assert len(fake.writes) == writes, "the look was not idle"
    return statistics.median(taken) * 1000


def halfway(count: int) -> Fleet:
    """Return a fleet in the middle of a release: half of the boxes are done, every twentieth is dark."""
    boxes = tuple(_box(number, SITES_FOR[count], done=number < count // 2) for number in range(count))
    old = Standing(_release("scan-1", NOW - timedelta(days=9)), ReleaseStatus(completed_at=NOW), ("a" * 10,))
    new = Standing(_release("scan-2", NOW - timedelta(hours=2)), ReleaseStatus(), ("b" * 10,))
    versions = {name: Version(name, exclusive=True) for name in ("a" * 10, "b" * 10)}
    fleet = Fleet((old, new), boxes, versions)
    begun = plan(snapshot(fleet, new), NOW - timedelta(hours=1)).status
    stages = tuple(one.model_copy(update={"started_at": one.started_at or NOW}) for one in begun.stages)
    status = begun.model_copy(update={"phase": Phase.ROLLING, "stages": stages, "boxes": {}})
    return Fleet((old, Standing(new.release, status, new.variants)), boxes, versions)


def _box(number: int, sites: int, *, done: bool) -> Box:
    site = f"tc-{number % sites:04}"
    version = ("b" if done else "a") * 10
    dark = number % 20 == 0
    return Box(
        name=f"{site}-scan-{number // sites}",
        site=site,
        role="scan",
        labels={"edgefleet.io/site": site, "edgefleet.io/role": "scan", "kubernetes.io/arch": "arm64"},
        online=not dark,
        since=NOW - timedelta(hours=3),
        versions=frozenset({version}),
        pods=(Pod(f"scan-{number}", version, ready=not dark),),
    )


def _release(name: str, created: datetime) -> Release:
    spec = ReleaseSpec.model_validate(SPEC)
    return Release(namespace="sorting", name=name, uid=name, created=created, spec=spec)


def _milliseconds(given: Snapshot) -> float:
    taken = []
    for _ in range(ROUNDS):
        began = time.process_time()  # of the CPU: the planner is one thread and waits for nothing
        plan(given, NOW)
        taken.append(time.process_time() - began)
    return statistics.median(taken) * 1000
