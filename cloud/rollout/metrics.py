"""What the operator counts, for Prometheus. Labels only ever hold words of our own, so their number is small."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

RECONCILE_SECONDS: Final = Histogram(
    "edgefleet_reconcile_seconds",
    "Time of one look at a workload, from gathering to the last write",
    ["result"],  # done, conflict, unavailable, refused, broken
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
PLAN_SECONDS: Final = Histogram(
    "edgefleet_plan_seconds",
    "Time of deciding about one release",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1),
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
