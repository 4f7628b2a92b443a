"""The command ``plan``: what a release file would do to the cluster as it is now, without doing it."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cloud.cli import gather, output
from cloud.cli.kube import Api, Conflict, Forbidden, Json, NotFound, connect
from cloud.cli.options import Context, Format, Kubeconfig, Namespace, Output, namespace_name
from cloud.fleet.errors import SpecError
from cloud.fleet.resource import SITE_LABEL
from cloud.fleet.scalars import parse_duration
from cloud.fleet.wording import many, some
from cloud.rollout.draft import Draft, read_draft
from cloud.rollout.mirror import Mirror
from cloud.rollout.preview import Preview, Step, preview
from cloud.rollout.release import Release
from cloud.rollout.snapshot import Fleet, Standing, Version
from cloud.rollout.start import begin, predecessor
from cloud.rollout.status import ReleaseStatus, Waiting
from cloud.rollout.template import render

_LARGEST: Final = 4 * 2**20  # bytes of a file; the API server takes objects of 1.5 MB at most


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said of one release of the file."""

    draft: Draft
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    seen: Preview | None  # None: `problems` say why
    began: datetime

    @property
    def good(self) -> bool:
        """Tell whether the release would come to its end."""
        return self.seen is not None and not self.seen.blocked


def plan(  # noqa: PLR0913 - one option each
    *,
    file: Annotated[str, typer.Option("--filename", "-f", metavar="FILE", help="YAML file; - reads standard input.")],
    ready_after: Annotated[
        str, typer.Option("--ready-after", metavar="DURATION", help="Time from cutover to ready that is assumed.")
    ] = "30s",
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    form: Output = Format.TEXT,
) -> None:
    """Preview a release: which boxes would move in which order, what would wait, what is blocked and why.

    Nothing is changed. The file is checked strictly, then by the API server (dry run), then played against
    the boxes as they are now with the operator's own planner, if each box does well and approvals are given at once.
    Exit code 1: the file is wrong, or the release would not come to its end.

    Examples:
      edgefleet plan -f release.yaml
      edgefleet plan -f release.yaml -o json | jq '.[0].steps[:5]'
      cat a.yaml b.yaml | edgefleet plan -f - -n sorting
    """
    span = _duration(ready_after)
    documents = _documents(file)
    api = connect(kubeconfig, context)
    now = datetime.now(UTC)
    drafts = [read_draft(document, namespace or api.namespace, now) for document in documents]
    answers = list(_answers(api, drafts, now, span))
    if form is Format.JSON:
        output.show_json([_as_json(answer) for answer in answers])
    else:
        output.show(*(part for answer in answers for part in _story(answer, span)))
    if not all(answer.good for answer in answers):
        raise typer.Exit(1)


def _documents(file: str) -> list[Json]:
    """Return the releases of a file. Raises SpecError that names what cannot be read."""
    try:
        data = sys.stdin.buffer.read(_LARGEST + 1) if file == "-" else Path(file).read_bytes()[: _LARGEST + 1]
        found = [one for one in yaml.safe_load_all(data) if one is not None]
    except OSError as missing:
        raise SpecError(f"{file}: {missing.strerror}") from missing
    except (yaml.YAMLError, UnicodeDecodeError) as bad:
        raise SpecError(f"{file}: not YAML: {' '.join(str(bad).split())}") from bad
    if len(data) > _LARGEST:
        raise SpecError(f"{file}: larger than {_LARGEST // 2**20} MiB; give one file a release")
    releases = [one for one in found if not isinstance(one, dict) or one.get("kind") in {None, "EdgeRelease"}]
    for other in found:
        if other not in releases:
            output.complain(f"{file}: {other['kind']} is passed over, only EdgeReleases are previewed")
    if not releases:
        raise SpecError(f"{file}: holds no EdgeRelease")
    if not all(isinstance(one, dict) for one in releases):
        raise SpecError(f"{file}: a document is not a mapping with apiVersion, kind, metadata and spec")
    return releases


