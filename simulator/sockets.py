"""Unix sockets in folders of any length, and questions of one JSON line over them.

A socket's address is limited to 108 bytes; going through /proc/self/fd it is short whatever the folder is called.
"""

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simulator.progress import ClusterError

ASK_SECONDS = 30.0


class NotAnsweringError(ClusterError):
    """Nobody answers on the socket: the process that should is gone."""


@contextlib.contextmanager
def short_address(path: Path) -> Iterator[str]:
    """An address of the socket that is short enough, valid inside the block."""
    folder = os.open(path.parent, os.O_DIRECTORY | os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


@contextlib.contextmanager
def bound(path: Path) -> Iterator[socket.socket]:
    """A listening socket at the path, for this user only."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        with short_address(path) as address:
            listener.bind(address)
        path.chmod(0o600)
        listener.listen(16)
        yield listener


def ask(path: Path, question: dict[str, Any], seconds: float = ASK_SECONDS) -> dict[str, Any]:
    """Send one line and read one; raises NotAnsweringError, or ClusterError with the answer's own error text."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection, short_address(path) as address:
            connection.settimeout(seconds)
            connection.connect(address)
            connection.sendall(json.dumps(question).encode() + b"\n")
            line = connection.makefile("rb").readline()
    except OSError as problem:
        raise NotAnsweringError(f"{path}: {problem}") from problem
    if not line:
        raise NotAnsweringError(f"{path}: the connection ended without an answer")
    answer: dict[str, Any] = json.loads(line)
    if error := answer.get("error"):
        raise ClusterError(error)
    return answer
