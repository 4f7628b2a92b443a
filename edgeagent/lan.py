"""Looks for other boxes of the site, and answers those that look for this one: is it the machine, or only its way out.

The agent answers a datagram; its kernel answers a connection to the same port also while the agent hangs, and refuses
one when no agent is there. A machine without power answers neither.
"""

import contextlib
import errno
import selectors
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Final

from edgeagent.wire import Finding

ASK_AGAIN: Final = 0.06
"""Seconds between two datagrams to a neighbour: one may get lost."""
_HELLO: Final = b"edgefleet? "
_HERE: Final = b"edgefleet! "
_LONGEST: Final = 64
_SIX: Final = 6
_ANSWERS: Final = frozenset({0, errno.ECONNREFUSED})
"""What a connection ends with where a machine is."""


class Door:
    """Answers neighbours at one port, in a thread of its own. ``port`` 0: the kernel chooses one."""

    def __init__(self, port: int, host: str = "") -> None:
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._tcp.bind((host, port))
            self._udp.bind((host, self._tcp.getsockname()[1]))
            self._tcp.listen(16)
        except OSError:
            self._udp.close()
            self._tcp.close()
            raise
        self.port: int = self._tcp.getsockname()[1]
        self._stopping, self._bell = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="door", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer nobody any more."""
        self._bell.close()
        self._thread.join(1.0)

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector, self._udp, self._tcp, self._stopping:
            for one in (self._udp, self._tcp, self._stopping):
                one.setblocking(False)  # noqa: FBT003 - the socket module has no other way
                selector.register(one, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if self._stopping in ready:
                    return
                with contextlib.suppress(OSError):
                    if self._udp in ready:
                        self._answer()
                    if self._tcp in ready:
                        self._tcp.accept()[0].close()

    def _answer(self) -> None:
        question, asker = self._udp.recvfrom(_LONGEST + 1)
        if question.startswith(_HELLO) and len(question) <= _LONGEST:
            self._udp.sendto(_HERE + question.removeprefix(_HELLO), asker)  # as long as the question: no amplifier


def look(addresses: Sequence[str], port: int, within: float, word: bytes) -> Finding:
    """Return what is found at any of these IP addresses in so many seconds; the best news wins.

    ``word`` comes back with a true answer; it must be one that nobody guesses.
    """
    deadline, asked, found = time.monotonic() + within, float("-inf"), Finding.NOTHING
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        for probe in _probes(addresses, port, stack):
            selector.register(probe, selectors.EVENT_READ if _is_datagram(probe) else selectors.EVENT_WRITE)
        while (now := time.monotonic()) < deadline and selector.get_map():
            if now >= asked + ASK_AGAIN:
                _ask([probe for key in selector.get_map().values() if _is_datagram(probe := _probe(key))], word)
                asked = now
            for key, _ in selector.select(min(asked + ASK_AGAIN, deadline) - now):
                news = _news(_probe(key), word)
                if news is Finding.AGENT:
                    return news
                if news is not None:
                    found = max(found, news, key=_BETTER.index)
                    selector.unregister(key.fileobj)
    return found


_BETTER: Final = (Finding.NOTHING, Finding.MACHINE, Finding.AGENT)


def _probes(addresses: Sequence[str], port: int, stack: contextlib.ExitStack) -> Iterator[socket.socket]:
    """Yield a datagram socket and a connection on its way for each address; names are none, for they may block."""
    for address in addresses:
        with contextlib.suppress(ValueError, OSError):
            family = socket.AF_INET6 if ip_address(address).version == _SIX else socket.AF_INET
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                probe = stack.enter_context(socket.socket(family, kind))
                probe.setblocking(False)  # noqa: FBT003 - the socket module has no other way
                if probe.connect_ex((address, port)) in {0, errno.EINPROGRESS, errno.ECONNREFUSED}:
                    yield probe


def _ask(probes: Sequence[socket.socket], word: bytes) -> None:
    for probe in probes:
        with contextlib.suppress(OSError):  # a refusal of the datagram before: it is read in its turn
            probe.send(_HELLO + word)


def _news(probe: socket.socket, word: bytes) -> Finding | None:
    """Return what a probe has found for good; None: nothing yet."""
    if not _is_datagram(probe):
        ended = probe.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return Finding.MACHINE if ended in _ANSWERS else Finding.NOTHING
    try:
        return Finding.AGENT if probe.recv(_LONGEST + 1) == _HERE + word else None
    except OSError as refused:
        return Finding.MACHINE if refused.errno == errno.ECONNREFUSED else Finding.NOTHING


def _is_datagram(probe: socket.socket) -> bool:
    return probe.type == socket.SOCK_DGRAM


def _probe(key: selectors.SelectorKey) -> socket.socket:
    assert isinstance(key.fileobj, socket.socket)  # noqa: S101 - only these are registered
    return key.fileobj