def _answers(api: Api, drafts: Iterable[Draft], now: datetime, span: timedelta) -> Iterator[Answer]:
    mirror: Mirror | None = None
    for draft in drafts:
        problems, notes = (draft.problems, ()) if draft.release is None else _judgement(api, draft)
        if draft.release is None or problems:
            yield Answer(draft, problems, notes, None, now)
            continue
        mirror = mirror or gather.mirror(api, now)
        try:
            fleet = _with(mirror, draft.release, now)
        except SpecError as impossible:
            yield Answer(draft, (str(impossible),), notes, None, now)
            continue
        notes += _strangers(api, draft.release)
        yield Answer(draft, (), notes, preview(fleet, draft.name, now, span), now)


def _judgement(api: Api, draft: Draft) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what the API server itself objects to, and what is to be known of its word."""
    try:
        namespace_name(draft.namespace)
    except typer.BadParameter as wrong:
        return (f"metadata.namespace: {wrong}",), ()
    path = gather.release_path(draft.namespace, draft.name)
    try:
        api.apply(path, dict(draft.manifest), dryRun="All", force="true", fieldValidation="Strict")
    except NotFound as missing:
        return (f"metadata.namespace: {missing}; `kubectl create namespace {draft.namespace}` makes it",), ()
    except Forbidden as refused:  # who only looks, and leaves the writing to others, may have a preview too
        return (), (f"the API server has not judged the file: {refused}",)
    except (SpecError, Conflict) as refused:
        return tuple(str(refused).splitlines()), ()
    return (), ()


def _with(mirror: Mirror, release: Release, now: datetime) -> Fleet:
    """Return the fleet as it would be with this release in it. Raises SpecError if it cannot begin."""
    held = mirror.held((release.namespace, release.spec.workload.name), now)
    known = next((one for one in held.releases if one.mark.key[1] == release.name), None)
    older = [one for one in held.releases if one is not known]
    status = known.status if known is not None else ReleaseStatus()
    if known is not None:
        older = [one for one in older if (one.created, one.mark.key[1]) < (known.created, release.name)]
        identity = {"uid": known.mark.uid, "created": known.created, "generation": known.generation + 1}
        release = release.model_copy(update=identity)
    if status.template is None:
        status = begin(release, status, predecessor(older, held.daemon_sets, held.fleet.boxes), None)
    rendered = render(release.namespace, release.spec.workload, status.template or {})
    standing = Standing(release, status, tuple(one.hash for one in rendered))
    others = (one for one in held.fleet.standings if one.release.name != release.name)
    return replace(
        held.fleet,
        standings=tuple(sorted((*others, standing), key=lambda one: one.release.age_order)),
        versions={**held.fleet.versions, **{one.hash: Version(one.hash, one.exclusive) for one in rendered}},
    )


def _strangers(api: Api, release: Release) -> tuple[str, ...]:
    names = [name for name, labels in gather.strangers(api) if release.spec.targets.include(labels)]
    if not names:
        return ()
    return (f"matched, but without a label {SITE_LABEL}, so no boxes: {some(names)}",)


def _story(answer: Answer, span: timedelta) -> Iterator[RenderableType]:
    """Yield the preview of one release as a person reads it."""
    draft, seen = answer.draft, answer.seen
    title = Text.assemble((draft.name, "bold"), f" in {draft.namespace}")
    if seen is None or draft.release is None:
        yield Text.assemble(title, ": ", ("cannot be released as it is written", "red"))
        yield from (f"  {problem}" for problem in answer.problems)
        return
    length = output.span(seen.ends - answer.began)
    if not seen.boxes:
        verdict = Text("would do nothing", "red")
    elif seen.blocked:
        verdict = Text(f"would come to a stop after {length}", "red")
    else:
        verdict = Text(f"would take about {length}, each box {output.span(span)} from cutover to ready", "green")
    size = f"{many(seen.boxes, 'box')} at {many(seen.sites, 'site')}"
    yield Text.assemble(title, f": {size}; ", verdict)
    if seen.blocked:
        yield Text(f"Blocked: {seen.blocked}", "red")
    if seen.steps:
        yield ""
        yield _sequence(seen, answer.began)
    facts = [*_facts(seen, answer.began), *(("Note", note) for note in answer.notes)]
    if facts:
        yield ""
        yield output.facts(facts)
    yield ""


def _sequence(seen: Preview, began: datetime) -> Table:
    """Return a row for all sites of a stage that are changed in the same stretch of time."""
    sites: dict[tuple[str, str], list[Step]] = {}
    for step in seen.steps:
        sites.setdefault((step.stage, step.site), []).append(step)
    stretches: dict[tuple[str, datetime, datetime], list[list[Step]]] = {}
    for (stage, _), steps in sites.items():
        stretches.setdefault((stage, steps[0].at, steps[-1].at), []).append(steps)
    rows = []
    for (stage, first, last), members in stretches.items():
        lasts = output.span(last - first) if last > first else "-"
        boxes = str(sum(len(steps) for steps in members))
        names = " ".join(steps[0].site for steps in members)
        rows.append([stage, output.clock(first, began), f"+{output.span(first - began)}", lasts, boxes, names])
    headers = ["STAGE", "FROM", "AFTER", "LASTS", "BOXES", "SITES"]
    return output.table(headers, rows, frozenset({"AFTER", "LASTS", "BOXES"}))


def _facts(seen: Preview, began: datetime) -> Iterator[tuple[str, str | Text]]:
    for pause in seen.pauses:
        if pause.reason in {Waiting.APPROVAL, Waiting.WINDOW, Waiting.PAUSED}:
            until = f" until {output.clock(pause.until, began)}" if pause.until else ""
            yield (
                f"Waits, {pause.reason}",
                f"+{output.span(pause.at - began)}, stage {pause.stage}{until}: {pause.hint}",
            )
    named = (
        ("Already there", seen.done),
        ("Dark, deferred", seen.dark),
        ("Held back", seen.held),
        ("Excluded", seen.excluded),
        ("In a newer one", seen.taken),
        ("Supersedes", seen.supersedes),
    )
    for label, names in named:
        if names:
            yield label, f"{len(names)}: {some(names)}"
    for warning in seen.status.warnings:
        yield "Warning", Text(warning, "yellow")


def _as_json(answer: Answer) -> dict[str, Any]:
    seen = answer.seen
    head = {
        "namespace": answer.draft.namespace,
        "name": answer.draft.name,
        "good": answer.good,
        "problems": answer.problems,
        "notes": answer.notes,
    }
    if seen is None:
        return head
    return head | {
        "blocked": seen.blocked or None,
        "boxes": seen.boxes,
        "sites": seen.sites,
        "ends": seen.ends,
        "stages": [
            {"name": one.name, "startedAt": one.started_at, "passedAt": one.passed_at, "counts": one.counts.dump()}
            for one in seen.status.stages
        ],
        "steps": [{"at": one.at, "stage": one.stage, "site": one.site, "box": one.box} for one in seen.steps],
        "waits": [
            {"at": one.at, "stage": one.stage, "reason": one.reason, "hint": one.hint, "until": one.until}
            for one in seen.pauses
        ],
        "alreadyThere": seen.done,
        "dark": seen.dark,
        "heldBack": seen.held,
        "singleBoxSites": seen.lone,
        "sitesWithoutTimeZone": seen.zoneless,
        "excluded": seen.excluded,
        "inNewerRelease": seen.taken,
        "supersedes": seen.supersedes,
        "warnings": seen.status.warnings,
    }


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as bad:
        raise typer.BadParameter(str(bad), param_hint="--ready-after") from bad
