"""Real agent processes, each with a certificate of its own, to which the same can be done as to simulated boxes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Final

from edgeagent.wire import Address
from simulator.mishaps import Blow, Change
from tests.contract.fleetbroker import FleetBroker, free_port
from tests.contract.plainbroker import ENOUGH, until

SIGNALS: Final = {
    Change.KILL_AGENT: signal.SIGKILL,
    Change.FREEZE: signal.SIGSTOP,
    Change.THAW: signal.SIGCONT,
}
TICKS: Final = os.sysconf("SC_CLK_TCK")
PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Agents:
    """Agents on this machine; their neighbours find them at ports of their own."""

    def __init__(self, broker: FleetBroker, addresses: Iterable[Address], folder: Path) -> None:
        self._folder = folder
        self._processes: dict[Address, subprocess.Popen[bytes]] = {}
        for one in addresses:
            place = folder / one.box
            place.mkdir(parents=True)
            papers = broker.box(one)
            (place / "agent.toml").write_text(
                f'site = "{one.site}"\nbox = "{one.box}"\nroles = ["scan"]\nstate = "{place}"\n'
                f'lan_port = {free_port()}\nlan = ["127.0.0.1"]\n[broker]\nhost = "127.0.0.1"\nport = {broker.port}\n'
                f'ca = "{papers.ca}"\ncertificate = "{papers.certificate}"\nkey = "{papers.key}"\n'
            )
            self._start(one)

    def ready(self) -> None:
        """Wait until all of them are connected."""
        for one in self._processes:
            log = self._folder / one.box / "log"
            until(lambda log=log: "connected" in log.read_text(), f"{one} is connected")  # type: ignore[misc]

    def strike(self, change: Change, where: Iterable[Address], _: Blow) -> "Future[float]":
        """Do this to them."""
        at = time.monotonic()
        for one in where:
            if change is Change.START_AGENT:
                self._start(one)
            else:
                self._processes[one].send_signal(SIGNALS[change])
        done: Future[float] = Future()
        done.set_result(at)
        return done

    def used(self) -> Mapping[Address, tuple[float, float, float]]:
        """Return of each the time, seconds of processor so far, and bytes of memory."""
        return {one: (time.monotonic(), *_used(process.pid)) for one, process in self._processes.items()}

    def close(self) -> None:
        """End them all."""
        for process in self._processes.values():
            process.kill()
            process.wait(ENOUGH)

    def _start(self, one: Address) -> None:
        place = self._folder / one.box
        if (before := self._processes.get(one)) is not None:
            before.wait(ENOUGH)
        command = [sys.executable, "-m", "edgeagent", "run", "--config", str(place / "agent.toml")]
        with (place / "log").open("ab") as log:
            self._processes[one] = subprocess.Popen(command, stderr=log)


def _used(pid: int) -> tuple[float, float]:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    return (int(fields[11]) + int(fields[12])) / TICKS, float(resident)
