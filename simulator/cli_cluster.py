"""`fleetsim cluster ...`: build, start, inspect, disturb and stop the simulated cluster."""

import inspect
import json
import os
import re
import shlex
import sys
import threading
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from simulator import record
from simulator.build import build as build_programs
from simulator.cluster import Cluster, must_be_alive, stop
from simulator.course import count
from simulator.fleet import FleetError, usual_fleet
from simulator.link import Shape
from simulator.progress import ClusterError, Step
from simulator.starting import ending
from simulator.stopping import at_the_end, stopping
from simulator.terminal import telling

NUMBER = r"[0-9]+(?:\.[0-9]+)?"
WATCH_SECONDS = 2.0  # how often a cluster in the foreground is asked whether all its programs still run


class Format(StrEnum):
    """How results are written."""

    TEXT = "text"
    JSON = "json"


def usual_folder() -> Path:
    """Where the cluster lives when no folder is named."""
    state = os.environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()
    return Path(state) / "edgefleet" / "cluster"


Folder = Annotated[
    Path,
    typer.Option(
        "--dir",
        metavar="DIR",
        help="Folder of the cluster's state and logs.",
        default_factory=usual_folder,
        show_default="edgefleet/cluster in $XDG_STATE_HOME or ~/.local/state",
    ),
]


def site_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """What Tab offers: sites of the cluster that is up, but for those that were said."""
    folder, said = ctx.params.get("folder") or usual_folder(), ctx.params.get("sites") or ()
    try:
        must_be_alive(folder)
        fleet = record.read(folder).fleet
    except ClusterError:
        return []
    return [site.name for site in fleet.sites if site.name.startswith(incomplete) and site.name not in said]


Sites = Annotated[
    list[str],
    typer.Argument(help="Names of sites, such as tc-001.", metavar="SITE...", autocompletion=site_names),
]
Output = Annotated[Format, typer.Option("--output", "-o", help="How to write the result.")]


def build() -> None:
    """Build the control plane and KubeEdge into the cache, unless they are there.

    With EDGEFLEET_CLUSTER_BIN=FOLDER a cluster takes all its programs from that folder, and nothing is built for it;
    with KUBEBUILDER_ASSETS=FOLDER it takes the control plane's from there, and the rest from the build.

    Examples:
      fleetsim cluster build
    """
    with telling() as report:
        typer.echo(build_programs(report))


