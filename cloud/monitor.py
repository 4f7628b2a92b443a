"""The monitor's process: settings, plan, what was known before, the broker, and how it ends."""

import signal
import threading
import time
from zoneinfo import ZoneInfo

import structlog

from cloud import logs
from cloud.alerts.desk import Desk
from cloud.alerts.lifecycle import Book, load
from cloud.alerts.plan import AlertPlan
from cloud.fleet.errors import SpecError
from cloud.ingest.mqtt import Access, Ear
from cloud.ingest.service import Monitor, Nowhere, Plan, Ports, Surroundings, fresh_hearing
from cloud.ingest.watch import Watch
from cloud.settings import MonitorSettings
from cloud.store.statefile import Saved, StateFile
from edgeagent.wire import SHARDS

log = structlog.get_logger("monitor")


def run(settings: MonitorSettings, alerts: AlertPlan) -> None:
    """Run until a signal. Raises SpecError for settings that do not fit together."""
    logs.set_up(settings.log_level)
    state = StateFile(settings.state)
    saved = state.load()
    desk = Desk(alerts, state.delivered)
    woken = threading.Event()
    shards = range(settings.replica, SHARDS, settings.replicas)
    ear = Ear(_access(settings), shards, woken.set)
    cluster = _cluster(settings)
    monitor = Monitor(Ports(ear, state, desk, cluster), _plan(alerts), _watch(saved, settings), woken)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: monitor.stop())
    log.info(
        "starting", broker=f"{settings.broker_host}:{settings.broker_port}", shards=len(shards), boxes=len(saved.boxes)
    )
    desk.start()
    for delivery in saved.untold:
        desk.tell(delivery.channel, delivery.notices)
    cluster.start(saved.boxes)
    ear.start()
    try:
        monitor.run()
    finally:
        ear.stop()
        cluster.stop()
        desk.stop()
    log.info("stopped")


def check(alerts: AlertPlan) -> None:
    """Raise SpecError if files that a plan names cannot be read."""
    Desk(alerts, lambda *_: None)


def _access(settings: MonitorSettings) -> Access:
    return Access(
        settings.broker_host, settings.broker_port, settings.broker_name,
        settings.broker_ca, settings.broker_certificate, settings.broker_key,
    )  # fmt: skip


def _plan(alerts: AlertPlan) -> Plan:
    return Plan(alerts.receivers, alerts.silences, ZoneInfo(alerts.time_zone))


def _cluster(settings: MonitorSettings) -> Surroundings:
    """Return the cluster as the settings name it. Raises SpecError where no access to one is set."""
    if not settings.cluster:
        return Nowhere()
    from cloud.reports import reports  # noqa: PLC0415 - the client of the API takes a second and 60 MB

    return reports(settings.replica)


def _watch(saved: Saved, settings: MonitorSettings) -> Watch:
    """Return what knows what was known before. Raises SpecError for a memory that is none."""
    try:
        book = load(saved.book) if saved.book else Book()
    except ValueError as wrong:
        raise SpecError(f"{settings.state}: the alerts in it cannot be read ({wrong}); move it away") from wrong
    hearing = fresh_hearing()
    hearing.restore(saved.boxes, 0.0, time.time())
    return Watch(hearing, book, time.monotonic())
