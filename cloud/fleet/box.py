"""EdgeBox: one edge node at a site, what it is for and what is known of its health."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from cloud.fleet.resource import Conditions, Name, Part, Rule, Spec


class Health(StrEnum):
    """What the observer concludes about a box."""

    ONLINE = "Online"
    DEGRADED = "Degraded"  # it can be reached, with trouble
    OFFLINE = "Offline"


class BoxSpec(Spec):
    """What a box is: kept by the operator from the node, except for what people add."""

    node: Annotated[str, Field(min_length=1, max_length=253, description="Name of the Kubernetes Node; cannot change.")]
    site: Annotated[Name, Field(description="Name of the EdgeSite, from the node's label edgefleet.io/site.")]
    roles: Annotated[
        tuple[Name, ...],
        Field(
            max_length=8,
            description="What the box is for, for example scan, vision, gateway.",
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = ()
    expected_gpus: Annotated[int, Field(ge=0, le=64, description="GPUs the box should have; fewer is a fault.")] = 0

    rules = (
        Rule(
            "self.node == oldSelf.node",
            "cannot change: delete this EdgeBox; the operator keeps one for every node with label edgefleet.io/site",
            field=".node",
        ),
    )


class BoxStatus(Part):
    """What is known of a box now."""

    health: Annotated[Health | None, Field(description="The verdict; absent: not judged yet.")] = None
    reason: Annotated[str, Field(max_length=64, description="Why, as a stable word.")] = ""
    message: Annotated[str, Field(max_length=1024, description="Why, as a sentence.")] = ""
    since: Annotated[datetime | None, Field(description="Since when the verdict holds.")] = None
    witness: Annotated[str, Field(max_length=64, description="Who spoke, for example NodeReady.")] = ""
    observed_generation: Annotated[
        int | None, Field(ge=0, description="Generation of the spec that was looked at last; absent: none yet.")
    ] = None
    conditions: Conditions = ()
