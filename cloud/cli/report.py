"""How a release looks on the terminal: rows of a list, and the whole story of one."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.text import Text

from cloud.cli import output
from cloud.cli.columns import Columns
from cloud.cli.gather import Seen
from cloud.fleet.wording import many, some
from cloud.rollout.advice import Advice, advise
from cloud.rollout.release import ReleaseSpec
from cloud.rollout.status import Phase, ReleaseStatus, StageStatus, WaitingOn
from cloud.rollout.template import main_container

WORST_FIRST: Final = (
    Phase.FAILED,
    Phase.ROLLING_BACK,
    Phase.PAUSED,
    Phase.AWAITING_APPROVAL,
    Phase.AWAITING_WINDOW,
    Phase.ROLLING,
    Phase.SOAKING,
    Phase.PENDING,
    Phase.CATCHING_UP,
    Phase.HALTED,
    Phase.ROLLED_BACK,
    Phase.SUCCEEDED,
    Phase.SUPERSEDED,
)
ABORT_REASON: Final = "edgefleet.io/abort-reason"
PAUSE_REASON: Final = "edgefleet.io/pause-reason"
_NUMBERS: Final = frozenset({"DONE", "SITES", "UPDATING", "PENDING", "FAILED", "DEFERRED"})
_LOOSE: Final = frozenset({"NAMESPACE", "MESSAGE", "SITES"})
_WIDE: Final = 130  # columns from which a message has room beside the figures


def worst_first(found: Sequence[Seen]) -> list[Seen]:
    """Return the releases in the order in which a person should look at them."""

    def order(one: Seen) -> tuple[int, int, float, str]:
        breached = 0 if one.status.breach is not None else 1
        newest = -one.release.created.timestamp()
        return WORST_FIRST.index(one.status.phase), breached, newest, one.release.name

    return sorted(found, key=order)


def listing(found: Sequence[Seen], now: datetime, width: int, *, namespaces: bool) -> Columns:
    """Return the table of releases; where it is narrow, without messages: ``remarks`` has them."""
    beside = width >= _WIDE
    headers = ["NAME", "WORKLOAD", "PHASE", "STAGE", "DONE", "FAILED", "DEFERRED", "AGE"]
    rows = []
    for one in worst_first(found):
        status, counts = one.status, one.status.counts
        row = [
            *([Text(one.release.namespace)] if namespaces else []),
            Text(one.release.name),
            Text(one.release.spec.workload.name),
            output.coloured(status.phase),
            Text(status.stage or "-"),
            Text(counts.done),
            Text(str(counts.failed), style="red" if counts.failed else ""),
            Text(str(counts.deferred)),
            Text(output.span(now - one.release.created)),
        ]
        rows.append([*row, *([Text(status.message)] if beside else [])])
    return output.table(
        [*(["NAMESPACE"] if namespaces else []), *headers, *(["MESSAGE"] if beside else [])],
        rows,
        right=_NUMBERS,
        loose=_LOOSE,
        spare=("AGE", "DEFERRED", "FAILED", "STAGE", "WORKLOAD", "DONE"),
    )


def remarks(found: Sequence[Seen], width: int) -> Iterator[Text]:
    """Yield, where the table had no room for messages, those of the releases that need a person."""
    for one in worst_first(found):
        if width < _WIDE and (one.status.waiting_on or one.status.breach or one.status.phase is Phase.FAILED):
            yield Text.assemble("\n", (f"{one.release.namespace}/{one.release.name}: ", "bold"), one.status.message)


def story(one: Seen, now: datetime) -> Iterator[RenderableType]:
    """Yield the whole of a release: what now, where it stands, what it waits for, what went wrong, what can be done."""
    release, status = one.release, one.status
    counsel = advise(release, status, now)
    yield _title(one, now)
    yield Text.assemble(output.coloured(status.phase), "  ", counsel.sentence)
    yield ""
    yield _stages(release.spec, status, now)
    yield ""
    yield output.facts(_facts(one, now))
    if counsel.commands:
        yield ""
        yield "What you can do next:"
        yield from (f"  {command}" for command in commands(counsel, release.namespace))


def commands(counsel: Advice, namespace: str) -> tuple[str, ...]:
    """Return the advised commands as they can be copied."""
    return tuple(output.invocation(command, namespace) for command in counsel.commands)


def live(one: Seen, now: datetime) -> Group:
    """Return what ``watch`` keeps on the screen."""
    return Group(*list(story(one, now)), Text("Ctrl-C ends the watching, not the release.", style="dim"))


def progress_line(one: Seen, now: datetime) -> str:
    """Return one line of ``watch`` for where no terminal is."""
    status = one.status
    stage = f" {status.stage}" if status.stage else ""
    figures = f"{status.counts.done} done, {status.counts.failed} failed, {status.counts.deferred} deferred"
    told = status.message if status.observed_generation is not None else advise(one.release, status, now).sentence
    return f"{now.astimezone():%H:%M:%S} {status.phase}{stage}: {figures}. {told}"


def _title(one: Seen, now: datetime) -> Text:
    release = one.release
    workload = release.spec.workload
    brings = one.status.resolved_image or workload.image or image_in(workload.template, workload.name) or "its template"
    return Text.assemble(
        (release.name, "bold"),
        f" in {release.namespace}: {release.spec.workload.name} → {brings}, created "
        f"{output.span(now - release.created)} ago",
    )


def image_in(template: Mapping[str, Any] | None, workload: str) -> str:
    """Return the image of a pod template's main container; empty where there is none."""
    containers = ((template or {}).get("spec") or {}).get("containers")
    return str(main_container(containers, workload).get("image") or "") if containers else ""


