"""What all our resources share: selectors, conditions, rules."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from cloud.fleet.resource import Condition, ConditionStatus, Requirement, Selector, settle_condition
from cloud.fleet.site import zone_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = datetime(2026, 3, 1, 13, tzinfo=UTC)


@pytest.mark.parametrize(
    ("operator", "values", "alike"),
    [
        ("In", ("scan",), ({"role": "scan"},)),
        ("NotIn", ("scan",), ({"role": "vision"}, {})),
        ("Exists", (), ({"role": "scan"}, {"role": "vision"})),
        ("DoesNotExist", (), ({},)),
    ],
)
def test_a_requirement_means_what_it_means_in_kubernetes(
    operator: str, values: tuple[str, ...], alike: tuple[dict[str, str], ...]
) -> None:
    requirement = Requirement.model_validate({"key": "role", "operator": operator, "values": values})
    assert [labels for labels in ({"role": "scan"}, {"role": "vision"}, {}) if requirement.matches(labels)] == [*alike]


def test_a_selector_asks_for_every_part_of_it() -> None:
    selector = Selector(
        match_labels={"role": "scan"}, match_expressions=(Requirement(key="gpu", operator="Exists", values=()),)
    )
    assert selector.matches({"role": "scan", "gpu": "l4", "more": ""})
    assert not selector.matches({"role": "scan"})
    assert not selector.matches({"gpu": "l4"})


def test_all_objections_to_a_part_are_told_at_once() -> None:
    bad = {"matchExpressions": [{"key": "a", "operator": "In"}, {"key": "b", "operator": "Exists", "values": ["c"]}]}
    with pytest.raises(ValidationError) as refusal:
        Selector.model_validate(bad)
    assert str(refusal.value).count("give values for In and NotIn, and none for Exists and DoesNotExist") == 2


def condition(status: ConditionStatus, moment: datetime, kind: str = "Healthy") -> Condition:
    return Condition(type=kind, status=status, reason="Because", last_transition_time=moment)


def test_a_condition_that_says_the_same_keeps_the_time_it_changed() -> None:
    known = (condition(ConditionStatus.TRUE, NOON, "Other"), condition(ConditionStatus.TRUE, NOON))
    assert settle_condition(known, condition(ConditionStatus.TRUE, LATER)).last_transition_time == NOON
    assert settle_condition(known, condition(ConditionStatus.FALSE, LATER)).last_transition_time == LATER
    assert settle_condition((), condition(ConditionStatus.TRUE, LATER)).last_transition_time == LATER


@pytest.mark.parametrize(
    "name", ["", "Asia/Beijing", "../../etc/passwd", "Asia", "A" * 5000, "Asia/\0", "/etc/localtime"]
)
def test_a_zone_that_does_not_exist_is_none(name: str) -> None:
    assert zone_of(name) is None


def test_a_zone_that_exists_is_found() -> None:
    zone = zone_of("Asia/Urumqi")
    assert zone is not None
    assert zone.key == "Asia/Urumqi"
