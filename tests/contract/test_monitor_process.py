"""``edgefleet monitor`` as it is run: a plan, a broker, an agent, a robot that is told."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloud.alerts.notice import Delivery
from cloud.store.statefile import StateFile
from tests.contract.plainbroker import ENOUGH, MOSQUITTO, PlainBroker, until
from tests.contract.recorders import DingTalk, Recorder, Reply

pytestmark = pytest.mark.skipif(
    MOSQUITTO is None and not os.environ.get("CI"), reason="no mosquitto: apt-get install mosquitto"
)
PLAN = """
channels:
- name: robot
  kind: DingTalk
  urlFile: {folder}/url
  language: en
receivers:
- name: duty
  channels: [robot]
"""


class House:
    """All of it, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.robot = folder, DingTalk()
        self.server = Recorder(self.robot)
        self.broker = PlainBroker(folder)
        self.broker.start()
        (folder / "url").write_text(f"{self.server.address}/robot/send?access_token=t0ken\n")
        (folder / "alerts.yaml").write_text(PLAN.format(folder=folder))
        self.processes: list[subprocess.Popen[str]] = []

    def run(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], stderr=subprocess.PIPE, text=True, env=os.environ | environment
        )
        self.processes.append(process)
        return process

    def monitor(self) -> subprocess.Popen[str]:
        process = self.run(
            "cloud", "monitor", "--plan", str(self.folder / "alerts.yaml"),
            EDGEFLEET_BROKER_PORT=str(self.broker.port), EDGEFLEET_STATE=str(self.folder / "state"),
        )  # fmt: skip
        assert process.stderr
        until(lambda: "starting" in process.stderr.readline(), "the monitor starts")  # type: ignore[union-attr]
        return process

    def agent(self, box: str = "tc-001-scan-1") -> subprocess.Popen[str]:
        (self.folder / "agent.toml").write_text(
            f'site = "tc-001"\nbox = "{box}"\nstate = "{self.folder}/{box}"\nlan_port = 0\n'
            f'[broker]\nhost = "127.0.0.1"\nport = {self.broker.port}\n'
        )
        process = self.run("edgeagent", "run", "--config", str(self.folder / "agent.toml"))
        assert process.stderr
        until(lambda: "connected" in process.stderr.readline(), "the agent is connected")  # type: ignore[union-attr]
        return process

    @property
    def said(self) -> list[str]:
        return [one["markdown"]["title"] for one in self.robot.accepted]

    @property
    def untold(self) -> tuple[Delivery, ...]:
        return StateFile(self.folder / "state").load().untold

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait(ENOUGH)
            if process.stderr:
                process.stderr.close()
        self.broker.stop()
        self.server.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    one = House(tmp_path)
    yield one
    one.close()


def long(true: Callable[[], bool], what: str) -> None:
    """Wait as long as a monitor needs that has just started: until it believes its ears, and a silence."""
    for _ in range(3):
        try:
            until(true, what)
        except AssertionError:
            continue
        return
    raise AssertionError(what)


def test_a_fault_is_told_once_though_monitors_are_killed_and_the_robot_is_away(house: House) -> None:
    monitor, agent = house.monitor(), house.agent()
    agent.kill()
    dead = "[WARNING] The agent on box tc-001-scan-1 at tc-001 is down"
    silent = "[CRITICAL] Box tc-001-scan-1 at tc-001 is silent"
    house.server.next_ones = [Reply(503)] * 2
    long(lambda: bool(house.server.next_ones) is False, "the robot was asked")
    monitor.kill()
    monitor.wait(ENOUGH)
    monitor = house.monitor()
    long(lambda: len(house.said) == 1, "the robot is told")
    assert house.said[0] in {dead, silent}
    until(lambda: house.untold == (), "that is known")
    monitor.kill()
    monitor.wait(ENOUGH)
    monitor = house.monitor()
    house.agent()
    long(lambda: len(house.said) == 2, "its end is told")
    assert house.said[1].startswith("[RESOLVED]")
    monitor.send_signal(signal.SIGTERM)
    assert monitor.wait(ENOUGH) == 0
    assert len(house.said) == 2
    assert monitor.stderr
    logged = monitor.stderr.read()
    assert "resolved" in logged
    assert "t0ken" not in logged


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ("channels: [", "not YAML"),
        ("channels:\n- name: x\n", "channels.0.kind"),
        ("receivers:\n- {name: duty, channels: [robot]}\n", "names channel 'robot', which is none"),
        ("channels:\n- {name: r, kind: Slack, urlFile: /nowhere/url}\n", "/nowhere/url: No such file"),
        ("a: 1\n---\nb: 2\n", "holds 2 documents"),
        (None, "No such file"),
    ],
)
def test_a_plan_that_cannot_work_is_told_before_anything_starts(tmp_path: Path, plan: str | None, said: str) -> None:
    path = tmp_path / "alerts.yaml"
    if plan is not None:
        path.write_text(plan)
    command = [sys.executable, "-m", "cloud", "monitor", "--plan", str(path), "--check"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert said in refused.stderr
    assert str(path) in refused.stderr or "/nowhere" in refused.stderr


def test_the_sample_is_a_plan_whose_files_are_missing_here() -> None:
    sample = Path(__file__).parents[2] / "manifests/samples/monitor/alerts.yaml"
    command = [sys.executable, "-m", "cloud", "monitor", "--plan", str(sample), "--check"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert refused.stderr == (
        "edgefleet monitor: channel 'duty-robot': /run/secrets/dingtalk-secret: No such file or directory; "
        "channel 'duty-robot': /run/secrets/dingtalk-url: No such file or directory\n"
    )


def test_settings_that_do_not_fit_together_are_told(tmp_path: Path) -> None:
    for environment, said in (
        ({"EDGEFLEET_REPLICA": "2", "EDGEFLEET_REPLICAS": "2"}, "EDGEFLEET_REPLICA: must be below"),
        ({"EDGEFLEET_BROKER_PORT": "0", "EDGEFLEET_REPLICAS": "0"}, "EDGEFLEET_BROKER_PORT"),
        ({"EDGEFLEET_BROKER_KEY": "k"}, "set both, or neither"),
    ):
        refused = subprocess.run(
            [sys.executable, "-m", "cloud", "monitor", "--check"], capture_output=True, text=True, timeout=60,
            check=False, env=os.environ | environment, cwd=tmp_path if "PYTHONPATH" in os.environ else None,
        )  # fmt: skip
        assert refused.returncode == 2
        assert said in refused.stderr
