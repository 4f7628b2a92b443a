"""Commands that look at releases: ``releases``, ``status``, ``watch``."""

import math
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.live import Live

from cloud.cli import gather, output, report
from cloud.cli.gather import Seen
from cloud.cli.kube import connect
from cloud.cli.names import Name
from cloud.cli.options import Context, Format, Kubeconfig, Namespace, Output
from cloud.fleet.scalars import parse_duration
from cloud.rollout.advice import advise, passed, stuck


def releases(
    *,
    all_namespaces: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Those of every namespace.")] = False,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    form: Output = Format.TEXT,
) -> None:
    """List the releases, those that need a person first.

    Examples:
      edgefleet releases -A
      edgefleet releases -n sorting -o json
    """
    api = connect(kubeconfig, context)
    space = None if all_namespaces else namespace or api.namespace
    found = gather.all_releases(api, space)
    if form is Format.JSON:
        output.show_json([as_json(one) for one in report.worst_first(found)])
    elif not found:
        output.show(f"No EdgeRelease in {space or 'any namespace'}. `edgefleet plan -f FILE` previews a first one.")
    else:
        width = output.console().width
        output.show(report.listing(found, _now(), width, namespaces=all_namespaces), *report.remarks(found, width))


def status(
    name: Name,
    *,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    form: Output = Format.TEXT,
) -> None:
    """Tell where a release stands, what it waits for, what went wrong and what you can do next.

    Examples:
      edgefleet status vision-2-4-0
      edgefleet status vision-2-4-0 -n sorting -o json
    """
    api = connect(kubeconfig, context)
    one = gather.one_release(api, namespace or api.namespace, name)
    if form is Format.JSON:
        output.show_json(as_json(one))
    else:
        output.show(*report.story(one, _now()))


def watch(  # noqa: PLR0913 - one option each
    name: Name,
    *,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="DURATION", help="Stop watching after, for example, 90s or 2h.")
    ] = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    form: Output = Format.TEXT,
) -> None:
    """Watch a release until it ends; in a pipe, one line each time something changes.

    Ends with 0 when all stages have passed (Succeeded, or CatchingUp: only dark boxes are left), with 1 when it
    was stopped by failures, rolled back, halted, superseded, cannot be carried out, or the timeout is over.
    Ctrl-C ends the watching, not the release. A restart of the API server is waited out.

    Examples:
      edgefleet watch vision-2-4-0
      edgefleet watch vision-2-4-0 --timeout 2h && echo delivered
    """
    deadline = time.monotonic() + _seconds(timeout)
    api = connect(kubeconfig, context)
    latest: list[Seen] = []
    with _screen(latest, form):
        for one in gather.follow(api, namespace or api.namespace, name, deadline):
            previous, latest[:] = latest[:], [one]
            _tell(previous, one, form)
            if passed(one.status) or stuck(one.release, one.status):
                break
    one = latest[0]
    if passed(one.status):
        return
    if not stuck(one.release, one.status):
        output.complain(f"{name} has not ended after {timeout}: {one.status.phase}; it goes on without being watched")
    raise typer.Exit(1)


def as_json(one: Seen) -> dict[str, Any]:
    """Return what programs get of a release."""
    counsel = advise(one.release, one.status, _now())
    return {
        "namespace": one.release.namespace,
        "name": one.release.name,
        "workload": one.release.spec.workload.name,
        "created": one.release.created,
        "message": counsel.sentence,
        "next": report.commands(counsel, one.release.namespace),
        "status": {key: value for key, value in one.status.dump().items() if key != "template"},
    }


def _screen(latest: list[Seen], form: Format) -> AbstractContextManager[Any]:
    """Return what keeps the latest state on the terminal, with its ages going on; nothing where no terminal is."""
    if form is Format.JSON or not sys.stdout.isatty():
        return nullcontext()

    def render() -> Any:  # noqa: ANN401 - whatever rich can draw
        return report.live(latest[0], _now()) if latest else "Reading ..."

    return Live(get_renderable=render, console=output.console(), refresh_per_second=2)


def _tell(previous: list[Seen], one: Seen, form: Format) -> None:
    """Print a line where no terminal is, unless it would say the same as the one before."""
    if form is Format.JSON:
        output.show_json_line(as_json(one))
    elif not sys.stdout.isatty():
        now = _now()
        line = report.progress_line(one, now)
        if not previous or report.progress_line(previous[0], now) != line:
            output.show(line)


def _seconds(timeout: str | None) -> float:
    try:
        return parse_duration(timeout).total_seconds() if timeout is not None else math.inf
    except ValueError as bad:
        raise typer.BadParameter(str(bad), param_hint="--timeout") from bad


def _now() -> datetime:
    return datetime.now(UTC)
