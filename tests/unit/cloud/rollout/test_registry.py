"""Tags become digests over HTTP, from a registry on loopback; whatever it does wrong, the release goes on."""

import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from cloud.fleet.errors import Unavailable
from cloud.rollout import registry
from cloud.rollout.registry import ASKED, Reference, Registries, Untold, digest_of, reference

INDEX = json.dumps({"schemaVersion": 2, "manifests": []}).encode()
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
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
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


@pytest.fixture
def open_shop() -> Iterator[Callable[[Callable[[Shop, str, str], Answer]], Shop]]:
    shops: list[Shop] = []

    def opened(answer: Callable[[Shop, str, str], Answer]) -> Shop:
        shops.append(Shop(answer))
        return shops[-1]

    yield opened
    for shop in shops:
        shop.close()


OpenShop = Callable[[Callable[[Shop, str, str], Answer]], Shop]


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("scan", Reference("registry-1.docker.io", "library/scan", "latest")),
        ("team/scan:2", Reference("registry-1.docker.io", "team/scan", "2")),
        ("localhost/scan:2", Reference("localhost", "scan", "2")),
        ("registry.example:5000/a/b:2", Reference("registry.example:5000", "a/b", "2")),
        ("registry.example/a/b", Reference("registry.example", "a/b", "latest")),
        (f"scan@{DIGEST}", None),
        ("registry.example/../etc/passwd:x", None),
        ("registry.example/a:b/c", None),
        ("registry.example/a?x=1:2", None),
    ],
)
def test_a_reference_is_read_as_container_runtimes_read_it(image: str, parts: Reference | None) -> None:
    assert reference(image) == parts


def test_a_tag_becomes_the_digest_of_the_index_for_every_architecture(open_shop: OpenShop) -> None:
    shop = open_shop(lambda _shop, _path, _token: (200, {"Docker-Content-Digest": DIGEST}, INDEX))
    assert Registries(resolve=True).pin(f"{shop.host}/scan:2") == f"{shop.host}/scan:2@{DIGEST}"
    assert shop.asked == ["/v2/scan/manifests/2"]


def test_a_registry_that_wants_an_anonymous_token_gets_one(open_shop: OpenShop) -> None:
    def answer(shop: Shop, path: str, token: str) -> Answer:
        if path.startswith("/token"):
            assert "scope=repository%3Ascan%3Apull" in path
            return 200, {}, json.dumps({"token": "anonymous"}).encode()
        if token == "Bearer anonymous":  # noqa: S105 - of the test
            return 200, {}, INDEX
        realm = f'Bearer realm="http://{shop.host}/token",service="shop",scope="repository:scan:pull"'
        return 401, {"WWW-Authenticate": realm}, b""

    assert digest_of(Reference(open_shop(answer).host, "scan", "2")) == DIGEST


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (404, {}, b""),
        (500, {}, b""),
        (307, {"Location": "http://169.254.169.254/latest/meta-data"}, b""),
        (401, {"WWW-Authenticate": 'Basic realm="x"'}, b""),
        (401, {}, b""),
        (401, {"WWW-Authenticate": 'Bearer realm="http://169.254.169.254/token"'}, b""),
        (401, {"WWW-Authenticate": 'Bearer realm="file:///etc/passwd"'}, b""),
        (200, {"Docker-Content-Digest": "sha256:" + "0" * 64}, INDEX),
    ],
)
def test_a_digest_that_is_not_told_leaves_the_reference_as_it_is_written(
    open_shop: OpenShop, status: int, headers: dict[str, str], body: bytes, refused: list[str]
) -> None:
    shop = open_shop(lambda _shop, _path, _token: (status, headers, body))
    assert Registries(resolve=True).pin(f"{shop.host}/scan:2") == f"{shop.host}/scan:2"
    assert refused == [], "no other address was even tried"


@pytest.mark.parametrize("token", [b"no json", b"[]", b"{}", b'{"token": 5}'])
def test_a_token_that_is_none_is_not_used(open_shop: OpenShop, token: bytes) -> None:
    def answer(shop: Shop, path: str, _token: str) -> Answer:
        if path.startswith("/token"):
            return 200, {}, token
        return 401, {"WWW-Authenticate": f'Bearer realm="http://{shop.host}/token"'}, b""

    with pytest.raises(Untold, match="anonymous token"):
        digest_of(Reference(open_shop(answer).host, "scan", "2"))


