"""The command line ``edgefleet``, which is also ``kubectl edgefleet``: composes the commands, decides nothing."""

import sys
from importlib.metadata import version as installed
from typing import Annotated

import typer

from cloud import depth
from cloud.cli import control, crds, doctor, identity, monitor, operator, output, plan, releases, sites, why
from cloud.cli.kube import Conflict
from cloud.cli.options import EXIT_CODES, Format, Output, help_text
from cloud.fleet.errors import SpecError, Unavailable

app = typer.Typer(
    name="edgefleet",
    help="Brings releases to edge boxes, stage by stage, and tells where they stand.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=output.program() == "edgefleet",  # under its other name the shell would take it for kubectl's
    rich_markup_mode=None,  # plain help: the same in a pipe, on a terminal and in a ticket
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def version(form: Output = Format.TEXT) -> None:
    """Print the version.

    Examples:
      edgefleet version -o json
    """
    number = installed("edgefleet")
    output.show_json({"version": number}) if form is Format.JSON else output.show(f"edgefleet {number}")


def _version_alone(asked: bool) -> None:  # noqa: FBT001 - typer calls it
    if asked:
        version()
        raise typer.Exit


@app.callback()
def before_any_command(
    *,
    _: Annotated[
        bool, typer.Option("--version", callback=_version_alone, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Take what may stand before a command."""


for command in (
    releases.releases,
    releases.status,
    releases.watch,
    why.why,
    plan.plan,
    control.approve,
    control.pause,
    control.resume,
    control.rollback,
    control.halt,
    identity.enrol,
    operator.operator,
    monitor.monitor,
    doctor.doctor,
    crds.crds,
    version,
):
    app.command(help=help_text(command), epilog=EXIT_CODES)(command)
app.add_typer(sites.app)
app.add_typer(identity.app)


def main() -> None:
    """Run the command line; what a person can mend is told in words, anything else is a bug and shows itself."""
    output.speak_plainly()
    depth.make_room()
    try:
        app(prog_name=output.program())
    except (SpecError, Unavailable, Conflict) as refusal:
        output.complain(str(refusal))
        sys.exit(1)
    except OSError as lost:
        output.give_up(lost)
        sys.exit(1)


if __name__ == "__main__":
    main()
