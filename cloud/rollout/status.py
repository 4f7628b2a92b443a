"""EdgeRelease, the part the operator writes: where it stands, and the little that the cluster cannot tell."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import Field

from cloud.fleet.resource import Condition, Name, Part
from cloud.fleet.scalars import Duration

Sentence = Annotated[str, Field(max_length=1024)]
Word = Annotated[str, Field(max_length=64)]
Number = Annotated[int, Field(ge=0)]
BoxName = Annotated[str, Field(max_length=253)]


class Phase(StrEnum):
    """Where a release stands as a whole."""

    PENDING = "Pending"
    ROLLING = "Rolling"
    SOAKING = "Soaking"
    AWAITING_APPROVAL = "AwaitingApproval"
    AWAITING_WINDOW = "AwaitingWindow"
    PAUSED = "Paused"
    ROLLING_BACK = "RollingBack"
    CATCHING_UP = "CatchingUp"  # all stages passed, deferred boxes remain
    SUCCEEDED = "Succeeded"
    ROLLED_BACK = "RolledBack"
    HALTED = "Halted"
    SUPERSEDED = "Superseded"
    FAILED = "Failed"  # cannot be carried out as written


OVER: Final = frozenset({Phase.SUCCEEDED, Phase.ROLLED_BACK, Phase.HALTED, Phase.SUPERSEDED, Phase.FAILED})
"""Phases in which nothing is waited for."""


class StagePhase(StrEnum):
    """Where one stage stands."""

    PENDING = "Pending"
    ROLLING = "Rolling"
    SOAKING = "Soaking"
    PASSED = "Passed"


class Waiting(StrEnum):
    """What a release waits for while nothing moves."""

    WINDOW = "Window"
    APPROVAL = "Approval"
    SOAK = "Soak"
    BUDGET = "Budget"
    HEALTH = "Health"
    MIN_ONLINE = "MinOnline"
    OFFLINE = "Offline"
    RETRY = "Retry"
    PAUSED = "Paused"


class WaitingOn(Part):
    """What a release waits for, since when, until when, and what a person can do."""

    reason: Waiting
    since: datetime
    until: datetime | None = None  # None: until somebody or something acts
    boxes: Annotated[tuple[BoxName, ...], Field(max_length=10)] = ()
    hint: Sentence = ""


class Counts(Part):
    """The books: targeted is the sum of all others but excluded."""

    targeted: Number = 0
    pending: Number = 0
    updating: Number = 0
    succeeded: Number = 0
    failed: Number = 0
    deferred: Number = 0
    rolled_back: Number = 0
    expired: Number = 0
    skipped: Number = 0
    excluded: Number = 0
    done: Annotated[str, Field(max_length=32, description="Succeeded of targeted, for people: 87/412.")] = "0/0"


class StageStatus(Part):
    """One stage: its sites are chosen when it starts and never change after."""

    name: Name
    phase: StagePhase = StagePhase.PENDING
    sites: Annotated[tuple[Name, ...], Field(max_length=10_000)] = ()  # the last stage has all others: not listed
    started_at: datetime | None = None  # None: has not started
    soak_since: datetime | None = None  # None: its boxes were never all settled
    passed_at: datetime | None = None  # None: has not passed
    counts: Counts = Counts()


class Effort(Part):
    """What a release is trying, or has tried in vain, on one box. Boxes that are where they should be have none."""

    attempt: Annotated[int, Field(ge=1)] = 1
    cutover: datetime  # when this attempt began
    online: Duration = timedelta(0)  # observed online time of this attempt, up to `counted`
    counted: datetime | None = None  # None: the clock stands, the box is dark
    ready_since: datetime | None = None  # None: not ready now
    restarts: Number = 0  # restarts from before, not held against this attempt
    relapse: bool = False  # True: nothing was moved, a box that was healthy turned bad
    cause: Word = ""  # empty: this attempt has not failed
    message: Sentence = ""  # how it failed, for people
    retry_at: datetime | None = None  # None: no further attempt


class FailureGroup(Part):
    """Boxes that failed for one cause."""

    cause: Word
    boxes: Number
    example: BoxName
    message: Sentence = ""


class Breach(Part):
    """More boxes failed than may: holds until the limit is raised."""

    at: datetime
    stage: Name
    generation: Number  # of the spec that was breached; a later one is judged anew
    message: Sentence


class ReleaseStatus(Part):
    """Everything the operator says of a release."""

    observed_generation: Number | None = None  # None: not looked at yet
    phase: Phase = Phase.PENDING
    message: Sentence = ""
    waiting_on: WaitingOn | None = None  # None: something moves, or the release is over
    stage: Annotated[str, Field(max_length=63, description="The stage under way; empty: none.")] = ""
    counts: Counts = Counts()
    stages: Annotated[tuple[StageStatus, ...], Field(max_length=16)] = ()
    boxes: Annotated[
        dict[BoxName, Effort],
        Field(default_factory=dict, max_length=20_000, description="Boxes under way, waiting for a retry, or failed."),
    ]
    failures: Annotated[tuple[FailureGroup, ...], Field(max_length=10)] = ()
    warnings: Annotated[tuple[Sentence, ...], Field(max_length=20)] = ()
    breach: Breach | None = None  # None: within the limit
    resolved_image: Annotated[str, Field(max_length=512)] = ""
    template: Annotated[
        dict[str, Any] | None,
        Field(
            description="The pod template all boxes get, overrides apart; settled when the release starts.",
            json_schema_extra={"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        ),
    ] = None
    version: Annotated[str, Field(max_length=10, description="Hash of the rendered template.")] = ""
    previous_release: Annotated[str, Field(max_length=253)] = ""
    started_at: datetime | None = None  # None: has not started
    completed_at: datetime | None = None  # None: not all stages have passed
    conditions: Annotated[tuple[Condition, ...], Field(max_length=8)] = ()
