"""The status of a release fits into one object, however large the fleet and however much goes wrong."""

import json
from datetime import UTC, datetime, timedelta

from cloud.crds import structural
from cloud.rollout.effort import Failed, fail
from cloud.rollout.status import LONGEST_TOLD, MOST_TRIED, Effort, ReleaseStatus, StageStatus

NOW = datetime(2026, 3, 2, 12, 0, 0, 123456, UTC)
LARGEST_OBJECT = 1.5 * 2**20  # bytes that etcd takes, unless it is told otherwise
SPEC_AND_TEMPLATE = 2**17  # what is left for the rest of the object


def name(number: int) -> str:
    return f"{number:063}"  # the longest of a site, and of a box that is named like its host


def test_the_largest_status_that_is_ever_written_leaves_room_for_the_rest_of_the_object() -> None:
    tried = Effort(cutover=NOW, online=timedelta(seconds=599), counted=NOW)
    failed = fail(tried, Failed("x" * 64, "x" * 2000), retries=1, now=NOW)
    stage = StageStatus(name="most", sites=tuple(name(number) for number in range(10_000)))
    status = ReleaseStatus(boxes={name(number): failed for number in range(MOST_TRIED)}, stages=(stage,))
    written = len(json.dumps(status.dump(), separators=(",", ":")))
    assert written + SPEC_AND_TEMPLATE < LARGEST_OBJECT
    assert ReleaseStatus.model_validate(status.dump()) == status


def test_a_long_complaint_is_cut_in_the_status() -> None:
    failed = fail(Effort(cutover=NOW), Failed("NotReady", "x" * 2000), retries=0, now=NOW)
    assert len(failed.message) == LONGEST_TOLD
    assert failed.message.endswith("x…")


def test_the_api_server_keeps_no_account_of_who_wrote_which_field_of_a_box() -> None:
    """It would be another 162 bytes a box."""
    assert structural(ReleaseStatus, report=True)["properties"]["boxes"]["x-kubernetes-map-type"] == "atomic"
