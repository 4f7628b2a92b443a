"""A real agent process at a real broker: what it says, how soon, and how it ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgeagent.happening import Happening
from edgeagent.wire import (
    Address,
    Answer,
    Ask,
    Backlog,
    Beat,
    Birth,
    Channel,
    Config,
    Event,
    Finding,
    Message,
    encode,
    topic,
)  # fmt: skip
from tests.contract.cloudside import Cloud
from tests.contract.plainbroker import ENOUGH, MOSQUITTO, PlainBroker, until

pytestmark = pytest.mark.skipif(
    MOSQUITTO is None and not os.environ.get("CI"), reason="no mosquitto: apt-get install mosquitto"
)
HERE, THERE = Address("tc-001", "tc-001-scan-1"), Address("tc-001", "tc-001-scan-2")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[PlainBroker]:
    one = PlainBroker(tmp_path)
    one.start()
    yield one
    one.stop()


@pytest.fixture
def cloud(broker: PlainBroker) -> Iterator[Cloud]:
    one = Cloud(broker)
    until(lambda: one.ear.say("edgefleet/v1/echo/nobody", b""), "the cloud is connected")
    yield one
    one.ear.stop()


@pytest.fixture
def agent(broker: PlainBroker, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts agents; each has a folder of its own."""
    started: list[subprocess.Popen[str]] = []

    def start(address: Address = HERE, lan_port: int = 0, more: str = "") -> subprocess.Popen[str]:
        folder = tmp_path / address.box
        folder.mkdir(exist_ok=True)
        config = folder / "agent.toml"
        config.write_text(
            f'site = "{address.site}"\nbox = "{address.box}"\nroles = ["scan"]\nstate = "{folder}"\n'
            f'lan_port = {lan_port}\nlan = ["127.0.0.1"]\n{more}\n[broker]\nhost = "127.0.0.1"\nport = {broker.port}\n'
        )
        command = [sys.executable, "-m", "edgeagent", "run", "--config", str(config)]
        started.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.wait(ENOUGH)
        if one.stderr:
            one.stderr.close()


def is_beat(address: Address = HERE) -> Callable[[Address, Message], bool]:
    return lambda who, said: who == address and isinstance(said, Beat)


def is_event(kind: Happening) -> Callable[[Address, Message], bool]:
    return lambda _, said: isinstance(said, Event) and said.kind == kind


def test_an_agent_says_what_the_box_is_and_beats(cloud: Cloud, agent: Callable[..., object]) -> None:
    agent()
    beat = cloud.waits(is_beat(), "a beat")
    birth = next(said for _, _, said, _ in cloud.heard if isinstance(said, Birth))
    assert (birth.roles, birth.site, birth.box, birth.boot) == (("scan",), "tc-001", "tc-001-scan-1", beat.boot)  # type: ignore[union-attr]
    assert abs(birth.at - time.time()) < ENOUGH
    cloud.waits(is_beat(), "another beat", after=cloud.count())


def test_a_stopped_agent_takes_leave_within_a_second_and_is_not_missed(
    cloud: Cloud, agent: Callable[..., subprocess.Popen[str]]
) -> None:
    process = agent()
    cloud.waits(is_beat(), "a beat")
    process.send_signal(signal.SIGTERM)
    assert process.wait(ENOUGH) == 0
    event = cloud.waits(is_event(Happening.GOODBYE), "the leave")
    assert event.details == {"why": "SIGTERM"}  # type: ignore[union-attr]
    last = cloud.waits(lambda _, said: isinstance(said, Birth) and said.dead, "the last birth")
    assert last.planned  # type: ignore[union-attr]
    assert process.stderr
    assert "stopping: SIGTERM" in process.stderr.read()


def test_a_killed_agent_is_told_by_its_will(cloud: Cloud, agent: Callable[..., subprocess.Popen[str]]) -> None:
    process = agent()
    cloud.waits(is_beat(), "a beat")
    process.kill()
    will = cloud.waits(lambda _, said: isinstance(said, Birth) and said.dead, "the will")
    assert not will.planned  # type: ignore[union-attr]