def test_an_endless_answer_is_cut_off(open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "LARGEST", 10)
    shop = open_shop(lambda _shop, _path, _token: (200, {}, INDEX))
    with pytest.raises(Untold, match="more than 10 bytes"):
        digest_of(Reference(shop.host, "scan", "2"))


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "[::]", "[::ffff:169.254.169.254]"])
def test_an_address_that_serves_a_clouds_secrets_is_never_asked(host: str, refused: list[str]) -> None:
    with pytest.raises(Untold, match="not asked"):
        digest_of(Reference(host, "scan", "2"))
    assert refused == []


def test_a_registry_that_is_not_there_costs_a_warning_only() -> None:
    assert Registries(resolve=True).pin("127.0.0.1:1/scan:2") == "127.0.0.1:1/scan:2"
    assert urlsplit("//127.0.0.1:1").port == 1


@pytest.mark.parametrize(
    "image",
    [
        "registry..example/scan:2",
        f"{'a' * 64}.example/scan:2",
        "localhost:99999/scan:2",
        "localhost:abc/scan:2",
        "[::1/scan:2",
        "xn--.a/scan:2",
        "a.b?c/scan:1",
    ],
)
def test_a_reference_that_nobody_can_ask_for_stays_as_written(image: str) -> None:
    assert Registries(resolve=True).pin(image) == image


@pytest.mark.parametrize("realm", ["https://[", "https://a..b/t", "http://localhost:99999999/t", "https://xn--/t"])
def test_a_realm_that_is_no_address_leaves_the_reference_as_it_is_written(open_shop: OpenShop, realm: str) -> None:
    shop = open_shop(lambda _shop, _path, _token: (401, {"WWW-Authenticate": f'Bearer realm="{realm}"'}, b""))
    assert Registries(resolve=True).pin(f"{shop.host}/scan:2") == f"{shop.host}/scan:2"


@pytest.mark.parametrize("token", ['{"token": "tök"}'.encode(), b"[" * 1_000_000])
def test_a_token_that_cannot_be_read_or_sent_leaves_the_reference_as_it_is_written(
    open_shop: OpenShop, token: bytes
) -> None:
    def answer(shop: Shop, path: str, _token: str) -> Answer:
        if path.startswith("/token"):
            return 200, {}, token
        return 401, {"WWW-Authenticate": f'Bearer realm="http://{shop.host}/token"'}, b""

    shop = open_shop(answer)
    assert Registries(resolve=True).pin(f"{shop.host}/scan:2") == f"{shop.host}/scan:2"


@pytest.fixture
def dripping() -> Iterator[tuple[str, threading.Event]]:
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


def test_headers_that_drip_are_not_waited_for_any_longer_and_their_connection_ends(
    dripping: tuple[str, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "WHOLE", 0.2)
    host, gone = dripping
    assert Registries(resolve=True).pin(f"{host}/scan:2") == f"{host}/scan:2"
    assert gone.wait(5)


def test_slow_registries_leave_room_for_other_work(open_shop: OpenShop) -> None:
    asked, told = threading.Barrier(ASKED + 1), threading.Event()

    def answer(_shop: Shop, path: str, _token: str) -> Answer:
        if path.startswith("/v2/slow/"):
            asked.wait(10)
            told.wait(10)
        return 404, {}, b""

    shop, registries = open_shop(answer), Registries(resolve=True)
    threads = [threading.Thread(target=registries.pin, args=(f"{shop.host}/slow:{n}",)) for n in range(ASKED)]
    for thread in threads:
        thread.start()
    asked.wait(10)
    with pytest.raises(Unavailable, match="other tags are being asked for"):
        registries.pin(f"{shop.host}/scan:2")
    told.set()
    for thread in threads:
        thread.join()
    assert registries.pin(f"{shop.host}/scan:2") == f"{shop.host}/scan:2"


def test_what_needs_no_registry_asks_none(refused: list[str]) -> None:
    assert Registries(resolve=True).pin(f"scan@{DIGEST}") == f"scan@{DIGEST}"
    assert Registries(resolve=False).pin("scan:2") is None
    assert refused == []


def test_a_reference_that_would_grow_too_long_stays_as_written(open_shop: OpenShop) -> None:
    shop = open_shop(lambda _shop, _path, _token: (200, {}, INDEX))
    image = f"{shop.host}/{'a' * 450}:2"
    assert Registries(resolve=True).pin(image) == image
