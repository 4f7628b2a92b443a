"""``edgefleet monitor``: hears the boxes and tells people what is wrong, until it is stopped."""

from pathlib import Path
from typing import Annotated

import typer

from cloud import settings as setting
from cloud.alerts import plan as plans
from cloud.cli.files import documents
from cloud.fleet.errors import SpecError


def monitor(
    plan: Annotated[
        Path | None, typer.Option(help="File that says who is told of what, and how (YAML). Default: nobody is told.")
    ] = None,
    *,
    check: Annotated[bool, typer.Option("--check", help="Read settings and plan, say what is wrong, and end.")] = False,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
) -> None:
    """Know within seconds when a box, a site or a workload dies, and tell it once.

    Runs until SIGTERM. Settings come from EDGEFLEET_* variables.

    Examples:
      edgefleet monitor --plan alerts.yaml --check
      EDGEFLEET_BROKER_HOST=mqtt.example edgefleet monitor --plan alerts.yaml
    """
    from cloud import monitor as process  # noqa: PLC0415 - what it needs takes time to import; others need not wait

    try:
        settings = setting.load_monitor(log_level=log_level)
        alerts = _read(plan)
        process.check(alerts) if check else process.run(settings, alerts)
    except SpecError as wrong:
        typer.echo(f"edgefleet monitor: {wrong}", err=True)
        raise typer.Exit(2) from wrong


def _read(path: Path | None) -> plans.AlertPlan:
    if path is None:
        return plans.AlertPlan()
    found = documents(str(path))
    if len(found) > 1:
        raise SpecError(f"{path}: holds {len(found)} documents; write one plan")
    try:
        return plans.read(found[0] if found else None)
    except SpecError as wrong:
        raise SpecError(f"{path}: {wrong}") from wrong
