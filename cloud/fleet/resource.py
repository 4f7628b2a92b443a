"""What all our custom resources share: how they are read, their conditions, their label selectors."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP: Final = "edgefleet.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
SITE_LABEL: Final = f"{GROUP}/site"
ROLE_LABEL: Final = f"{GROUP}/role"

Name = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
LabelKey = Annotated[str, Field(min_length=1, max_length=317)]
LabelValue = Annotated[str, Field(max_length=63)]


class Part(BaseModel):
    """A part of a custom resource: camelCase outside, frozen inside; unknown fields of a newer schema are ignored."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")

    def dump(self) -> dict[str, Any]:
        """Return what goes into the resource: camelCase, without fields that are None."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Requirement(Part):
    """One expression over a label."""

    key: LabelKey
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: Annotated[tuple[LabelValue, ...], Field(max_length=1000)] = ()

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


class Selector(Part):
    """A Kubernetes label selector: every part of it must hold; an empty one matches everything."""

    match_labels: Annotated[dict[LabelKey, LabelValue], Field(default_factory=dict, max_length=32)]
    match_expressions: Annotated[tuple[Requirement, ...], Field(max_length=32)] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether the labels meet the whole selector."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            requirement.matches(labels) for requirement in self.match_expressions
        )


class ConditionStatus(StrEnum):
    """Kubernetes' three-valued truth."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Part):
    """A standard Kubernetes condition."""

    type: Annotated[str, Field(max_length=63)]
    status: ConditionStatus
    reason: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z]([A-Za-z0-9]*)$")]
    message: Annotated[str, Field(max_length=1024)] = ""
    last_transition_time: datetime
    observed_generation: Annotated[int, Field(ge=0)] | None = None  # None: not about a generation


def settle_condition(known: tuple[Condition, ...], new: Condition) -> Condition:
    """Return ``new`` with the transition time of the known condition of its type if the status did not change."""
    for old in known:
        if old.type == new.type and old.status is new.status:
            return new.model_copy(update={"last_transition_time": old.last_transition_time})
    return new
