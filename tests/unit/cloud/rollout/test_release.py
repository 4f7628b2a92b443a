"""The types of an EdgeRelease: read, written, read again; and no input that breaks the reader."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cloud.fleet.box import BoxSpec
from cloud.fleet.resource import Part
from cloud.fleet.scalars import parse_duration
from cloud.fleet.site import SiteSpec
from cloud.fleet.window import Day
from cloud.rollout.release import Abort, Cutover, FailureAction, OfflinePolicy, ReleaseSpec, Targets
from tests.resources import FULL, LONG_WORD, SCAN, TEMPLATE, Json, box, release, site

SPECS: dict[str, type[Part]] = {"EdgeRelease": ReleaseSpec, "EdgeSite": SiteSpec, "EdgeBox": BoxSpec}

names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
texts = st.text(max_size=12)
labels = st.dictionaries(names, names, min_size=1, max_size=3)
requirements = st.one_of(
    st.fixed_dictionaries(
        {"key": names, "operator": st.sampled_from(["In", "NotIn"]), "values": st.lists(names, min_size=1, max_size=3)}
    ),
    st.fixed_dictionaries({"key": names, "operator": st.sampled_from(["Exists", "DoesNotExist"])}),
)
selectors = st.fixed_dictionaries(
    {"matchLabels": labels}, optional={"matchExpressions": st.lists(requirements, max_size=2)}
)
durations = st.builds("{}{}".format, st.integers(0, 999_999), st.sampled_from("smhd"))
percents = st.integers(0, 100).map("{}%".format)
shares = percents | st.integers(0, 1_000_000)
positive = st.integers(1, 100).map("{}%".format) | st.integers(1, 1_000_000)
times = st.times().map("{:%H:%M}".format)
zones = st.sampled_from(["Site", "UTC", "Asia/Shanghai", "Etc/GMT+8", "America/Port-au-Prince"])
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(texts, below, max_size=3),
    max_leaves=8,
)


@st.composite
def stages(draw: st.DrawFn) -> list[Json]:
    """Stages whose upTo rises, and whose last one is all."""
    steps: list[Any] = sorted(draw(st.sets(st.integers(1, 99), max_size=3)))
    steps = [f"{step}%" for step in steps] if draw(st.booleans()) else steps
    more = st.fixed_dictionaries({}, optional={"soak": durations, "approval": st.booleans()})
    made = [{"name": f"stage-{number}", "upTo": step} | draw(more) for number, step in enumerate(steps)]
    if draw(st.booleans()):
        made.insert(0, {"name": "pilot", "selector": draw(selectors)})
    return [*made, {"name": "rest"} | draw(more)]


@st.composite
def specs(draw: st.DrawFn) -> Json:
    """Any valid spec, as people write it."""
    order = draw(stages())
    ready, timeout = sorted((draw(durations), draw(durations)), key=parse_duration)
    overrides = st.fixed_dictionaries(
        {"selector": selectors},
        optional={
            "env": st.lists(
                st.fixed_dictionaries({"name": names.map("E{}".format)}, optional={"value": texts}), max_size=3
            ),
            "args": st.lists(texts, max_size=3),
            "resources": st.fixed_dictionaries({}, optional={"limits": labels, "requests": labels}),
        },
    )
    window = st.fixed_dictionaries(
        {"from": times, "to": times},
        optional={"days": st.lists(st.sampled_from(Day), unique=True), "tz": zones},
    ).filter(lambda given_: given_["from"] != given_["to"])
    approvals = [
        {"stage": stage["name"], "by": "wang", "reason": draw(texts)} for stage in order if draw(st.booleans())
    ]
    optional: dict[str, st.SearchStrategy[Any]] = {
        "budget": st.fixed_dictionaries({}, optional={"maxParallelSites": positive, "maxUnavailablePerSite": shares}),
        "windows": st.lists(window, max_size=2),
        "health": st.just(
            {"readyFor": ready, "timeout": timeout} if parse_duration(ready) < parse_duration(timeout) else {}
        ),
        "offline": st.fixed_dictionaries(
            {}, optional={"policy": st.sampled_from(OfflinePolicy), "minOnline": shares, "catchUpFor": durations}
        ),
        "onFailure": st.fixed_dictionaries(
            {},
            optional={
                "retries": st.integers(0, 10),
                "revertBox": st.booleans(),
                "maxFailed": shares,
                "minAttempted": st.integers(1, 100_000),
                "action": st.sampled_from(FailureAction),
            },
        ),
        "control": st.fixed_dictionaries(
            {"approvals": st.just(approvals)},
            optional={
                "paused": st.booleans(),
                "abort": st.sampled_from(Abort),
                "emergency": st.just({"by": "li", "reason": "fire"}),
            },
        ),
        "watchAfter": durations,
    }
    workload = st.fixed_dictionaries(
        {"name": names, "image": st.just("registry.example/scan:2.0")},
        optional={
            "template": st.dictionaries(texts, plain, max_size=3),
            "cutover": st.sampled_from(Cutover),
            "overrides": st.lists(overrides, max_size=2),
        },
    )
    targets = st.fixed_dictionaries({"selector": selectors}, optional={"exclude": selectors})
    made = draw(st.fixed_dictionaries({"workload": workload, "targets": targets}, optional=optional))
    return made | {"stages": order}


@given(specs())
def test_what_is_read_and_written_is_the_same_when_read_again(given_: Json) -> None:
    spec = ReleaseSpec.model_validate(given_)
    again = ReleaseSpec.model_validate(spec.dump())
    assert again == spec
    assert again.dump() == spec.dump()


@given(specs())
def test_nothing_that_was_written_is_lost(given_: Json) -> None:
    written = ReleaseSpec.model_validate(given_).dump()
    assert written["workload"].get("template") == given_["workload"].get("template")
    assert written["targets"]["selector"]["matchLabels"] == given_["targets"]["selector"]["matchLabels"]
    assert [stage["name"] for stage in written["stages"]] == [stage["name"] for stage in given_["stages"]]


def test_the_shortest_release_has_three_stages_and_a_gentle_budget() -> None:
    spec = ReleaseSpec.model_validate(release()["spec"])
    assert [(stage.name, str(stage.up_to)) for stage in spec.stages] == [
        ("canary", "1"),
        ("early", "10%"),
        ("rest", "100%"),
    ]
    assert spec.dump()["budget"] == {"maxParallelSites": "10%", "maxUnavailablePerSite": 1}


def test_a_field_of_a_newer_version_is_passed_over() -> None:
    newer = release({"budget": {"maxMbps": 20}, "prepull": {"enabled": True}})
    assert ReleaseSpec.model_validate(newer["spec"]) == ReleaseSpec.model_validate(release()["spec"])


def test_a_box_is_released_to_if_it_is_selected_and_not_left_out() -> None:
    everything = Targets.model_validate({"selector": SCAN})
    some = Targets.model_validate({"selector": SCAN, "exclude": {"matchLabels": {"frozen": "yes"}}})
    frozen = SCAN["matchLabels"] | {"frozen": "yes"}
    assert [everything.include(frozen), some.include(frozen), some.include(SCAN["matchLabels"])] == [True, False, True]
    assert not everything.include({})


def nested(depth: int, wrap: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - JSON
    value: Any = "x"
    for _ in range(depth):
        value = wrap(value)
    return value


def laughing(depth: int) -> Json:
    """What a YAML file of repeated aliases becomes: small in memory, endless to walk."""
    level: Any = ["ha"] * 10
    for _ in range(depth):
        level = [level] * 10
    return {"spec": level}


@pytest.mark.parametrize(
    ("template", "advice"),
    [
        (nested(50_000, lambda below: {"a": below}), "nested deeper than 50"),
        ({"spec": nested(50_000, lambda below: [below])}, "nested deeper than 50"),
        (laughing(30), "repeat less by aliases"),
        ({"spec": b"\x80"}, "write texts, numbers, lists and objects"),
        ({"spec": {80: "http"}}, "keys that are texts"),
        ({"spec": float("nan")}, "write texts, numbers"),
    ],
    ids=["objects in objects", "lists in lists", "aliases of aliases", "bytes", "numbers as keys", "no number"],
)
def test_a_template_that_nobody_could_walk_or_write_is_refused(template: Json, advice: str) -> None:
    spec = release()["spec"]
    spec["workload"]["template"] = template
    with pytest.raises(ValidationError) as refusal:
        ReleaseSpec.model_validate(spec)
    assert advice in refusal.value.errors()[0]["msg"]


def test_a_template_as_people_write_them_is_not() -> None:
    template = TEMPLATE | {"metadata": {"annotations": None, "share": 0.5}}
    spec = ReleaseSpec.model_validate(release({"workload.template": template})["spec"])
    assert spec.workload.template == template


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:  # noqa: ANN401 - JSON
    """Every place in a resource, itself included."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] + [deeper for key, below in inside for deeper in paths(below, (*path, key))]


