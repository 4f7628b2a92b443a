"""What this machine must lend a cluster: ports, watches, memory."""

import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path

from simulator.progress import ClusterError

INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_PER_BOX = 1  # the kubelet's watch of its static pods
INOTIFY_SPARE = 40  # what the rest of the machine holds, the control plane included
INOTIFY_ROOMY = 8192
BELOW_EPHEMERAL = range(15000, 32000)  # outgoing connections get theirs from 32768 on: none is snatched in between


class NotEnoughError(ClusterError):
    """The machine cannot carry the cluster; the text says what is missing and what to do."""


def free_ports(count: int) -> list[int]:
    """So many ports of 127.0.0.1 on which nobody listens; held together while searching, so all are different."""
    held: list[socket.socket] = []
    try:
        for port in shuffled(BELOW_EPHEMERAL):
            if len(held) == count:
                return [one.getsockname()[1] for one in held]
            candidate = socket.socket()
            try:
                candidate.bind(("127.0.0.1", port))
                held.append(candidate)
            except OSError:
                candidate.close()
        raise NotEnoughError(f"only {len(held)} of {count} ports are free between 15000 and 32000: stop other clusters")
    finally:
        for one in held:
            one.close()


def shuffled(ports: range) -> Iterator[int]:
    """Each port once, in an order that no other cluster on this machine shares."""
    return iter(random.sample(ports, len(ports)))


def make_room_for_watches(boxes: int) -> str | None:
    """See that each box can watch its files; returns what was changed, None when nothing had to be.

    Raises NotEnoughError when more are needed and this user may not raise the limit.
    """
    needed = boxes * INOTIFY_PER_BOX + INOTIFY_SPARE
    allowed = int(INOTIFY.read_text())
    if allowed >= needed:
        return None
    if os.geteuid() == 0:
        try:
            INOTIFY.write_text(str(INOTIFY_ROOMY))
        except OSError:
            pass
        else:
            return f"fs.inotify.max_user_instances raised from {allowed} to {INOTIFY_ROOMY} (until the next boot)"
    raise NotEnoughError(
        f"fs.inotify.max_user_instances is {allowed}, and {boxes} boxes need {needed}: "
        f"run `sudo sysctl fs.inotify.max_user_instances={INOTIFY_ROOMY}`"
    )
