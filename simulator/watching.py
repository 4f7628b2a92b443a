"""The watch beside a simulated fleet: broker, enrolment, monitor, a chat robot, and real agents on some of the boxes.

Everything is started as on a real fleet, by the commands that a person types, with certificates and one-time tokens;
the cluster's supervisor keeps it, so it ends with the cluster.
"""

import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from edgeagent.outbox import Vitals
from edgeagent.wire import Address, GpuState, WorkloadState
from simulator.cluster import Cluster
from simulator.devices import Devices
from simulator.fleet import Box, Role, Site
from simulator.folder import naming
from simulator.joining import join_all
from simulator.machine import free_ports
from simulator.mqtt import Endpoint
from simulator.operating import NAMESPACE, search_path
from simulator.play import SCAN, VISION
from simulator.programs import LOOPBACK, Program
from simulator.progress import ClusterError, Report, Step
from simulator.robot import Robot
from simulator.starting import wait_until, write_secret

STARTING_SECONDS: Final = 60.0
COMMAND_SECONDS: Final = 60.0  # of one command; on an idle machine 1
BROKER: Final = "broker"
MONITOR: Final = "monitor"
ENROLMENT: Final = "enrolment"
MONITOR_ACCOUNT: Final = "edgefleet-monitor"
PORTS: Final = 3
WELL: Final = {
    Role.SCAN: Vitals({SCAN: WorkloadState.RUNNING}),
    Role.VISION: Vitals({VISION: WorkloadState.RUNNING}, {"L4": GpuState.OK}),
    Role.GATEWAY: Vitals(),
}
"""How a box is when nothing is wrong with it."""

Place = tuple[Site, Box]


@dataclass(frozen=True, slots=True)
class Watch:
    """What watches the fleet. Every call raises ClusterError where a program does not do its part."""

    cluster: Cluster
    robot: Robot
    folder: Path
    broker_port: int

    def tokens(self, boxes: Iterable[Place]) -> dict[str, str]:
        """Return a one-time token for each box, by its name."""
        names = [f"{site.name}/{box.name}" for site, box in boxes]
        told = json.loads(command("cloud", "enrol", *self._identity, "--output", "json", *names, place=self.folder))
        return {one["box"]: one["token"] for one in (told if isinstance(told, list) else [told])}

    def start_agents(self, boxes: Iterable[Place]) -> None:
        """Let these boxes join the fleet and start a real agent on each; returns when all are connected."""
        boxes = list(boxes)
        tokens = self.tokens(boxes)
        for site, box in boxes:
            self._join(site.name, box, tokens[box.name])
            self.start_agent(box.name)
        wait_until(
            lambda: all(self._is_connected(box.name) for _, box in boxes),
            "agents that are connected",
            STARTING_SECONDS,
            self.cluster.keeper,
        )

    def start_agent(self, box: str) -> None:
        """Start the agent of a box that has joined."""
        place = self.folder / box
        self.cluster.keeper.start(
            program(agent_name(box), place, "edgeagent", "run", "--config", str(config_of(place)))
        )

    def kill_agent(self, box: str) -> None:
        """End an agent in the middle of its work."""
        self.cluster.keeper.signal(agent_name(box), signal.SIGKILL)

    @contextmanager
    def devices(self, boxes: Iterable[Place], report: Report) -> Iterator[Devices]:
        """Let the other boxes join and simulate their agents, over the same uplinks; they live inside the block."""
        boxes = list(boxes)
        papers = join_all(self.tokens(boxes), self.folder / "devices", report)
        uplinks = {site.name: self._uplink(site.name) for site, _ in boxes}
        addresses = {box.name: Address(site.name, box.name) for site, box in boxes}
        devices = Devices(
            {addresses[name]: Endpoint(LOOPBACK, uplinks[addresses[name].site], tls) for name, tls in papers.items()},
            wholes={addresses[box.name]: WELL[box.role] for _, box in boxes},
        )
        devices.start()
        try:
            wait_until(
                lambda: devices.connected() == len(boxes),
                "simulated agents that are connected",
                STARTING_SECONDS,
                self.cluster.keeper,
            )
            yield devices
        finally:
            devices.stop()

    def _uplink(self, site: str) -> int:
        return self.cluster.open_target(site, "mqtt", f"{LOOPBACK}:{self.broker_port}")

    @property
    def _identity(self) -> tuple[str, str]:
        return "--folder", str(self.folder / "identity")

    def _join(self, site: str, box: Box, token: str) -> None:
        """Join as a person lets a box join; then it speaks over its site's own uplink."""
        place = self.folder / box.name
        place.mkdir()
        config = config_of(place)
        files = ("--identity", str(place / "identity"), "--config", str(config))
        command("edgeagent", "enrol", *files, place=place, given=token)
        link = tomllib.loads(config.read_text())["broker"]
        link["port"] = self._uplink(site)
        with naming(config):
            config.write_text(agent_settings(site, box, link, place / "state", free_ports(1)[0]))

    def _is_connected(self, box: str) -> bool:
        log = self.cluster.keeper.log_of(agent_name(box))
        return log.exists() and "connected: session" in log.read_text(errors="replace")


