"""A fleet that is watched as a real one is: our broker with its identities, our monitor, and whoever is told."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cloud.ingest.mqtt import Access
from edgeagent.wire import Address
from simulator.devices import Devices
from simulator.mishaps import Blow, Change, Mishap
from simulator.mqtt import Endpoint
from tests.contract.fleetbroker import FleetBroker
from tests.contract.plainbroker import ENOUGH, until
from tests.contract.recorders import Came, Recorder, Reply

PLAN: Final = """
channels:
- name: duty
  kind: Webhook
  urlFile: {folder}/url
receivers:
- name: duty
  channels: [duty]
"""
PATIENCE: Final = 8  # times as long as anything else
OTHER: Final = "other"  # a second name that the broker lets hear everything


@dataclass(frozen=True, slots=True)
class Told:
    """One notice, as it came to whoever is told; ``at`` by the monotonic clock."""

    at: float
    occasion: str
    code: str
    site: str
    box: str
    part: str
    key: str

    def __str__(self) -> str:
        return " ".join(word for word in (self.occasion, self.code, self.site, self.box, self.part) if word)


class Duty:
    """Takes what is told."""

    def __init__(self) -> None:
        self.told: list[Told] = []

    def __call__(self, came: Came) -> Reply:
        at = time.monotonic()
        for one in came.json["notices"]:
            where = one["subject"]
            self.told.append(
                Told(at, one["occasion"], one["code"], where["site"], where["box"], where["part"], one["key"])
            )
        return Reply()

    def of(self, occasion: str, *, site: str = "") -> list[str]:
        """Return what was told, as words, on an occasion and, where one is given, of a site."""
        return [str(one) for one in list(self.told) if one.occasion == occasion and site in {"", one.site}]


@dataclass(frozen=True, slots=True)
class Watched:
    """All of it. ``monitor`` is its process."""

    folder: Path
    broker: FleetBroker
    duty: Duty
    monitor: subprocess.Popen[bytes]

    def endpoints(self, addresses: Iterable[Address]) -> dict[Address, Endpoint]:
        """Let these boxes join; returns where each finds the broker."""
        return {one: Endpoint("127.0.0.1", self.broker.port, self.broker.box(one).context()) for one in addresses}

    def hears(self, devices: Devices, canary: Address) -> None:
        """Wait until the monitor believes its ears: it tells of a workload that ends, and of its return."""
        workload = Blow(0.0, Mishap.CRASH)
        for change, occasion in ((Change.CRASH, "firing"), (Change.RUN, "resolved")):
            devices.strike(change, [canary], workload)
            patiently(lambda: bool(self.duty.of(occasion, site=canary.site)), f"{occasion} of {canary}")  # noqa: B023

    def ear(self) -> Access:
        """Return the access of somebody else who may hear all boxes."""
        papers = self.broker.monitor(OTHER)
        return Access("127.0.0.1", self.broker.cloud_port, OTHER, papers.ca, papers.certificate, papers.key)


@contextmanager
def watched(folder: Path) -> Iterator[Watched]:
    """Start broker, monitor and whoever is told; end them."""
    folder.mkdir(parents=True, exist_ok=True)
    duty = Duty()
    recorder, broker = Recorder(duty), FleetBroker(folder)
    (folder / "url").write_text(f"{recorder.address}/told\n")
    (folder / "alerts.yaml").write_text(PLAN.format(folder=folder))
    try:
        broker.start()
        with (folder / "monitor.log").open("wb") as log:
            monitor = subprocess.Popen(monitor_command(folder), stderr=log, env=os.environ | monitor_settings(broker))
        try:
            yield Watched(folder, broker, duty, monitor)
        finally:
            end(monitor)
    finally:
        broker.stop()
        recorder.close()


def patiently(true: Callable[[], bool], what: str) -> None:
    """Wait longer than usual, for what takes its time by design: a monitor's start, the end of a short fault."""
    for _ in range(PATIENCE - 1):
        with contextlib.suppress(AssertionError):
            return until(true, what)
    return until(true, what)


def monitor_command(folder: Path) -> Sequence[str]:
    """The command that a person types."""
    return [sys.executable, "-m", "cloud", "monitor", "--plan", str(folder / "alerts.yaml")]


def monitor_settings(broker: FleetBroker) -> dict[str, str]:
    """Where the monitor finds the broker, and who it is to it."""
    papers = broker.monitor()
    return {
        "EDGEFLEET_BROKER_HOST": "127.0.0.1",
        "EDGEFLEET_BROKER_PORT": str(broker.cloud_port),
        "EDGEFLEET_BROKER_CA": str(papers.ca),
        "EDGEFLEET_BROKER_CERTIFICATE": str(papers.certificate),
        "EDGEFLEET_BROKER_KEY": str(papers.key),
        "EDGEFLEET_STATE": str(broker.place / "state"),
    }


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, and then no longer ask."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(ENOUGH)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(ENOUGH)
