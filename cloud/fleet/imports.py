"""What a CSV file of sites asks for: read line by line, held against the sites that exist, every objection at once.

A row's cells replace the fields they name; an empty cell empties its field; fields without a column stay as they are.
Contacts take four columns each, numbered from the second person on: contactName, contactPhone2 and so on.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from cloud.fleet.errors import SpecError
from cloud.fleet.resource import Name
from cloud.fleet.scalars import shortened
from cloud.fleet.site import Contact, SiteKind, SiteSpec, zone_of

COLUMNS: Final = ("name", "displayName", "timeZone", "region", "kind", "uplinkMbps")
CONTACT_COLUMNS: Final = {f"contact{field.capitalize()}": field for field in Contact.model_fields}
_CONTACT: Final = re.compile(rf"({'|'.join(CONTACT_COLUMNS)})([1-9][0-9]?)?")
_ADVICE: Final = {
    "kind": f"write one of {', '.join(SiteKind)}, or leave it empty",
    "uplinkMbps": "write a whole number of Mbit/s from 1 to 1000000, or leave it empty",
    "timeZone": "write an IANA time zone, for example Asia/Shanghai",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a line, and what to do about it."""

    line: int  # in the file, from 1: the first line of the row
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


@dataclass(frozen=True, slots=True)
class Row:
    """One site as the file gives it."""

    line: int
    name: str  # empty: the file has no column of names
    cells: Mapping[str, str]  # by column that is known, without the name


@dataclass(frozen=True, slots=True)
class Sheet:
    """A whole file: what could be read of it, and what could not."""

    rows: tuple[Row, ...] = ()
    problems: tuple[Problem, ...] = ()
    whole: bool = True  # False: a column is wrong, so that a row says less than it was to; nothing is missed in it


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of a site before and after; both in plain JSON, None: absent."""

    field: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class Wish:
    """What becomes of one site."""

    line: int
    name: str
    before: SiteSpec | None  # None: the site does not exist yet
    after: SiteSpec

    @property
    def differences(self) -> tuple[Difference, ...]:
        """The fields that change; for a new site those that are not as they would be by themselves."""
        new = self.after.dump()
        old = self.before.dump() if self.before else {}
        fields = [name for name in _FIELDS if old.get(name) != new.get(name)]
        return tuple(Difference(name, old.get(name), new.get(name)) for name in fields if self.before or new.get(name))


@dataclass(frozen=True, slots=True)
class Import:
    """What a file comes to; with problems, nothing of it may be done."""

    create: tuple[Wish, ...]
    change: tuple[Wish, ...]
    leave: tuple[Wish, ...]
    problems: tuple[Problem, ...]


_FIELDS: Final = tuple(field.alias or name for name, field in SiteSpec.model_fields.items())
_NAME: Final[TypeAdapter[str]] = TypeAdapter(Name)


def decode(raw: bytes) -> str:
    """Return the text of a file in UTF-8, with or without byte order mark. Raises SpecError that names the encoding."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as bad:
        line = raw[: bad.start].count(b"\n") + 1
        encoding = next((name for name in ("UTF-16", "GB18030") if _reads_as(raw, name)), None)
        guess = f": it looks like {encoding}; `iconv -f {encoding} -t UTF-8` converts it, or" if encoding else ";"
        raise SpecError(f"line {line}: not UTF-8{guess} save the file as CSV UTF-8") from bad


def read(text: str) -> Sheet:
    """Read the rows of a file: the first line names the columns, in any order; blank lines are skipped."""
    records = _records(text)
    first = next(records, (1, []))
    if isinstance(first, Problem):
        return Sheet(problems=(first,))
    line, header = first
    columns = [cell.strip() for cell in header]
    if _unseparated(columns):
        told = "columns must be separated by commas; save the file as CSV with commas"
        return Sheet(problems=(Problem(line, told),), whole=False)
    wrong = [Problem(line, objection) for objection in _bad_header(columns)]
    rows, problems = _rows(records, columns)
    if not (rows or wrong or problems):
        problems.append(Problem(line, "no site follows the header; write one a line"))
    return Sheet(tuple(rows), (*wrong, *problems), whole=not wrong)


def compare(sheet: Sheet, existing: Mapping[str, SiteSpec]) -> Import:
    """Return what the file comes to, given the sites that exist by name; of one that is not whole, its problems."""
    wishes: list[Wish] = []
    problems = list(sheet.problems)
    for row in sheet.rows:
        try:
            wishes.append(_wish(row, existing.get(row.name)))
        except ValidationError as bad:
            problems += [Problem(row.line, told) for told in _told(bad, row, missed=sheet.whole)]
    sure = wishes if sheet.whole else []
    return Import(
        create=_those(sure, lambda wish: wish.before is None),
        change=_those(sure, lambda wish: wish.before is not None and wish.after != wish.before),
        leave=_those(sure, lambda wish: wish.after == wish.before),
        problems=tuple(sorted(problems, key=lambda problem: problem.line)),
    )


