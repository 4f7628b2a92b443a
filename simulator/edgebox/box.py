"""One real edge box on this machine: KubeEdge's edgecore, containerd and runc, in a room of their own (room.py).

    with EdgeBox(folder, place, site, Box("tc-001-scan-1"), uplink, token).on() as box:
        box.kill("edgecore")
        box.run("ctr", "-n", "k8s.io", "tasks", "ls")
        box.start("edgecore")

It joins through its site's uplink, which the cluster cuts and heals like any other. Needs root and the Debian packages
that `lacking` names. Everything ends with this process.
"""

import contextlib
import json
import os
import platform
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import simulator
from simulator.edgebox import cgroups, settings
from simulator.edgebox.images import archive, busybox_image
from simulator.fleet import Box, Site
from simulator.keeper import Keeper
from simulator.machine import NotEnoughError
from simulator.programs import Place, Uplink
from simulator.starting import wait_until

BOOT_SECONDS = 30.0
RUN_SECONDS = 20.0
TREE = Path(simulator.__file__).parent.parent
OVERLAY_TRIAL = """cd /var/lib && mkdir -p trial/upper trial/work trial/merged &&
mount -t overlay trial -o lowerdir=/bin,upperdir=trial/upper,workdir=trial/work trial/merged && umount trial/merged"""
CNI_FOLDERS = ("/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni")
PROGRAMS = {  # and the Debian package that brings it
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
}


class BoxError(RuntimeError):
    """A program on the box failed; the text names it and has its own words."""


def lacking() -> list[str]:
    """What this machine lacks for a real edge box, each as a sentence with the next step; empty: nothing."""
    missing = sorted({package for program, package in PROGRAMS.items() if not shutil.which(program)})
    missing += [] if cni_folder() else ["containernetworking-plugins"]
    missing += [] if static_busybox() else ["busybox-static"]
    said = [f"Debian packages are missing: apt-get install {' '.join(missing)}"] if missing else []
    if os.geteuid() != 0:
        said.append("it needs root, for namespaces and containers: run as root")
    elif problem := cgroups.unusable():
        said.append(f"{problem}: run where they are")
    return said


def cni_folder() -> Path | None:
    """Where the plugins of the pod network are."""
    wanted = ("ptp", "host-local", "portmap", "loopback")
    return next((Path(one) for one in CNI_FOLDERS if all(Path(one, name).exists() for name in wanted)), None)


def static_busybox() -> bytes | None:
    """The program inside our images; None: there is none, or one that needs libraries."""
    found = shutil.which("busybox")
    program = Path(found).read_bytes() if found else b""
    return program if program and b"/ld-" not in program[:4096] else None  # the loader's path lies in the head


