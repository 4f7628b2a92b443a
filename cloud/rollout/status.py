"""EdgeRelease, the part the operator writes: where it stands, and the little that the cluster cannot tell."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import Field

from cloud.fleet.resource import Conditions, Name, Part
from cloud.fleet.scalars import Duration

MOST_TRIED: Final = 1_000
"""Boxes of which one release keeps account at one time: under way, waiting for a retry, or failed.

etcd takes 1.5 MB an object, and all of it is written about once a second while boxes move. A box takes 0.2 KB under way
and up to 0.7 KB once it has failed; the names of the sites of all stages take as much again in the largest fleets.
"""
LONGEST_TOLD: Final = 300  # characters of what a box has failed with; its Event has all of it

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
    NO_SITE = "NoSite"  # the selector of a stage matches no box
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
    since: Annotated[datetime, Field(description="Since when it waits for this.")]
    until: Annotated[
        datetime | None, Field(description="When that ends by itself; absent: when somebody or something acts.")
    ] = None
    boxes: Annotated[tuple[BoxName, ...], Field(max_length=10, description="Boxes concerned, ten at most.")] = ()
    hint: Annotated[Sentence, Field(description="What a person can do about it.")] = ""


class Counts(Part):
    """The books: targeted is the sum of all others but excluded."""

    targeted: Annotated[Number, Field(description="Boxes the release is for.")] = 0
    pending: Annotated[Number, Field(description="Not begun.")] = 0
    updating: Annotated[Number, Field(description="Under way to the new version.")] = 0
    succeeded: Annotated[Number, Field(description="Healthy on the new version.")] = 0
    failed: Annotated[Number, Field(description="Did not become healthy, and are not tried again.")] = 0
    deferred: Annotated[Number, Field(description="Dark; moved when they return.")] = 0
    rolled_back: Annotated[Number, Field(description="Back on the version they ran before.")] = 0
    expired: Annotated[
        Number, Field(description="Dark for longer than offline.catchUpFor: not waited for, yet moved if they return.")
    ] = 0
    skipped: Annotated[Number, Field(description="Dark, and left as they are.")] = 0
    excluded: Annotated[Number, Field(description="Matched by targets.selector, yet left out; not targeted.")] = 0
    done: Annotated[str, Field(max_length=32, description="Succeeded of targeted, for people: 87/412.")] = "0/0"


class StageStatus(Part):
    """One stage: its sites are chosen when it starts, and anew only once it has lost all their boxes."""

    name: Annotated[Name, Field(description="Name of the stage.")]
    phase: StagePhase = StagePhase.PENDING
    sites: Annotated[
        tuple[Name, ...], Field(max_length=10_000, description="Its sites; the last stage has all others, not listed.")
    ] = ()
    started_at: Annotated[datetime | None, Field(description="When it started; absent: not yet.")] = None
    soak_since: Annotated[
        datetime | None, Field(description="Since when all its boxes are settled; absent: they are not, or never were.")
    ] = None
    passed_at: Annotated[datetime | None, Field(description="When it passed; absent: not yet.")] = None
    counts: Counts = Counts()


class Effort(Part):
    """What a release is trying, or has tried in vain, on one box. Boxes that are where they should be have none."""

    attempt: Annotated[int, Field(ge=1, description="Number of this attempt, from 1.")] = 1
    cutover: Annotated[datetime, Field(description="When this attempt began.")]
    online: Annotated[Duration, Field(description="Observed online time of this attempt, up to `counted`.")] = (
        timedelta(0)
    )
    counted: Annotated[
        datetime | None, Field(description="Up to when online time is counted; absent: the box is dark.")
    ] = None
    ready_since: Annotated[datetime | None, Field(description="Since when it is ready; absent: it is not.")] = None
    restarts: Annotated[Number, Field(description="Restarts from before, not held against this attempt.")] = 0
    relapse: Annotated[bool, Field(description="Nothing was moved: a box that was healthy turned bad.")] = False
    cause: Annotated[Word, Field(description="Why this attempt failed; empty: it has not.")] = ""
    message: Annotated[str, Field(max_length=LONGEST_TOLD, description="How it failed, for people.")] = ""
    retry_at: Annotated[datetime | None, Field(description="When it is tried again; absent: it is not.")] = None


class FailureGroup(Part):
    """Boxes that failed for one cause."""

    cause: Annotated[Word, Field(description="Why, as a stable word.")]
    boxes: Annotated[Number, Field(description="How many.")]
    example: Annotated[BoxName, Field(description="One of them.")]
    message: Annotated[Sentence, Field(description="What that one told.")] = ""


class Breach(Part):
    """More boxes failed than may: holds until the limit is raised."""

    at: Annotated[datetime, Field(description="When it was found.")]
    stage: Annotated[Name, Field(description="Stage in which it was found.")]
    failed: Annotated[Number, Field(description="Boxes that had failed then.")]
    attempted: Annotated[Number, Field(description="Boxes that had been attempted then.")]
    message: Annotated[Sentence, Field(description="What was breached, and by how much.")]


class ReleaseStatus(Part):
    """Everything the operator says of a release."""

    observed_generation: Annotated[
        Number | None, Field(description="Generation of the spec that was looked at last; absent: none yet.")
    ] = None
    phase: Phase = Phase.PENDING
    message: Annotated[Sentence, Field(description="Where it stands, as a sentence.")] = ""
    waiting_on: Annotated[
        WaitingOn | None,
        Field(description="What it waits for; absent: something moves, or the release is over."),
    ] = None
    stage: Annotated[str, Field(max_length=63, description="The stage under way; empty: none.")] = ""
    counts: Counts = Counts()
    stages: Annotated[tuple[StageStatus, ...], Field(max_length=16, description="Where each stage stands.")] = ()
    boxes: Annotated[
        dict[BoxName, Effort],
        Field(
            default_factory=dict,
            max_length=MOST_TRIED,
            description="Boxes under way, waiting for a retry, or failed; no more of them are begun.",
            json_schema_extra={"x-kubernetes-map-type": "atomic"},
        ),
    ]
    failures: Annotated[tuple[FailureGroup, ...], Field(max_length=10, description="Failures by cause.")] = ()
    warnings: Annotated[
        tuple[Sentence, ...], Field(max_length=20, description="What a person should know, though nothing stops.")
    ] = ()
    breach: Annotated[Breach | None, Field(description="The limit that was breached; absent: none.")] = None
    resolved_image: Annotated[
        str, Field(max_length=512, description="The image all boxes get: a tag settled to its digest.")
    ] = ""
    template: Annotated[
        dict[str, Any] | None,
        Field(
            description="The pod template all boxes get, overrides apart; settled when the release starts.",
            json_schema_extra={"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        ),
    ] = None
    version: Annotated[str, Field(max_length=10, description="Hash of the rendered template.")] = ""
    previous_release: Annotated[
        str, Field(max_length=253, description="The release before it, whose pod template an image alone keeps.")
    ] = ""
    started_at: Annotated[datetime | None, Field(description="When it started; absent: not yet.")] = None
    completed_at: Annotated[datetime | None, Field(description="When all stages had passed; absent: not yet.")] = None
    conditions: Conditions = ()
