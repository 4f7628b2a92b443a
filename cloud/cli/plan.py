"""The command ``plan``: what a release file would do to the cluster as it is now, without doing it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import typer
from rich.console import RenderableType
from rich.text import Text

from cloud.cli import files, gather, output
from cloud.cli.columns import Columns
from cloud.cli.kube import Api, Json, connect
from cloud.cli.options import Context, Format, Kubeconfig, Namespace, Output
from cloud.cli.trial import Verdict, fleet_with, judge
from cloud.fleet.errors import SpecError
from cloud.fleet.resource import SITE_LABEL
from cloud.fleet.scalars import parse_duration
from cloud.fleet.wording import many, some
from cloud.rollout.draft import Draft, read_draft
from cloud.rollout.mirror import Mirror
from cloud.rollout.preview import Preview, Step, preview
from cloud.rollout.release import Release
from cloud.rollout.snapshot import Fleet
from cloud.rollout.status import Waiting
from cloud.rollout.views import Kind

_LOOSE: Final = frozenset({"SITES"})
_SPARE: Final = ("FROM", "LASTS", "BOXES")


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
        """Tell whether the release would come to its end, and every box that is online with it."""
        return self.seen is not None and not self.seen.blocked and not self.seen.held


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
    Exit code 1: the file is wrong, the release is over or would not come to its end, or boxes would be held back.

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
    _must_be_told_apart(file, drafts)
    answers = list(_answers(api, drafts, now, span))
    if form is Format.JSON:
        output.show_json([_as_json(answer) for answer in answers])
    else:
        output.show(*(part for answer in answers for part in _story(answer, span)))
    if not all(answer.good for answer in answers):
        raise typer.Exit(1)


def _documents(file: str) -> list[Json]:
    """Return the releases of a file. Raises SpecError that names what cannot be read."""
    found = files.documents(file)
    if not all(isinstance(one, dict) for one in found):
        raise SpecError(f"{file}: a document is not a mapping with apiVersion, kind, metadata and spec")
    for kind in (one.get("kind") for one in found):
        if _foreign(kind):
            output.complain(f"{file}: {kind} is passed over, only EdgeReleases are previewed")
    releases = [one for one in found if not _foreign(one.get("kind"))]
    if not releases:
        raise SpecError(f"{file}: holds no EdgeRelease")
    return releases


def _foreign(kind: object) -> bool:
    """Tell whether it is a kind, and not ours."""
    return isinstance(kind, str) and kind != Kind.RELEASE


def _must_be_told_apart(file: str, drafts: Sequence[Draft]) -> None:
    """Refuse two releases of one name: the cluster would only see the last. Raises SpecError."""
    counted = Counter((draft.namespace, draft.name) for draft in drafts if draft.release is not None)
    for (namespace, name), times in counted.items():
        if times > 1:
            raise SpecError(f"{file}: EdgeRelease {namespace}/{name} stands in it {times} times; keep one of them")


def _answers(api: Api, drafts: Iterable[Draft], now: datetime, span: timedelta) -> Iterator[Answer]:
    mirror: Mirror | None = None
    for draft in drafts:
        if draft.release is None:
            yield Answer(draft, draft.problems, (), None, now)
            continue
        verdict = judge(api, draft)
        if verdict.problems:
            yield Answer(draft, verdict.problems, verdict.notes, None, now)
            continue
        mirror = mirror or gather.mirror(api, now)
        fleet, problems = _tried(mirror, draft.release, verdict, now)
        notes = verdict.notes + _strangers(api, draft.release)
        yield Answer(draft, problems, notes, preview(fleet, draft.name, now, span) if fleet else None, now)


def _tried(mirror: Mirror, release: Release, verdict: Verdict, now: datetime) -> tuple[Fleet | None, tuple[str, ...]]:
    """Return the fleet with the release in it, or why there is none."""
    try:
        return fleet_with(mirror, release, verdict, now), ()
    except SpecError as impossible:
        return None, (str(impossible),)


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
    verdict = Text(*_verdict(seen, output.span(seen.ends - answer.began), output.span(span)))
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


def _verdict(seen: Preview, length: str, ready_after: str) -> tuple[str, str]:
    """Return what it comes to in a few words, and their colour."""
    if not seen.boxes:
        return "would do nothing", "red"
    if seen.blocked:
        return (f"would come to a stop after {length}" if seen.steps else "would move no box"), "red"
    if seen.held:
        return f"would take about {length} and hold {many(len(seen.held), 'box')} back", "red"
    return f"would take about {length}, each box {ready_after} from cutover to ready", "green"


def _sequence(seen: Preview, began: datetime) -> Columns:
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
    return output.table(headers, rows, frozenset({"AFTER", "LASTS", "BOXES"}), _LOOSE, _SPARE)


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
