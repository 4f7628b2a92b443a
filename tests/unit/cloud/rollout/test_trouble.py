"""Why a version is not healthy on a box, in words that a person understands."""

from collections.abc import Iterable

import pytest

from cloud.rollout.snapshot import Box, Pod
from cloud.rollout.trouble import Trouble, trouble
from tests.unit.cloud.rollout.world import START

NO_ROOM = "0/9 nodes are available: 1 Insufficient memory, 8 node(s) didn't match Pod's node affinity/selector."
WAITING = Pod("scan-2-x", "v2", bound=False, trouble="Unschedulable", detail=NO_ROOM)
UNSEEN = Pod("scan-2-x", "v2", bound=False)  # the scheduler has not looked at it
OLD = Pod("scan-1-y", "v1", ready=True)


def box(pods: Iterable[Pod], *asked: str) -> Box:
    return Box("b", "tc-1", "scan", {}, online=True, since=START, versions=frozenset(asked), pods=tuple(pods))


OLD_POD = Trouble("OldPodEnding", "its pod waits for the old pod scan-1-y to end")


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (box([], "v2"), Trouble("NoPod", "no pod of it was started on the box")),
        (box([Pod("p", "v2")], "v2"), Trouble("NotReady", "the pod runs but is not ready")),
        (box([Pod("p", "v2", trouble="Error", detail="exit code 3")], "v2"), Trouble("Error", "Error: exit code 3")),
        (box([Pod("p", "v2", trouble="Error")], "v2"), Trouble("Error", "Error")),
        (box([OLD, WAITING], "v2"), OLD_POD),
        (box([OLD, UNSEEN], "v2"), OLD_POD),
        (box([Pod("scan-1-y", "v2", ending=True), WAITING], "v2"), OLD_POD),
        (
            box([OLD, WAITING], "v1", "v2"),  # they would run side by side, so it is not the old one that is waited for
            Trouble("Unschedulable", f"its pod finds no place on the box: {NO_ROOM}"),
        ),
        (box([UNSEEN], "v2"), Trouble("NotScheduled", "its pod has not been given to the box yet")),
        (box([Pod("p", "v2", ending=True)], "v2"), Trouble("NoPod", "no pod of it was started on the box")),
    ],
)
def test_what_keeps_a_version_from_being_healthy(seen: Box, told: Trouble) -> None:
    assert trouble(seen, "v2") == told
