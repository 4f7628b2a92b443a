"""What a monitor hears of boxes, and can say to them, for tests that play its part."""

from collections.abc import Callable

from cloud.ingest.heard import Heard
from cloud.ingest.mqtt import Access, Ear
from edgeagent.wire import Address, Message, decode, read_topic
from tests.contract.plainbroker import PlainBroker, until


class Cloud:
    """What a monitor hears, and can say."""

    def __init__(self, broker: PlainBroker) -> None:
        self.ear = Ear(Access("127.0.0.1", broker.port, "monitor"), range(64), lambda: None)
        self.ear.start()
        self.heard: list[tuple[float, Address, Message, bool]] = []

    def listen(self) -> None:
        for one in self.ear.take():
            if isinstance(one, Heard):
                address, channel = read_topic(one.topic)
                self.heard.append((one.at, address, decode(address, channel, one.payload), one.retained))

    def waits(self, right: Callable[[Address, Message], bool], what: str, after: int = 0) -> Message:
        """Wait for the first message of a kind that was heard after so many others."""

        def come() -> list[Message]:
            self.listen()
            return [said for _, address, said, _ in self.heard[after:] if right(address, said)]

        until(lambda: bool(come()), what)
        return come()[0]

    def count(self) -> int:
        self.listen()
        return len(self.heard)
