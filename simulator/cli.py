"""The command line `fleetsim`: composes the commands, decides nothing."""

import io
import sys
from importlib.metadata import version
from typing import Annotated

import httpx
import typer

from simulator import cli_cluster, cli_demo, cli_rehearse
from simulator.build import KUBEEDGE_VERSION, KUBERNETES_VERSION
from simulator.fleet import FleetError
from simulator.progress import ClusterError
from simulator.stopping import BROKEN_OFF
from simulator.terminal import cannot_write

app = typer.Typer(
    name="fleetsim",
    help="Simulated transfer centres on this machine: real Kubernetes, real KubeEdge, pretended containers.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: the same in a pipe, on a terminal and in a ticket
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(cli_cluster.app)
cli_demo.add_to(app)
cli_rehearse.add_to(app)


def say_version(*, asked: bool) -> None:
    """Print what this is, and of what the clusters are, then end."""
    if asked:
        typer.echo(f"fleetsim {version('edgefleet')} (Kubernetes {KUBERNETES_VERSION}, KubeEdge {KUBEEDGE_VERSION})")
        raise typer.Exit


@app.callback()
def options(
    *,
    asked: Annotated[
        bool, typer.Option("--version", help="Print the version, and end.", callback=say_version, is_eager=True)
    ] = False,
) -> None:
    """What is said before a command."""


def main() -> None:
    """Run the command line; what a person can mend is told in words, anything else is a bug and shows itself."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # what the terminal's encoding lacks becomes a question mark
    try:
        app(prog_name="fleetsim")
    except (ClusterError, FleetError) as refusal:
        print(refusal, file=sys.stderr)
        sys.exit(1)
    except httpx.HTTPError as lost:
        print(f"the API server did not answer as it should: {lost}: look into its log", file=sys.stderr)
        sys.exit(1)
    except OSError as lost:
        cannot_write(lost)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(BROKEN_OFF)