def test_a_configuration_is_applied_and_a_bad_one_refused(cloud: Cloud, agent: Callable[..., object]) -> None:
    agent()
    cloud.waits(is_beat(), "a beat")
    cloud.ear.say(topic(HERE, Channel.CONFIG), encode(Config(revision=7, period=0.2, expected_gpus=1)), retain=True)
    cloud.waits(is_event(Happening.CONFIG_APPLIED), "it is applied")
    birth = cloud.waits(lambda _, said: isinstance(said, Birth) and said.period == 0.2, "another period")
    assert birth.gpus == ("GPU 0",)  # type: ignore[union-attr]
    cloud.ear.say(topic(HERE, Channel.CONFIG), b'{"revision": "x"}', retain=True)
    cloud.waits(is_event(Happening.CONFIG_REFUSED), "it is refused")
    cloud.waits(lambda _, said: isinstance(said, Beat) and said.troubles == "c", "a beat says so")


def test_a_box_looks_for_its_neighbour(cloud: Cloud, agent: Callable[..., subprocess.Popen[str]]) -> None:
    agent()
    neighbour = agent(THERE, lan_port=0)
    for box in (HERE, THERE):
        cloud.waits(is_beat(box), f"a beat of {box}")

    def asks(port: int, nonce: str) -> Finding:
        ask = Ask(nonce=nonce, box=THERE.box, lan=("127.0.0.1",), port=port, within=0.3)
        cloud.ear.say(topic(HERE, Channel.ASK), encode(ask))
        answer = cloud.waits(lambda _, said: isinstance(said, Answer) and said.nonce == nonce, "an answer")
        assert isinstance(answer, Answer)
        return answer.found

    assert asks(1, "first") is Finding.MACHINE
    neighbour.terminate()


def test_what_happened_while_there_was_no_broker_is_told_later(
    broker: PlainBroker, cloud: Cloud, agent: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = agent()
    cloud.waits(is_beat(), "a beat")
    broker.stop()
    until(lambda: "no link" in read_line(process), "the agent misses the broker")
    process.send_signal(signal.SIGKILL)
    process.wait(ENOUGH)
    agent()
    until(lambda: any((tmp_path / HERE.box / "spool").iterdir()), "something is kept")
    broker.start()
    old = cloud.waits(lambda _, said: isinstance(said, Backlog), "old things")
    assert old.kept  # type: ignore[union-attr]
    assert all(one.age >= 0 for one in old.kept)  # type: ignore[union-attr]


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stderr
    return process.stderr.readline()


def test_systemd_is_told_that_it_is_ready_and_that_its_loop_turns(tmp_path: Path) -> None:
    unit = (Path(__file__).parents[2] / "manifests/agent/edgeagent.service").read_text()
    assert "Type=notify" in unit
    assert "ExecStart=/opt/edgefleet/bin/edgeagent run" in unit
    config = tmp_path / "agent.toml"
    config.write_text(
        f'site = "a"\nbox = "b"\nstate = "{tmp_path}"\nlan_port = 0\n[broker]\nhost = "127.0.0.1"\nport = 1\n'
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(ENOUGH)
        environment = os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        command = [sys.executable, "-m", "edgeagent", "run", "--config", str(config)]
        with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as agent:
            told = [systemd.recv(100) for _ in range(2)]
            agent.terminate()
            assert agent.wait(ENOUGH) == 0
    assert told == [b"READY=1", b"WATCHDOG=1"]


@pytest.mark.parametrize(
    ("text", "objection"),
    [("", "missing required field"), ("site = 1", "Expected `str`"), ('prot = 1\nsite = "a"', "unknown field")],
)
def test_bad_settings_are_told_and_nothing_runs(tmp_path: Path, text: str, objection: str) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(text)
    for path, said in ((config, objection), (tmp_path / "none.toml", "No such file")):
        command = [sys.executable, "-m", "edgeagent", "run", "--config", str(path)]
        refused = subprocess.run(command, capture_output=True, text=True, timeout=ENOUGH, check=False)
        assert refused.returncode == 2
        assert said in refused.stderr
