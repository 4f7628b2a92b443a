"""What this machine must lend a cluster: ports, watches, an address."""

import atexit
import contextlib
import ipaddress
import os
import random
import socket
from collections import deque
from collections.abc import Collection
from itertools import islice
from pathlib import Path

from simulator.progress import ClusterError

INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_PER_BOX = 1  # the kubelet's watch of its static pods
INOTIFY_SPARE = 40  # what the rest of the machine holds, the control plane included
INOTIFY_ROOMY = 8192
BELOW_EPHEMERAL = range(15000, 32000)  # outgoing connections get theirs from 32768 on: none is snatched in between
MOST_RESERVED = 512  # of a process; a user's usual limit is 1024 open files
ROUTES = (Path("/proc/net/route"), Path("/proc/net/ipv6_route"))
MAKE_ROUTE = (
    "`ip link add dummy0 type dummy; ip addr add 198.51.100.1/24 dev dummy0; ip link set dummy0 up; "
    "ip route add default dev dummy0 metric 9999` as root"
)
RESERVED: deque[socket.socket] = deque()  # oldest first


class NotEnoughError(ClusterError):
    """The machine cannot carry the cluster; the text says what is missing and what to do."""


def free_ports(count: int, but: Collection[int] = ()) -> list[int]:
    """So many ports of 127.0.0.1 on which nobody listens, and which no other cluster of this machine is given.

    ``but`` are not given either: those of boxes that are switched off. A port is kept for whom it was found, until this
    process ends or has found ``MOST_RESERVED`` more: it stays bound, and only a program that sets SO_REUSEADDR before
    it listens can have it, as Go's, asyncio's and http.server's all do.
    """
    shuffled = random.sample(BELOW_EPHEMERAL, len(BELOW_EPHEMERAL))
    bound = filter(None, map(bound_to, (port for port in shuffled if port not in but)))
    found = list(islice(bound, count))
    RESERVED.extend(found)
    if len(found) < count:
        raise NotEnoughError(
            f"only {len(found)} of {count} ports are free between 15000 and 32000: stop other clusters"
        )
    ports: list[int] = [one.getsockname()[1] for one in found]
    while len(RESERVED) > MOST_RESERVED:
        RESERVED.popleft().close()
    return ports


def network_of(port: int) -> str:
    """The /24 block of addresses that goes with a box's port: as the port is the box's alone, so is the block."""
    block = port - BELOW_EPHEMERAL.start
    return f"127.{64 + block // 256}.{block % 256}"


def bound_to(port: int) -> socket.socket | None:
    """A socket that keeps the port from all who do not know of it; None: somebody has it."""
    candidate = socket.socket()
    try:
        candidate.bind(("127.0.0.1", port))
    except OSError:
        candidate.close()
        return None
    candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return candidate


def need_address() -> None:
    """Raise NotEnoughError where KubeEdge finds no address for itself, without which its cloudcore enrols no box.

    It takes that of the interface of a default route, else what the machine's own name stands for. No setting of it
    says another (kubeedge/pkg/util, GetLocalIP).
    """
    if default_route(*(path.read_text() if path.exists() else "" for path in ROUTES)) or own_name_is_an_address():
        return
    raise NotEnoughError(f"no default route: KubeEdge needs one, though nothing goes over it; for example {MAKE_ROUTE}")


def default_route(four: str, six: str) -> bool:
    """Whether the kernel's tables of IPv4 and IPv6 routes have a default one; an IPv6 one has to have a gateway."""
    nothing = "0" * 32
    if any(line.split()[1] == nothing[:8] for line in four.splitlines()[1:]):
        return True
    fields = [line.split() for line in six.splitlines()]
    return any(one[0] == nothing and one[1] == "00" and one[4] != nothing for one in fields)


def own_name_is_an_address() -> bool:
    """Whether the host name leads to an address of this machine that others could use as well."""
    try:
        found = socket.getaddrinfo(socket.gethostname(), 0, type=socket.SOCK_DGRAM)
    except OSError:
        return False
    for family, kind, protocol, _, address in found:
        plain = ipaddress.ip_address(str(address[0]).partition("%")[0])
        if plain.is_loopback or plain.is_link_local or plain.is_unspecified:
            continue
        with socket.socket(family, kind, protocol) as probe, contextlib.suppress(OSError):
            probe.bind(address)
            return True
    return False


@atexit.register
def let_go() -> None:
    """Give back every port that is still kept."""
    while RESERVED:
        RESERVED.popleft().close()


def make_room_for_watches(boxes: int) -> str | None:
    """See that each box can watch its files; returns what was changed, None when nothing had to be.

    Root makes room for other clusters on the machine as well. Raises NotEnoughError when more are needed for this one
    and this user may not raise the limit.
    """
    needed = boxes * INOTIFY_PER_BOX + INOTIFY_SPARE
    roomy, allowed = max(needed, INOTIFY_ROOMY), int(INOTIFY.read_text())
    if allowed < roomy and os.geteuid() == 0:
        with contextlib.suppress(OSError):
            INOTIFY.write_text(str(roomy))
            return f"fs.inotify.max_user_instances raised from {allowed} to {roomy} (until the next boot)"
    if allowed >= needed:
        return None
    raise NotEnoughError(
        f"fs.inotify.max_user_instances is {allowed}, and {boxes} boxes need {needed}: "
        f"run `sudo sysctl fs.inotify.max_user_instances={roomy}`"
    )
