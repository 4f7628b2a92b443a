"""The cluster's API as the simulator needs it: a few requests over HTTPS, plain objects in and out."""

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

REQUEST_SECONDS = 20.0
WATCH_SECONDS = 60


class Kube:
    """A client of one API server; every call raises httpx.HTTPError when it cannot be done."""

    def __init__(self, server: str, authority: Path, token: str) -> None:
        trust = ssl.create_default_context(cafile=str(authority))
        headers = {"Authorization": f"Bearer {token}"}
        self._http = httpx.Client(
            base_url=server, verify=trust, headers=headers, timeout=REQUEST_SECONDS, trust_env=False
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def is_ready(self) -> bool:
        """Whether the server has started; it answers /readyz long before it can be worked with."""
        try:
            return self._http.get("/readyz", timeout=2).is_success
        except httpx.HTTPError:
            return False

    def get(self, path: str, **query: str | int) -> dict[str, Any] | None:
        """Read an object or a list; None: there is none."""
        answer = self._http.get(path, params=query)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        return read(answer)

    def text(self, path: str) -> str:
        """Read something that is no object, such as the server's metrics."""
        answer = self._http.get(path)
        return answer.text if answer.is_success else str(read(answer))

    def watch(self, path: str, version: str, **query: str) -> Iterator[dict[str, Any]]:
        """Changes of a collection since a revision, as the server sends them, until it ends the stream (a minute)."""
        asked: dict[str, str | int] = {
            **query,
            "watch": "1",
            "resourceVersion": version,
            "timeoutSeconds": WATCH_SECONDS,
        }
        patience = httpx.Timeout(REQUEST_SECONDS, read=WATCH_SECONDS + REQUEST_SECONDS)
        with self._http.stream("GET", path, params=asked, timeout=patience) as answer:
            if answer.is_error:
                answer.read()
                read(answer)
            for line in answer.iter_lines():
                yield json.loads(line)

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """Create an object in a collection; None: one of that name was there already."""
        answer = self._http.post(path, json=body)
        if answer.status_code == httpx.codes.CONFLICT:
            return None
        return read(answer)

    def merge(self, path: str, patch: dict[str, Any]) -> dict[str, Any]:
        """Patch an object; None as a value removes a field."""
        return read(self._http.patch(path, json=patch, headers={"Content-Type": "application/merge-patch+json"}))

    def delete(self, path: str) -> None:
        """Delete an object or a collection; nothing happens when there is none."""
        answer = self._http.delete(path)
        if answer.status_code != httpx.codes.NOT_FOUND:
            read(answer)

    def ready_nodes(self) -> dict[str, bool]:
        """Every node and whether its Ready condition is True."""
        listed = self.get("/api/v1/nodes", resourceVersion="0") or {}
        return {node["metadata"]["name"]: is_ready(node) for node in listed.get("items", [])}


def is_ready(node: dict[str, Any]) -> bool:
    """Whether a node's (or pod's) Ready condition is True; Unknown counts as not."""
    conditions = node.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def read(answer: httpx.Response) -> dict[str, Any]:
    """The object in an answer; raises httpx.HTTPStatusError with the server's own words."""
    if answer.is_error:
        words = answer.text[:500]
        raise httpx.HTTPStatusError(
            f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {words}",
            request=answer.request,
            response=answer,
        )
    found: dict[str, Any] = answer.json()
    return found
