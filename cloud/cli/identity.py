"""``edgefleet identity`` and ``edgefleet enrol``: who may speak in a fleet, from its authority to a box's token."""

import logging
import re
import secrets
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import structlog
import typer

from cloud.cli import output
from cloud.cli.options import EXIT_CODES, Format, Output, help_text
from cloud.identity import folder as identity
from cloud.identity import tokens
from cloud.identity.folder import Fleet, Folder
from cloud.identity.names import box_name, process_name, read_address
from edgeagent.enrolment import Invitation

_FOLDER: Final = Path("/etc/edgefleet/identity")
_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_LIFE: Final = re.compile(r"([0-9]{1,5})([mhd])")

Where = Annotated[
    Path,
    typer.Option("--folder", metavar="DIR", envvar="EDGEFLEET_IDENTITY", help="Where the fleet's identity is kept."),
]
Box = Annotated[str, typer.Argument(metavar="SITE/BOX", help="The box, such as tc-001/scan-1.")]
Boxes = Annotated[list[str], typer.Argument(metavar="SITE/BOX...", help="The boxes, such as tc-001/scan-1.")]


def life(text: str) -> timedelta:
    """Return how long a token is to last. Raises typer.BadParameter."""
    found = _LIFE.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text!r}: write minutes, hours or days, such as 30m, 24h or 7d")
    lasts = int(found[1]) * _UNITS[found[2]]
    if not tokens.SHORTEST_LIFE <= lasts <= tokens.LONGEST_LIFE:
        raise typer.BadParameter(f"{text}: a token lasts from 1m to 30d")
    return lasts


def enrol(
    boxes: Boxes,
    *,
    valid: Annotated[str, typer.Option("--valid", metavar="TIME", help="How long a token lets its box in.")] = "24h",
    folder: Where = _FOLDER,
    form: Output = Format.TEXT,
) -> None:
    """Print a one-time token with which a box joins the fleet, and the command to run on the box.

    With several boxes each has a line, its name before its token. An earlier token of the same box is void from now
    on. A box that was revoked may speak again with the certificate that it then gets; its old ones stay revoked.

    Examples:
      edgefleet enrol tc-001/scan-1
      edgefleet enrol tc-001/scan-1 tc-001/vision-1 tc-002/scan-1
      edgefleet enrol tc-001/scan-1 --valid 7d -o json
    """
    lasts, addresses, kept = life(valid), [read_address(box) for box in dict.fromkeys(boxes)], Folder.load(folder)
    now = datetime.now(UTC)
    until = now + lasts
    secret = {address: secrets.token_hex(tokens.SECRET_BYTES) for address in addresses}
    books, returned = kept.books(), []
    try:
        for address in addresses:
            books.invite(tokens.Token(tokens.digest(secret[address]), address, until.timestamp()), now.timestamp())
            returned += [address] if books.unbar(box_name(address)) else []
    finally:
        books.close()
    if returned:
        kept.tell_broker(now)
    line = {address: _invitation(kept, secret[address]) for address in addresses}
    if form is Format.JSON:
        told = [{"site": one.site, "box": one.box, "token": line[one], "expires": until} for one in addresses]
        output.show_json(told if len(told) > 1 else told[0])
        return
    if len(line) == 1:
        where, what = f"on {addresses[0]}, ", "there and paste the line above"
        output.show(*line.values())
    else:
        where, what = "", "on each box and paste its token"
        output.show(*(f"{address} {text}" for address, text in line.items()))
    output.complain(f"{where}until {until:%Y-%m-%d %H:%M} UTC and once: run `edgeagent enrol` {what}")
    for address in returned:
        output.complain(
            f"{address} was revoked and may speak again once the broker has reloaded {kept.path / 'broker'}"
        )


def _invitation(kept: Folder, secret: str) -> str:
    return Invitation(kept.fleet.host, kept.fleet.enrolment_port, kept.authority.fingerprint, secret).text()


