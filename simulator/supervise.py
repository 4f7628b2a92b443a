"""The keeper of a cluster's processes: starts, signals and reaps them, and lets none outlive the cluster.

`python -m simulator.supervise FOLDER [passing]` listens on FOLDER/supervisor.sock, one JSON request a connection:

    {"op": "start", "name", "argv", "env", "cwd", "log"} · {"op": "signal", "name", "signal"} · {"op": "list"}
    {"op": "let-go"} · {"op": "shutdown"}

Nothing is left behind, whoever dies: standard input is a pipe from the parent, whose end means that the parent is gone,
unless it has let go before, which it does once a cluster is up that is to outlive it; and each child asks the kernel to
kill it when this process dies. The kernel takes that to mean the *thread* that forked, so everything
here happens in the main thread. A child's temporary files are in its working directory. Where all of it is `passing`,
FOLDER goes too when the parent is gone, for then nobody else takes it away.
"""

import contextlib
import ctypes
import functools
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from simulator.sockets import bound

SOCKET = "supervisor.sock"
REQUEST_SECONDS = 5.0  # a client that does not send its line in time is dropped
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def main() -> int:
    """Serve until told to shut down, or until the parent is gone; then kill everything."""
    folder, passing = Path(sys.argv[1]), sys.argv[2:] == ["passing"]
    orphaned = False
    keeper = Keeper([sys.stdin])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with bound(folder / SOCKET) as listener:
        try:
            orphaned = serve(listener, keeper)
        finally:
            keeper.kill_all()
            (folder / SOCKET).unlink(missing_ok=True)
    if orphaned and passing:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def serve(listener: socket.socket, keeper: "Keeper") -> bool:
    """Answer one request after the other, each short, until the end; returns whether that is the parent's."""
    while True:
        ready, _, _ = select.select([listener, *keeper.lifeline], [], [])
        if listener not in ready:
            return True
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.settimeout(REQUEST_SECONDS)
            asked = json.loads(connection.makefile("rb").readline() or b"{}")
            connection.sendall(json.dumps(keeper.obey(asked)).encode() + b"\n")
            if asked.get("op") == "shutdown":
                return False


class Keeper:
    """The children by name; a name can be started again once its process has ended."""

    def __init__(self, lifeline: list[Any]) -> None:
        self.lifeline = lifeline  # what comes to its end with the parent; empty: this lives on without
        self.children: dict[str, subprocess.Popen[bytes]] = {}

    def obey(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked; the answer carries `error` when it could not be done."""
        try:
            match asked.get("op"):
                case "start":
                    return self.start(asked)
                case "signal":
                    return self.signal(asked["name"], asked["signal"])
                case "list":
                    return {"processes": {name: vars_of(child) for name, child in self.children.items()}}
                case "let-go":
                    self.lifeline = []
                    return {}
                case "shutdown":
                    self.kill_all()
                    return {}
                case other:
                    return {"error": f"op {other!r} is unknown"}
        except (OSError, KeyError) as problem:
            return {"error": f"{asked.get('op')} {asked.get('name')}: {problem}"}

    def start(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Start a child; its output is appended to the log file."""
        name = asked["name"]
        if name in self.children and self.children[name].poll() is None:
            return {"error": f"{name} is running already: stop it first"}
        temporary = Path(asked["cwd"]) / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        with Path(asked["log"]).open("ab") as log:
            self.children[name] = subprocess.Popen(
                asked["argv"],
                env={"TMPDIR": str(temporary), **asked["env"]},
                cwd=asked["cwd"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=functools.partial(die_with, os.getpid()),  # noqa: PLW1509 - safe: this process has one thread
            )
        return vars_of(self.children[name])

    def signal(self, name: str, number: int) -> dict[str, Any]:
        """Send a signal; after SIGKILL the child is gone when this returns."""
        child = self.children[name]
        child.send_signal(number)
        if number == signal.SIGKILL:
            child.wait()
        return vars_of(child)

    def kill_all(self) -> None:
        """Kill every child, newest first, and wait until each is gone."""
        for child in reversed(self.children.values()):
            child.kill()
        for child in self.children.values():
            child.wait()


def vars_of(child: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What a client is told of a child; `code` is None while it runs."""
    return {"pid": child.pid, "code": child.poll()}


def die_with(parent: int) -> None:
    """Runs in the child before it becomes its program."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died before the line above
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
