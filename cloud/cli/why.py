"""The command ``why``: why a box runs what it runs."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.text import Text

from cloud.cli import gather, output
from cloud.cli.kube import NotFound, connect
from cloud.cli.names import BoxName
from cloud.cli.options import Context, Format, Kubeconfig, Output, namespace_name
from cloud.fleet.errors import SpecError
from cloud.fleet.resource import NAME_SPELLED, SITE_LABEL, is_name
from cloud.rollout.mirror import Held
from cloud.rollout.snapshot import Box
from cloud.rollout.why import Explanation, Finding, explain


def why(
    box: BoxName,
    *,
    namespace: Annotated[
        str | None,
        typer.Option(
            *("--namespace", "-n"),
            metavar="NAME",
            callback=namespace_name,
            help="Only releases of this one; default: all.",
        ),
    ] = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    form: Output = Format.TEXT,
) -> None:
    """Explain a box: which releases concern it, what it runs and should run, and what stands between.

    Examples:
      edgefleet why hz-03-scan-1
      edgefleet why hz-03-scan-1 -o json
    """
    api = connect(kubeconfig, context)
    now = datetime.now(UTC)
    try:
        node = api.get(f"{gather.NODES}/{box}")
    except NotFound:
        raise NotFound(f"no box {box!r}: `kubectl get nodes -L {SITE_LABEL}` lists all nodes and their sites") from None
    labels = node["metadata"].get("labels") or {}
    if SITE_LABEL not in labels:
        raise SpecError(
            f"node {box} has no label {SITE_LABEL}, so it is no box and no release concerns it; "
            f"`kubectl label node {box} {SITE_LABEL}=SITE` makes it one"
        )
    if not is_name(labels[SITE_LABEL]):
        raise SpecError(
            f"node {box}: its label {SITE_LABEL} is {labels[SITE_LABEL]!r}, no name of a site: no release touches it; "
            f"{NAME_SPELLED.words}; `kubectl label node {box} --overwrite {SITE_LABEL}=SITE`"
        )
    mirror = gather.mirror(api, now)
    told = []
    for key in sorted(key for key in mirror.workloads() if namespace in {None, key[0]}):
        held = mirror.held(key, now)
        one = next(found for found in held.fleet.boxes if found.name == box)
        explanation = explain(held.fleet, one, now)
        if explanation.findings or one.versions or one.pods:
            told.append((held, one, explanation))
    if form is Format.JSON:
        output.show_json({"box": box, "workloads": [_as_json(*each) for each in told]})
    elif not told:
        output.show(f"No release concerns {box}: `edgefleet releases -A` lists them all, see their spec.targets.")
    else:
        output.show(_head(told[0][1], now), *(part for each in told for part in _story(*each, now)))


def _head(box: Box, now: datetime) -> Text:
    link = ("online", "green") if box.online else ("DARK", "red")
    since = f" since {output.clock(box.since, now)} ({output.span(now - box.since)})"
    role = f", role {box.role}" if box.role else ""
    return Text.assemble((box.name, "bold"), f" at {box.site}{role}: ", link, since)


def _story(held: Held, box: Box, explanation: Explanation, now: datetime) -> Iterator[RenderableType]:
    namespace, workload = held.key
    runs = ", ".join(version_name(held, version) for version in explanation.runs) or "nothing that is ready"
    should = version_name(held, explanation.wanted) if explanation.wanted else "what it runs: no release has a say"
    verdict = "as it should" if explanation.settled else f"should run {should}"
    yield ""
    yield Text.assemble((f"{workload} in {namespace}", "bold"), f": runs {runs}, {verdict}")
    for finding in explanation.findings:
        told = f": {finding.message.removesuffix('.')}{_when(finding, now)}."
        yield Text.assemble(f"  {finding.release} ", (finding.reason, "cyan"), told)
        if finding.command:
            yield f"    → {output.invocation(finding.command, namespace)}"
    asked = box.versions - set(explanation.runs)
    if asked:
        yield f"  The labels ask for {', '.join(version_name(held, one) for one in sorted(asked))}, which is not ready."


def _when(finding: Finding, now: datetime) -> str:
    since = f", since {output.clock(finding.since, now)} ({output.span(now - finding.since)})" if finding.since else ""
    until = f", until {output.clock(finding.until, now)}" if finding.until else ""
    return since + until


def version_name(held: Held, version: str) -> str:
    """Return a version as people know it: by the newest release that brought it, else by its hash."""
    for view in reversed(held.releases):
        if any(one.hash == version for one in view.rendered):
            return view.mark.key[1]
    before = next((one.release for one in held.daemon_sets if one.version == version), "")
    return f"{before} ({version})" if before else version


def _as_json(held: Held, box: Box, explanation: Explanation) -> dict[str, Any]:
    return {
        "namespace": held.key[0],
        "workload": held.key[1],
        "online": box.online,
        "since": box.since,
        "runs": [version_name(held, version) for version in explanation.runs],
        "shouldRun": version_name(held, explanation.wanted) if explanation.wanted else None,
        "owner": explanation.owner or None,
        "settled": explanation.settled,
        "findings": [
            {
                "release": finding.release,
                "reason": finding.reason,
                "message": finding.message,
                "since": finding.since,
                "until": finding.until,
                "command": finding.command or None,
            }
            for finding in explanation.findings
        ],
    }
