"""The CustomResourceDefinitions of our kinds, made from the Python types; values in, values out.

The API server wants a structural schema: no references, no ``anyOf`` but for int-or-string, a limit on everything, and
defaults that are plain JSON. Fields that may be absent have no default, so that resources hold what people wrote.
The status is written by the operator alone: it gets limits, but neither defaults nor rules.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from cloud.fleet.box import BoxSpec, BoxStatus
from cloud.fleet.resource import GROUP, NAME_SPELLED, VERSION, Part, Rule
from cloud.fleet.site import SiteSpec
from cloud.rollout import rules
from cloud.rollout.release import ReleaseSpec
from cloud.rollout.status import ReleaseStatus

Schema = dict[str, Any]


class Scope(StrEnum):
    """Where objects of a kind live."""

    CLUSTER = "Cluster"
    NAMESPACED = "Namespaced"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of ``kubectl get``."""

    name: str
    path: str
    description: str
    type: str = "string"
    priority: int = 0  # above 0: only with -o wide


@dataclass(frozen=True, slots=True)
class Kind:
    """One of our kinds."""

    kind: str
    plural: str
    short: str
    scope: Scope
    description: str
    spec: type[Part]
    status: type[Part] | None  # None: nothing is reported of it
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...] = ()  # of spec and status together

    @property
    def file(self) -> str:
        """Name of the file its definition is kept in."""
        return f"{GROUP}_{self.plural}.yaml"


_AGE: Final = Column("Age", ".metadata.creationTimestamp", "When it was created.", "date")

SITE: Final = Kind(
    "EdgeSite",
    "edgesites",
    "esite",
    Scope.CLUSTER,
    "EdgeSite is what people tell of a transfer centre or campus; its name is the value of the label"
    " edgefleet.io/site on the nodes there.",
    SiteSpec,
    None,
    (
        Column("Display", ".spec.displayName", "The name people use."),
        Column("Region", ".spec.region", "Region the site belongs to."),
        Column("Kind", ".spec.kind", "What stands at the site."),
        Column("Zone", ".spec.timeZone", "Time zone of the site."),
        Column("Mbps", ".spec.uplinkMbps", "Speed of the uplink in Mbit/s.", "integer", 1),
        _AGE,
    ),
    (
        Rule(
            f"size(self.metadata.name) <= 63 && self.metadata.name.matches(r'{NAME_SPELLED.pattern}')",
            f"metadata.name is the value of a label: {NAME_SPELLED.words}, 63 characters at most",
        ),
    ),
)
BOX: Final = Kind(
    "EdgeBox",
    "edgeboxes",
    "ebox",
    Scope.CLUSTER,
    "EdgeBox is one edge node at a site: what it is for, and what is known of its health."
    " The operator keeps one for every node with the label edgefleet.io/site.",
    BoxSpec,
    BoxStatus,
    (
        Column("Site", ".spec.site", "Where it stands."),
        Column("Roles", ".spec.roles", "What it is for."),
        Column("Health", ".status.health", "Online or Offline."),
        Column("Since", ".status.since", "Since when.", "date"),
        Column("Reason", ".status.reason", "Why, in a word."),
        _AGE,
        Column("Message", ".status.message", "Why, as a sentence.", priority=1),
    ),
)
RELEASE: Final = Kind(
    "EdgeRelease",
    "edgereleases",
    "er",
    Scope.NAMESPACED,
    "EdgeRelease takes one version of a workload to the boxes it names: where, in what order, how gently, what is good,"
    " what if not. After it has started only control, windows, budget and onFailure.maxFailed may change.",
    ReleaseSpec,
    ReleaseStatus,
    (
        Column("Workload", ".spec.workload.name", "What is released."),
        Column("Phase", ".status.phase", "Where it stands."),
        Column("Stage", ".status.stage", "The stage under way."),
        Column("Done", ".status.counts.done", "Boxes that succeeded, of those targeted."),
        Column("Failed", ".status.counts.failed", "Boxes that failed.", "integer"),
        Column("Deferred", ".status.counts.deferred", "Dark boxes that are moved when they return.", "integer"),
        _AGE,
        Column("Message", ".status.message", "Where it stands, as a sentence.", priority=1),
    ),
    rules.AFTER_START,
)
KINDS: Final = (SITE, BOX, RELEASE)


