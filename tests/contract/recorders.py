"""Servers that take notices as the real ones do, errors included, and remember what came."""

import base64
import hashlib
import hmac
import json
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Came:
    """One request."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever came
        return json.loads(self.body)


@dataclass
class Reply:
    """What is answered; a status of 0 hangs up without a word."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Recorder:
    """An HTTP server on loopback whose answers ``real`` gives; ``next_ones`` go before, one each."""

    def __init__(self, real: Callable[[Came], Reply]) -> None:
        self.came: list[Came] = []
        self.next_ones: list[Reply] = []
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                parts = urlsplit(self.path)
                came = Came(
                    parts.path,
                    {name: values[0] for name, values in parse_qs(parts.query).items()},
                    dict(self.headers.items()),
                    self.rfile.read(int(self.headers.get("Content-Length", 0))),
                )
                reply = recorder.next_ones.pop(0) if recorder.next_ones else real(came)
                if not reply.status:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                recorder.came.append(came)
                self.send_response(reply.status)
                for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Robot:
    """A chat robot: a token, a signature that is an hour fresh, a size, a number of messages a minute."""

    def __init__(self, codes: dict[str, int], largest: int, a_minute: int, names: tuple[str, str]) -> None:
        self.codes, self.largest, self.a_minute, self.names = codes, largest, a_minute, names
        self.accepted: list[Any] = []
        self.moments: list[float] = []

    def signed(self, came: Came) -> bool:
        raise NotImplementedError

    def token(self, came: Came) -> bool:
        raise NotImplementedError

    def __call__(self, came: Came) -> Reply:
        now = time.monotonic()
        recent = [moment for moment in self.moments if now - moment < 60]
        if not self.token(came):
            code = self.codes["token"]
        elif not self.signed(came):
            code = self.codes["sign"]
        elif len(came.body) > self.largest:
            code = self.codes["size"]
        elif len(recent) >= self.a_minute:
            code = self.codes["fast"]
        else:
            code = 0
            self.moments.append(now)
            self.accepted.append(came.json)
        text = next((name for name, number in self.codes.items() if number == code), "ok")
        return Reply(body=json.dumps({self.names[0]: code, self.names[1]: text}).encode())


def signature(key: str, text: str) -> str:
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()).decode()


class DingTalk(Robot):
    """oapi.dingtalk.com/robot/send."""

    def __init__(self, secret: str = "") -> None:
        super().__init__(
            {"token": 300001, "sign": 310000, "size": 460101, "fast": 130101}, 20_000, 20, ("errcode", "errmsg")
        )
        self.secret = secret

    def token(self, came: Came) -> bool:
        return came.path == "/robot/send" and came.query.get("access_token") == "t0ken"

    def signed(self, came: Came) -> bool:
        stamp = came.query.get("timestamp", "0")
        fresh = abs(time.time() - int(stamp) / 1000) < 3600
        right = came.query.get("sign") == signature(self.secret, f"{stamp}\n{self.secret}")
        return not self.secret or (fresh and right)


class WeCom(Robot):
    """qyapi.weixin.qq.com/cgi-bin/webhook/send."""

    def __init__(self) -> None:
        super().__init__({"token": 93000, "sign": -2, "size": 40058, "fast": 45009}, 1 << 20, 20, ("errcode", "errmsg"))

    def token(self, came: Came) -> bool:
        return came.query.get("key") == "t0ken"

    def signed(self, came: Came) -> bool:
        return len(came.json["markdown"]["content"].encode()) <= 4096


class Feishu(Robot):
    """open.feishu.cn/open-apis/bot/v2/hook."""

    def __init__(self, secret: str = "") -> None:
        super().__init__({"token": 19001, "sign": 19021, "size": 9499, "fast": 11232}, 20 * 1024, 100, ("code", "msg"))
        self.secret = secret

    def token(self, came: Came) -> bool:
        return came.path == "/open-apis/bot/v2/hook/t0ken"

    def signed(self, came: Came) -> bool:
        stamp = str(came.json.get("timestamp", "0"))
        fresh = abs(time.time() - int(stamp)) < 3600
        right = came.json.get("sign") == signature(f"{stamp}\n{self.secret}", "")
        return not self.secret or (fresh and right)


def slack(came: Came) -> Reply:
    """hooks.slack.com/services."""
    if came.path != "/services/t0ken":
        return Reply(404, b"no_service")
    if not isinstance(came.json.get("text"), str) or any(
        len(block["text"]["text"]) > 3000 for block in came.json.get("blocks", [])
    ):
        return Reply(400, b"invalid_payload")
    return Reply(body=b"ok")


class Alertmanager:
    """Alertmanager's API v2: alerts by their labels; one is open while its end is in the future."""

    def __init__(self) -> None:
        self.alerts: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}

    def __call__(self, came: Came) -> Reply:
        if came.path != "/api/v2/alerts" or not isinstance(came.json, list):
            return Reply(400, b'"bad request"')
        for alert in came.json:
            if not alert["labels"].get("alertname"):
                return Reply(400, b'"no alertname"')
            self.alerts[tuple(sorted(alert["labels"].items()))] = alert
        return Reply()

    def open(self, now: str) -> list[str]:
        return sorted(one["labels"]["alertname"] for one in self.alerts.values() if one["endsAt"] > now)


class MailServer:
    """A mail server that takes letters, or says what it is told to say to a command."""

    def __init__(self) -> None:
        self.letters: list[tuple[str, list[str], bytes]] = []
        self.say: dict[str, str] = {}
        server = self

        class Talk(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(b"220 here\r\n")
                sender, to = "", list[str]()
                while line := self.rfile.readline():
                    text = line.decode().strip()
                    word = text.split(":")[0].split()[0].upper() if text else ""
                    reply = server.say.get(word, "250 ok")
                    match word:
                        case "MAIL":
                            sender = text
                        case "RCPT":
                            to.append(text)
                        case "QUIT":
                            reply = "221 bye"
                        case "DATA" if word not in server.say:
                            self.wfile.write(b"354 go on\r\n")
                            server.letters.append((sender, to, self.letter()))
                    self.wfile.write(reply.encode() + b"\r\n")

            def letter(self) -> bytes:
                lines = []
                while (line := self.rfile.readline()) not in {b".\r\n", b""}:
                    lines.append(line)
                return b"".join(lines)

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Talk)
        self.server.daemon_threads = True
        self.port: int = self.server.server_address[1]
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
