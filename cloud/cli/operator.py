"""``edgefleet operator``: carries releases out until it is stopped."""

from typing import Annotated

import typer

from cloud import settings as setting
from cloud.fleet.errors import SpecError


def operator(
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
) -> None:
    """Carry out EdgeReleases and keep an EdgeBox for every box.

    Runs until SIGTERM. Settings come from EDGEFLEET_* variables; of several operators one leads, the others stand by.
    """
    from cloud.operator import run  # noqa: PLC0415 - kopf takes a second to import, which other commands need not wait

    try:
        code = run(setting.load(log_level=log_level))
    except SpecError as wrong:
        typer.echo(f"edgefleet operator: {wrong}", err=True)
        raise typer.Exit(2) from wrong
    raise typer.Exit(code)
