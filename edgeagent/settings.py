"""What can be set of the agent: read from one file, every problem told at once."""

import json
import tomllib
from typing import Any, Final

import msgspec

from edgeagent.wire import Address, Channel, read_topic, topic

PORT: Final = 8883
LAN_PORT: Final = 7946


class SettingsError(ValueError):
    """The file is not as it should be; the text names every problem."""


class Link(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the broker is, and how each proves itself. Paths of PEM files."""

    host: str
    port: int = PORT
    ca: str = ""  # empty: no TLS, for a broker on the same machine
    certificate: str = ""
    key: str = ""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is set of one agent."""

    site: str
    box: str
    broker: Link
    roles: tuple[str, ...] = ()
    state: str = "/var/lib/edgeagent"  # folder for what must outlive the agent
    lan_port: int = LAN_PORT  # at which neighbours look for this box; 0: none
    lan: tuple[str, ...] = ()  # addresses at which they do; empty: those of the machine

    @property
    def address(self) -> Address:
        """Whose agent this is."""
        return Address(self.site, self.box)


def read(text: str) -> Settings:
    """Return the settings that a TOML text says. Raises SettingsError."""
    try:
        given: dict[str, Any] = tomllib.loads(text)
        settings = msgspec.convert(given, Settings)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as wrong:
        raise SettingsError(str(wrong)) from wrong
    if problems := _problems(settings):
        raise SettingsError("; ".join(problems))
    return settings


def text(address: Address, broker: Link) -> str:
    """Return the least that a file says: who this is and where it speaks. A string of JSON is one of TOML."""
    lines = [f"site = {json.dumps(address.site)}", f"box = {json.dumps(address.box)}", "", "[broker]"]
    lines += [f"{name} = {json.dumps(value)}" for name, value in msgspec.structs.asdict(broker).items()]
    return "\n".join(lines) + "\n"


def _problems(settings: Settings) -> list[str]:
    found = []
    try:
        read_topic(topic(settings.address, Channel.BEAT))
    except ValueError:
        found.append(f"site {settings.site!r} or box {settings.box!r} is no name: write small letters, digits, - and .")
    if not settings.broker.host:
        found.append("broker.host is empty: name the machine where the broker is")
    found += [
        f"{name} {port} is no port: write 1 to 65535"
        for name, port, least in (("broker.port", settings.broker.port, 1), ("lan_port", settings.lan_port, 0))
        if not least <= port <= 65535  # noqa: PLR2004 - the ports that there are
    ]
    if bool(settings.broker.certificate) is not bool(settings.broker.key):
        found.append("broker.certificate and broker.key belong together: name both, or neither")
    if settings.broker.certificate and not settings.broker.ca:
        found.append("broker.ca is missing: without it nobody knows who hears the certificate")
    if not settings.state.startswith("/"):
        found.append(f"state {settings.state!r} must be a path from the root")
    return found
