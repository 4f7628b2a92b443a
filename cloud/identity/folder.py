"""Keeps the fleet's identity in a folder: the authority's key, a database, what broker, monitors and boxes need.

Every file is written beside its place, flushed, and moved there; keys are readable by their owner alone, and the
broker's belongs to whom the broker becomes. Nothing that still holds is written anew, so twice is the same as once.
``broker/`` and ``monitor/`` can be carried to where they belong; the authority's key stays here.
"""

import os
import pwd
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from cloud.fleet.errors import SpecError
from cloud.identity import broker
from cloud.identity.authority import Authority
from cloud.identity.db import Books

CERTIFICATE, KEY, FLEET = "authority.crt", "authority.key", "fleet.json"
_SECRET: Final = 0o600
_PUBLIC: Final = 0o644
_SHUT: Final = 0o700
_OPEN: Final = 0o755  # broker/: what is secret in it is so by itself
_PASSAGE: Final = 0o711  # to what one knows; nobody else sees what there is

Port = Annotated[int, Meta(ge=1, le=65535)]


class Fleet(Struct, frozen=True, kw_only=True):
    """What the fleet's servers are called and where they stand."""

    host: str  # of broker and enrolment server, as boxes reach them
    enrolment_port: Port = 8443
    broker_port: Port = 8883
    broker_cloud_port: Port = 8884
    broker_home: str = "/etc/edgefleet/identity/broker"  # where broker/ will lie
    broker_data: str = "/var/lib/mosquitto"
    broker_user: str = "mosquitto"
    monitors: tuple[str, ...] = ("monitor",)


class Folder:
    """One fleet's identity. ``load`` raises SpecError where there is none."""

    def __init__(self, path: Path, fleet: Fleet, authority: Authority) -> None:
        self.path, self.fleet, self.authority = path, fleet, authority

    @classmethod
    def load(cls, path: Path) -> "Folder":
        """Return the identity that a folder holds. Raises SpecError."""
        try:
            fleet = msgspec.json.decode((path / FLEET).read_bytes(), type=Fleet)
            authority = Authority.load((path / CERTIFICATE).read_bytes(), (path / KEY).read_bytes())
        except FileNotFoundError as missing:
            raise SpecError(
                f"{missing.filename}: missing; restore it from a copy, or make a new one with `edgefleet identity init`"
            ) from None
        except OSError as refused:
            raise SpecError(f"{path}: {refused.strerror}: run as the folder's owner") from refused
        except msgspec.MsgspecError as bad:
            raise SpecError(f"{path / FLEET}: {bad}: `edgefleet identity init` writes it anew") from bad
        return cls(path, fleet, authority)

    def books(self) -> Books:
        """Open the database, which nobody but the owner may read."""
        file = self.path / "identity.db"
        if not file.exists():
            os.close(os.open(file, os.O_CREAT | os.O_RDWR, _SECRET))
        return Books(f"sqlite:///{file}")

    def furnish(self, now: datetime) -> list[Path]:
        """Write what broker, monitors and enrolment server lack or will soon; returns the files that were written."""
        host, made = self.fleet.host, list[Path]()
        made += self._credentials("broker/server", [host, "localhost"], now)
        made += self._credentials("enrolment/server", [host, "localhost"], now)
        made += (file for name in self.fleet.monitors for file in self._credentials(f"monitor/{name}", (), now))
        for folder in ("broker", "monitor"):
            made += self._write(f"{folder}/{CERTIFICATE}", self.authority.certificate)
        fleet = self.fleet
        place = broker.Place(
            home=fleet.broker_home,
            data=fleet.broker_data,
            user=fleet.broker_user,
            port=fleet.broker_port,
            cloud_port=fleet.broker_cloud_port,
        )
        made += self._write("broker/mosquitto.conf", broker.configuration(place).encode())
        if not (self.path / "broker" / broker.REVOKED_FILE).exists():
            made += self.tell_broker(now)
        return [*made, *self._write(f"broker/{broker.RULES_FILE}", self._rules())]

    def tell_broker(self, now: datetime) -> list[Path]:
        """Write who is revoked and who may speak, for the broker to read when it is told to."""
        books = self.books()
        try:
            listed = self.authority.revoked(books.revoked(), now)
        finally:
            books.close()
        return [
            *self._write(f"broker/{broker.REVOKED_FILE}", listed),
            *self._write(f"broker/{broker.RULES_FILE}", self._rules()),
        ]

    def _rules(self) -> bytes:
        books = self.books()
        try:
            return broker.rules(self.fleet.monitors, books.barred()).encode()
        finally:
            books.close()

    def _credentials(self, name: str, hosts: Sequence[str], now: datetime) -> Iterator[Path]:
        """Write a certificate and its key, unless those that are there are good for a while."""
        file = self.path / f"{name}.crt"
        present = file.exists() and file.with_suffix(".key").exists()
        if present and self.authority.vouches(file.read_bytes(), hosts, now):
            return
        word = Path(name).name
        issued, key = self.authority.server(word, hosts, now) if hosts else self.authority.client(word, now)
        yield from self._write(f"{name}.key", key, _SECRET)
        yield from self._write(f"{name}.crt", issued.pem)

    def _write(self, name: str, content: bytes, mode: int = _PUBLIC) -> Iterator[Path]:
        file = self.path / name
        if file.exists() and file.read_bytes() == content:
            return
        of_broker = file.parent.name == "broker"
        file.parent.mkdir(mode=_SHUT, exist_ok=True)
        file.parent.chmod(_OPEN if of_broker else _SHUT)
        write(file, content, mode, self._broker_user() if of_broker else -1)
        yield file

    def _broker_user(self) -> int:
        """Return whose the broker's files are; -1: our own, for only root can give them away."""
        try:
            return pwd.getpwnam(self.fleet.broker_user).pw_uid if os.geteuid() == 0 else -1
        except KeyError:
            return -1


def create(path: Path, fleet: Fleet, now: datetime) -> Folder:
    """Return the folder's identity, made where there is none: an authority is never made twice. Raises SpecError."""
    try:
        path.mkdir(mode=_PASSAGE, parents=True, exist_ok=True)
        if not (path / KEY).exists() and not (path / CERTIFICATE).exists():
            made = Authority.create(now)
            write(path / KEY, made.private, _SECRET)
            write(path / CERTIFICATE, made.certificate, _PUBLIC)
        write(path / FLEET, msgspec.json.format(msgspec.json.encode(fleet)), _PUBLIC)
    except OSError as refused:
        raise SpecError(f"{path}: cannot write: {refused.strerror}; choose another --folder") from refused
    return Folder.load(path)


def write(file: Path, content: bytes, mode: int, owner: int = -1) -> None:
    """Put a file in its place, whole or not at all, and keep it there through a loss of power."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "wb") as opened:
        os.fchmod(opened.fileno(), mode)  # whatever the umask
        os.fchown(opened.fileno(), owner, -1)
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    beside.replace(file)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
