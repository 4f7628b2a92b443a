"""An EdgeRelease as somebody wrote it into a file: read strictly, with everything that is wrong with it at once."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from cloud.fleet.resource import API_VERSION
from cloud.rollout.release import Release, ReleaseSpec
from cloud.rollout.views import Kind

UNSAVED: Final = "unsaved"  # the uid of a release that no API server has seen
_FIELDS: Final = frozenset({"apiVersion", "kind", "metadata", "spec", "status"})
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_LONGEST_NAME: Final = 253


@dataclass(frozen=True, slots=True)
class Draft:
    """One release of a file."""

    name: str
    namespace: str
    manifest: Mapping[str, Any]  # as it is sent to the API server
    release: Release | None  # None: `problems` say why
    problems: tuple[str, ...]  # each names its field


def read_draft(raw: Mapping[str, Any], namespace: str, now: datetime) -> Draft:
    """Return the release of one YAML document; ``namespace`` is used where the document names none."""
    found = raw.get("metadata")
    metadata = found if isinstance(found, dict) else {}
    name, space = metadata.get("name"), metadata.get("namespace") or namespace
    problems = list(_outside(raw, name))
    spec = None
    try:
        spec = ReleaseSpec.model_validate(raw.get("spec") or {}, extra="forbid")
    except ValidationError as wrong:
        problems += _problems(wrong)
    release = None
    if spec is not None and not problems:
        release = Release(namespace=str(space), name=str(name), uid=UNSAVED, created=now, spec=spec)
    manifest = {**raw, "metadata": {**metadata, "namespace": space}}
    return Draft(str(name or "(no name)"), str(space), manifest, release, tuple(problems))


def _outside(raw: Mapping[str, Any], name: object) -> Iterator[str]:
    """Yield what is wrong around the spec."""
    if raw.get("apiVersion") != API_VERSION:
        yield f"apiVersion: is {raw.get('apiVersion')!r}, write {API_VERSION}"
    if raw.get("kind") != Kind.RELEASE:
        yield f"kind: is {raw.get('kind')!r}, write {Kind.RELEASE}"
    if not isinstance(name, str) or len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
        yield "metadata.name: write lower-case letters, digits and dashes, for example scan-2-4-0"
    for field in sorted(str(key) for key in raw.keys() - _FIELDS):
        yield f"{field}: is no field of an {Kind.RELEASE}; is it indented too little?"


def _problems(wrong: ValidationError) -> Iterator[str]:
    """Yield one sentence for each thing that is wrong."""
    errors = wrong.errors(include_url=False, include_input=False, include_context=False)
    for error in errors:
        place = error["loc"]
        # A list that lost its bad items is also called too short: the items have been told.
        hollow = any(one["loc"][: len(place)] == place and one is not error for one in errors)
        if not (error["type"] == "too_short" and hollow):
            yield _problem(place, error["type"], error["msg"])


def _problem(place: tuple[int | str, ...], kind: str, message: str) -> str:
    """Return one objection of pydantic as a person reads it: path first, as in the file."""
    path = "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    match kind:
        case "extra_forbidden":
            parent = re.sub(r"\[\d+\]", "", path.rpartition(".")[0])
            return f"{path}: there is no such field; `kubectl explain edgereleases.{parent}` lists them"
        case "missing":
            return f"{path}: is required"
        case _:
            said = message.removeprefix("Value error, ")
            return f"{path}.{said}" if re.match(r"[A-Za-z.]+: ", said) else f"{path}: {said}"