def _rows(records: Iterable[tuple[int, list[str]] | Problem], columns: list[str]) -> tuple[list[Row], list[Problem]]:
    """Return the rows below the header, and what is wrong with them before they are held against the sites."""
    rows: list[Row] = []
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    for record in records:
        if isinstance(record, Problem):
            problems.append(record)
        elif len(record[1]) != len(columns):
            problems.append(_ragged(*record, len(columns)))
        else:
            row = _row(*record, columns)
            objections = (*(_bad_name(row, seen) if "name" in columns else ()), *_bad_zone(row))
            problems += [Problem(row.line, objection) for objection in objections]
            seen.setdefault(row.name, row.line)
            rows.append(row)
    return rows, problems


def _those(wishes: Iterable[Wish], chosen: Callable[[Wish], bool]) -> tuple[Wish, ...]:
    return tuple(wish for wish in wishes if chosen(wish))


def _reads_as(raw: bytes, encoding: str) -> bool:
    """Tell whether the bytes could be text of that encoding; UTF-16 only with its byte order mark."""
    if encoding == "UTF-16" and raw[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        return False
    try:
        raw.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _records(text: str) -> Iterator[tuple[int, list[str]] | Problem]:
    """Yield each record that is not blank with the number of its first line; a Problem where reading has to end."""
    reader = csv.reader((f"{line}\n" for line in text.split("\n")), strict=True)
    begin = 1
    try:
        for record in reader:
            if any(cell.strip() for cell in record):
                yield begin, record
            begin = reader.line_num + 1
    except csv.Error as bad:
        yield Problem(begin, f"from here on the file cannot be read: {bad}; check the quotation marks and line ends")


def _unseparated(columns: list[str]) -> bool:
    """Tell whether the first line is one column only because something else stands where commas should."""
    return len(columns) <= 1 and re.search(r"[;\t]", "".join(columns)) is not None


def _bad_header(columns: list[str]) -> Iterator[str]:
    """Yield what is wrong with the first line."""
    for column in sorted({column for column in columns if columns.count(column) > 1}):
        yield f"column {column!r} appears twice; remove one"
    for column in columns:
        if not _known(column):
            known = ", ".join([*COLUMNS, *CONTACT_COLUMNS])
            yield f"column {shortened(column)} is not known; remove it or use one of {known} (contacts may be numbered)"
    if "name" not in columns:
        yield "column 'name' is missing; add it: the name of the EdgeSite"


def _known(column: str) -> bool:
    return column in COLUMNS or _CONTACT.fullmatch(column) is not None


def _ragged(line: int, record: list[str], columns: int) -> Problem:
    advice = "put quotation marks around values with commas" if len(record) > columns else "add the missing commas"
    return Problem(line, f"{len(record)} values for {columns} columns; {advice}")


def _row(line: int, record: list[str], columns: list[str]) -> Row:
    cells = {column: cell.strip() for column, cell in zip(columns, record, strict=True) if _known(column)}
    return Row(line, cells.pop("name", ""), cells)


def _bad_name(row: Row, seen: Mapping[str, int]) -> Iterator[str]:
    try:
        _NAME.validate_python(row.name)
    except ValidationError as bad:
        yield from (f"name {shortened(row.name)}: {_words(error)}" for error in bad.errors())
    if row.name in seen:
        yield f"name {shortened(row.name)}: line {seen[row.name]} has it already; keep one of the two"


def _bad_zone(row: Row) -> Iterator[str]:
    zone = row.cells.get("timeZone")
    if zone and zone_of(zone) is None:
        yield f"timeZone {shortened(zone)}: there is no such time zone; {_ADVICE['timeZone']}"


def _wish(row: Row, before: SiteSpec | None) -> Wish:
    """Return what the row makes of the site. Raises ValidationError."""
    asked: dict[str, Any] = before.dump() if before else {}
    for column in COLUMNS[1:]:
        if column in row.cells:
            asked[column] = row.cells[column]
            if not row.cells[column] and column != "timeZone":
                del asked[column]
    if any(column not in COLUMNS for column in row.cells):
        asked["contacts"] = _contacts(row.cells)
    return Wish(row.line, row.name, before, SiteSpec.model_validate(asked))


def _contacts(cells: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the people named in a row, in the order of their numbers; one without any value is left out."""
    people: dict[int, dict[str, str]] = {}
    for column, cell in cells.items():
        if cell and (match := _CONTACT.fullmatch(column)):
            people.setdefault(int(match[2] or 1), {})[CONTACT_COLUMNS[match[1]]] = cell
    return [people[number] for number in sorted(people)]


def _told(bad: ValidationError, row: Row, *, missed: bool) -> Iterator[str]:
    """Yield each objection to a row in the words of its columns; zones that do not exist were objected to before.

    ``missed``: what the row lacks is an objection too.
    """
    for error in bad.errors():
        column, *below = (str(part) for part in error["loc"])
        if below:
            column = f"contact {int(below[0]) + 1}: {below[1]}"
        if error["type"] == "missing":
            if missed:
                yield f"{column} is missing; {_ADVICE.get(column, 'add it')}"
        elif column != "timeZone" or not row.cells.get(column):
            yield f"{column} {shortened(row.cells.get(column, error['input']))}: {_ADVICE.get(column) or _words(error)}"


def _words(error: Any) -> str:  # noqa: ANN401 - a dictionary of pydantic's
    """Return an objection of pydantic's as advice: our own words, or its sentence about length."""
    said = str(error.get("ctx", {}).get("error") or error["msg"])
    return said.rpartition("': ")[2].replace("String should have", "must have")