def replaced(value: Any, path: tuple[str | int, ...], new: Any) -> Any:  # noqa: ANN401 - JSON
    """A copy with another value at one place."""
    if not path:
        return new
    made: Any = dict(value) if isinstance(value, dict) else list(value)
    made[path[0]] = replaced(value[path[0]], path[1:], new)
    return made


RESOURCES = (FULL, site({"contacts": [{"name": "Li"}], "uplinkMbps": 3}), box({"roles": ["scan"], "expectedGpus": 1}))
PLACES = [(resource, path) for resource in RESOURCES for path in paths(resource["spec"])]
hostile = st.one_of(
    plain,
    st.floats(),
    st.integers(),
    st.binary(max_size=8),
    st.sampled_from(
        [
            LONG_WORD,
            "\0",
            "\ud800",
            "9" * 5000 + "d",
            10**4000,
            "${jndi:x}",
            "%s%n",
        ]
    ),
)


def judge(place: tuple[Json, tuple[str | int, ...]], value: Any) -> None:  # noqa: ANN401 - JSON
    """Put a value at a place: it is refused, or read and written like any other."""
    resource, path = place
    part = SPECS[resource["kind"]]
    with suppress(ValidationError):
        read = part.model_validate(replaced(resource["spec"], path, value))
        assert part.model_validate(read.dump()) == read


@given(st.sampled_from(PLACES), hostile)
def test_no_value_at_any_place_does_more_than_be_refused(place: tuple[Json, tuple[str | int, ...]], value: Any) -> None:  # noqa: ANN401 - JSON
    judge(place, value)


@pytest.mark.parametrize(
    "deep",
    [
        nested(5000, lambda below: [below]),
        nested(5000, lambda below: {"matchLabels": below}),
        {"selector": nested(5000, lambda below: {"selector": below})},
        {"spec": nested(5000, lambda below: {"spec": below})},
    ],
    ids=["lists", "labels", "selectors", "specs"],
)
def test_no_depth_at_any_place_does_more_than_be_refused(deep: Any) -> None:  # noqa: ANN401 - JSON
    for place in PLACES:
        judge(place, deep)
