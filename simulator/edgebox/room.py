"""The outside of the room in which a real edge box lives: its own processes, mounts and network on this machine.

`python -m simulator.edgebox.room FOLDER BINARIES PORT=UPLINK ...` serves until its standard input ends. Whatever kills
it, the kernel then kills the room's process 1, with it everything in the room - the runtime's shims included, which
outlive any parent on purpose - and drops its mounts, interfaces and firewall rules with the last of them.

The room's loopback is its own: PORT there leads to UPLINK on this machine's.
"""

import contextlib
import ctypes
import functools
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

from simulator.edgebox import cgroups
from simulator.edgebox.settings import NODE_NETWORK
from simulator.programs import LOOPBACK
from simulator.supervise import LIBC, die_with

CLONE_NEWNET = 0x40000000
CONNECT_SECONDS = 10.0
NEW_NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child")


def main() -> int:
    """Serve the room until the near side is gone or the room ends by itself."""
    folder, binaries, *pairs = sys.argv[1:]
    ports = {int(near): int(far) for near, far in (pair.split("=") for pair in pairs)}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    group = f"{cgroups.PREFIX}{os.getpid()}"
    cgroups.remove_abandoned()
    cgroups.make(group)
    try:
        with own_network():
            listeners = {listen(near): far for near, far in ports.items()}
            process = start_init(folder, binaries)
        with alive(process) as init:
            for listener, far in listeners.items():
                threading.Thread(target=accept, args=(listener, far), daemon=True).start()
            select.select([sys.stdin, init], [], [])
    finally:
        cgroups.remove(group)
    return 0


@contextlib.contextmanager
def own_network() -> Iterator[None]:
    """Inside the block this thread is in a new network, with the box's address; what is opened there stays there."""
    outside = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    called(LIBC.unshare(CLONE_NEWNET))
    try:
        for words in ("link set lo up", f"address add {NODE_NETWORK}.1/32 dev lo"):
            subprocess.run(["busybox", "ip", *words.split()], check=True, timeout=10)  # noqa: S607 - the box's own
        yield
    finally:
        called(LIBC.setns(outside, CLONE_NEWNET))
        os.close(outside)


def called(result: int) -> None:
    """Raise what a call of the C library says went wrong."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{os.strerror(number)}: a real edge box needs namespaces, so root and no sandbox")


def listen(port: int) -> socket.socket:
    """A port of the room's loopback."""
    return socket.create_server((LOOPBACK, port), backlog=16)


def start_init(folder: str, binaries: str) -> subprocess.Popen[str]:
    """Start the room's process 1 in the network of this thread; its first line is its process id as seen from here."""
    search = os.pathsep.join(filter(None, sys.path))
    return subprocess.Popen(
        [*NEW_NAMESPACES, sys.executable, "-m", "simulator.edgebox.init", folder, binaries],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": search},
        preexec_fn=functools.partial(die_with, os.getpid()),  # noqa: PLW1509 - safe: no other thread runs yet
    )


@contextlib.contextmanager
def alive(process: subprocess.Popen[str]) -> Iterator[int]:
    """The room's process 1 as a file descriptor, readable once it has ended; after the block the room is gone."""
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise RuntimeError(f"the room's first process ended with {process.wait()}: its own words are above")
    init = os.pidfd_open(int(line))
    try:
        print(line, end="", flush=True)
        yield init
    finally:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(init, signal.SIGKILL)
        select.select([init], [], [])  # the kernel ends it after everything else in the room
        process.wait()


def accept(listener: socket.socket, far: int) -> None:
    """Carry each connection to a port on this machine's loopback, for as long as this process lives."""
    while True:
        near, _ = listener.accept()
        threading.Thread(target=carry, args=(near, far), daemon=True).start()


def carry(near: socket.socket, far: int) -> None:
    """Both directions of one connection; it ends as a whole."""
    with near, contextlib.suppress(OSError), socket.create_connection((LOOPBACK, far), CONNECT_SECONDS) as other:
        other.settimeout(None)  # how long silence may last is for the two ends to say
        back = threading.Thread(target=pump, args=(other, near), daemon=True)
        back.start()
        pump(near, other)
        back.join()


def pump(source: socket.socket, sink: socket.socket) -> None:
    """One direction, until it ends; then the sink hears of the end."""
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    sys.exit(main())
