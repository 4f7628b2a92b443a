"""`fleetsim rehearse` and `fleetsim scenarios`: a release file tried out before it meets real boxes."""

import contextlib
import json
import shutil
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from simulator.adjust import FAST_READY, FAST_SOAK, FAST_TIMEOUT
from simulator.cli_cluster import Format, Output, exports, help_text, keep
from simulator.expectations import ALWAYS, EXPECTATIONS
from simulator.files import Wish, read_files, read_text, scenario_path, shipped_scenarios
from simulator.narrate import Narrator, length
from simulator.progress import ClusterError
from simulator.rehearsal import Report, summary, verdict_on
from simulator.rehearse import rehearse as play_and_judge
from simulator.rendering import as_json, as_junit
from simulator.stopping import stopping
from simulator.tables import FileError
from simulator.terminal import UNWRITABLE, cannot_write
from simulator.theatre import Theatre, theatre

EXIT_CODES: Final = (
    "Exit status: 0 as wished; 1 the release was stopped, or an expectation did not hold; 2 wrong input; "
    "3 the rehearsal itself could not be carried out."
)
WRONG_INPUT: Final = 2
NOT_CARRIED_OUT: Final = 3
FAST: Final = f"Shorten soaks to {FAST_SOAK}s, readyFor to {FAST_READY}s, timeout to {FAST_TIMEOUT}s; no retries."


def rehearse(  # noqa: PLR0913 - each is an option that a person may give
    *,
    file: Annotated[
        Path, typer.Option("--file", "-f", help="The EdgeRelease, YAML; - reads standard input.", metavar="FILE")
    ],
    scenario: Annotated[str, typer.Option(help="What befalls the fleet: a name, or a TOML file.")] = "calm",
    fleet: Annotated[
        Path | None, typer.Option(help="The fleet, TOML. Default: 12 sites, 16 boxes that the release targets.")
    ] = None,
    previous: Annotated[
        Path | None, typer.Option(help="The release before. Default: the same with a stand-in image.")
    ] = None,
    fast: Annotated[bool, typer.Option("--fast", help=FAST)] = False,
    real_time: Annotated[bool, typer.Option("--real-time", help="Keep the release's windows.")] = False,
    expect_stop: Annotated[
        bool, typer.Option("--expect-stop", help="To be stopped is right: then 0, and 1 where it is not stopped.")
    ] = False,
    junit: Annotated[Path | None, typer.Option(help="Write a test case an expectation, JUnit XML.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write everything as JSON.")] = None,
    limit: Annotated[int, typer.Option("--timeout", help="Seconds the release may take.", min=10)] = 600,
    keep_up: Annotated[
        bool, typer.Option("--keep", help="Leave the cluster up to be looked at, until Ctrl-C.")
    ] = False,
) -> None:
    """Try a release out on a simulated fleet: real Kubernetes and KubeEdge, pretended containers, cut links.

    Examples:
      fleetsim rehearse -f release.yaml --fast
      fleetsim rehearse -f release.yaml --scenario seven-dark-sites --junit rehearsal.xml
      fleetsim rehearse -f release.yaml --scenario canary-crashes --fast --expect-stop
    """
    wish = Wish(file, scenario, fleet, previous, fast=fast, real_time=real_time, limit=float(limit))
    with stopping(), complaints():
        files = read_files(wish)
        for path in (junit, report):
            writable(path)
        with Narrator() as narrator, folder() as place:
            narrator.heading(f"Rehearsal of {file} under scenario {files.scenario.name}")
            narrator.line(files.scenario.sentence)
            with theatre(files.fleet, place, narrator.step, narrator.began, passing=True) as stage:
                narrator.quiet()
                found = play_and_judge(stage, wish, files, narrator)
                code = found.exit_code(stop_is_right=expect_stop)
                show(narrator, found, code, stop_is_right=expect_stop)
                cases = write(junit, as_junit(found, stop_is_right=expect_stop))
                if not (write(report, as_json(found, exit_code=code)) and cases):
                    code = NOT_CARRIED_OUT
                if keep_up:
                    linger(narrator, stage)
    raise typer.Exit(code)


def scenarios(
    action: Annotated[str, typer.Argument(help="Leave out to list all; `show` to print one.")] = "list",
    name: Annotated[str, typer.Argument(help="The scenario to show.")] = "",
    output: Output = Format.TEXT,
) -> None:
    """List what can befall a fleet in a rehearsal, or print one scenario, TOML, as a start for your own.

    Examples:
      fleetsim scenarios
      fleetsim scenarios --output json
      fleetsim scenarios show seven-dark-sites > mine.toml
    """
    with complaints():
        match action, name:
            case "list", "" if output is Format.JSON:
                typer.echo(json.dumps(listed(), indent=1))
            case "list", "":
                listing()
            case "show", _ if name and output is Format.TEXT:
                typer.echo(read_text(scenario_path(name)), nl=False)
            case _:
                raise FileError(["write `fleetsim scenarios [--output json]`, or `fleetsim scenarios show NAME`"])


def listing() -> None:
    """All scenarios, and all that a scenario can expect."""
    found = shipped_scenarios()
    wide = max(len(one.name) for one in (*found,)) + 2
    for one in found:
        typer.echo(f"{one.name:<{wide}}{one.sentence}")
    typer.echo("\nA scenario of your own can expect:")
    for name, expectation in EXPECTATIONS.items():
        typer.echo(f"{name:<{wide}}{expectation.promise}{' (always)' if name in ALWAYS else ''}")


