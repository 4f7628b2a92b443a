"""What the fields of an EdgeRelease must be to each other: in CEL for the API server, in Python for everybody else."""

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from cloud.fleet.resource import GROUP, Rule
from cloud.fleet.scalars import cel_percent, cel_seconds

if TYPE_CHECKING:
    from cloud.rollout.release import ReleaseSpec

WORKLOAD: Final = (
    Rule(
        "has(self.image) || has(self.template)",
        "set image, template or both, for example image: registry.example/scan:2.0",
        lambda workload: workload.image is not None or workload.template is not None,
        ".image",
    ),
)

STAGE: Final = (
    Rule(
        "self.upTo != 0 && self.upTo != '0%'",
        "must be above 0: a stage without sites does nothing, leave it out",
        lambda stage: stage.up_to.value > 0,
        ".upTo",
    ),
)

BUDGET: Final = (
    Rule(
        "self.maxParallelSites != 0 && self.maxParallelSites != '0%'",
        "must be above 0; to stop a release set control.paused",
        lambda budget: budget.max_parallel_sites.value > 0,
        ".maxParallelSites",
    ),
)

HEALTH: Final = (
    Rule(
        f"{cel_seconds('self.readyFor')} < {cel_seconds('self.timeout')}",
        "must be shorter than timeout, or no box ever becomes healthy: shorten readyFor or lengthen timeout",
        lambda health: health.ready_for < health.timeout,
        ".readyFor",
    ),
)

CONTROL: Final = (
    Rule(
        "!has(oldSelf.abort) || (has(self.abort) && self.abort == oldSelf.abort)",
        "cannot be changed or taken back: create a new EdgeRelease",
        field=".abort",
    ),
    Rule(
        "!has(oldSelf.approvals) || (has(self.approvals)"
        " && oldSelf.approvals.all(old, self.approvals.exists(new, new == old)))",
        "entries can only be added: put back what was changed or removed; to stop the release set control.paused",
        field=".approvals",
    ),
)


def _up_to_rises(spec: "ReleaseSpec") -> bool:
    """Tell whether ``upTo`` rises; a stage with a selector stands apart: it counts sites that others cannot take."""
    plain = [stage.up_to for stage in spec.stages if stage.selector is None]
    numbers = [share.value for share in plain if not share.percent]
    percents = [share.value for share in plain if share.percent]
    return all(earlier < later for each in (numbers, percents) for earlier, later in pairwise(each))


def _sorted(condition: str, number: str) -> str:
    return f"self.stages.map(s, !has(s.selector) && {condition}, {number}).isSorted()"  # filter() would lose the limits


_UP_TO_RISES = " && ".join(
    [
        "self.stages.all(s, has(s.selector) || self.stages.exists_one(t, !has(t.selector) && t.upTo == s.upTo))",
        _sorted("type(s.upTo) == int", "int(s.upTo)"),
        _sorted(cel_percent("s.upTo"), "int(s.upTo.replace('%', ''))"),
    ]
)
_LAST = "self.stages[size(self.stages) - 1]"

RELEASE: Final = (
    Rule(
        "self.stages.all(s, self.stages.exists_one(t, t.name == s.name))",
        "names must be unique: rename the second stage of that name",
        lambda spec: len({stage.name for stage in spec.stages}) == len(spec.stages),
        ".stages",
    ),
    Rule(
        _UP_TO_RISES,
        "upTo must rise from stage to stage, for it counts the sites of earlier stages as well: raise the later one",
        _up_to_rises,
        ".stages",
    ),
    Rule(
        f"size(self.stages) == 0 || ({_LAST}.upTo == '100%' && !has({_LAST}.selector))",
        "the last stage is completed to all sites: give it upTo 100% and no selector, or add such a stage",
        lambda spec: str(spec.stages[-1].up_to) == "100%" and spec.stages[-1].selector is None,
        ".stages",
    ),
    Rule(
        "!has(self.control.approvals) || self.control.approvals.all(a, self.stages.exists(s, s.name == a.stage))",
        "each must name a stage of spec.stages: correct the stage",
        lambda spec: {one.stage for one in spec.control.approvals} <= {stage.name for stage in spec.stages},
        ".control.approvals",
    ),
)

_FROZEN: Final = (  # may not change once the release has started
    "workload",
    "targets",
    "stages",
    "health",
    "offline",
    "onFailure.retries",
    "onFailure.revertBox",
    "onFailure.minAttempted",
    "onFailure.action",
    "watchAfter",
)


def _frozen(field: str) -> Rule:
    return Rule(
        f"!has(oldSelf.status) || !has(oldSelf.status.startedAt) || self.spec.{field} == oldSelf.spec.{field}",
        "cannot change after the release has started: create a new EdgeRelease"
        " (only control, windows, budget and onFailure.maxFailed may still change)",
        field=f".spec.{field}",
    )


AFTER_START: Final = tuple(_frozen(field) for field in _FROZEN)  # of the whole resource

# A pod template is frozen as a whole, though no schema of ours knows all its fields. The API server compares an object
# of unknown fields wrongly: one such field in place of another counts as equal. A part without a type it compares as it
# stands, so the template's parts have none; in exchange no rule can speak of what is in them.
_OPAQUE: Final[dict[str, Any]] = {"x-kubernetes-preserve-unknown-fields": True}
_LOOSE: Final[dict[str, Any]] = {"type": "object", **_OPAQUE}
_RESERVED: Final = "Must be absent: the operator sets it."
_UNWANTED: Final = "Must be empty: boxes are chosen by spec.targets."


def _list_of(description: str, most: int) -> dict[str, Any]:
    return {"type": "array", "maxItems": most, "items": _LOOSE, "description": description}


_CONTAINER: Final[dict[str, Any]] = {
    **_LOOSE,
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 63, "description": "Name of the container."},
        "image": {"type": "string", "maxLength": 512, "description": "Its image."},
        "resources": {**_LOOSE, "description": "What it asks for and may use."},
        "ports": _list_of("Ports it opens.", 64),
        "env": _list_of("Its variables.", 256),
    },
}

POD_TEMPLATE: Final[dict[str, Any]] = {  # as much of a pod template as can go wrong in our own terms
    "type": "object",
    "required": ["spec"],
    "properties": {
        "metadata": {
            **_OPAQUE,
            "description": "Labels and annotations of the pods.",
            "properties": {
                "labels": {
                    **_OPAQUE,
                    "description": "Labels of the pods.",
                    "properties": {
                        f"{GROUP}/{name}": {"type": "string", "enum": [""], "description": _RESERVED}
                        for name in ("workload", "version", "exclusive")
                    },
                }
            },
        },
        "spec": {
            **_OPAQUE,
            "description": "Pod specification, as in `kubectl explain pod.spec`.",
            "required": ["containers"],
            "properties": {
                "containers": {
                    "description": "Containers; the one named like the workload, else the first, is the main one.",
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 32,
                    "items": _CONTAINER,
                },
                "restartPolicy": {
                    "type": "string",
                    "enum": ["Always"],
                    "description": "Always, or absent: the pods of a DaemonSet know no other.",
                },
                "nodeName": {"type": "string", "enum": [""], "description": _UNWANTED},
                "nodeSelector": {**_LOOSE, "maxProperties": 0, "description": _UNWANTED},
                "affinity": {**_LOOSE, "maxProperties": 0, "description": _UNWANTED},
            },
        },
    },
}
