"""Answers boxes over HTTPS: a token becomes a certificate, a certificate the next one.

Whoever is refused is told the same, whatever was wrong; the reason is in our log. A certificate is in the database
before a box has it. What was renewed is not revoked: the box keeps using it until the new one has proven itself.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TypeVar

import msgspec
import structlog
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

from cloud.fleet.errors import Unavailable
from cloud.identity import tokens
from cloud.identity.authority import Issued, read_request
from cloud.identity.db import Books
from cloud.identity.folder import Folder
from cloud.identity.limits import Limits
from cloud.identity.names import box_name, read_box_name
from edgeagent.enrolment import AUTHORITY_PATH, ENROL_PATH, LARGEST, RENEW_PATH, Admission, Enrol, Renew

BODY_WITHIN: Final = 10.0
"""Seconds that a question may take to arrive."""
GRACE: Final = 365 * 86400.0
"""Seconds after its end in which a certificate can still be renewed: a site that was dark for months comes back by
itself. Until it is revoked the key is the box; the broker takes no certificate that is over."""
MOST_CONNECTIONS: Final = 512
NO: Final = "not admitted: have a new token made with `edgefleet enrol`"

log = structlog.get_logger("enrolment")
Question = TypeVar("Question", Enrol, Renew)


class Desk:
    """Decides who is admitted: composes the books, the authority and the clock."""

    def __init__(self, folder: Folder, books: Books) -> None:
        self._folder, self._books = folder, books

    def enrol(self, asked: Enrol) -> Admission | str:
        """Return the admission, or the reason for our log why there is none."""
        request = read_request(asked.request)
        if request is None:
            return "RequestUnproven"
        now = datetime.now(UTC)
        token = self._books.claim(tokens.digest(asked.secret), request.key)
        refused = tokens.refusal(token, request.key, now.timestamp())
        if refused or token is None:
            return str(refused)
        return self._admitted(self._folder.authority.admit(box_name(token.address), request, now))

    def renew(self, asked: Renew) -> Admission | str:
        """Return the admission, or the reason for our log why there is none."""
        request, present = read_request(asked.request), self._folder.authority.read_own(asked.certificate.encode())
        if request is None:
            return "RequestUnproven"
        if present is None or present.key != request.key or read_box_name(present.name) is None:
            return "CertificateUnknown"
        now = datetime.now(UTC)
        if now.timestamp() > present.expires.timestamp() + GRACE:
            return "CertificateTooOld"
        if not self._books.holds(present.serial):
            return "CertificateRevoked"
        return self._admitted(self._folder.authority.admit(present.name, request, now))

    def _admitted(self, issued: Issued) -> Admission | str:
        address = read_box_name(issued.name)
        if address is None:
            return "NameUnknown"
        self._books.record(issued.serial, issued.name, issued.expires.timestamp())
        fleet, authority = self._folder.fleet, self._folder.authority
        return Admission(
            site=address.site,
            box=address.box,
            certificate=issued.pem.decode(),
            authority=authority.certificate.decode(),
            host=fleet.host,
            port=fleet.broker_port,
            renew_after=issued.renew_after.timestamp(),
            expires=issued.expires.timestamp(),
        )


def make_app(folder: Folder, books: Books) -> FastAPI:
    """Return the server's application."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    desk, limits = Desk(folder, books), Limits()

    @app.get(AUTHORITY_PATH)
    async def authority() -> Response:
        return Response(folder.authority.certificate, media_type="application/x-pem-file")

    @app.get("/healthz")
    async def healthz() -> Response:
        return Response("ok")

    @app.post(ENROL_PATH)
    async def enrol(request: Request) -> Response:
        return await _answered(request, Enrol, desk.enrol, limits)

    @app.post(RENEW_PATH)
    async def renew(request: Request) -> Response:
        return await _answered(request, Renew, desk.renew, limits)

    return app


async def _answered(
    request: Request, kind: type[Question], decide: Callable[[Question], Admission | str], limits: Limits
) -> Response:
    """Hear one question within bounds and answer it."""
    who = request.client.host if request.client else ""
    if wait := limits.wait(who, time.monotonic()):
        return Response("too many refusals: try again later", 429, {"Retry-After": str(int(wait) + 1)})
    asked = await _asked(request, kind)
    if isinstance(asked, Response):
        limits.count(who, time.monotonic())
        return asked
    try:
        decided = await run_in_threadpool(decide, asked)
    except Unavailable as lost:
        log.warning("Unavailable", peer=who, message=str(lost))
        return Response("try again later", 503, {"Retry-After": "5"})
    if isinstance(decided, str):
        limits.count(who, time.monotonic())
        log.warning("Refused", peer=who, asked=kind.__name__, reason=decided)
        return Response(NO, 403)
    log.info("Admitted", peer=who, asked=kind.__name__, site=decided.site, box=decided.box)
    return Response(msgspec.json.encode(decided), media_type="application/json")


async def _asked(request: Request, kind: type[Question]) -> Question | Response:
    """Read a question; a Response says what is wrong with it."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_WITHIN):
            async for part in request.stream():
                body += part
                if len(body) > LARGEST:
                    return Response("too large", 413)
    except TimeoutError:
        return Response("too slow", 408)
    try:
        return msgspec.json.decode(body, type=kind)
    except (ValueError, RecursionError):
        return Response("not understood", 400)


def make_server(folder: Folder, books: Books, listen: str) -> uvicorn.Server:
    """Return the server; it runs until it is told to exit, by SIGTERM where it has the main thread."""
    return uvicorn.Server(
        uvicorn.Config(
            make_app(folder, books),
            host=listen,
            port=folder.fleet.enrolment_port,
            ssl_certfile=str(folder.path / "enrolment/server.crt"),
            ssl_keyfile=str(folder.path / "enrolment/server.key"),
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=5,
            h11_max_incomplete_event_size=LARGEST,
            http="h11",
            ws="none",
            server_header=False,
            access_log=False,
            proxy_headers=False,
            log_config=None,
        )
    )
