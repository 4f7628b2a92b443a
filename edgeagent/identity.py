"""Keeps the box's key and certificate on disk, and asks the fleet's authority for them.

The key is made here and never leaves. An identity is a folder, ``<state>/<n>``, and ``<state>/current`` names the one
in force: what belongs together changes together. A box that is killed in the middle finds its key again and asks once
more; the next certificate is in force only after the broker has taken it.
"""

import contextlib
import hashlib
import hmac
import http.client
import json
import os
import shutil
import socket
import ssl
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from edgeagent import openssl
from edgeagent.enrolment import (
    AUTHORITY_PATH,
    ENROL_PATH,
    LARGEST,
    RENEW_PATH,
    Admission,
    Enrol,
    EnrolmentError,
    Invitation,
    Renew,
    Unreachable,
    due,
    read_admission,
    read_token,
)
from edgeagent.settings import Link, SettingsError, read, text
from edgeagent.wire import Address

STATE: Final = Path("/etc/edgeagent/identity")
PATIENCE: Final = 10.0
"""Seconds for the connection, and for each word of an answer."""
_BUSY: Final = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this box is, where it speaks, and where its files lie."""

    site: str
    box: str
    host: str  # of the broker
    port: int
    enrolment_host: str
    enrolment_port: int
    renew_after: float
    expires: float
    token: str  # digest of the token that let it in
    folder: Path

    @property
    def authority(self) -> Path:
        """Whose certificates the box trusts."""
        return self.folder / "authority.pem"

    @property
    def certificate(self) -> Path:
        """What the box shows."""
        return self.folder / "certificate.pem"

    @property
    def key(self) -> Path:
        """What proves it."""
        return self.folder / "key.pem"


def load(state: Path) -> Identity | None:
    """Return the identity in force; None: the box has not joined a fleet. Raises EnrolmentError."""
    try:
        folder = (state / "current").resolve(strict=True)
        return Identity(**json.loads((folder / "identity.json").read_bytes()), folder=folder)
    except FileNotFoundError:
        return None
    except OSError as refused:
        raise EnrolmentError(f"{state}: {refused.strerror}: run as root") from refused
    except (ValueError, TypeError):
        raise EnrolmentError(f"{state}: holds no identity that can be read: enrol the box anew") from None


def enrol(text: str, state: Path) -> Identity:
    """Join the fleet that a token belongs to; the same token twice is the same as once.

    Raises EnrolmentError, and Unreachable where nobody answers.
    """
    invitation = read_token(text)
    digest = hashlib.sha256(invitation.secret.encode()).hexdigest()
    present = load(state)
    if present and hmac.compare_digest(present.token, digest):
        return present
    pending = _pending(state)
    authority = _authority(invitation)
    question = Enrol(invitation.secret, openssl.request(pending / "key.pem"))
    context = ssl.create_default_context(cadata=authority)
    admission = _asked((invitation.host, invitation.port), ENROL_PATH, question, context)
    made = _written(pending, admission, (invitation.host, invitation.port, digest))
    return _in_force(made, state)


def configure(joined: Identity, state: Path, config: Path) -> None:
    """Write the agent's settings where there are none; those of a person are left alone.

    Raises EnrolmentError where they speak for another box or elsewhere: it says what they have to say.
    """
    here = state.absolute() / "current"
    files = {
        "ca": here / joined.authority.name,
        "certificate": here / joined.certificate.name,
        "key": here / joined.key.name,
    }
    link = Link(joined.host, joined.port, **{name: str(file) for name, file in files.items()})
    wanted = text(Address(joined.site, joined.box), link)
    try:
        present = read(config.read_text())
    except FileNotFoundError:
        config.parent.mkdir(parents=True, exist_ok=True)
        return _write(config, wanted.encode(), 0o644)
    except (OSError, UnicodeDecodeError, SettingsError) as wrong:
        raise EnrolmentError(
            f"the box has joined, but {config} cannot be read: {wrong}; make it say\n{wanted}"
        ) from None
    if (present.site, present.box, present.broker) != (joined.site, joined.box, link):
        raise EnrolmentError(f"joined, but {config} says otherwise; make it say\n{wanted}")
    return None


def renew_if_due(state: Path, now: float) -> Identity | None:
    """Return the next identity, proven and in force; None: it is not time yet, or there is none.

    Raises EnrolmentError, and Unreachable where nobody answers; the present identity then stays.
    """
    present = load(state)
    if present is None or not due(present.renew_after, now):
        return None
    pending = _pending(state)
    _write(pending / "key.pem", present.key.read_bytes(), 0o600)
    question = Renew(present.certificate.read_text(), openssl.request(present.key))
    context = ssl.create_default_context(cafile=str(present.authority))
    where = present.enrolment_host, present.enrolment_port
    made = _written(pending, _asked(where, RENEW_PATH, question, context), (*where, present.token))
    _prove(made)
    return _in_force(made, state)


def _pending(state: Path) -> Path:
    """Return the folder of what is not in force yet, with a key in it, be it from an earlier attempt."""
    folder = state / "pending"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (folder / "key.pem").exists():
            _write(folder / "key.pem", openssl.new_key(), 0o600)
    except OSError as refused:
        raise EnrolmentError(f"{state}: {refused.strerror}: run as root, or choose another --state") from refused
    return folder


def _authority(invitation: Invitation) -> str:
    """Fetch the authority's certificate from whoever answers, and believe it if the token vouches for it."""
    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE  # nothing secret is said, and the hash decides
    status, answer = _spoken((invitation.host, invitation.port), "GET", AUTHORITY_PATH, b"", anyone)
    with contextlib.suppress(ValueError):
        pem = answer.decode("ascii")
        found = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
        if status == http.client.OK and hmac.compare_digest(found, invitation.fingerprint):
            return pem
    raise EnrolmentError(
        f"who answers at {invitation.host}:{invitation.port} is not the fleet that made this token: nothing was told "
        "to it. Check the address; on the right machine somebody stands in between"
    )