def definition(kind: Kind) -> Schema:
    """Return the CustomResourceDefinition of a kind, ready to be applied."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}", "labels": {"app.kubernetes.io/part-of": "edgefleet"}},
        "spec": {
            "group": GROUP,
            "scope": str(kind.scope),
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": [kind.short],
                "categories": ["edgefleet"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": [_column(column) for column in kind.columns],
                    **({"subresources": {"status": {}}} if kind.status else {}),
                    "schema": {"openAPIV3Schema": _root(kind)},
                }
            ],
        },
    }


def structural(part: type[Part], *, report: bool = False) -> Schema:
    """Return the structural schema of a part; ``report``: of a status, without defaults and rules."""
    given = part.model_json_schema(by_alias=True)
    parts = {each.__name__: each for each in _parts(Part)}
    return _Writer(given.get("$defs", {}), parts, report).part(part, given)


def _parts(part: type[Part]) -> set[type[Part]]:
    return {part}.union(*(_parts(below) for below in part.__subclasses__()))


def _column(column: Column) -> Schema:
    told = {"name": column.name, "type": column.type, "jsonPath": column.path, "description": column.description}
    return told | ({"priority": column.priority} if column.priority else {})


def _root(kind: Kind) -> Schema:
    properties: Schema = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        "spec": structural(kind.spec),
    }
    if kind.status:
        properties["status"] = structural(kind.status, report=True)
    root = {"description": kind.description, "type": "object", "required": ["spec"], "properties": properties}
    return root | _validations(kind.rules)


def _validations(ruled: tuple[Rule, ...]) -> Schema:
    written = [
        {"rule": rule.cel, "message": _named(rule)} | ({"fieldPath": rule.field} if rule.field else {})
        for rule in ruled
    ]
    return {"x-kubernetes-validations": written} if written else {}


def _named(rule: Rule) -> str:
    """Return the message with the last word of the field before it, for readers of logs without paths."""
    return f"{rule.field.rpartition('.')[2]} {rule.message}".strip()


@dataclass(frozen=True, slots=True)
class _Writer:
    """Turns what pydantic says of the types into what the API server takes."""

    definitions: Mapping[str, Schema]
    parts: Mapping[str, type[Part]]
    report: bool

    def part(self, part: type[Part], given: Schema) -> Schema:
        """Return the schema of one part: its fields, those it must have, its rules."""
        defaults = {} if self.report else _without_empties(part.model_construct().dump())
        properties = {
            name: self.value(field) | ({"default": defaults[name]} if name in defaults else {})
            for name, field in given["properties"].items()
        }
        made = {"type": "object", "description": given.get("description", ""), "properties": properties}
        if required := given.get("required"):
            made["required"] = required
        made |= {key: value for key, value in given.items() if key.startswith("x-kubernetes-")}
        return made if self.report else made | _validations(part.rules)

    def value(self, given: Schema) -> Schema:
        """Return the schema of a value of any type."""
        kept = {key: self._kept(key, value) for key, value in given.items() if key not in _UNWANTED}
        if self.report:
            kept.pop("x-kubernetes-validations", None)
        if "$ref" in given:
            name = given["$ref"].rpartition("/")[2]
            below = self.definitions[name]
            return (self.part(self.parts[name], below) if name in self.parts else self.value(below)) | kept
        if "anyOf" in given and not given.get("x-kubernetes-int-or-string"):
            return self.value(next(one for one in given["anyOf"] if one.get("type") != "null")) | kept
        if kept.get("additionalProperties") is True:
            del kept["additionalProperties"]  # pydantic's word for what x-kubernetes-preserve-unknown-fields says
        if keys := given.get("propertyNames"):
            kept |= {} if self.report else _key_rules(keys["maxLength"], keys.get("x-kubernetes-validations", ()))
        return kept | {"anyOf": given["anyOf"]} if "anyOf" in given else kept

    def _kept(self, key: str, value: Any) -> Any:  # noqa: ANN401 - JSON
        return self.value(value) if key in ("items", "additionalProperties") and isinstance(value, dict) else value


def _without_empties(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a value without the fields that mean the same when absent."""
    match value:
        case dict():
            return {name: _without_empties(below) for name, below in value.items() if below not in ("", [], {})}
        case list():
            return [_without_empties(below) for below in value]
        case _:
            return value


_UNWANTED: Final = frozenset({"title", "default", "$ref", "anyOf", "propertyNames"})


def _key_rules(longest: int, spelled: Iterable[Schema]) -> Schema:
    """Return what stands for a limit on keys, and for how they are written: a structural schema cannot say either."""
    message = f"a key has at most {longest} characters: shorten it"
    rules = [{"rule": f"self.all(key, size(key) <= {longest})", "message": message}]
    rules += [one | {"rule": f"self.all(key, {one['rule'].replace('self.', 'key.', 1)})"} for one in spelled]
    return {"x-kubernetes-validations": rules}
