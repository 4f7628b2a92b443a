"""Hears what the monitor hears, at the same broker, for detectors to compare with."""

import threading
from collections import defaultdict

from cloud.ingest.heard import Heard
from cloud.ingest.mqtt import Access, Ear
from edgeagent.wire import Address, Birth, Channel, WireError, decode, read_topic
from tests.bench.baselines import Record


class Listener:
    """Keeps of every box when it spoke and when its will was spoken; counts messages and bytes."""

    def __init__(self, access: Access) -> None:
        self.records: dict[Address, Record] = defaultdict(Record)
        self.messages = self.bytes = 0
        self._stopping = threading.Event()
        self._ear = Ear(access, range(64), lambda: None)
        self._ear.start()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hear no more."""
        self._stopping.set()
        self._thread.join()
        self._ear.stop()

    def _run(self) -> None:
        while not self._stopping.wait(0.2):
            for one in self._ear.take():
                if isinstance(one, Heard) and not one.retained:
                    self._heard(one)

    def _heard(self, one: Heard) -> None:
        self.messages += 1
        self.bytes += len(one.payload) + len(one.topic)
        try:
            address, channel = read_topic(one.topic)
            said = decode(address, channel, one.payload) if channel is Channel.BIRTH else None
        except WireError:
            return
        record = self.records[address]
        if isinstance(said, Birth) and said.dead:
            if not said.planned:
                record.wills.append(one.at)
        else:
            record.spoke.append(one.at)
