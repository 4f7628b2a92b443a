"""A real broker without identities, for tests that are about what is said and not about who may say it."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from shutil import which

MOSQUITTO = which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
ENOUGH = 15.0  # seconds for anything; nothing is measured here


class PlainBroker:
    """A mosquitto on loopback that can be stopped, frozen and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.config = folder / "mosquitto.conf"
        self.config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert MOSQUITTO
        self.process = subprocess.Popen([MOSQUITTO, "-c", str(self.config)], stderr=subprocess.DEVNULL)
        until(lambda: reachable(self.port), "the broker listens")

    def signal(self, number: int) -> None:
        assert self.process
        self.process.send_signal(number)

    def stop(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(ENOUGH)
            self.process = None


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + ENOUGH
    while not true():
        assert time.monotonic() < deadline, f"not seen: {what}"
        time.sleep(0.01)


def reachable(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
