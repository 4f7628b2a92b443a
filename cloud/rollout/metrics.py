"""What the operator counts, for Prometheus. Labels only ever hold words of our own, so their number is small."""

from collections import Counter as Tally
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from cloud.rollout.mirror import Mirror

RECONCILE_SECONDS: Final = Histogram(
    "edgefleet_reconcile_seconds",
    "Time of one look at a workload, from gathering to the last write",
    ["result"],  # done, conflict, unavailable, refused, broken
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
ERRORS: Final = Counter("edgefleet_errors", "What went wrong, by the error's name", ["error"])
QUEUE: Final = Gauge("edgefleet_queue_length", "Workloads that wait for a look")
RELEASES: Final = Gauge("edgefleet_releases", "Releases by phase", ["phase"])
BOXES: Final = Gauge("edgefleet_boxes", "Boxes by what connectivity says of them", ["state"])
WRITES: Final = Counter("edgefleet_writes", "Writes to the Kubernetes API that it took", ["kind", "verb"])
WRITE_ERRORS: Final = Counter("edgefleet_write_errors", "Writes that it did not take", ["kind", "verb", "error"])
WATCH_EVENTS: Final = Counter("edgefleet_watch_events", "Events that watches brought", ["kind"])
AUDIT_AGE: Final = Gauge("edgefleet_audit_timestamp_seconds", "When what is held was last found equal to the cluster")
DRIFT: Final = Counter("edgefleet_audit_drift", "Objects that watches had missed, found by audits", ["kind", "how"])
LEADING: Final = Gauge("edgefleet_leading", "1 while this process acts, 0 while it stands by")


def measure(mirror: Mirror, waiting: int) -> None:
    """Set what is a state rather than a count: releases, boxes, the queue's length."""
    QUEUE.set(waiting)
    RELEASES.clear()
    for phase, number in Tally(view.status.phase.value for view in mirror.releases()).items():
        RELEASES.labels(phase=phase).set(number)
    states = Tally("online" if verdict.online else "dark" for _, verdict in mirror.nodes().values())
    for state in ("online", "dark"):
        BOXES.labels(state=state).set(states[state])
