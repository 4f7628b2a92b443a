"""What a box finds when it looks for its neighbour, on real sockets: an agent, only a machine, or nothing."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from edgeagent.lan import Door, look
from edgeagent.wire import Finding
from tests.contract.plainbroker import until

ENOUGH = 5.0  # seconds; nothing is measured here
SHORT = 0.2  # seconds in which nothing is found
HERE = ["127.0.0.1"]


@pytest.fixture
def door() -> Iterator[Door]:
    one = Door(0, "127.0.0.1")
    yield one
    one.close()


@contextmanager
def free_port() -> Iterator[int]:
    """A port at which nobody answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_an_agent_that_answers_is_found(door: Door) -> None:
    assert look(HERE, door.port, ENOUGH, b"word") is Finding.AGENT
    assert look(["127.0.0.1", "no address"], door.port, ENOUGH, b"word") is Finding.AGENT


def test_a_machine_without_an_agent_is_found() -> None:
    with free_port() as port:
        assert look(HERE, port, SHORT, b"word") is Finding.MACHINE


def test_an_agent_that_hangs_is_a_machine() -> None:
    program = "import time, edgeagent.lan as x; print(x.Door(0, '127.0.0.1').port, flush=True); time.sleep(99)"
    with ExitStack() as stack:
        command = [sys.executable, "-c", program]
        agent = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()))
        stack.callback(agent.kill)
        assert agent.stdout
        port = int(agent.stdout.readline())
        assert look(HERE, port, ENOUGH, b"word") is Finding.AGENT
        agent.send_signal(signal.SIGSTOP)
        until(lambda: stopped(agent.pid), "the agent stands still")
        assert look(HERE, port, SHORT, b"word") is Finding.MACHINE


def stopped(pid: int) -> bool:
    """Whether every thread of a process stands still."""
    states = [(task / "stat").read_text().rpartition(")")[2].split()[0] for task in Path(f"/proc/{pid}/task").iterdir()]
    return set(states) == {"T"}


@contextmanager
def void() -> Iterator[int]:
    """A port that takes what is sent to it and says nothing, like the address of a machine without power."""
    with ExitStack() as stack:
        port, full = 0, stack.enter_context(socket.socket())
        for _ in range(20):  # somebody else may have the other half of a port
            mute = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            mute.bind(("127.0.0.1", 0))
            port = mute.getsockname()[1]
            with suppress(OSError):
                full.bind(("127.0.0.1", port))
                break
        full.listen(0)
        for _ in range(4):  # the kernel drops what finds no place in line
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)  # noqa: FBT003 - the socket module has no other way
            waiting.connect_ex(("127.0.0.1", port))
        yield port


def test_nothing_is_found_where_nobody_is() -> None:
    with void() as port:
        assert look(HERE, port, SHORT, b"word") is Finding.NOTHING
    assert look([], 7946, SHORT, b"word") is Finding.NOTHING
    assert look(["tc-001-scan-1.example", "", "999.1.1.1"], 7946, SHORT, b"word") is Finding.NOTHING


def test_an_answer_with_another_word_proves_no_agent() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as liar:
        liar.bind(("127.0.0.1", 0))
        done = threading.Event()

        def lie() -> None:
            _, asker = liar.recvfrom(100)
            liar.sendto(b"edgefleet! guess", asker)
            done.set()

        threading.Thread(target=lie, daemon=True).start()
        assert look(HERE, liar.getsockname()[1], SHORT, b"word") is Finding.MACHINE
        assert done.wait(ENOUGH)


def test_a_door_answers_nothing_but_a_short_question_and_survives_nonsense(door: Door) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(SHORT)
        for nonsense in (b"", b"hello", b"edgefleet? " + b"x" * 100, os.urandom(1000)):
            one.sendto(nonsense, ("127.0.0.1", door.port))
        with pytest.raises(TimeoutError):
            one.recvfrom(100)
    assert look(HERE, door.port, ENOUGH, b"word") is Finding.AGENT


def test_many_connections_do_not_close_a_door(door: Door) -> None:
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(socket.create_connection(("127.0.0.1", door.port), ENOUGH))
        assert look(HERE, door.port, ENOUGH, b"word") is Finding.AGENT


def test_a_taken_port_is_told_and_leaves_nothing_open(door: Door) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match="in use"):
        Door(door.port, "127.0.0.1")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_look_takes_no_longer_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter(range(1000))
    monkeypatch.setattr("edgeagent.lan.time.monotonic", lambda: float(next(moments)))
    with void() as port:
        assert look(HERE, port, 3.0, b"word") is Finding.NOTHING
    assert next(moments) < 10
