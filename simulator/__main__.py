"""The command line `fleetsim`, which is also `python -m simulator`: composes the commands, decides nothing."""

import io
import sys

import typer

from simulator import cli_cluster, cli_demo, cli_rehearse
from simulator.fleet import FleetError
from simulator.machine import NotEnoughError
from simulator.progress import ClusterError
from simulator.sockets import NotAnsweringError
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


def main() -> None:
    """Run the command line; what a person can mend is told in words, anything else is a bug and shows itself."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # what the terminal's encoding lacks becomes a question mark
    try:
        app(prog_name="fleetsim")
    except (ClusterError, FleetError, NotAnsweringError, NotEnoughError) as refusal:
        print(refusal, file=sys.stderr)
        sys.exit(1)
    except OSError as lost:
        cannot_write(lost)
        sys.exit(1)


if __name__ == "__main__":
    main()
