"""``edgefleet doctor``: looks at this machine and at a cluster, and says what is not ready, why, and what to do."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Annotated

import typer
from rich.text import Text

from cloud import crds
from cloud.cli.kube import Api, connect
from cloud.cli.options import Context, Format, Kubeconfig, Output
from cloud.cli.output import show, show_json
from cloud.doctor.cluster import judge_cluster, no_cluster
from cloud.doctor.findings import Finding, Level
from cloud.doctor.kube import examine_cluster
from cloud.doctor.machine import judge_machine
from cloud.doctor.procfs import examine_machine
from cloud.fleet.errors import SpecError, Unavailable
from cloud.rollout.peering import leader

SIGNS = {Level.OK: ("✓", "green"), Level.WARNING: ("▲", "yellow"), Level.BLOCKED: ("✕", "bold red")}


def doctor(
    *,
    machine: Annotated[bool, typer.Option("--machine", help="Look at this machine only.")] = False,
    cluster: Annotated[bool, typer.Option("--cluster", help="Look at the cluster only.")] = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    output: Output = Format.TEXT,
) -> None:
    """Say what is not ready on this machine and in the cluster, why it matters, and the next step; 1: something blocks.

    Examples:
      edgefleet doctor
      edgefleet doctor --cluster --context prod -o json
    """
    parts: dict[str, tuple[Finding, ...]] = {}
    if machine or not cluster:
        parts["machine"] = judge_machine(examine_machine())
    if cluster or not machine:
        parts["cluster"] = look_at_cluster(kubeconfig, context)
    ready = not any(finding.level is Level.BLOCKED for part in parts.values() for finding in part)
    if output is Format.JSON:
        show_json({"ready": ready, **{name: [finding.dump() for finding in part] for name, part in parts.items()}})
    else:
        show(*(line for name, part in parts.items() for line in (Text(name, style="bold"), *map(render, part))))
    raise typer.Exit(0 if ready else 1)


def look_at_cluster(kubeconfig: str | None, context: str | None) -> tuple[Finding, ...]:
    """Gather and judge; a cluster that cannot be looked at is one finding."""
    try:
        api = connect(kubeconfig, context)
        definitions = [crds.definition(kind) for kind in crds.KINDS]
        expected = {definition["metadata"]["name"]: definition["spec"] for definition in definitions}
        ahead = skew_to(api)
        theirs = datetime.now(UTC) - (ahead or timedelta(0))  # operators sign by a clock that is as right as theirs
        return judge_cluster(examine_cluster(api, expected, ahead, partial(leader, now=theirs)))
    except (SpecError, Unavailable) as problem:
        return (no_cluster(str(problem)),)


def skew_to(api: Api) -> timedelta | None:
    """Return how far this clock is ahead of the API server's, to half a second; None: it does not tell."""
    before = datetime.now(UTC)
    try:
        told = parsedate_to_datetime(api.date())
    except (SpecError, Unavailable, ValueError):
        return None  # the next call says what is wrong with the connection
    ours = before + (datetime.now(UTC) - before) / 2
    return ours - told - timedelta(seconds=0.5)  # the header is cut to whole seconds


def render(finding: Finding) -> Text:
    """Return a finding as one to three lines: what, why it matters, the next step."""
    glyph, colour = SIGNS[finding.level]
    text = Text.assemble("  ", (glyph, colour), " ", finding.what)
    if finding.why:
        text.append(f"\n      {finding.why}", style="dim")
    if finding.next_step:
        text.append(f"\n      → {finding.next_step}")
    return text