def _stages(spec: ReleaseSpec, status: ReleaseStatus, now: datetime) -> Columns:
    known = {stage.name: stage for stage in status.stages}
    rows: list[list[str | Text]] = []
    for position, wanted in enumerate(spec.stages):
        stage = known.get(wanted.name, StageStatus(name=wanted.name))
        counts, last = stage.counts, position == len(spec.stages) - 1
        sites = some(stage.sites, 3) or ("all others" if last else f"up to {wanted.up_to}, chosen at its start")
        since = stage.passed_at or stage.soak_since or stage.started_at
        rows.append(
            [
                stage.name,
                output.coloured(stage.phase),
                counts.done,
                str(counts.updating),
                str(counts.failed),
                str(counts.deferred),
                output.clock(since, now) if since else "-",
                sites,
            ]
        )
    headers = ["STAGE", "PHASE", "DONE", "UPDATING", "FAILED", "DEFERRED", "SINCE", "SITES"]
    spare = ("SINCE", "DEFERRED", "UPDATING", "FAILED", "SITES", "DONE")
    return output.table(headers, rows, right=_NUMBERS - {"SITES"}, loose=_LOOSE, spare=spare)


def _facts(one: Seen, now: datetime) -> Iterator[tuple[str, str | Text]]:
    status = one.status
    yield "Boxes", _figures(status)
    yield from _hindrances(one, now)
    for group in status.failures:
        told = f": {many(group.boxes, 'box')}, for example {group.example}: {group.message}"
        yield "Failure", Text.assemble((group.cause, "red"), told)
    for warning in status.warnings:
        yield "Warning", Text(warning, "yellow")
    for approval in one.release.spec.control.approvals:
        yield "Approved", f"{approval.stage} by {approval.by}" + (f": {approval.reason}" if approval.reason else "")
    if status.previous_release:
        yield "Before it", status.previous_release
    if left_out := status.counts.excluded:
        yield "Excluded", f"{many(left_out, 'box')} matched, but left out or of a newer release"


def _hindrances(one: Seen, now: datetime) -> Iterator[tuple[str, str | Text]]:
    """Yield what stops the release, or what it waits for."""
    waiting, breach = one.status.waiting_on, one.status.breach
    if waiting is not None:
        yield "Waiting on", _waiting(waiting, now)
        if waiting.hint not in one.status.message:
            yield "", waiting.hint
    if breach is not None:
        yield "Stopped", Text(f"{output.clock(breach.at, now)}, stage {breach.stage}: {breach.message}", "red")
    for label, key in (("Paused by", PAUSE_REASON), ("Ended by", ABORT_REASON)):
        if key in one.annotations:
            yield label, one.annotations[key]


def _figures(status: ReleaseStatus) -> str:
    counts = status.counts
    named = {
        "done": counts.succeeded,
        "pending": counts.pending,
        "updating": counts.updating,
        "failed": counts.failed,
        "deferred (dark)": counts.deferred,
        "rolled back": counts.rolled_back,
        "expired": counts.expired,
        "skipped": counts.skipped,
    }
    told = ", ".join(f"{value} {name}" for name, value in named.items() if value)
    return f"{counts.targeted} targeted: {told}" if told else f"{counts.targeted} targeted"


def _waiting(waiting: WaitingOn, now: datetime) -> str:
    until = f", until {output.clock(waiting.until, now)}" if waiting.until else ""  # else somebody has to act
    boxes = f"; {some(waiting.boxes)}" if waiting.boxes else ""
    since = f"{output.clock(waiting.since, now)} ({output.span(now - waiting.since)})"
    return f"{waiting.reason} since {since}{until}{boxes}"
