"""What comes back over HTTP: pages of a list, and answers that are none of the API server's."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from kubernetes import client

from cloud.fleet.errors import Unavailable
from cloud.rollout.cluster import Missing, Verb, Write
from cloud.rollout.kube import KubeCluster
from cloud.rollout.views import Kind
from tests.unit.cloud.rollout.raw import raw_node

EXPIRED = {"kind": "Status", "reason": "Expired", "message": "the provided continue parameter is too old"}


class Server:
    """An API server with an answer for each value of `continue`."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, bytes]] = {}
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                token = parse_qs(urlsplit(self.path).query).get("continue", [""])[0]
                status, body = server.answers[token]
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_PATCH = do_GET  # noqa: N815 - the library's name

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, status: int, body: Any, token: str = "") -> None:  # noqa: ANN401 - JSON
        self.answers[token] = status, body if isinstance(body, bytes) else json.dumps(body).encode()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


@pytest.fixture
def kube(server: Server) -> Iterator[KubeCluster]:
    configuration = client.Configuration(host=f"http://127.0.0.1:{server.http.server_port}")
    configuration.retries = 0
    made = KubeCluster(configuration)
    yield made
    made.close()


def page(*names: str, more: str = "") -> dict[str, Any]:
    return {"kind": "NodeList", "metadata": {"continue": more}, "items": [raw_node(name) for name in names]}


def test_a_list_comes_page_by_page(server: Server, kube: KubeCluster) -> None:
    server.answer(200, page("box-1", more="next"))
    server.answer(200, page("box-2"), "next")
    assert [one.key for one in kube.marks(Kind.NODE)] == [("", "box-1"), ("", "box-2")]


def test_a_list_that_expires_on_the_way_says_nothing_of_what_is_there(server: Server, kube: KubeCluster) -> None:
    server.answer(200, page("box-1", more="next"))
    server.answer(410, EXPIRED, "next")
    with pytest.raises(Unavailable, match="too old"):
        kube.marks(Kind.NODE)


def test_a_kind_that_is_not_installed_is_missing(server: Server, kube: KubeCluster) -> None:
    server.answer(404, b"404 page not found\n")
    with pytest.raises(Missing, match="404 page not found"):
        kube.marks(Kind.RELEASE)


@pytest.mark.parametrize("body", [b"<!doctype html><title>Sign in</title>", b"[]", b"{}", b"", b"7"])
def test_an_answer_that_is_not_the_api_servers_is_no_empty_list(server: Server, kube: KubeCluster, body: bytes) -> None:
    server.answer(200, body)
    with pytest.raises(Unavailable, match="not the API server"):
        kube.marks(Kind.NODE)
    patch = {"metadata": {"name": "box-1"}}
    assert isinstance(kube.write([Write(Verb.MERGE, Kind.NODE, patch)])[0], Unavailable)


def test_an_error_that_is_no_object_is_told_as_it_came(server: Server, kube: KubeCluster) -> None:
    server.answer(503, b"upstream is away")
    with pytest.raises(Unavailable, match="upstream is away"):
        kube.get("/api/v1/nodes/box-1")
