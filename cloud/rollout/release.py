"""EdgeRelease, the part people write: which version of a workload goes to which boxes, in what order, how gently."""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import chain
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from cloud.fleet.resource import (
    NAME_SPELLED,
    SOMEBODY_SPELLED,
    LabelKey,
    Name,
    Part,
    Selector,
    Spec,
    levels,
    one_per,
)
from cloud.fleet.scalars import Duration, IntOrPercent, Share, Spelled, shortened
from cloud.fleet.window import Window
from cloud.rollout import rules

AgeOrder = tuple[datetime, str]  # when a release was created, and its name: older ones first
Quantity = Annotated[str, Field(min_length=1, max_length=32)]
ImageReference = Annotated[
    str,
    Field(min_length=1, max_length=512),
    Spelled(r"^[^\s]+$", "write an image reference without blanks, for example registry.example/scan:2.0"),
]


class Cutover(StrEnum):
    """How a box changes from the old to the new version."""

    AUTO = "Auto"  # Recreate when the template takes something exclusive, else Surge
    SURGE = "Surge"  # the new pod is ready before the old one goes
    RECREATE = "Recreate"  # the old pod goes first


class OfflinePolicy(StrEnum):
    """What becomes of a box that is dark when its stage runs."""

    CATCH_UP = "CatchUp"  # deferred: moved when it returns
    SKIP = "Skip"  # left as it is, and reported
    BLOCK = "Block"  # the stage waits for it


class FailureAction(StrEnum):
    """What a release does when more boxes failed than it may."""

    PAUSE = "Pause"
    ROLLBACK_STAGE = "RollbackStage"
    ROLLBACK_ALL = "RollbackAll"


class Abort(StrEnum):
    """How a person ends a release for good."""

    HALT = "Halt"  # leave every box as it is
    ROLLBACK = "Rollback"  # take every box back


class EnvVar(Part):
    """One environment variable, by value."""

    name: Annotated[
        str,
        Field(min_length=1, max_length=128, description="Name of the variable."),
        Spelled(r"^[-._a-zA-Z][-._a-zA-Z0-9]*$", "write letters, digits, - _ and ., not beginning with a digit"),
    ]
    value: Annotated[str, Field(max_length=4096, description="Its value.")] = ""


class Resources(Part):
    """What the workload's container asks for and may use, as Kubernetes quantities."""

    requests: Annotated[
        dict[LabelKey, Quantity], Field(default_factory=dict, max_length=8, description="What is set aside for it.")
    ]
    limits: Annotated[
        dict[LabelKey, Quantity], Field(default_factory=dict, max_length=8, description="What it may use at most.")
    ]


class Override(Part):
    """What differs on some boxes."""

    selector: Annotated[Selector, Field(description="Labels of the boxes; the first override that matches wins.")]
    env: Annotated[
        tuple[EnvVar, ...],
        Field(max_length=32, description="Variables added or replaced.", json_schema_extra=one_per("name")),
    ] = ()
    args: Annotated[
        tuple[Annotated[str, Field(max_length=1024)], ...] | None,
        Field(max_length=64, description="Arguments instead of the template's; absent: the template's."),
    ] = None
    resources: Annotated[Resources | None, Field(description="Resources instead of the template's.")] = None


def _plain(template: dict[str, Any]) -> dict[str, Any]:
    """Return the template. Raises ValueError if it cannot be written as JSON."""
    for value in chain.from_iterable(levels(template)):
        match value:
            case dict() if all(isinstance(key, str) for key in value):
                pass
            case float() if math.isfinite(value):
                pass
            case list() | str() | int() | None:
                pass
            case _:
                raise ValueError(
                    f"{shortened(value)}: write texts, numbers, lists and objects, and keys that are texts"
                )
    return template