def listed() -> dict[str, Any]:
    """The same as plain values."""
    return {
        "scenarios": [{"name": one.name, "sentence": one.sentence, "ends": one.ends} for one in shipped_scenarios()],
        "expectations": [
            {"name": name, "promise": one.promise, "always": name in ALWAYS} for name, one in EXPECTATIONS.items()
        ],
    }


def show(narrator: Narrator, found: Report, code: int, *, stop_is_right: bool) -> None:
    """The report that a release engineer reads."""
    asked, boxes = found.asked, found.boxes
    narrator.table(
        "What was expected",
        ("expected", "happened", "time"),
        [(one.ok, (one.promise, one.happened, length(one.seconds))) for one in found.results],
    )
    narrator.heading("Result")
    narrator.line(summary(found), "bold green" if code == 0 else "bold red")
    for failure in found.failures:
        narrator.line(f"  {failure}")
    narrator.line(f"Released  {asked.case.workload}: {asked.image_before} → {asked.image}")
    narrator.line(f"Fleet     {asked.fleet}")
    narrator.line(
        f"Boxes     {boxes.released} run the new version, {boxes.went_back} went back, {boxes.never_touched} never "
        f"touched; {boxes.deferred} were deferred, {boxes.caught_up} of them caught up"
    )
    for number, change in enumerate(asked.changes):
        narrator.line(f"{'' if number else 'Changed':<10}{change}")
    for number, undone in enumerate(found.undone):
        narrator.line(f"{'' if number else 'Not done':<10}{undone}: its moment never came")
    narrator.line(f"Verdict   {verdict_on(found.results)}; exit status {code}{because(found, stop_is_right)}")


def because(found: Report, stop_is_right: bool) -> str:  # noqa: FBT001 - the option, as it was given
    """What a person may not expect of the exit status."""
    if found.stopped and not stop_is_right and found.held:
        return " because it was stopped; if that is right, say --expect-stop"
    if not found.stopped and stop_is_right:
        return " because it was not stopped, as --expect-stop wants"
    return ""


def linger(narrator: Narrator, stage: Theatre) -> None:
    """Keep the cluster up until Ctrl-C."""
    narrator.heading("The cluster stays up until Ctrl-C")
    for command in (*exports(stage.cluster.kubeconfig, stage.cluster.kubectl), "edgefleet releases -A"):
        narrator.line(f"  {command}")
    narrator.quiet()
    keep(stage.cluster)


@contextlib.contextmanager
def complaints() -> Iterator[None]:
    """Tell what went wrong in words, and end with the right status: a bug, too, says nothing of the release."""
    try:
        yield
    except FileError as wrong:
        for problem in wrong.problems:
            typer.echo(f"fleetsim: {problem}", err=True)
        raise typer.Exit(WRONG_INPUT) from wrong
    except ClusterError as wrong:
        typer.echo(f"fleetsim: {wrong}", err=True)
        raise typer.Exit(NOT_CARRIED_OUT) from wrong
    except Exception as bug:
        if isinstance(bug, OSError) and bug.errno in UNWRITABLE:
            cannot_write(bug)
            raise typer.Exit(NOT_CARRIED_OUT) from bug
        traceback.print_exception(bug)
        typer.echo("fleetsim: this is a fault of fleetsim and says nothing of the release: please report it", err=True)
        raise typer.Exit(NOT_CARRIED_OUT) from bug


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder for the cluster of this rehearsal; it stays, with its logs, only when the rehearsal broke off."""
    try:
        made = Path(tempfile.mkdtemp(prefix="edgefleet-rehearsal-"))
    except FileNotFoundError as nowhere:  # each was tried by writing into it
        raise ClusterError(f"{nowhere.strerror}: make room in one of them, or set TMPDIR to another") from nowhere
    broken_off = False
    try:
        yield made
    except FileError:
        raise
    except Exception as wrong:
        broken_off = not (isinstance(wrong, OSError) and wrong.errno in UNWRITABLE)  # no log says more
        if broken_off:
            typer.echo(f"fleetsim: logs are in {made / 'logs'}", err=True)
        raise
    finally:
        if not broken_off:
            shutil.rmtree(made, ignore_errors=True)


def writable(path: Path | None) -> None:
    """Find out now whether a file can be written, not after minutes; leave it as it is. Raises FileError."""
    if path is None:
        return
    try:
        there = path.exists()
        path.open("ab").close()
        if not there:
            path.unlink()
    except OSError as wrong:
        raise FileError(
            [f"{path}: cannot be written: {wrong.strerror}; make its folder, or name another file"]
        ) from wrong


def write(path: Path | None, content: str) -> bool:
    """Write a file if it was asked for; returns whether that could be done, and says why not."""
    try:
        if path is not None:
            path.write_text(content, encoding="utf-8")
    except OSError as wrong:
        typer.echo(f"fleetsim: {path}: cannot be written: {wrong.strerror}", err=True)
        return False
    return True


def add_to(app: typer.Typer) -> None:
    """Hook the commands into the command line."""
    for command in (rehearse, scenarios):
        app.command(help=help_text(command), epilog=EXIT_CODES if command is rehearse else None)(command)
