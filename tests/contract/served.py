"""An API server on loopback that says what a test has it say, and a kubeconfig that leads to it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cloud.cli.kube import Api, connect

Answer = tuple[int, Any]  # status, and JSON, text, or lines of a stream
Serve = Callable[[str, str, dict[str, str], Any], Answer]


@contextmanager
def serving(answer: Serve, port: int = 0) -> Iterator[int]:
    """Answer HTTP on loopback; yields the port."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            target = urlsplit(self.path)
            status, said = answer(self.command, target.path, dict(parse_qsl(target.query)), body)
            self.send_response(status)
            self.end_headers()
            lines = said if isinstance(said, list) else [said]
            with suppress(BrokenPipeError):  # whoever asked has given up
                for line in lines:
                    self.wfile.write((line if isinstance(line, str) else json.dumps(line)).encode() + b"\n")

        do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def kubeconfig(folder: Path, port: int) -> str:
    file = folder / "kubeconfig"
    context = {"cluster": "c", "user": "li", "namespace": "sorting"}
    content = {
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "li", "user": {"token": "t"}}],
        "contexts": [{"name": "here", "context": context}],
        "current-context": "here",
    }
    file.write_text(json.dumps(content))
    return str(file)


@contextmanager
def api_of(folder: Path, answer: Serve) -> Iterator[Api]:
    with serving(answer) as port:
        yield connect(kubeconfig(folder, port))
