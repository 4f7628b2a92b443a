"""How a release is read from a file: strictly, with all objections at once."""

from datetime import UTC, datetime
from typing import Any

import pytest

from cloud.rollout.draft import read_draft

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SPEC: dict[str, Any] = {
    "workload": {"name": "scan", "image": "scan:2"},
    "targets": {"selector": {"matchLabels": {"a": "b"}}},
}


def document(**changes: object) -> dict[str, Any]:
    whole = {"apiVersion": "edgefleet.io/v1alpha1", "kind": "EdgeRelease", "metadata": {"name": "scan-2"}, "spec": SPEC}
    return {**whole, **changes}


def problems(**changes: object) -> list[str]:
    return list(read_draft(document(**changes), "sorting", NOW).problems)


def test_a_good_document_becomes_a_release_of_the_given_namespace() -> None:
    draft = read_draft(document(), "sorting", NOW)
    assert draft.release is not None
    assert (draft.problems, draft.release.namespace, draft.release.spec.workload.image) == ((), "sorting", "scan:2")
    assert draft.manifest["metadata"] == {"name": "scan-2", "namespace": "sorting"}


def test_the_documents_own_namespace_wins() -> None:
    assert read_draft(document(metadata={"name": "s", "namespace": "own"}), "sorting", NOW).namespace == "own"


def test_everything_wrong_is_told_at_once_with_its_path() -> None:
    spec = {
        "workload": {"name": "scan", "cutofer": "Auto"},
        "targets": {"selector": {}},
        "stages": [{"name": "a", "upto": 1}, {"soak": "3 minutes"}],
    }
    told = [one.split(": ")[0] for one in problems(spec=spec, targets={}, metadata={"name": "A_B"})]
    assert told == [
        "metadata.name",
        "targets",
        "spec.workload.cutofer",
        "spec.targets.selector",
        "spec.stages[0].upto",
        "spec.stages[1].name",
        "spec.stages[1].soak",
    ]


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (
            {**SPEC, "stages": [{"name": "a", "upto": 1}]},
            "spec.stages[0].upto: there is no such field; `kubectl explain edgereleases.spec.stages` lists them",
        ),
        ({"targets": SPEC["targets"]}, "spec.workload: is required"),
        ({**SPEC, "stages": []}, "spec.stages: "),
        ({**SPEC, "budget": {"maxParallelSites": 0}}, "spec.budget.maxParallelSites: must be above 0"),
    ],
)
def test_an_objection_names_field_and_next_step(spec: dict[str, Any], told: str) -> None:
    assert [one[: len(told)] for one in problems(spec=spec)] == [told]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"apiVersion": "v1"}, "apiVersion: is 'v1', write edgefleet.io/v1alpha1"),
        ({"kind": "Release"}, "kind: is 'Release', write EdgeRelease"),
        ({"metadata": None}, "metadata.name: write lower-case letters, digits and dashes, for example scan-2-4-0"),
    ],
)
def test_a_document_that_is_no_release_is_refused(changes: dict[str, Any], told: str) -> None:
    assert problems(**changes) == [told]