class Workload(Part):
    """What is released."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=40,
            description="Identity across releases; at most one active release moves a workload on a box.",
        ),
        NAME_SPELLED,
    ]
    image: Annotated[
        ImageReference | None,
        Field(
            description="Image; alone, it keeps the pod template of the newest release that completed, or what runs."
        ),
    ] = None
    template: Annotated[
        dict[str, Any] | None,
        Field(
            description="Pod template as in a DaemonSet; `image` replaces the image of its main container.",
            json_schema_extra=rules.POD_TEMPLATE,
        ),
        AfterValidator(lambda template: template and _plain(template)),
    ] = None
    overrides: Annotated[tuple[Override, ...], Field(max_length=16, description="What differs on some boxes.")] = ()
    cutover: Annotated[
        Cutover,
        Field(
            description=(
                "`Surge`: the new pod is ready before the old one goes. `Recreate`: the old one goes first. "
                "`Auto`: Recreate when the template takes something exclusive (host port, device), else Surge."
            )
        ),
    ] = Cutover.AUTO

    rules = rules.WORKLOAD


class Targets(Part):
    """Where the release goes."""

    selector: Annotated[Selector, Field(description="Labels of the boxes (nodes) to release to; must not be empty.")]
    exclude: Annotated[
        Selector | None, Field(description="Labels of the boxes to leave out; absent: none is left out.")
    ] = None

    def include(self, labels: Mapping[str, str]) -> bool:
        """Tell whether a box of these labels is released to."""
        return self.selector.matches(labels) and not self.leave_out(labels)

    def leave_out(self, labels: Mapping[str, str]) -> bool:
        """Tell whether a box of these labels is excluded by name."""
        return self.exclude is not None and self.exclude.matches(labels)


class Stage(Part):
    """A group of sites that is released together."""

    name: Annotated[Name, Field(description="Name of the stage, unique in the release.")]
    up_to: Annotated[
        IntOrPercent,
        Field(description="Cumulative number of sites, or percentage of all sites, reached by the end of this stage."),
    ] = Share(100, percent=True)
    selector: Annotated[
        Selector | None,
        Field(description="Only sites with a box of these labels; absent: any site."),
    ] = None
    soak: Annotated[Duration, Field(description="Wait after the last box of the stage is healthy.")] = timedelta(
        minutes=10
    )
    approval: Annotated[bool, Field(description="A named person approves before the stage starts.")] = False

    rules = rules.STAGE


class Budget(Part):
    """How gently a release goes."""

    max_parallel_sites: Annotated[
        IntOrPercent, Field(description="Sites being changed at one time; a percentage is of all sites of the release.")
    ] = Share(10, percent=True)
    max_unavailable_per_site: Annotated[
        IntOrPercent,
        Field(
            description=(
                "Boxes of the same role at a site that may be down for any reason, already dead ones included. "
                "A site of one box may proceed. With 0 only a surge, which takes nothing down, moves a box that works."
            )
        ),
    ] = Share(1)

    rules = rules.BUDGET


class HealthGate(Part):
    """What is good."""

    ready_for: Annotated[Duration, Field(description="Time a box must be ready without a break to be healthy.")] = (
        timedelta(seconds=60)
    )
    timeout: Annotated[
        Duration, Field(description="From cutover to healthy, in online time: the clock stops while a box is dark.")
    ] = timedelta(minutes=10)
    max_restarts: Annotated[
        int, Field(ge=0, le=1000, description="More restarts than this before the soak ends and the box has failed.")
    ] = 2

    rules = rules.HEALTH


class Offline(Part):
    """What becomes of dark boxes."""

    policy: Annotated[
        OfflinePolicy,
        Field(
            description="`CatchUp`: moved when back. `Skip`: left and reported. `Block`: the stage waits.",
        ),
    ] = OfflinePolicy.CATCH_UP
    min_online: Annotated[
        IntOrPercent, Field(description="Share of a stage's boxes that must have been attempted before it may pass.")
    ] = Share(80, percent=True)
    catch_up_for: Annotated[
        Duration,
        Field(description="How long a dark box is waited for; then it is expired: told once, and moved if it returns."),
    ] = timedelta(days=30)


class OnFailure(Part):
    """What if it is not good."""

    retries: Annotated[
        int, Field(ge=0, le=10, description="Further attempts per box, after 5m, 10m, 20m and so on.")
    ] = 1
    revert_box: Annotated[bool, Field(description="A failed box returns to what it ran before.")] = True
    max_failed: Annotated[
        IntOrPercent,
        Field(
            description="Failed boxes that are tolerated; a percentage is of attempted boxes. More stop the release."
        ),
    ] = Share(0)
    min_attempted: Annotated[
        int, Field(ge=1, le=100_000, description="Attempted boxes before `maxFailed` is judged.")
    ] = 1
    action: Annotated[
        FailureAction,
        Field(description="What a stopped release does: stay as it is, take this stage back, take every box back."),
    ] = FailureAction.PAUSE


class Approval(Part):
    """A named person lets a stage start."""

    stage: Annotated[Name, Field(description="Name of the stage.")]
    by: Annotated[str, Field(min_length=1, max_length=128, description="Who approves."), SOMEBODY_SPELLED]
    reason: Annotated[str, Field(max_length=512, description="Why.")] = ""


class Emergency(Part):
    """A named person skips windows, soak and approvals; never budget, health or failure limits."""

    by: Annotated[str, Field(min_length=1, max_length=128, description="Who decides."), SOMEBODY_SPELLED]
    reason: Annotated[str, Field(min_length=1, max_length=512, description="Why."), SOMEBODY_SPELLED]


class Control(Part):
    """Your hand on the brake."""

    paused: Annotated[bool, Field(description="Start nothing new; what is under way ends.")] = False
    abort: Annotated[
        Abort | None,
        Field(description="End the release for good: `Halt` leaves boxes as they are, `Rollback` takes them back."),
    ] = None
    approvals: Annotated[
        tuple[Approval, ...],
        Field(
            max_length=16,
            description="Approved stages; entries are only ever added.",
            json_schema_extra=one_per("stage"),
        ),
    ] = ()
    emergency: Annotated[Emergency | None, Field(description="Skip windows, soak and approvals.")] = None

    rules = rules.CONTROL


DEFAULT_STAGES = (
    Stage(name="canary", up_to=Share(1)),
    Stage(name="early", up_to=Share(10, percent=True)),
    Stage(name="rest", up_to=Share(100, percent=True)),
)


class ReleaseSpec(Spec):
    """What people ask for. Only `workload.name`, an image or a template, and `targets.selector` are required."""

    workload: Annotated[Workload, Field(description="What is released.")]
    targets: Annotated[Targets, Field(description="Where it goes.")]
    stages: Annotated[
        tuple[Stage, ...],
        Field(min_length=1, max_length=16, description="In what order; the last stage is completed to all sites."),
    ] = DEFAULT_STAGES
    budget: Annotated[Budget, Field(description="How gently.")] = Budget()
    windows: Annotated[
        tuple[Window, ...], Field(max_length=16, description="When a cutover may start; empty: always.")
    ] = ()
    health: Annotated[HealthGate, Field(description="What is good.")] = HealthGate()
    offline: Annotated[Offline, Field(description="What becomes of dark boxes.")] = Offline()
    on_failure: Annotated[OnFailure, Field(description="What if it is not good.")] = OnFailure()
    control: Annotated[Control, Field(description="Your hand on the brake.")] = Control()
    watch_after: Annotated[
        Duration, Field(description="After success keep checking this long; a box that turns bad goes back.")
    ] = timedelta(hours=24)

    rules = rules.RELEASE


class Release(Part):
    """An EdgeRelease as people wrote it, with what identifies it."""

    namespace: str
    name: str
    uid: str
    created: datetime
    generation: int = 1
    spec: ReleaseSpec

    @property
    def age_order(self) -> AgeOrder:
        """Sort key: older releases first; the name decides between two of the same second."""
        return self.created, self.name
