"""The loop of the operator: watches feed the mirror, wake-ups choose a workload, a thread looks at it.

Everything here runs in kopf's event loop but for deciding and requests, which threads do. So the mirror has one owner,
and what a look gathered is one moment. A look that fails comes again later and later: one bad release stops no other.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Final, TypeVar

import structlog

from cloud.fleet.errors import Unavailable
from cloud.fleet.resource import GROUP
from cloud.fleet.upkeep import Unfit
from cloud.rollout import metrics
from cloud.rollout.cluster import RESOURCES, Cluster, Conflict, Missing, Refused
from cloud.rollout.journal import tell_failure, tell_look, tell_unfit, tell_unreadable
from cloud.rollout.leadership import Deposed, Leadership
from cloud.rollout.listener import follow
from cloud.rollout.mirror import UPKEEP, Drift, Mirror
from cloud.rollout.parsing import mark
from cloud.rollout.reconcile import Look, Registry
from cloud.rollout.sight import Sight
from cloud.rollout.telling import Trouble
from cloud.rollout.upkeep import REFUSED_AGAIN, Refusal, keep_boxes
from cloud.rollout.views import Key, Kind, Mark, Raw, WorkloadKey
from cloud.rollout.wakeups import Wakeups

LOOKERS: Final = 4  # workloads looked at at one time
STUCK_AFTER: Final = 180.0  # seconds that one look may take before the process counts as hung
LISTED_AFTER: Final = 900.0  # seconds from the first event until all is held; 10,000 boxes take about one minute
AUDIT_AGAIN: Final = 2.0  # seconds until an audit that found a difference is repeated
FIRST_AUDITS: Final = 0.2  # seconds between audits while the first lists still come in

log = structlog.get_logger("operator")
T = TypeVar("T")


class Blind(Exception):  # noqa: N818 - it states what happened
    """A watch brings nothing though the cluster changes: only a fresh process helps."""


@dataclass(slots=True)
class Work:
    """One operator's state. All methods but ``stop`` are for the event loop's thread."""

    cluster: Cluster
    registry: Registry
    mirror: Mirror
    pace: float  # seconds between two looks at one workload
    audit_every: float  # seconds
    leadership: Leadership = field(default_factory=lambda: Leadership(None))
    queue: Wakeups[WorkloadKey] = field(init=False)
    _threads: ThreadPoolExecutor = field(init=False)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _watching: asyncio.Event = field(default_factory=asyncio.Event)  # set: kopf lets us lead, watches run
    _audit_now: asyncio.Event = field(default_factory=asyncio.Event)
    _leading_since: float | None = None  # None: stands by
    _synced: bool = False  # what is held was once found equal to the cluster
    _stopping: bool = False
    _busy_since: dict[WorkloadKey, float] = field(default_factory=dict)
    _sight: Sight = field(default_factory=Sight)
    _refusals: dict[str, Refusal] = field(default_factory=dict)  # of EdgeBoxes, by name
    _unfit: frozenset[Unfit] = frozenset()  # already told
    _troubles: dict[WorkloadKey, frozenset[Trouble]] = field(default_factory=dict)  # already told
    _lookers: list[asyncio.Task[None]] = field(default_factory=list)
    _others: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.queue = Wakeups(self.pace)
        self._threads = ThreadPoolExecutor(LOOKERS + 2, thread_name_prefix="look")

    def seen(self, kind: Kind, event_type: str | None, raw: Raw) -> None:
        """Take in one event of a watch; type None: an object of a list with which a watch begins."""
        metrics.WATCH_EVENTS.labels(kind=kind.value).inc()
        self._sight.heard(kind, time.monotonic())
        if not self._watching.is_set():
            self._watching.set()
            self._leading_since = time.monotonic()
            metrics.LEADING.set(1)
            log.info("leading", message="watches run; looking at every release once all is listed")
        if event_type == "DELETED":
            one = mark(raw)
            self._wake(self.mirror.drop(kind, one.key, one.uid))
            return
        self._wake(self._absorbed(kind, raw))
        if event_type is None and self._synced:
            self._audit_now.set()  # a list anew: what was deleted in between brings no event

    async def run(self) -> None:
        """Look at what is woken until stopped. Raises Deposed, Blind."""
        self._lookers = [asyncio.create_task(self._looker(), name=f"looker {number}") for number in range(LOOKERS)]
        others = (self._auditor, partial(self._once_watching, self.leadership.keep_asking))
        self._others = [asyncio.create_task(one()) for one in (*others, partial(self._once_watching, self._listen))]
        tasks = [*self._lookers, *self._others]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                if not task.cancelled():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def stop(self, seconds: float) -> None:
        """Begin no look any more; let those under way end, for so long at most."""
        self._stopping = True
        self._news.set()
        if self._lookers:
            await asyncio.wait(self._lookers, timeout=seconds)
        for task in self._others:
            task.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.leadership.end()
        metrics.LEADING.set(0)

    def stuck(self) -> str | None:
        """Return why this process is no good any more; None: it is well."""
        now = time.monotonic()
        slow = [key for key, since in self._busy_since.items() if now - since > STUCK_AFTER]
        if slow:
            return f"the look at {slow[0]} takes more than {STUCK_AFTER:.0f} s"
        if not self._synced and self._leading_since is not None and now - self._leading_since > LISTED_AFTER:
            return f"the cluster is not listed after {LISTED_AFTER:.0f} s"
        return None

    async def _looker(self) -> None:
        while not self._stopping:
            key = self.queue.take(time.monotonic()) if self._synced else None
            if key is not None:
                await self._look(key)
                continue
            due = self.queue.next_due() if self._synced else None
            self._news.clear()
            timeout = None if due is None else max(0.0, due - time.monotonic())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), timeout)

    async def _look(self, key: WorkloadKey) -> None:
        began = self._busy_since[key] = time.monotonic()
        result = "done"
        failure: Exception | None = None
        try:
            await self.leadership.must_hold()
            await (self._upkeep() if key == UPKEEP else self._reconcile(key))
        except Conflict as lost:
            result, failure = "conflict", lost
        except Unavailable as lost:
            result, failure = "unavailable", lost
        except (Refused, Missing) as no:
            result, failure = "refused", no
        except Deposed:
            raise
        except Exception as bug:  # noqa: BLE001 - the loop must outlive one bad release
            result, failure = "broken", bug
        finally:
            del self._busy_since[key]
        metrics.RECONCILE_SECONDS.labels(result=result).observe(time.monotonic() - began)
        if failure is None:
            self.queue.done(key)
            if key != UPKEEP and key not in self.mirror.workloads():
                self.queue.forget(key)
        else:
            delay = self.queue.failed(key, time.monotonic(), random.random())  # noqa: S311 - jitter
            tell_failure(key, result, failure, delay)
        metrics.measure(self.mirror, len(self.queue))

    async def _reconcile(self, key: WorkloadKey) -> None:
        now = _now()
        told = self._troubles.pop(key, frozenset())
        look = Look(self.mirror.held(key, now), self.cluster, self.registry, now, self.leadership.unbroken(), told=told)
        if not look.held.releases and not look.held.daemon_sets:
            return
        try:
            await self._in_thread(look.take)
        finally:
            for kind, raw in look.answers:
                self._wake(self._learned(kind, raw))
            tell_look(key, look)
            if look.troubles:
                self._troubles[key] = frozenset(look.troubles)
        if look.recheck_after is not None:
            self._wake({key}, look.recheck_after.total_seconds())

    async def _upkeep(self) -> None:
        now = _now()
        keep = keep_boxes(self.mirror, now, self._refusals)
        writing = partial(self.cluster.write, keep.writes, self.leadership.unbroken())
        answers = await self._in_thread(writing) if keep.writes else ()
        for write, answer in zip(keep.writes, answers, strict=True):
            if not isinstance(answer, Exception):
                self._wake(self._learned(write.kind, answer))
        self._refusals = keep.refused(answers, now)
        unfit = keep.unfit | {Unfit(box, one.words) for box, one in self._refusals.items()}
        tell_unfit(unfit - self._unfit)
        self._unfit = unfit
        for answer in answers:
            if isinstance(answer, Exception) and not isinstance(answer, Refused):
                raise answer
        if keep.more or self._refusals:
            self._wake({UPKEEP}, 0.0 if keep.more else REFUSED_AGAIN.total_seconds())

    def _learned(self, kind: Kind, raw: Raw) -> frozenset[WorkloadKey]:
        """Take in the answer to a write of ours, so that nothing is planned on what we know to be old."""
        created = kind in {Kind.DAEMON_SET, Kind.BOX}
        return self._absorbed(kind, raw) if created or self.mirror.holds(kind, mark(raw)) else frozenset()

    def _absorbed(self, kind: Kind, raw: Raw) -> frozenset[WorkloadKey]:
        """Take in an object; one that this program cannot read is told once, and holds up no other."""
        try:
            return self.mirror.absorb(kind, raw, _now())
        except Exception as bug:  # noqa: BLE001 - anybody may have written it
            if not self.mirror.passed_over(kind, mark(raw)):
                tell_unreadable(kind, mark(raw), bug)
            return self.mirror.pass_over(kind, raw, bug, _now())

    async def _auditor(self) -> None:
        """Compare what is held with the cluster: before the first look, after each list anew, and now and then."""
        await self._watching.wait()
        while not self._stopping:
            clean, again = False, AUDIT_AGAIN if self._synced else FIRST_AUDITS
            try:
                clean = await self._audit()
            except (Unavailable, Refused, Missing) as lost:
                again = AUDIT_AGAIN
                tell_failure(("", "audit"), "audit", lost, again)
            if clean and not self._synced:
                self._synced = clean = self.leadership.unbroken()()  # False: others have to hear of us first
                again = AUDIT_AGAIN
                self._wake(self.mirror.workloads() | {UPKEEP})
            self._audit_now.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._audit_now.wait(), self.audit_every if clean else again)
                await asyncio.sleep(AUDIT_AGAIN)  # a list anew comes object by object

    async def _audit(self) -> bool:
        """Drop ghosts and count what was missed; tell whether nothing was.

        Raises Blind, Deposed, Missing, Refused, Unavailable.
        """
        await self.leadership.ask()
        missed: list[tuple[Kind, Key]] = []
        for kind in Kind:
            drift = await self._drift(kind)
            for key in drift.ghosts:
                self._wake(self.mirror.drop(kind, key, ""))
            missed += [(kind, key) for key in drift.missed]
            if self._synced:
                metrics.DRIFT.labels(kind=kind.value, how="ghost").inc(len(drift.ghosts))
                metrics.DRIFT.labels(kind=kind.value, how="missed").inc(len(drift.missed))
        now = time.monotonic()
        self._sight.audited(missed, now)
        if self._synced and (lost := self._sight.lost(now)) is not None:
            raise Blind(lost)
        if not missed:
            metrics.AUDIT_AGE.set_to_current_time()
        return not missed

    async def _drift(self, kind: Kind) -> Drift:
        before = self.mirror.marks(kind)
        listed: Sequence[Mark] = ()
        try:
            listed = await self._in_thread(partial(self.cluster.marks, kind))
        except Missing:
            if RESOURCES[kind].group != GROUP:  # Kubernetes always has its own kinds; the CRD of ours may be absent
                raise
        return self.mirror.drift(kind, before, listed)

    async def _once_watching(self, work: Callable[[], Awaitable[None]]) -> None:
        await self._watching.wait()
        await work()

    async def _listen(self) -> None:
        """Know which monitors live."""
        renewals = partial(self._in_thread, self.cluster.renewals)
        await follow(renewals, lambda alive: self._wake(self.mirror.heard_from(alive, _now())))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _wake(self, keys: Iterable[WorkloadKey], after: float = 0.0) -> None:
        for key in keys:
            if not self.queue.wake(key, time.monotonic() + after):
                log.error(
                    "QueueFull", workload=key[1], message="more workloads than one operator takes; looked at later"
                )
            self._news.set()


def _now() -> datetime:
    return datetime.now(UTC)
