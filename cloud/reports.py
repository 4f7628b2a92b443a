"""What the monitor tells the cluster, and what it has to know of it, in a thread of its own: nothing waits for it.

Verdicts go into EdgeBox.status when they change. What the cluster has is compared every half minute, so what was lost,
or was decided while the cluster was away, is said later. A lease that is renewed says that the monitor lives: without
it nobody believes what it wrote.
"""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import structlog

from cloud.fleet.box import BoxStatus
from cloud.fleet.errors import Unavailable
from cloud.fleet.record import Remembered, Transition
from cloud.fleet.report import LEASE_PREFIX, status_of
from cloud.fleet.resource import API_VERSION
from cloud.fleet.site import zone_of
from cloud.fleet.verdict import Reason
from cloud.rollout.cluster import Conflict, Missing, Refused
from cloud.rollout.kube import NAMESPACE, KubeCluster, access
from cloud.rollout.parsing import parse
from cloud.rollout.unchecked import dict_at, text_at
from cloud.rollout.views import BoxView, Kind, Raw

RENEW_EVERY: Final = 5.0
"""Seconds; whoever reads the lease allows for 30."""
WRITING: Final = 2.0
"""Seconds of writing after which the lease has its turn, however much waits."""
RELEASES_EVERY: Final = 5.0
GATHER_EVERY: Final = 30.0
BACK_OFF: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds until the cluster is tried again."""
APPLY: Final = "application/apply-patch+yaml"
MANAGER: Final = "edgefleet-monitor"
_UNDER_WAY: Final = frozenset({"Rolling", "Soaking", "RollingBack", "CatchingUp"})

log = structlog.get_logger("reports")


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What the monitor concluded about a box last."""

    reason: Reason
    since: datetime
    neighbour: str

    def status(self, observer: str) -> BoxStatus:
        """Return what the EdgeBox is to say."""
        return status_of(self.reason, self.since, self.neighbour, observer)


