"""The near side of the supervisor process: spawn it, end it, ask it to start, signal and list a cluster's programs."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import simulator
from simulator.folder import shortage
from simulator.programs import Program
from simulator.progress import ClusterError
from simulator.sockets import NotAnsweringError, ask
from simulator.supervise import SOCKET

SPAWN_SECONDS = 20.0
OF_BOXES = ("box/", "agent/")  # how the names of programs on boxes begin
KEPT_ENVIRONMENT = ("PATH", "LANG", "LC_ALL")  # no proxies, no KUBECONFIG, no settings of the user


@dataclass(frozen=True, slots=True)
class Ended:
    """A program that is not running any more; `code` is negative for a signal, as in subprocess."""

    name: str
    code: int


@dataclass(frozen=True, slots=True)
class Keeper:
    """The supervisor of the cluster in `folder`."""

    folder: Path

    @property
    def socket(self) -> Path:
        """Where the supervisor listens."""
        return self.folder / SOCKET

    def is_alive(self) -> bool:
        """Whether a supervisor answers, that is: whether a cluster is up in this folder."""
        try:
            ask(self.socket, {"op": "list"}, seconds=5)
        except NotAnsweringError:
            return False
        return True

    def start(self, program: Program) -> None:
        """Start a program in its folder, in which its temporary files are too; its output is appended to its log."""
        log = self.log_of(program.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        kept = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
        ask(
            self.socket,
            {
                "op": "start",
                "name": program.name,
                "argv": list(program.argv),
                "env": {**kept, "HOME": str(program.folder), **program.env},
                "cwd": str(program.folder),
                "log": str(log),
            },
        )

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal; after SIGKILL the program is gone when this returns."""
        ask(self.socket, {"op": "signal", "name": name, "signal": int(number)})

    def ended(self) -> list[Ended]:
        """Programs that were started and run no more."""
        listed = ask(self.socket, {"op": "list"})["processes"]
        return [Ended(name, one["code"]) for name, one in listed.items() if one["code"] is not None]

    def fallen(self) -> list[Ended]:
        """Those among them that must not end: all but boxes and agents, whose end is part of the play."""
        return [one for one in self.ended() if not one.name.startswith(OF_BOXES)]

    def pids(self) -> dict[str, int]:
        """Process ids of the programs that run."""
        listed = ask(self.socket, {"op": "list"})["processes"]
        return {name: one["pid"] for name, one in listed.items() if one["code"] is None}

    def let_go(self) -> None:
        """Let the supervisor live on without the process that spawned it."""
        ask(self.socket, {"op": "let-go"})

    def shut_down(self) -> None:
        """Kill every program and end the supervisor; nothing runs any more when this returns."""
        ask(self.socket, {"op": "shutdown"})

    def log_of(self, name: str) -> Path:
        """Where a program writes."""
        return self.folder / "logs" / f"{name}.log"


def spawn(folder: Path, *, passing: bool = False) -> tuple[Keeper, subprocess.Popen[bytes]]:
    """Start a supervisor for the folder.

    Until it is let go it lives no longer than the process returned keeps its standard input open, which the end of
    this process closes whatever the end is; of a `passing` cluster it then takes the folder with it.
    """
    package = Path(simulator.__file__).parent.parent
    search = os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH")]))
    argv = [sys.executable, "-m", "simulator.supervise", str(folder), *(["passing"] if passing else [])]
    with (folder / "logs" / "supervisor.log").open("ab") as log:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=os.environ | {"PYTHONPATH": search},
            start_new_session=True,  # Ctrl-C on the terminal is ours to hear, not its
        )
    keeper = Keeper(folder)
    deadline = time.monotonic() + SPAWN_SECONDS
    while not keeper.is_alive():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            log_at = folder / "logs" / "supervisor.log"
            raise ClusterError(f"{shortage(folder)}the supervisor did not start: read {log_at}")
        time.sleep(0.02)
    return keeper, process


def end(keeper: Keeper, supervisor: subprocess.Popen[bytes] | None) -> None:
    """Stop the programs and their supervisor, even one that does not answer."""
    with contextlib.suppress(NotAnsweringError):
        keeper.shut_down()
    if supervisor is None:
        return
    if supervisor.stdin is not None:
        supervisor.stdin.close()
    try:
        supervisor.wait(timeout=30)
    except subprocess.TimeoutExpired:
        supervisor.kill()
        supervisor.wait()