@dataclass(slots=True)
class EdgeBox:
    """A box that is switched on; calls are for one thread at a time, except run()."""

    folder: Path  # its disk and its logs
    place: Place  # the cluster it belongs to
    site: Site
    box: Box
    uplink: Uplink
    token: str  # with which it enrols while it has no certificate
    ports: Mapping[int, int] = field(default_factory=dict)  # further ports of its loopback, and where on ours they lead
    _room: subprocess.Popen[str] | None = None  # None: switched off
    _init: int = 0  # process id of the room's process 1

    @property
    def keeper(self) -> Keeper:
        """Starts, kills and lists the programs inside."""
        return Keeper(self.folder)

    @property
    def cgroup(self) -> str:
        """Under which all its containers are."""
        return f"{cgroups.PREFIX}{self._room.pid if self._room else 0}"

    @contextlib.contextmanager
    def on(self) -> Iterator[Self]:
        """Switched on inside the block."""
        self.power_on()
        try:
            yield self
        finally:
            self.power_off()

    def power_on(self) -> None:
        """Boot; returns when edgecore is running. Raises NotEnoughError where the machine cannot, or BoxError."""
        if problems := lacking():
            raise NotEnoughError(f"no real edge box here: {'; '.join(problems)}")
        (self.folder / "logs").mkdir(parents=True, exist_ok=True)
        try:
            self._enter()
            self._configure()
            self.start("containerd")
            wait_until(lambda: self._answers("ctr", "version"), "containerd", BOOT_SECONDS, self.keeper)
            self._import_pause()
            self.start("edgecore")
        except BaseException:
            self.power_off()
            raise

    def power_off(self) -> None:
        """Pull the plug: everything in it is gone when this returns, but for its disk."""
        if self._room is None:
            return
        self._room.send_signal(signal.SIGTERM)
        self._room.communicate(timeout=BOOT_SECONDS)
        self._room = None

    def wipe(self) -> None:
        """A new disk, as re-imaging makes it: no database, no certificate, no image. Only while switched off."""
        shutil.rmtree(self.folder / "disk")

    def kill(self, program: str) -> None:
        """End "edgecore" or "containerd" as kill -9 does; its containers live on."""
        self.keeper.signal(program, signal.SIGKILL)

    def start(self, program: str) -> None:
        """Start one of them: at boot, or again after a kill."""
        edgecore = self.place.programs["edgecore"]
        self.keeper.start({"containerd": settings.containerd(), "edgecore": settings.edgecore(edgecore)}[program])

    def run(self, *argv: str, seconds: float = RUN_SECONDS) -> str:
        """Run a program inside and return what it printed; raises BoxError with its own words."""
        entered = ["nsenter", "--target", str(self._init), "--mount", "--net", "--pid", "--", *argv]
        try:
            done = subprocess.run(
                entered, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL, check=False
            )
        except subprocess.TimeoutExpired:
            raise BoxError(f"{argv[0]} on {self.box.name}: no end within {seconds:.0f} s") from None
        if done.returncode:
            raise BoxError(f"{argv[0]} on {self.box.name} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def _answers(self, *argv: str) -> bool:
        try:
            self.run(*argv)
        except BoxError:
            return False
        return True

    def _enter(self) -> None:
        """Make the room and wait until its supervisor answers."""
        pairs = {self.uplink.hub: self.uplink.hub, self.uplink.enrol: self.uplink.enrol, **self.ports}
        seen = (self.folder, self.place.programs["edgecore"].parent)
        argv = [sys.executable, "-m", "simulator.edgebox.room", *map(str, seen)]
        search = os.pathsep.join(filter(None, [str(TREE), os.environ.get("PYTHONPATH")]))
        with (self.folder / "logs" / "room.log").open("ab") as log:
            self._room = subprocess.Popen(
                [*argv, *(f"{near}={far}" for near, far in pairs.items())],
                stdin=subprocess.PIPE,  # its end, which the end of this process brings, is the room's
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=os.environ | {"PYTHONPATH": search},
                start_new_session=True,  # Ctrl-C on the terminal is ours to hear, not its
            )
        told = self._room.stdout
        line = told.readline() if told and select.select([told], [], [], BOOT_SECONDS)[0] else ""
        if not line:
            raise BoxError(f"the room of {self.box.name} was not made: read {self.keeper.log_of('room')}")
        self._init = int(line)

    def _configure(self) -> None:
        """Write what the programs read; the token is of use only while the box has no certificate."""
        home = self.folder / "disk" / Path(settings.HOME).relative_to("/var")
        (home / "cni").mkdir(parents=True, exist_ok=True)
        (home / "cni" / "10-pods.conflist").write_text(settings.network_config())
        snapshotter = "overlayfs" if self._answers("sh", "-c", OVERLAY_TRIAL) else "native"
        (home / "containerd.toml").write_text(settings.containerd_config(str(cni_folder()), snapshotter))
        config = settings.node_config(self.place, self.site, self.box, self.uplink, self.cgroup)
        config["modules"]["edgeHub"]["token"] = self.token
        path = home / "edgecore.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(config, indent=1))

    def _import_pause(self) -> None:
        """The program that holds a pod's network; imported, so that no registry is needed for it."""
        pause = busybox_image(static_busybox() or b"", platform.machine(), ("sleep", "2147483647"))
        path = self.folder / "disk" / "lib" / "pause.tar"
        path.write_bytes(archive(pause, settings.PAUSE))
        self.run("ctr", "-n", "k8s.io", "images", "import", "/var/lib/pause.tar")
