"""The monitor with a real broker and real agents: who is told what, from fault to notice."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cloud.alerts.lifecycle import Book, load
from cloud.alerts.notice import Delivery, Language, Notice
from cloud.alerts.routing import Receiver
from cloud.fleet.record import Remembered, Transition
from cloud.fleet.verdict import Reason
from cloud.ingest.mqtt import Access, Ear
from cloud.ingest.service import Monitor, Plan, Ports, fresh_hearing
from cloud.ingest.watch import Watch
from tests.contract.plainbroker import ENOUGH, MOSQUITTO, PlainBroker, until

pytestmark = pytest.mark.skipif(
    MOSQUITTO is None and not os.environ.get("CI"), reason="no mosquitto: apt-get install mosquitto"
)
DUTY = Receiver.model_validate({"name": "duty", "channels": ["robot"]})
SETTLED = 25.0  # seconds until a monitor that has just started believes its ears, and more


@dataclass
class Desk:
    """Keeps and tells; what was told can be read."""

    told: list[tuple[float, str, Notice]] = field(default_factory=list)
    kept: list[bytes] = field(default_factory=list)
    boxes: dict[str, Remembered] = field(default_factory=dict)
    transitions: list[Transition] = field(default_factory=list)
    troubles: dict[str, str] = field(default_factory=dict)

    def keep(
        self, book: bytes, boxes: Iterable[Remembered], transitions: Iterable[Transition], notices: Iterable[Delivery]
    ) -> None:
        assert all(said not in [notice for _, _, notice in self.told] for one in notices for said in one.notices)
        self.kept.append(book)
        self.boxes.update({str(one.address): one for one in boxes})
        self.transitions += transitions

    def tell(self, channel: str, notices: Sequence[Notice]) -> None:
        self.told += [(time.monotonic(), channel, one) for one in notices]

    def failing(self) -> Mapping[str, str]:
        return self.troubles

    @property
    def said(self) -> list[str]:
        return [f"{one.occasion} {one.code}" for _, _, one in self.told]


class House:
    """A broker, a monitor, and agents that are processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.desk = folder, Desk()
        self.broker = PlainBroker(folder)
        self.broker.start()
        self.agents: dict[str, subprocess.Popen[bytes]] = {}
        self.start()

    def start(self, book: Book | None = None, known: Iterable[Remembered] = ()) -> None:
        """Start a monitor, with what one before it has kept."""
        hearing = fresh_hearing()
        hearing.restore(known, 0.0, time.time())
        woken = threading.Event()
        self.ear = Ear(Access("127.0.0.1", self.broker.port, "monitor"), range(64), woken.set)
        watch = Watch(hearing, book or Book(), time.monotonic())
        self.monitor = Monitor(Ports(self.ear, self.desk, self.desk), Plan((DUTY,)), watch, woken)
        self.thread = threading.Thread(target=self.monitor.run, daemon=True)
        self.ear.start()
        self.thread.start()

    def stop(self) -> None:
        self.monitor.stop()
        self.thread.join(ENOUGH)
        self.ear.stop()

    def close(self) -> None:
        self.stop()
        for one in self.agents.values():
            one.kill()
            one.wait(ENOUGH)
        self.broker.stop()

    def agent(self, site: str, box: str) -> None:
        folder = self.folder / box
        folder.mkdir(exist_ok=True)
        config = folder / "agent.toml"
        config.write_text(
            f'site = "{site}"\nbox = "{box}"\nroles = ["scan"]\nstate = "{folder}"\nlan_port = 0\n'
            f'[broker]\nhost = "127.0.0.1"\nport = {self.broker.port}\n'
        )
        command = [sys.executable, "-m", "edgeagent", "run", "--config", str(config)]
        if before := self.agents.get(box):
            before.wait(ENOUGH)
        self.agents[box] = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def settle(self) -> None:
        """Wait until the monitor believes its ears and has heard all boxes."""

        def ready() -> bool:
            hearing = self.monitor.watch.hearing
            heard = len(hearing) == len(self.agents) and not hearing.unheard
            return heard and self.monitor.watch.listening.deaf is None

        deadline = time.monotonic() + SETTLED
        while not ready():
            assert time.monotonic() < deadline, self.monitor.watch.listening
            time.sleep(0.05)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    one = House(tmp_path)
    yield one
    one.close()


@pytest.fixture
def staffed(house: House) -> House:
    for number in (1, 2, 3):
        house.agent("tc-001", f"tc-001-scan-{number}")
    house.agent("tc-002", "tc-002-scan-1")
    house.settle()
    return house


def waits(house: House, said: Sequence[str]) -> None:
    until(lambda: house.desk.said == list(said), f"{said}; said: {house.desk.said}")


def test_a_killed_agent_is_told_and_so_is_its_return(staffed: House) -> None:
    staffed.agents["tc-001-scan-1"].kill()
    waits(staffed, ["firing AgentDown"])
    notice = staffed.desk.told[0][2]
    assert notice.words[Language.CHINESE].title == "tc-001 的盒子 tc-001-scan-1 上代理程序停了"
    assert notice.roles == ("scan",)
    assert [(one.address.box, one.verdict.reason) for one in staffed.desk.transitions] == [
        ("tc-001-scan-1", Reason.AGENT_DOWN)
    ]
    staffed.agent("tc-001", "tc-001-scan-1")
    until(lambda: staffed.desk.transitions[-1].verdict.reason is Reason.BEATS, "it is back")


def test_a_box_that_stops_on_purpose_is_nobody_s_business(staffed: House) -> None:
    staffed.agents["tc-001-scan-1"].terminate()
    until(lambda: bool(staffed.desk.transitions), "it has left")
    assert [one.verdict.reason for one in staffed.desk.transitions] == [Reason.PLANNED]
    assert staffed.desk.said == []


def test_a_site_that_falls_is_one_notice(staffed: House) -> None:
    for number in (1, 2, 3):
        staffed.agents[f"tc-001-scan-{number}"].send_signal(signal.SIGSTOP)
    waits(staffed, ["firing SiteDark"])
    for number in (1, 2, 3):
        staffed.agents[f"tc-001-scan-{number}"].send_signal(signal.SIGCONT)
    until(lambda: {one.verdict.reason for one in staffed.desk.transitions[-3:]} == {Reason.BEATS}, "it is back")


def test_a_monitor_that_starts_anew_knows_what_the_one_before_has_told(staffed: House) -> None:
    staffed.agents["tc-001-scan-1"].kill()
    waits(staffed, ["firing AgentDown"])
    staffed.stop()
    hearing = staffed.monitor.watch.hearing
    known = [hearing.remembered(address) for address in hearing.addresses()]
    staffed.start(load(staffed.desk.kept[-1]), known)
    staffed.agent("tc-001", "tc-001-scan-1")
    staffed.settle()
    until(lambda: staffed.desk.transitions[-1].verdict.reason is Reason.BEATS, "it is back")
    assert set(staffed.desk.said) <= {"firing AgentDown", "resolved AgentDown"}
    assert staffed.desk.said.count("firing AgentDown") == 1


def test_a_broker_that_was_away_is_one_notice_about_ourselves(staffed: House) -> None:
    staffed.broker.stop()
    waits(staffed, ["firing ObserverDegraded"])
    staffed.broker.start()
    until_later(lambda: "resolved ObserverDegraded" in staffed.desk.said)
    assert staffed.desk.said == ["firing ObserverDegraded", "resolved ObserverDegraded"]
    assert staffed.desk.transitions == []


def until_later(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
