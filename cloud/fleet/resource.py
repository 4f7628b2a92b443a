"""What all our custom resources share: how they are read, their conditions, their label selectors."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import chain, islice
from typing import Annotated, Any, ClassVar, Final, Literal, Self, assert_never

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from cloud.fleet.scalars import Spelled

GROUP: Final = "edgefleet.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
SITE_LABEL: Final = f"{GROUP}/site"
ROLE_LABEL: Final = f"{GROUP}/role"

NAME_SPELLED: Final = Spelled(
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
    "write lower-case letters, digits and dashes, beginning and ending with a letter or digit, for example hangzhou-2",
)
ZONE_SPELLED: Final = Spelled(r"^[A-Za-z][A-Za-z0-9_+/-]*$", "write an IANA time zone, for example Asia/Shanghai")

_DEEPEST: Final = 50  # levels of a spec; a release with a pod template has about 20
_WIDEST: Final = 200_000  # values of a spec at one level; keeps repeated YAML aliases from growing without end

Name = Annotated[str, Field(min_length=1, max_length=63), NAME_SPELLED]
_LONGEST_NAME: Final = 63
KEY_SPELLED: Final = Spelled(
    r"^([a-z0-9][-.a-z0-9]{0,252}/)?[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?$",
    "write a label's key: letters, digits, - _ and ., and before a slash a domain, for example edgefleet.io/role",
)
VALUE_SPELLED: Final = Spelled(
    r"^([A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?)?$",
    "write a label's value: letters, digits, - _ and ., a letter or digit at both ends, for example scan-1",
)
SOMEBODY_SPELLED: Final = Spelled(r"^[ \t\r\n]*[^ \t\r\n][\s\S]*$", "write more than blanks, for example Wang Wei")
LabelKey = Annotated[str, Field(min_length=1, max_length=317), KEY_SPELLED]
LabelValue = Annotated[str, Field(max_length=63), VALUE_SPELLED]


def is_name(text: str) -> bool:
    """Tell whether a text is a name as our resources write it; labels of Kubernetes may hold more than that."""
    return len(text) <= _LONGEST_NAME and re.fullmatch(NAME_SPELLED.pattern, text) is not None


@dataclass(frozen=True, slots=True)
class Rule:
    """What no single field can say of a part: checked in CEL by the API server, and in Python before it gets there."""

    cel: str
    message: str  # names the field and the next step
    holds: Callable[[Any], bool] | None = None  # of the part; None: speaks of a change, which only the API server sees
    field: str = ""  # path below the part, as in ".upTo"; empty: the part itself


class Part(BaseModel):
    """A part of a custom resource: camelCase outside, frozen inside; unknown fields of a newer schema are ignored."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _rules_hold(self) -> Self:
        """Refuse what the API server would refuse, in the same words, all objections at once."""
        broken = [rule for rule in self.rules if rule.holds is not None and not rule.holds(self)]
        if broken:
            raise ValueError("; ".join(f"{rule.field[1:]}: {rule.message}".removeprefix(": ") for rule in broken))
        return self

    def dump(self) -> dict[str, Any]:
        """Return what goes into the resource: camelCase, without fields that are None."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Spec(Part):
    """The part of a resource that people write; what nests too deep or has no end is refused before it is read."""

    @model_validator(mode="before")
    @classmethod
    def _can_be_walked(cls, given: object) -> object:
        for _ in levels(given):
            pass
        return given


def levels(value: object) -> Iterator[list[object]]:
    """Yield what is in nested lists and objects, level by level. Raises ValueError that says what is too much."""
    level = [value]
    for _ in range(_DEEPEST):
        yield level
        inside = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list))
        level = list(islice(chain.from_iterable(inside), _WIDEST + 1))
        if len(level) > _WIDEST:
            raise ValueError(f"more than {_WIDEST} values at one depth: write less, or repeat less by aliases")
        if not level:
            return
    raise ValueError(f"nested deeper than {_DEEPEST}: write a shallower object, see kubectl explain")


class Requirement(Part):
    """One expression over a label."""

    key: Annotated[LabelKey, Field(description="The label's key.")]
    operator: Annotated[Literal["In", "NotIn", "Exists", "DoesNotExist"], Field(description="What must hold of it.")]
    values: Annotated[
        tuple[Annotated[str, Field(max_length=63)], ...],  # how each is written is more than the API server can afford
        Field(max_length=256, description="Values for `In` and `NotIn`; else empty."),
    ] = ()

    rules = (
        Rule(
            "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
            "give values for In and NotIn, and none for Exists and DoesNotExist",
            lambda self: (self.operator in ("In", "NotIn")) == bool(self.values),
            ".values",
        ),
    )

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether the labels meet this requirement; a missing label meets NotIn, as in Kubernetes."""
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case "DoesNotExist":
                return self.key not in labels
        assert_never(self.operator)


class Selector(Part):
    """A Kubernetes label selector: every part of it must hold; it must not be empty, lest it match everything."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})

    match_labels: Annotated[
        dict[LabelKey, LabelValue],
        Field(default_factory=dict, max_length=32, description="Labels and the values they must have."),
    ]
    match_expressions: Annotated[
        tuple[Requirement, ...], Field(max_length=32, description="Further requirements of labels.")
    ] = ()

    rules = (
        Rule(
            "(has(self.matchLabels) && size(self.matchLabels) > 0)"
            " || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",
            "must name at least one label, for example matchLabels: {edgefleet.io/role: scan}",
            lambda self: bool(self.match_labels or self.match_expressions),
        ),
    )

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether the labels meet the whole selector."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            requirement.matches(labels) for requirement in self.match_expressions
        )

    def words(self) -> str:
        """Return the selector as kubectl writes it; at most 200 characters, to be part of a sentence."""
        parts = [f"{key}={value}" for key, value in self.match_labels.items()]
        parts += [" ".join((one.key, one.operator, *one.values)) for one in self.match_expressions]
        return ", ".join(parts)[:200]


class ConditionStatus(StrEnum):
    """Kubernetes' three-valued truth."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Part):
    """A standard Kubernetes condition."""

    type: Annotated[str, Field(max_length=63, description="What is said to hold, in CamelCase.")]
    status: Annotated[ConditionStatus, Field(description="Whether it holds: True, False or Unknown.")]
    reason: Annotated[
        str,
        Field(min_length=1, max_length=64, description="Why, as one stable word for machines."),
        Spelled(r"^[A-Za-z][A-Za-z0-9]*$", "write one CamelCase word"),
    ]
    message: Annotated[str, Field(max_length=1024, description="Why, as a sentence for people.")] = ""
    last_transition_time: Annotated[datetime, Field(description="When the status last changed.")]
    observed_generation: Annotated[
        int | None, Field(ge=0, description="Generation of the spec this is about; absent: of none.")
    ] = None


def one_per(key: str) -> dict[str, Any]:
    """Return the schema of a list with one entry per key, which several writers may each own in part."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


Conditions = Annotated[
    tuple[Condition, ...],
    Field(
        max_length=8,
        description="Standard conditions, one of each type.",
        json_schema_extra=one_per("type"),
    ),
]


def settle_condition(known: tuple[Condition, ...], new: Condition) -> Condition:
    """Return ``new`` with the transition time of the known condition of its type if the status did not change."""
    for old in known:
        if old.type == new.type and old.status is new.status:
            return new.model_copy(update={"last_transition_time": old.last_transition_time})
    return new
