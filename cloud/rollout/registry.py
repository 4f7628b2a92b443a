"""Asks a container registry which digest a tag means, over HTTP: anonymous, verified, bounded, and never elsewhere.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md, and Docker's token flow for anonymous pulls.
"""

import hashlib
import ipaddress
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final
from urllib.parse import urlsplit

import httpx

TIMEOUT: Final = httpx.Timeout(5.0, connect=3.0)  # seconds
LARGEST: Final = 4 * 2**20  # bytes of a manifest: the limit registries themselves set
WHOLE: Final = 15.0  # seconds for one tag, names, tokens and all, however slowly it drips
MANIFESTS: Final = (  # an index comes first: its digest holds for every architecture
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_CHALLENGE: Final = re.compile(r'(\w+)="([^"]*)"')
_REPOSITORY: Final = re.compile(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*")
_TAG: Final = re.compile(r"\w[\w.-]{0,127}")

Trace = Callable[[str, object], None]  # called by the library at each step of a request
Fetched = tuple[int, httpx.Headers, bytes]
Fetch = Callable[[str, dict[str, str]], Fetched]


@dataclass(frozen=True, slots=True)
class Reference:
    """An image reference in its parts."""

    host: str  # with its port
    repository: str
    tag: str


class Untold(Exception):  # noqa: N818 - it states what happened
    """The registry did not tell the digest."""


class Silent(Untold):
    """It did not answer in time."""


def reference(image: str) -> Reference | None:
    """Return the parts of a reference by tag; None: it names a digest already, or is none.

    A name without a host means Docker Hub, as container runtimes read it.
    """
    if "@" in image:
        return None
    first, slash, rest = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        host, path = first, rest
    else:
        host, path = "registry-1.docker.io", image if slash else f"library/{image}"
    name, _, tag = path.partition(":")
    tag = tag or "latest"
    return Reference(host, name, tag) if _REPOSITORY.fullmatch(name) and _TAG.fullmatch(tag) else None


def digest_of(wanted: Reference) -> str:
    """Return the digest of a tag. Raises Silent after ``WHOLE`` seconds at most, Untold, and what goes wrong in asking.

    No time-out of the library ends headers that drip, nor the look-up of a name: a thread waits for them. Closing the
    client takes its connection away from it.
    """
    answers: SimpleQueue[str | Exception] = SimpleQueue()
    end = time.monotonic() + WHOLE
    silent = Silent(f"{wanted.host} has not told it in time")

    def in_time(_event: str, _info: object) -> None:
        if time.monotonic() > end:
            raise silent

    def ask() -> None:
        try:
            answers.put(_asked(client, wanted, in_time))
        except Exception as why:  # noqa: BLE001 - it is raised where it is waited for
            answers.put(why)

    with httpx.Client(timeout=TIMEOUT, follow_redirects=False, trust_env=False) as client:
        threading.Thread(target=ask, name="registry", daemon=True).start()
        try:
            answer = answers.get(timeout=WHOLE)
        except Empty:
            raise silent from None
    if isinstance(answer, httpx.TimeoutException):
        raise silent from answer
    if isinstance(answer, Exception):
        raise answer
    return answer


def _asked(client: httpx.Client, wanted: Reference, in_time: Trace) -> str:
    """Return the digest of a tag. Raises Untold, httpx.HTTPError, OSError and more."""
    scheme = "http" if _is_loopback(wanted.host) else "https"
    url = f"{scheme}://{wanted.host}/v2/{wanted.repository}/manifests/{wanted.tag}"
    fetch = partial(_fetch, client, in_time)
    accept = {"Accept": ", ".join(MANIFESTS)}
    status, headers, body = fetch(url, accept)
    if status == httpx.codes.UNAUTHORIZED:
        token = _token(fetch, headers.get("www-authenticate", ""), scheme)
        status, headers, body = fetch(url, {**accept, "Authorization": f"Bearer {token}"})
    if status != httpx.codes.OK:
        raise Untold(f"{wanted.host} answers {status}")
    kind, packed = headers.get("content-type", ""), headers.get("content-encoding", "identity")
    if kind.partition(";")[0].strip().lower() not in MANIFESTS or packed.strip().lower() != "identity":
        raise Untold(f"{wanted.host} sends no manifest but {kind[:80]!r}, encoded {packed[:80]!r}")
    told, real = headers.get("docker-content-digest", ""), f"sha256:{hashlib.sha256(body).hexdigest()}"
    if told and told != real:
        raise Untold(f"{wanted.host} says {told[:80]!r} but sent contents of {real}")
    return real


def _token(fetch: Fetch, challenge: str, scheme: str) -> str:
    """Return an anonymous pull token from where the registry says. Raises Untold."""
    kind, _, rest = challenge.partition(" ")
    asked = dict(_CHALLENGE.findall(rest))
    realm = asked.pop("realm", "")
    if kind.lower() != "bearer" or urlsplit(realm).scheme not in {"https", scheme}:
        raise Untold(f"it wants {kind or 'a login'}, and only anonymous pulls over https are tried")
    query = {name: asked[name] for name in ("service", "scope") if name in asked}
    status, _, body = fetch(str(httpx.URL(realm, params=query)), {})
    try:
        answer = httpx.Response(status, content=body).json()
        token = answer.get("token") or answer.get("access_token")
    except (ValueError, AttributeError):
        token = None
    if status != httpx.codes.OK or not isinstance(token, str):
        raise Untold(f"{urlsplit(realm).hostname} gives no anonymous token ({status})")
    return token


def _fetch(client: httpx.Client, in_time: Trace, url: str, headers: dict[str, str]) -> Fetched:
    """Return status, headers and body of one GET, the body up to a limit. Raises Untold, httpx.HTTPError, OSError."""
    parts = httpx.URL(url)
    _must_be_outside(parts.host, parts.port or (443 if parts.scheme == "https" else 80), parts.scheme)
    headers = {"Accept-Encoding": "identity", **headers}
    with client.stream("GET", parts, headers=headers, extensions={"trace": in_time}) as answer:
        body = b""
        for piece in answer.iter_raw():
            body += piece
            if len(body) > LARGEST:
                raise Untold(f"{parts.host} sends more than {LARGEST} bytes")
            in_time("body", None)
        return answer.status_code, answer.headers, body


def _must_be_outside(host: str, port: int, scheme: str) -> None:
    """Refuse addresses that a release must not make us ask: link-local ones serve the cloud's credentials."""
    for address in _addresses(host, port):
        forbidden = address.is_link_local or address.is_multicast or address.is_unspecified
        if forbidden or (scheme == "http" and not address.is_loopback):
            raise Untold(f"{host} is at {address}, which is not asked")


def _addresses(host: str, port: int) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        found = ipaddress.ip_address(str(address[0]).partition("%")[0])
        yield getattr(found, "ipv4_mapped", None) or found


def _is_loopback(host: str) -> bool:
    name = httpx.URL(f"http://{host}").host
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
