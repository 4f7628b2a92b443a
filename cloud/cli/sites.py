"""The commands ``sites``: makes EdgeSites of a file in bulk, and says first what it would change."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cloud.cli import output
from cloud.cli.kube import Api, Conflict, Json, connect
from cloud.cli.options import EXIT_CODES, Context, Format, Kubeconfig, Output, help_text
from cloud.crds import SITE
from cloud.fleet.errors import SpecError, Unavailable
from cloud.fleet.imports import Import, Wish, compare, decode, read
from cloud.fleet.resource import API_VERSION
from cloud.fleet.site import SiteSpec
from cloud.fleet.wording import many

SITES: Final = f"/apis/{API_VERSION}/edgesites"
IMPORTER: Final = "edgefleet-import"  # owner of what it writes, beside people and GitOps tools
_LARGEST: Final = 32 * 2**20  # bytes of a file: about 200,000 sites
_SHOWN: Final = 60  # characters of one value in the preview
_TERMINATED: Final = 128 + signal.SIGTERM  # exit code, as a shell tells it of a program that such a signal ended


class _Terminated(BaseException):
    """SIGTERM came."""


def import_sites(  # noqa: PLR0913 - one option each
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="CSV in UTF-8; its first line names the columns.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before it is done.")] = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    form: Output = Format.TEXT,
) -> None:
    """Create and change EdgeSites as a CSV file says; none is ever deleted.

    Columns, in any order: name, displayName, timeZone, region, kind, uplinkMbps, and for people contactName,
    contactRole, contactPhone, contactEmail, then contactName2 and so on. An empty cell empties its field; a field
    without a column stays as it is. Nothing is done while any line is bad. Interrupted, it can be run again.

    Examples:
      edgefleet sites import sites.csv --dry-run
      edgefleet sites import sites.csv --yes -o json
    """
    sheet = read(_text(file))
    api = connect(kubeconfig, context)
    kept = {item["metadata"]["name"]: item for item in api.every(SITES)}
    found = compare(sheet, {row.name: _known(kept[row.name]) for row in sheet.rows if row.name in kept})
    if form is Format.TEXT:
        _preview(file, found)
    if found.problems:
        _tell(file, found, form, applied=0)
        raise typer.Exit(1)
    work = (*found.create, *found.change)
    if work and not dry_run:
        _agree(file, len(work), yes=yes)
        _apply(work, lambda wish: write(api, wish, kept.get(wish.name)))
    _tell(file, found, form, applied=0 if dry_run else len(work))


def _load(file: Path) -> bytes:
    """Return the bytes of the file. Raises SpecError that says why it cannot be read."""
    try:
        with file.open("rb") as opened:
            raw = opened.read(_LARGEST + 1)
    except OSError as refused:
        raise SpecError(f"{file}: {refused.strerror}; name a CSV file that can be read") from refused
    if len(raw) > _LARGEST:
        raise SpecError(f"{file}: larger than {_LARGEST // 2**20} MiB; split it into several files")
    return raw


def _text(file: Path) -> str:
    """Return the text of the file. Raises SpecError that names it."""
    raw = _load(file)
    try:
        return decode(raw)
    except SpecError as bad:
        raise SpecError(f"{file}: {bad}") from bad


def _known(item: Json) -> SiteSpec:
    """Return what is known of a site. Raises SpecError if it was written by looser rules than ours."""
    try:
        return SiteSpec.model_validate(item["spec"])
    except ValidationError as bad:
        name, first = item["metadata"]["name"], bad.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise SpecError(
            f"EdgeSite {name!r}: spec.{where}: {first['msg']}; `kubectl edit edgesite {name}` mends it"
        ) from bad


def _agree(file: Path, sites: int, *, yes: bool) -> None:
    """Ask whether to go on. Raises SpecError if there is nobody to ask, typer.Abort if the answer is no."""
    if yes:
        return
    wanted = many(sites, "site")
    if not sys.stdin.isatty():
        raise SpecError(f"{file}: {wanted} would be written, and nobody is there to ask: add --yes, or --dry-run")
    typer.confirm(f"Write {wanted}?", abort=True, err=True)


def _apply(work: tuple[Wish, ...], write: Callable[[Wish], object]) -> None:
    """Write one site after the other; whatever stops it says how far it came and that it can be run again."""
    done = 0
    try:
        with _terminable():
            for wish in _watched(work):
                write(wish)
                done += 1
    except (SpecError, Unavailable, Conflict) as stopped:
        site = work[done].name
        again = _again(done, len(work))
        if isinstance(stopped, Conflict):
            raise SpecError(f"EdgeSite {site!r} was changed by others since it was read; {again}") from stopped
        raise type(stopped)(f"EdgeSite {site!r}: {stopped}; {again}") from stopped
    except (KeyboardInterrupt, _Terminated) as stop:
        output.complain(f"stopped: {_again(done, len(work))}")
        raise typer.Exit(_TERMINATED if isinstance(stop, _Terminated) else 1) from None


@contextmanager
def _terminable() -> Iterator[None]:
    """Raise _Terminated inside where SIGTERM comes."""

    def end(*_: object) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _again(done: int, sites: int) -> str:
    """Return how far it came: the site under way may be written as well, with nobody left to hear of it."""
    return f"{done} of {sites} sites are known to be written; run the same command again to go on"


def _watched(work: tuple[Wish, ...]) -> Iterator[Wish]:
    """Yield each wish; a person at a terminal sees how far it came."""
    bar = Progress(
        TextColumn("writing sites"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        yield from bar.track(work)


def write(api: Api, wish: Wish, kept: Json | None) -> Json:
    """Apply one site as it was shown. Raises Conflict if it has changed since it was read.

    What is emptied but belongs to others as well stays when it is only left out, so that is taken away by itself.
    """
    spec = wish.after.dump()
    metadata = {"name": wish.name}
    body = {"apiVersion": API_VERSION, "kind": SITE.kind, "metadata": metadata, "spec": spec}
    if kept is None:
        body["spec"] = {field: value for field, value in spec.items() if value not in ("", [])}
        return api.apply(f"{SITES}/{wish.name}", body, fieldManager=IMPORTER)
    metadata["resourceVersion"] = kept["metadata"]["resourceVersion"]
    written = api.apply(f"{SITES}/{wish.name}", body, fieldManager=IMPORTER, force="true")
    others = {one.field: None for one in wish.differences if one.new is None and one.field in written["spec"]}
    return api.merge(f"{SITES}/{wish.name}", {"spec": others}, fieldManager=IMPORTER) if others else written


def _preview(file: Path, found: Import) -> None:
    """Say what would be created, changed and left, line by line."""
    output.show(*(line for wish in (*found.create, *found.change) for line in _lines(wish)))
    for problem in found.problems:
        output.complain(f"{file}: {problem}")


def _lines(wish: Wish) -> Iterator[str]:
    yield f"{'create' if wish.before is None else 'change'}  {wish.name}"
    for change in wish.differences:
        before = "" if wish.before is None else f"{_brief(change.old)} → "
        yield f"        {change.field}: {before}{_brief(change.new)}"


def _tell(file: Path, found: Import, form: Format, *, applied: int) -> None:
    """Say what it came to."""
    if form is Format.JSON:
        output.show_json(_as_json(found) | {"file": str(file), "applied": applied})
        return
    counted = f"{len(found.create)} to create, {len(found.change)} to change, {len(found.leave)} stay as they are"
    if found.problems:
        output.complain(f"{file}: {_many(len(found.problems), 'problem')}; nothing was done. Mend them and run again.")
    elif applied:
        output.show(f"{file}: {counted}; {_many(applied, 'site')} written.")
    else:
        output.show(f"{file}: {counted}; nothing was changed.")


def _as_json(found: Import) -> Json:
    def changes(wish: Wish) -> list[Json]:
        return [{"field": one.field, "old": one.old, "new": one.new} for one in wish.differences]

    def told(wishes: tuple[Wish, ...]) -> list[Json]:
        return [{"line": wish.line, "name": wish.name, "fields": changes(wish)} for wish in wishes]

    return {
        "create": told(found.create),
        "change": told(found.change),
        "leave": [wish.name for wish in found.leave],
        "problems": [{"line": problem.line, "message": problem.message} for problem in found.problems],
    }


def _brief(value: Any) -> str:  # noqa: ANN401 - JSON
    """Return a value for people; a person is told by what is known of them."""
    match value:
        case None | "" | []:
            return "(empty)"
        case list():
            text = "; ".join(" ".join(part for part in person.values() if part) for person in value)
        case _:
            text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _many(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


app = typer.Typer(name="sites", help="Transfer centres and campuses.", no_args_is_help=True, rich_markup_mode=None)
app.command("import", help=help_text(import_sites), epilog=EXIT_CODES)(import_sites)
