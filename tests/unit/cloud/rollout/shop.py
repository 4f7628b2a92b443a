"""Registries on loopback: one whose every answer is a function, and one that never comes to an end; and who asks."""

import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cloud.fleet.errors import Unavailable
from cloud.rollout.parsing import parse
from cloud.rollout.pinning import Registries
from cloud.rollout.release import Release
from cloud.rollout.views import Kind, ReleaseView
from tests.unit.cloud.rollout.raw import raw_release

INDEX = json.dumps({"schemaVersion": 2, "manifests": []}).encode()
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
DIGEST = f"sha256:{hashlib.sha256(INDEX).hexdigest()}"
Answer = tuple[int, dict[str, str], bytes]


class Shop:
    """A registry whose every answer is a function of path and token."""

    def __init__(self, answer: Callable[["Shop", str, str], Answer]) -> None:
        shop = self
        self.asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                shop.asked.append(self.path)
                status, headers, body = answer(shop, self.path, self.headers.get("Authorization", ""))
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), "Content-Type": INDEX_TYPE, **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


OpenShop = Callable[[Callable[[Shop, str, str], Answer]], Shop]


@contextmanager
def drips() -> Iterator[tuple[str, threading.Event]]:
    """A registry whose headers never end; the event: the client has gone."""
    gone, over = threading.Event(), threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.recv(9000)
        try:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not over.wait(0.02):
                connection.sendall(b"a")
        except OSError:
            gone.set()
        finally:
            connection.close()

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=drip, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}", gone
        over.set()
        listening.shutdown(socket.SHUT_RDWR)


def release(name: str = "one", namespace: str = "default") -> Release:
    view = parse(Kind.RELEASE, raw_release(name, namespace=namespace))
    assert isinstance(view, ReleaseView)
    assert view.release is not None
    return view.release


def pinned(image: str, registries: Registries | None = None, asker: Release | None = None) -> str | None:
    """Look until a registry has told, or has been given up."""
    registries = registries or Registries(resolve=True)
    while True:
        try:
            return registries.pin(image, asker or release())
        except Unavailable:
            answered()


def answered() -> None:
    """Wait until every registry that is asked has answered or has been given up."""
    while asking := [thread for thread in threading.enumerate() if thread.name == "registry"]:
        asking[0].join(10)