def up(  # noqa: PLR0913 - each is an option of the command line
    *,
    folder: Folder,
    sites: Annotated[int, typer.Option(help="Transfer centres.", min=1)] = 10,
    boxes: Annotated[int | None, typer.Option(help="Edge boxes, at least one a site. Default: 1.3 a site.")] = None,
    kubeconfig: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Kubeconfig of an API server to use, as its admin; default: one of our own."),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return when it is up, and leave it running.")] = False,
    output: Output = Format.TEXT,
) -> None:
    """Start a cluster and keep it until Ctrl-C, or until `down` with --detach.

    Examples:
      fleetsim cluster up
      fleetsim cluster up --sites 100 --boxes 130
      fleetsim cluster up --sites 3 --dir /tmp/fleet --detach
      fleetsim cluster up --kubeconfig ~/.kube/kind-config
    """
    try:
        fleet = usual_fleet(sites, -(-sites * 13 // 10) if boxes is None else boxes)
    except FleetError as wrong:
        raise typer.BadParameter(str(wrong)) from wrong
    with stopping():
        with telling() as report:
            if kubeconfig is None and "KUBECONFIG" in os.environ:
                report(
                    Step("KUBECONFIG is set but not used, for safety: say --kubeconfig to put boxes on that cluster")
                )
            cluster = Cluster.up(fleet, folder, report=report, detached=detach, existing=kubeconfig)
        introduce(cluster, output, detached=detach)
        if not detach:
            with cluster:
                keep(cluster)


def status(folder: Folder, output: Output = Format.TEXT) -> None:
    """Show sites, links, boxes, and programs that have ended.

    Examples:
      fleetsim cluster status
      fleetsim cluster status --output json
    """
    seen = look(Cluster.attach(folder))
    if output is Format.JSON:
        typer.echo(json.dumps(seen, indent=1))
        return
    typer.echo(f"kubeconfig: {seen['kubeconfig']}")
    typer.echo(f"{'SITE':<14}{'LINK':<26}{'READY':<8}BOXES")
    for site in seen["sites"]:
        ready = f"{sum(box['ready'] for box in site['boxes'])}/{len(site['boxes'])}"
        names = " ".join(box["name"] + ("" if box["running"] else " (off)") for box in site["boxes"])
        typer.echo(f"{site['name']:<14}{site['link']:<26}{ready:<8}{names}")
    for name, code in seen["ended"].items():
        typer.echo(f"ended: {name} with {code}; its log: {folder / 'logs' / name}.log")


def cut(sites: Sites, folder: Folder) -> None:
    """Cut the uplinks of sites: bytes are held both ways, connections stay open.

    Examples:
      fleetsim cluster cut tc-002 tc-003
    """
    Cluster.attach(folder).cut(*sites)


def heal(sites: Sites, folder: Folder) -> None:
    """Let the bytes of cut sites flow again.

    Examples:
      fleetsim cluster heal tc-002 tc-003
    """
    Cluster.attach(folder).heal(*sites)


def degrade(
    sites: Sites,
    folder: Folder,
    loss: Annotated[str, typer.Option(help="Share of lost segments, as 5% or 0.05; at most 90%.")] = "0",
    delay: Annotated[str, typer.Option(help="One-way delay, as 100ms or 1.5s.")] = "0ms",
) -> None:
    """Make the uplinks of sites slow and lossy; without options they are good again.

    Examples:
      fleetsim cluster degrade tc-001 --loss 5% --delay 100ms
      fleetsim cluster degrade tc-001
    """
    Cluster.attach(folder).degrade(*sites, delay_ms=milliseconds(delay), loss=share(loss))


def down(folder: Folder, output: Output = Format.TEXT) -> None:
    """Stop the cluster, even one that came up only half; its logs stay in the folder until the next start.

    Where nothing is up that is said, and is no error.

    Examples:
      fleetsim cluster down
      fleetsim cluster down --dir /tmp/fleet --output json
    """
    stopped = stop(folder)
    if output is Format.JSON:
        typer.echo(json.dumps({"dir": str(folder.absolute()), "stopped": stopped}))
    else:
        typer.echo(f"The cluster in {folder} is stopped." if stopped else f"Nothing is up in {folder}.")


def help_text(command: Callable[..., None]) -> str:
    """A command's docstring as its help, the lines of its examples left as they are."""
    return (inspect.getdoc(command) or "").replace("Examples:", "\b\nExamples:")


app = typer.Typer(
    name="cluster",
    help="A real Kubernetes and KubeEdge cluster on this machine, with boxes at sites whose links can be cut.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
for listed in (build, up, status, cut, heal, degrade, down):
    app.command(help=help_text(listed))(listed)


def introduce(cluster: Cluster, output: Format, *, detached: bool) -> None:
    """Say that it is up, and how to use it."""
    fleet, folder = cluster.fleet, cluster.record.place.folder
    if output is Format.JSON:
        typer.echo(json.dumps({"kubeconfig": str(cluster.kubeconfig), "dir": str(folder)}))
        return
    words = f"{count(len(fleet.sites), 'site', 'sites')}, {count(len(list(fleet.boxes())), 'box', 'boxes')}"
    typer.echo(f"The cluster is up: {words}, in {folder}")
    for line in exports(cluster.kubeconfig, cluster.kubectl):
        typer.echo(f"  {line}")
    stop_it = f"stop it with: fleetsim cluster down --dir {shlex.quote(str(folder))}"
    typer.echo(f"  {stop_it if detached else 'Ctrl-C stops it'}")


def exports(kubeconfig: Path, kubectl: Path) -> tuple[str, str]:
    """What to type first in another terminal: where edgefleet, fleetsim and kubectl are, and whom they speak to."""
    folders = f"{Path(sys.executable).absolute().parent}:{kubectl.parent}"
    return f'export PATH={shlex.quote(folders)}:"$PATH"', f"export KUBECONFIG={shlex.quote(str(kubeconfig))}"


def keep(cluster: Cluster) -> None:
    """Return at Ctrl-C, SIGTERM or SIGHUP; raises ClusterError when a program of the cluster ends by itself."""
    told = threading.Event()
    at_the_end(lambda *_: told.set())
    ended_before = {one.name for one in cluster.keeper.ended()}
    while not told.wait(WATCH_SECONDS):
        if not cluster.keeper.is_alive():
            return  # `down` from elsewhere
        fallen = [one for one in cluster.keeper.ended() if one.name not in ended_before and one.code > 0]
        if fallen:
            log = cluster.keeper.log_of(fallen[0].name)
            raise ClusterError(f"{ending(cluster.keeper, fallen[0])}: read {log}")


def look(cluster: Cluster) -> dict[str, Any]:
    """The cluster as plain values, for a table or JSON."""
    links, ready, running = cluster.links(), cluster.kube.ready_nodes(), cluster.keeper.pids()
    ended = {one.name: one.code for one in cluster.keeper.ended()}

    def box(name: str, role: str) -> dict[str, Any]:
        return {"name": name, "role": role, "ready": ready.get(name, False), "running": f"box/{name}" in running}

    return {
        "dir": str(cluster.record.place.folder),
        "kubeconfig": str(cluster.kubeconfig),
        "counts": dict(Counter("ready" if ready.get(box.name) else "not ready" for _, box in cluster.fleet.boxes())),
        "sites": [
            {"name": s.name, "link": words(links[s.name]), "boxes": [box(b.name, b.role) for b in s.boxes]}
            for s in cluster.fleet.sites
        ],
        "ended": ended,
    }


def words(shape: Shape) -> str:
    """A link in words."""
    if shape.cut:
        return "cut"
    wrong = [f"{shape.delay_ms:g} ms late"] * bool(shape.delay_ms) + [f"{shape.loss:.0%} lost"] * bool(shape.loss)
    return ", ".join(wrong) or "good"


def share(text: str) -> float:
    """5% or 0.05 as a number; raises typer.BadParameter."""
    matched = re.fullmatch(rf"({NUMBER})(%?)", text.strip())
    value = float(matched[1]) / (100 if matched[2] else 1) if matched else -1.0
    if not 0 <= value <= 0.9:  # noqa: PLR2004 - said in the message
        raise typer.BadParameter(f"--loss {text}: give a share from 0 to 90%, such as 5%; to let nothing pass, cut it")
    return value


def milliseconds(text: str) -> float:
    """100ms or 1.5s as milliseconds; raises typer.BadParameter."""
    matched = re.fullmatch(rf"({NUMBER})(ms|s)", text.strip())
    if not matched:
        raise typer.BadParameter(f"--delay {text}: give a time with its unit, such as 100ms or 1.5s")
    return float(matched[1]) * (1000 if matched[2] == "s" else 1)