def _asked(where: tuple[str, int], path: str, question: Enrol | Renew, context: ssl.SSLContext) -> Admission:
    status, answer = _spoken(where, "POST", path, msgspec.json.encode(question), context)
    if status == http.client.OK:
        return read_admission(answer)
    told = f"{where[0]}:{where[1]} says {status}: {answer[:200].decode('ascii', 'replace')}"
    raise Unreachable(told) if status in _BUSY else EnrolmentError(told)


def _spoken(where: tuple[str, int], method: str, path: str, body: bytes, context: ssl.SSLContext) -> tuple[int, bytes]:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    link = http.client.HTTPSConnection(*where, timeout=PATIENCE, context=context)
    try:
        link.request(method, path, body or None, {"Content-Type": "application/json"} if body else {})
        answer = link.getresponse()
        said = answer.read(LARGEST + 1)
    except ssl.SSLCertVerificationError as wrong:
        raise EnrolmentError(
            f"{where[0]}:{where[1]} cannot prove that it is the fleet's server: {wrong.verify_message}; nothing was "
            "told to it. Check this box's clock, and the address"
        ) from None
    except (OSError, http.client.HTTPException) as lost:
        raise Unreachable(f"{where[0]}:{where[1]} does not answer: {str(lost) or type(lost).__name__}") from lost
    finally:
        link.close()
    if len(said) > LARGEST:
        raise EnrolmentError(f"{where[0]}:{where[1]} answers too much for an enrolment server: check the address")
    return answer.status, said


def _written(pending: Path, admission: Admission, origin: tuple[str, int, str]) -> Identity:
    """Write what was answered beside the key, and see that they belong together."""
    host, port, token = origin
    made = Identity(
        site=admission.site,
        box=admission.box,
        host=admission.host,
        port=admission.port,
        enrolment_host=host,
        enrolment_port=port,
        renew_after=admission.renew_after,
        expires=admission.expires,
        token=token,
        folder=pending,
    )
    told: dict[str, Any] = asdict(made)
    del told["folder"]
    _write(made.authority, admission.authority.encode(), 0o644)
    _write(made.certificate, admission.certificate.encode(), 0o644)
    _write(pending / "identity.json", json.dumps(told, indent=2).encode(), 0o644)
    try:
        context_of(made)
    except (OSError, ValueError):
        raise EnrolmentError("the server's certificate does not belong to this box's key: enrol the box anew") from None
    return made


def context_of(identity: Identity) -> ssl.SSLContext:
    """Return how the box speaks TLS under an identity."""
    context = ssl.create_default_context(cafile=str(identity.authority))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(identity.certificate, identity.key)
    return context


def _prove(identity: Identity) -> None:
    """See that the broker takes it. TLS 1.2 says so within the handshake, 1.3 only with the first answer."""
    context = context_of(identity)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        with socket.create_connection((identity.host, identity.port), PATIENCE) as link:
            context.wrap_socket(link, server_hostname=identity.host).close()
    except ssl.SSLError as refused:
        raise EnrolmentError(
            f"the broker refuses the new certificate, the old one stays: {refused.reason}"
        ) from refused
    except OSError as lost:
        raise Unreachable(f"the broker at {identity.host}:{identity.port} does not answer: {lost}") from lost


def _in_force(made: Identity, state: Path) -> Identity:
    """Move what is pending to a place of its own and point at it; the one before is no longer needed."""
    before = load(state)
    numbers = [int(one.name) for one in state.iterdir() if one.name.isdigit()]
    place, beside = state / str(max(numbers, default=0) + 1), state / ".current"
    made.folder.rename(place)
    beside.unlink(missing_ok=True)
    beside.symlink_to(place.name)
    beside.rename(state / "current")
    _flush(state)
    if before:
        shutil.rmtree(before.folder, ignore_errors=True)
    now = load(state)
    if now is None:
        raise EnrolmentError(f"{state}: somebody removes what is written here")
    return now


def _write(file: Path, content: bytes, mode: int) -> None:
    """Put a file in its place, whole or not at all, and keep it there through a loss of power."""
    beside = file.with_name(f".{file.name}")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "wb") as opened:
        os.fchmod(opened.fileno(), mode)
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    beside.rename(file)
    _flush(file.parent)


def _flush(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
