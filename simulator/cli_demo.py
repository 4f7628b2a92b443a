"""`fleetsim demo`: the story of a release through a hundred transfer centres, then a cluster to play with."""

from pathlib import Path
from typing import Annotated

import typer

from simulator import memory, play
from simulator.binaries import find_binaries
from simulator.cli_cluster import Folder, exports, help_text, keep
from simulator.course import Sign, count
from simulator.fleet import usual_fleet
from simulator.keeper import Keeper
from simulator.narrate import Narrator, length
from simulator.progress import ClusterError
from simulator.rehearsal import Result, verdict_on
from simulator.stopping import stopping
from simulator.story import Story
from simulator.theatre import Theatre, theatre
from simulator.watching import watching


def demo(
    *,
    folder: Folder,
    sites: Annotated[int, typer.Option(help="Transfer centres.", min=3)] = 100,
    boxes: Annotated[int, typer.Option(help="Edge boxes, more than sites.", min=4)] = 130,
    once: Annotated[bool, typer.Option("--once", help="End after the last check: 0 if all held, else 1.")] = False,
) -> None:
    """Watch releases walk through a simulated fleet, each promise checked; then play with it until Ctrl-C.

    Examples:
      fleetsim demo
      fleetsim demo --sites 10 --boxes 13
      fleetsim demo --once
    """
    if boxes <= sites:
        raise typer.BadParameter(
            f"--boxes {boxes} for --sites {sites}: the story needs vision boxes too: ask for more boxes"
        )
    look_around(boxes, folder)
    fleet = usual_fleet(sites, boxes)
    with stopping(), Narrator() as narrator:
        narrator.line(f"edgefleet: {play.size(fleet)}, simulated on this machine.", "bold")
        narrator.line(
            "Kubernetes and KubeEdge are real; only what runs in the containers is pretended. Ctrl-C stops all."
        )
        narrator.heading("The fleet comes up")
        find_binaries(narrator.step)
        with (
            theatre(fleet, folder, narrator.step, narrator.began) as stage,
            watching(stage.cluster, narrator.step) as watch,
        ):
            watch.start_agents(play.with_agents(fleet))
            with watch.devices(play.simulated(fleet), narrator.step) as devices:
                held = play_and_tell(Story(stage, watch, devices, narrator))
                if not once:
                    invite(stage, narrator)
        narrator.line("Everything is stopped.")
    raise typer.Exit(0 if held else 1)


def look_around(boxes: int, folder: Path) -> None:
    """Refuse before anything starts. Raises ClusterError."""
    if Keeper(folder.absolute()).is_alive():
        raise ClusterError(f"a cluster is up in {folder}: stop it with `fleetsim cluster down --dir '{folder}'`")
    if short := memory.shortage(boxes, memory.available()):
        raise ClusterError(short)


def play_and_tell(story: Story) -> bool:
    """The story and its table; returns whether every promise was kept."""
    stage, narrator = story.stage, story.narrator
    narrator.quiet()
    up = stage.recorder.now()
    size = play.size(stage.cluster.fleet)
    nodes = stage.cluster.kube.ready_nodes()
    online = f"{sum(nodes.values())} of {count(len(list(stage.cluster.fleet.boxes())), 'box', 'boxes')} online"
    narrator.say(up, Sign.GOOD, f"{size} are online, and edgefleet's operator is at work")
    story.everything()
    rows = [Result("up", f"{size} come up", ok=all(nodes.values()), happened=online, seconds=up), *story.results]
    narrator.table(
        "What was promised, and what was seen",
        ("promised", "seen", "time"),
        [(one.ok, (one.promise, one.happened, length(one.seconds))) for one in rows],
    )
    held = all(one.ok for one in rows)
    narrator.line()
    narrator.line(f"{verdict_on(rows)}, in {length(stage.recorder.now())}.", "bold green" if held else "bold red")
    return held


def invite(stage: Theatre, narrator: Narrator) -> None:
    """Say how to play with the fleet, and keep it up until Ctrl-C."""
    fleet = stage.cluster.fleet
    site = fleet.sites[len(fleet.sites) // 2]
    narrator.heading("It is yours to play with, until Ctrl-C")
    narrator.line("In a second terminal:")
    folder = stage.cluster.record.place.folder
    for command in (
        *exports(stage.cluster.kubeconfig, stage.cluster.kubectl),
        "edgefleet releases -A",
        f"edgefleet why {site.boxes[0].name}",
        f"fleetsim cluster cut {site.name} --dir '{folder}'",
        f"fleetsim cluster heal {site.name} --dir '{folder}'",
    ):
        narrator.line(f"  {command}", "cyan")
    keep(stage.cluster)
    narrator.line()


def add_to(app: typer.Typer) -> None:
    """Hook the command into the command line."""
    app.command(help=help_text(demo))(demo)
