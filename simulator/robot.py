"""A chat robot as DingTalk's custom robots are: takes signed markdown over HTTP, and remembers what came and when."""

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

LARGEST: Final = 20_000
"""Bytes of a body, as the real one takes them."""
STALE_SECONDS: Final = 3600.0
"""A signature that is older or newer counts for nothing."""
PATIENCE: Final = 10.0
"""Seconds for a request to arrive."""


@dataclass(frozen=True, slots=True)
class Post:
    """One message as it came; ``at`` by the monotonic clock."""

    at: float
    title: str
    text: str


class Robot(AbstractContextManager["Robot"]):
    """One robot on loopback; its address holds an access token, its secret signs."""

    def __init__(self) -> None:
        self.secret = f"SEC{secrets.token_hex(32)}"
        self.posts: list[Post] = []  # grows only; read it from any thread
        self._token = secrets.token_hex(32)
        robot = self

        class Handler(BaseHTTPRequestHandler):
            timeout = PATIENCE

            def do_POST(self) -> None:
                at = time.monotonic()
                parts = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                size = int(self.headers.get("Content-Length", 0))
                answer = robot.hear(query, self.rfile.read(min(size, LARGEST + 1)), at)
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="robot", daemon=True)

    @property
    def address(self) -> str:
        """Where it is posted to."""
        return f"http://127.0.0.1:{self._server.server_port}/robot/send?access_token={self._token}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def hear(self, query: Mapping[str, str], body: bytes, at: float) -> dict[str, Any]:
        """Take a message; returns the answer, in which 0 means that it was taken."""
        if query.get("access_token") != self._token:
            return {"errcode": 300005, "errmsg": "token is not exist"}
        if not self._signed(query.get("timestamp", ""), query.get("sign", "")):
            return {"errcode": 310000, "errmsg": "sign not match"}
        if len(body) > LARGEST:
            return {"errcode": 460101, "errmsg": "message too long"}
        try:
            markdown = json.loads(body)["markdown"]
            self.posts.append(Post(at, str(markdown["title"]), str(markdown["text"])))
        except (ValueError, KeyError, TypeError, RecursionError):
            return {"errcode": 40035, "errmsg": "the body is no markdown message"}
        return {"errcode": 0, "errmsg": "ok"}

    def _signed(self, timestamp: str, sign: str) -> bool:
        wanted = hmac.digest(self.secret.encode(), f"{timestamp}\n{self.secret}".encode(), hashlib.sha256)
        fresh = timestamp.isdigit() and abs(int(timestamp) / 1000 - time.time()) < STALE_SECONDS
        return fresh and hmac.compare_digest(base64.b64encode(wanted).decode(), sign)