@contextmanager
def watching(cluster: Cluster, report: Report) -> Iterator[Watch]:
    """Start all that watches but the agents; inside the block the robot takes notices. Raises ClusterError."""
    folder = cluster.record.place.folder / "watch"
    with naming(folder):
        folder.mkdir()
    with Robot() as robot:
        report(Step("the broker"))
        port, cloud_port, enrolment_port = free_ports(PORTS)
        make_identity(folder, port, cloud_port, enrolment_port)
        broker = Program(BROKER, (mosquitto(), "-c", str(folder / "identity/broker/mosquitto.conf")), folder)
        cluster.keeper.start(broker)
        serve = ("identity", "serve", "--folder", str(folder / "identity"), "--listen", LOOPBACK)
        cluster.keeper.start(program(ENROLMENT, folder, "cloud", *serve))
        report(Step("the monitor"))
        access = cluster.kubeconfig_for(NAMESPACE, MONITOR_ACCOUNT, folder / "kubeconfig")
        cluster.keeper.start(monitor(folder, cloud_port, robot, access))
        wait_until(
            lambda: all(map(listens, (port, cloud_port, enrolment_port))),
            "broker and enrolment",
            STARTING_SECONDS,
            cluster.keeper,
        )
        yield Watch(cluster, robot, folder, port)


def make_identity(folder: Path, port: int, cloud_port: int, enrolment_port: int) -> None:
    """Make the fleet's authority and the broker's configuration, all of it on loopback."""
    data = folder / "broker-data"
    with naming(data):
        data.mkdir(mode=0o700)
    options = {
        "folder": folder / "identity",
        "host": LOOPBACK,
        "broker-port": port,
        "broker-cloud-port": cloud_port,
        "enrolment-port": enrolment_port,
        "broker-data": data,
        "broker-user": getpass.getuser(),
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command("cloud", "identity", "init", *words, place=folder)


def monitor(folder: Path, cloud_port: int, robot: Robot, access: Path) -> Program:
    """The monitor, which tells the robot of everything, and the cluster; its secrets stand in files."""
    write_secret(folder / "robot-url", robot.address)
    write_secret(folder / "robot-secret", robot.secret)
    with naming(folder / "alerts.yaml"):
        (folder / "alerts.yaml").write_text(yaml.safe_dump(alert_plan(folder, language())))
    identity = folder / "identity"
    env = {
        "EDGEFLEET_BROKER_HOST": LOOPBACK,
        "EDGEFLEET_BROKER_PORT": str(cloud_port),
        "EDGEFLEET_BROKER_CA": str(identity / "authority.crt"),
        "EDGEFLEET_BROKER_CERTIFICATE": str(identity / "monitor/monitor.crt"),
        "EDGEFLEET_BROKER_KEY": str(identity / "monitor/monitor.key"),
        "EDGEFLEET_STATE": str(folder / "monitor"),
        "EDGEFLEET_CLUSTER": "true",
        "KUBECONFIG": str(access),
    }
    return program(MONITOR, folder, "cloud", "monitor", "--plan", str(folder / "alerts.yaml"), env=env)


def alert_plan(folder: Path, spoken: str) -> dict[str, Any]:
    """One robot that is told of everything."""
    files = {"urlFile": str(folder / "robot-url"), "secretFile": str(folder / "robot-secret")}
    return {
        "channels": [{"name": "duty-robot", "kind": "DingTalk", "language": spoken, **files}],
        "receivers": [{"name": "duty", "channels": ["duty-robot"]}],
        "timeZone": "Asia/Shanghai",
    }


def language() -> str:
    """Chinese for whoever has set that, English for others."""
    named = next((os.environ[one] for one in ("LC_ALL", "LC_MESSAGES", "LANG") if os.environ.get(one)), "")
    return "zh" if named.startswith("zh") else "en"


def agent_settings(site: str, box: Box, link: Mapping[str, Any], state: Path, door: int) -> str:
    """The settings of an agent on loopback; a string of JSON is one of TOML."""
    top = {"site": site, "box": box.name, "roles": [box.role.value], "state": str(state), "lan": [LOOPBACK]}
    lines = [f"{name} = {json.dumps(value)}" for name, value in {**top, "lan_port": door}.items()]
    lines += ["", "[broker]", *(f"{name} = {json.dumps(value)}" for name, value in link.items())]
    return "\n".join(lines) + "\n"


def agent_name(box: str) -> str:
    """Of a box's agent in the supervisor, and of its log."""
    return f"agent/{box}"


def config_of(place: Path) -> Path:
    """The settings file of the agent that lives there."""
    return place / "agent.toml"


def program(name: str, folder: Path, module: str, *words: str, env: Mapping[str, str] | None = None) -> Program:
    """One of edgefleet's own programs."""
    return Program(name, (sys.executable, "-m", module, *words), folder, {**search_path(), **(env or {})})


def command(module: str, *words: str, place: Path, given: str = "") -> str:
    """Run a command of edgefleet to its end, as a person would; returns what it printed. Raises ClusterError."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, *words],
            cwd=place,
            env=os.environ | search_path(),
            input=given,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise ClusterError(
            f"{module} {words[0]} took more than {COMMAND_SECONDS:.0f} s: is the machine idle?"
        ) from late
    if done.returncode:
        raise ClusterError(f"{module} {words[0]}: {done.stderr.strip()}")
    return done.stdout


def mosquitto() -> str:
    """The broker's program. Raises ClusterError."""
    found = shutil.which("mosquitto", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
    if found is None:
        raise ClusterError("the broker mosquitto is not here: apt-get install mosquitto")
    return found


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((LOOPBACK, port)) == 0
