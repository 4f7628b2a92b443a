"""Counters as they are asked for: real ports and files, such that hang, drip, redirect and lie."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edgeagent.counter import LARGEST
from edgeagent.scrape import Answered, Counters
from tests.contract.plainbroker import ENOUGH, until
from tests.contract.test_pods import open_files


class Workload:
    """A workload's metrics port."""

    def __init__(self) -> None:
        self.body, self.status, self.asked = b"frames_total 1\n", 200, 0
        workload = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                workload.asked += 1
                self.send_response(workload.status)
                if workload.status == 302:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(workload.body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def place(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/metrics#frames_total"


@pytest.fixture
def workload() -> Iterator[Workload]:
    one = Workload()
    yield one
    one.server.shutdown()
    one.server.server_close()


@pytest.fixture
def counters(tmp_path: Path) -> Iterator[Counters]:
    one = Counters(tmp_path, time.monotonic)
    yield one
    one.stop()


def answer(counters: Counters, name: str = "a", now: float | None = None) -> Answered:
    found: list[Answered] = []
    counters.ask(time.monotonic() if now is None else now, lambda: None)

    def come() -> bool:
        found.extend(one for one in counters.take() if one.workload == name)
        return bool(found)

    until(come, f"an answer of {name}")
    return found[0]


def test_a_port_and_a_file_are_asked(counters: Counters, workload: Workload, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/frames").write_text("17\n")
    counters.configure({"a": workload.place, "b": "file:/run/frames", "c": "http://10.0.0.1/metrics#x"})
    assert answer(counters).value == 1.0
    assert answer(counters, "b", now=time.monotonic() + 10).value == 17.0


def test_a_counter_is_asked_in_its_turn_and_one_that_stands_wakes_the_agent(
    counters: Counters, workload: Workload
) -> None:
    counters.configure({"a": workload.place})
    woken = threading.Event()
    counters.ask(100.0, woken.set)
    until(lambda: bool(counters.take()), "an answer")
    counters.ask(100.1, woken.set)
    assert workload.asked == 1
    assert not woken.is_set()
    counters.ask(101.0, woken.set)
    assert woken.wait(ENOUGH)
    assert workload.asked == 2


def answers(counters: Counters, many: int) -> list[Answered]:
    found: list[Answered] = []

    def come() -> bool:
        found.extend(counters.take())
        return len(found) >= many

    until(come, f"{many} answers")
    return found


@pytest.mark.parametrize("status", [302, 404, 500])
def test_another_answer_is_none_and_nobody_is_sent_elsewhere(
    counters: Counters, workload: Workload, status: int
) -> None:
    workload.status = status
    counters.configure({"a": workload.place})
    assert answer(counters).value is None
    assert workload.asked == 1


def test_too_much_is_no_answer(counters: Counters, workload: Workload) -> None:
    workload.body = b"#" * LARGEST + b"\nframes_total 1\n"
    counters.configure({"a": workload.place})
    assert answer(counters).value is None


@pytest.mark.parametrize("drip", [b"", b"HTTP/1.1 200 OK\r\n\r\nframes_total 1", b"HTTP/1.1 200 OK\r\nX:"])
def test_a_port_that_hangs_or_drips_holds_up_nobody(counters: Counters, workload: Workload, drip: bytes) -> None:
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                link, _ = listener.accept()
                with link:
                    link.sendall(drip)
                    while not over.wait(0.05):
                        link.sendall(b" " if drip else b"")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        counters.configure({"a": f"http://127.0.0.1:{listener.getsockname()[1]}/#frames_total", "b": workload.place})
        assert answer(counters, "b").value == 1.0
        (silent,) = answers(counters, 1)
        assert (silent.workload, silent.value) == ("a", None)
        over.set()
        thread.join(ENOUGH)


def test_what_is_no_plain_file_is_not_read(counters: Counters, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("5")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"1" * (LARGEST + 1))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/frames").write_text("5")
    (tmp_path / "elsewhere").symlink_to("folder")
    names = ("link", "pipe", "large", "folder", "absent", "elsewhere/frames", "large/x", "a\0b")
    counters.configure({name: f"file:/{name}" for name in names})
    counters.ask(0.0, lambda: None)
    assert {one.value for one in answers(counters, len(names) - 1)} == {None}, "the last is no place at all"
    counters.configure({"plain": "file:/folder/frames"})
    assert answer(counters, "plain", now=100.0).value == 5.0


def test_nothing_stays_open_of_what_was_asked(counters: Counters, workload: Workload, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/frames").write_text("5")
    places = (workload.place, "file:/folder/frames", "file:/folder", "file:/folder/absent", "file:/absent/frames")
    counters.configure({str(number): place for number, place in enumerate(places)})
    before = open_files()
    for turn in range(3):
        counters.ask(100.0 * turn, lambda: None)
        answers(counters, len(places))
    until(lambda: open_files() == before, "what the server holds to close as well")