def init(  # noqa: PLR0913 - one option each
    *,
    host: Annotated[
        str, typer.Option("--host", metavar="HOST", help="Name or address at which boxes reach broker and enrolment.")
    ],
    folder: Where = _FOLDER,
    monitor: Annotated[
        list[str] | None,
        typer.Option("--monitor", metavar="NAME", help="Name of a monitor; repeat for several. Default: monitor."),
    ] = None,
    enrolment_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the enrolment server.")] = 8443,
    broker_port: Annotated[int, typer.Option(min=1, max=65535, help="The broker's port for boxes.")] = 8883,
    broker_cloud_port: Annotated[int, typer.Option(min=1, max=65535, help="The broker's port for monitors.")] = 8884,
    broker_home: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where DIR/broker will lie, if not there.")
    ] = None,
    broker_data: Annotated[str, typer.Option(metavar="DIR", help="Where the broker may write.")] = "/var/lib/mosquitto",
    broker_user: Annotated[str, typer.Option(metavar="USER", help="Whom the broker becomes.")] = "mosquitto",
) -> None:
    """Make the fleet's authority, and what broker, monitors and enrolment server need; run again, renew what is due.

    The authority is never made twice. Whoever has its key can speak for every box: keep a copy of the folder where
    nobody looks, and nothing else anywhere else.

    Examples:
      edgefleet identity init --host fleet.example.com
      edgefleet identity init --host fleet.example.com --monitor monitor-0 --monitor monitor-1
    """
    now, names = datetime.now(UTC), tuple(map(process_name, monitor or ["monitor"]))
    fleet = Fleet(
        host=server_host(host),
        enrolment_port=enrolment_port,
        broker_port=broker_port,
        broker_cloud_port=broker_cloud_port,
        broker_home=configured_path(broker_home or str((folder / "broker").absolute())),
        broker_data=configured_path(broker_data),
        broker_user=process_name(broker_user),
        monitors=names,
    )
    kept = identity.create(folder, fleet, now)
    made = kept.furnish(now)
    output.show(*(f"{file}: written" for file in made), f"authority {kept.authority.fingerprint}")
    output.complain(f"start the broker with {kept.path / 'broker/mosquitto.conf'}, then `edgefleet identity serve`")


def revoke(box: Box, *, folder: Where = _FOLDER) -> None:
    """Take a box's certificates and tokens back, for one that was lost or stolen.

    The broker has to reload afterwards: it then lets the box neither in nor, where it is connected, say another word.

    Examples:
      edgefleet identity revoke tc-001/scan-1 && systemctl reload mosquitto
    """
    address, kept, now = read_address(box), Folder.load(folder), datetime.now(UTC)
    books = kept.books()
    try:
        many = books.revoke(box_name(address), address, now.timestamp())
    finally:
        books.close()
    kept.tell_broker(now)
    output.show(f"{address}: {many} certificate{'' if many == 1 else 's'} revoked")
    output.complain(f"now have the broker reload {kept.path / 'broker'}: `systemctl reload mosquitto`")


def serve(
    *,
    folder: Where = _FOLDER,
    listen: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on; default: all.")] = "",
) -> None:
    """Turn boxes' tokens into certificates, and certificates into the next ones, until SIGTERM.

    Examples:
      edgefleet identity serve --folder /etc/edgefleet/identity
    """
    from cloud.identity.app import make_server  # noqa: PLC0415 - the web framework takes half a second to import

    kept = Folder.load(folder)
    log_lines()
    books = kept.books()
    try:
        make_server(kept, books, listen).run()
    finally:
        books.close()


def log_lines() -> None:
    """Log to standard error, one line of JSON for each decision."""
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    structlog.configure(
        processors=[structlog.processors.add_log_level, stamp, structlog.processors.JSONRenderer()],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")


def server_host(text: str) -> str:
    """Pass on what can be the host of a server. Raises typer.BadParameter."""
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9a-fA-F:.]{2,45}", text):
        raise typer.BadParameter(f"{text!r}: write a host name or an address without a port", param_hint="--host")
    return text


def configured_path(text: str) -> str:
    """Pass on what can stand in the broker's configuration. Raises typer.BadParameter."""
    if not re.fullmatch(r"/[^\x00-\x1f\x7f]*", text):
        raise typer.BadParameter(f"{text!r}: write an absolute path", param_hint="--broker-home, --broker-data")
    return text


app = typer.Typer(name="identity", help="Who may speak in the fleet.", no_args_is_help=True, rich_markup_mode=None)
for _command in (init, revoke, serve):
    app.command(help=help_text(_command), epilog=EXIT_CODES)(_command)
