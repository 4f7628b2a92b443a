"""A pod waits for what it cannot run beside."""

from typing import Any

import pytest

from cloud.rollout.release import Cutover, Workload
from cloud.rollout.template import EXCLUSIVE_MARK, WORKLOAD_LABEL, Rendered, render


def rendered(cutover: Cutover) -> Rendered:
    workload = Workload(name="scan", image="scan:1", cutover=cutover)
    return render("default", workload, {"spec": {"containers": [{"name": "scan", "image": "scan:1"}]}})[-1]


def waits_for(pod: Rendered, other: Rendered) -> bool:
    rules = pod.template["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    labels: dict[str, Any] = other.template["metadata"]["labels"]
    return any(rule["labelSelector"]["matchLabels"].items() <= labels.items() for rule in rules)


@pytest.mark.parametrize("new", [Cutover.SURGE, Cutover.RECREATE])
@pytest.mark.parametrize("old", [Cutover.SURGE, Cutover.RECREATE])
def test_a_pod_waits_by_its_own_rule_for_each_pod_it_cannot_run_beside(old: Cutover, new: Cutover) -> None:
    assert waits_for(rendered(new), rendered(old)) is (Cutover.RECREATE in {old, new})


def test_a_pod_says_whether_it_suffers_others_beside_it() -> None:
    labels = rendered(Cutover.RECREATE).template["metadata"]["labels"]
    assert labels[EXCLUSIVE_MARK] == "true"
    assert labels[WORKLOAD_LABEL] == "scan"
