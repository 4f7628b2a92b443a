"""A container registry on loopback that hands out images made here and remembers what was asked of it.

Reading only, by the OCI distribution specification: manifests by tag or digest, blobs by digest, over plain HTTP.
"""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from simulator.edgebox.images import MANIFEST_TYPE, Image, digest

ASKED = re.compile(r"/v2/(?P<name>.+)/(?P<kind>manifests|blobs)/(?P<reference>[^/]+)")


class Registry:
    """Serves inside a with block; `sent` lists the blobs and manifests that went out, in order."""

    def __init__(self, images: dict[str, Image]) -> None:
        """Images by name and tag, such as `belt:1`."""
        self.images = images
        self.sent: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._answering())

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    def find(self, name: str, kind: str, reference: str) -> bytes | None:
        """The bytes asked for; None: there are none of that name."""
        if kind == "manifests" and (image := self.images.get(f"{name}:{reference}")):
            return image.blobs[image.manifest]
        own = [image for tagged, image in self.images.items() if tagged.partition(":")[0] == name]
        return next((image.blobs[reference] for image in own if reference in image.blobs), None)

    def _answering(self) -> type[BaseHTTPRequestHandler]:
        registry = self

        class Answering(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def do_GET(self) -> None:
                self.answer(with_body=True)

            def do_HEAD(self) -> None:
                self.answer(with_body=False)

            def answer(self, *, with_body: bool) -> None:
                asked = ASKED.fullmatch(self.path)
                found = registry.find(*asked.groups()) if asked else (b"{}" if self.path == "/v2/" else None)
                self.send_response(200 if found is not None else 404)
                body = found or b""
                if asked and found:
                    manifest = asked["kind"] == "manifests"
                    self.send_header("Content-Type", MANIFEST_TYPE if manifest else "application/octet-stream")
                    self.send_header("Docker-Content-Digest", digest(found))
                    if with_body:
                        registry.sent.append(self.path)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if with_body:
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing: `sent` is the log."""

        return Answering

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