class Reports:
    """One monitor's part in a cluster. ``observer``: the name of its lease in ``namespace``."""

    def __init__(self, cluster: KubeCluster, observer: str, namespace: str) -> None:
        self._cluster, self._observer, self._namespace = cluster, observer, namespace
        self._lock = threading.Lock()
        self._known: dict[str, Conclusion] = {}  # by box
        self._pending: set[str] = set()  # boxes whose EdgeBox is to say it
        self._woken, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="reports", daemon=True)
        self._due = {"lease": 0.0, "releases": 0.0, "boxes": 0.0}
        self._listed: frozenset[str] = frozenset()
        self._gone: set[str] = set()
        self._trouble = ""
        self.releases: Mapping[str, str] = {}
        self.zones = dict[str, ZoneInfo]()

    def start(self, known: Iterable[Remembered]) -> None:
        """Begin, with what was known before."""
        now = datetime.now(UTC)
        for one in known:  # of a box that beats nobody keeps since when
            self._known[one.address.box] = Conclusion(one.reason, one.since or now, one.witness)
        self._thread.start()

    def tell(self, transitions: Iterable[Transition]) -> None:
        """Say these; never blocks."""
        with self._lock:
            for one in transitions:
                box, verdict = one.address.box, one.verdict
                self._known[box] = Conclusion(verdict.reason, one.since, verdict.witness)
                self._pending.add(box)
        self._woken.set()

    def gone(self) -> set[str]:
        """Return the boxes whose EdgeBox was deleted since the last time."""
        with self._lock:
            gone, self._gone = self._gone, set()
            for box in gone:
                self._known.pop(box, None)
        return gone

    def stop(self) -> None:
        """End after the write under way."""
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(10.0)
        self._cluster.close()

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                self._work(time.monotonic())
                failures = 0
                self._say("")
            except Unavailable as lost:
                failures += 1
                self._say(str(lost))
                self._stopping.wait(BACK_OFF[min(failures, len(BACK_OFF)) - 1])
                continue
            if not self._pending:
                self._woken.wait(max(0.0, min(self._due.values()) - time.monotonic()))
                self._woken.clear()

    def _work(self, now: float) -> None:
        """Do what is due, and write a part of what waits; the rest comes next. Raises Unavailable."""
        self._write_pending()
        for what, every, does in (
            ("lease", RENEW_EVERY, self._renew),
            ("boxes", GATHER_EVERY, self._gather),
            ("releases", RELEASES_EVERY, self._gather_releases),
        ):
            if now >= self._due[what]:
                does()
                self._due[what] = now + every

    def _write_pending(self) -> None:
        until = time.monotonic() + WRITING
        while not self._stopping.is_set() and time.monotonic() < until:
            with self._lock:
                if not self._pending:
                    return
                box = self._pending.pop()
                conclusion = self._known.get(box)
            if conclusion is None:
                continue
            try:
                self._write(box, conclusion.status(self._observer))
            except Unavailable:
                with self._lock:
                    self._pending.add(box)
                raise

    def _write(self, box: str, status: BoxStatus) -> None:
        body = {"apiVersion": API_VERSION, "kind": "EdgeBox", "metadata": {"name": box}, "status": status.dump()}
        path = f"/apis/{API_VERSION}/edgeboxes/{box}/status"
        try:
            self._cluster.ask("PATCH", path, {"fieldManager": MANAGER, "force": "true"}, body=body, kind=APPLY)
        except Missing:
            log.debug("NoEdgeBox", box=box)
        except (Refused, Conflict) as no:
            log.warning("NotWritten", box=box, message=str(no))

    def _renew(self) -> None:
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._observer, "namespace": self._namespace},
            "spec": {"holderIdentity": self._observer, "leaseDurationSeconds": 30, "renewTime": at},
        }
        path = f"/apis/coordination.k8s.io/v1/namespaces/{self._namespace}/leases/{self._observer}"
        try:
            self._cluster.ask("PATCH", path, {"fieldManager": MANAGER, "force": "true"}, body=body, kind=APPLY)
        except (Refused, Missing, Conflict) as no:
            raise Unavailable(f"no lease: {no}; apply manifests/base, which has the monitor's rights") from no

    def _gather(self) -> None:
        self.zones = {
            text_at(dict_at(raw, "metadata"), "name"): zone
            for raw in self._read(Kind.SITE)
            if (zone := zone_of(text_at(dict_at(raw, "spec"), "timeZone"))) is not None
        }
        listed = {}
        for raw in self._read(Kind.BOX):
            view = parse(Kind.BOX, raw)
            if isinstance(view, BoxView):
                listed[view.mark.key[1]] = view.status
        with self._lock:
            self._gone |= self._listed - listed.keys()
            self._gone -= listed.keys()
            for box, conclusion in self._known.items():
                if box in listed and _differs(listed[box], conclusion.status(self._observer)):
                    self._pending.add(box)
            if self._pending:
                self._woken.set()
        self._listed = frozenset(listed)

    def _gather_releases(self) -> None:
        self.releases = {
            box: text_at(dict_at(raw, "metadata"), "name")
            for raw in self._read(Kind.RELEASE)
            if text_at(status := dict_at(raw, "status"), "phase") in _UNDER_WAY
            for box in dict_at(status, "boxes")
        }

    def _read(self, kind: Kind) -> Sequence[Raw]:
        try:
            return self._cluster.read(kind)
        except (Missing, Refused) as no:
            raise Unavailable(f"{kind} cannot be read: {no}; apply manifests/crds and manifests/base") from no

    def _say(self, trouble: str) -> None:
        """Log when the cluster does not answer any more, and when it does again."""
        if trouble and not self._trouble:
            log.warning("ClusterAway", message=trouble)
        elif self._trouble and not trouble:
            log.info("ClusterBack")
        self._trouble = trouble


def reports(replica: int) -> Reports:
    """Return a monitor's part in the cluster that is set. Raises SpecError where none is."""
    return Reports(KubeCluster(access()), f"{LEASE_PREFIX}{replica}", NAMESPACE)


def _differs(there: BoxStatus, wanted: BoxStatus) -> bool:
    """Tell whether an EdgeBox says something else. That a box is well was perhaps never said: nobody waits for it."""
    if wanted.reason == Reason.BEATS and there.witness != wanted.witness:
        return False
    return (there.reason, there.witness) != (wanted.reason, wanted.witness)
