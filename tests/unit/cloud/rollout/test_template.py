"""How a release becomes pod templates: what is in them, what is refused, and that a hash never changes by itself."""

from copy import deepcopy
from typing import Any

import pytest

from cloud.fleet.errors import SpecError
from cloud.rollout.release import Workload
from cloud.rollout.snapshot import Version
from cloud.rollout.template import node_label, render, resolve, versions

CONTAINER = {"name": "scan", "image": "scan:1"}
SIDECAR = {"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"}
BASE = {"metadata": {"labels": {"app": "scan"}}, "spec": {"containers": [CONTAINER]}}


def workload(**more: object) -> Workload:
    return Workload.model_validate({"name": "scan", "image": "scan:1", **more})


def spec_with(**more: object) -> dict[str, Any]:
    return {"spec": {"containers": [{**CONTAINER, **more}]}}


def test_the_hash_of_a_template_stays_what_it_has_always_been() -> None:
    plain, *_ = render("sorting", workload(), BASE)
    recreated, *_ = render("sorting", workload(cutover="Recreate"), BASE)
    assert [plain.hash, recreated.hash] == ["450c2cb85e", "d62643ab1e"], "all boxes of all fleets would be moved anew"


def test_the_hash_tells_namespaces_workloads_and_templates_apart() -> None:
    hashes = {
        render(namespace, workload(name=name), template)[0].hash
        for namespace in ("sorting", "testing")
        for name in ("scan", "vision")
        for template in (BASE, spec_with(args=["-v"]))
    }
    assert len(hashes) == 8


def test_the_order_of_keys_makes_no_other_hash() -> None:
    turned = {"spec": BASE["spec"], "metadata": BASE["metadata"]}
    assert render("sorting", workload(), turned)[0].hash == render("sorting", workload(), BASE)[0].hash


def test_a_pod_runs_where_the_label_asks_for_it_and_is_never_driven_away() -> None:
    rendered, *_ = render("sorting", workload(), BASE)
    spec, labels = rendered.template["spec"], rendered.template["metadata"]["labels"]
    assert spec["nodeSelector"] == {node_label("scan", rendered.hash): ""}
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert labels["app"] == "scan"
    assert labels["edgefleet.io/version"] == rendered.hash


def test_rendering_changes_nothing_of_what_it_is_given() -> None:
    template = {**spec_with(env=[{"name": "MODE", "value": "fast"}]), "metadata": {"labels": {"app": "scan"}}}
    override = {"selector": {"matchLabels": {"wave": "a"}}, "env": [{"name": "MODE", "value": "slow"}], "args": ["-v"]}
    before = deepcopy(template)
    render("sorting", workload(overrides=[override]), template)
    assert template == before


def test_a_version_is_the_rendered_template_without_the_template() -> None:
    override = {"selector": {"matchLabels": {"wave": "a"}}, "args": ["-v"]}
    asked = workload(overrides=[override], cutover="Recreate")
    rendered = render("sorting", asked, BASE)
    assert versions("sorting", asked, BASE) == tuple(Version(one.hash, one.exclusive) for one in rendered)
    assert len({one.hash for one in rendered}) == 2


def test_an_override_replaces_what_it_names_and_leaves_the_rest() -> None:
    template = spec_with(env=[{"name": "MODE", "value": "fast"}, {"name": "LOG", "value": "info"}], args=["-v"])
    override = {
        "selector": {"matchLabels": {"wave": "a"}},
        "env": [{"name": "MODE", "value": "slow"}],
        "resources": {"limits": {"cpu": "2"}},
    }
    quiet = {"selector": {"matchLabels": {"wave": "b"}}, "args": []}
    first, second, base = render("sorting", workload(overrides=[override, quiet]), template)
    container = first.template["spec"]["containers"][0]
    assert container["env"] == [{"name": "LOG", "value": "info"}, {"name": "MODE", "value": "slow"}]
    assert (container["args"], container["resources"]["limits"]) == (["-v"], {"cpu": "2"})
    assert second.template["spec"]["containers"][0]["args"] == []
    assert base.template["spec"]["containers"] == template["spec"]["containers"]
    assert len({first.hash, second.hash, base.hash}) == 3


@pytest.mark.parametrize(
    ("spec", "taken"),
    [
        ({"containers": [{**CONTAINER, "ports": [{"hostPort": 80}]}]}, "host port 80"),
        ({"containers": [{**CONTAINER, "ports": [{"containerPort": 81}]}], "hostNetwork": True}, "host port 81"),
        ({"containers": [{**CONTAINER, "resources": {"limits": {"nvidia.com/gpu": 1}}}]}, "device nvidia.com/gpu"),
        ({"containers": [{**CONTAINER, "resources": {"requests": {"x.io/camera": 1}}}]}, "device x.io/camera"),
        ({"containers": [CONTAINER], "initContainers": [SIDECAR | {"ports": [{"hostPort": 82}]}]}, "host port 82"),
        (
            {"containers": [CONTAINER], "initContainers": [SIDECAR | {"resources": {"limits": {"x.io/lidar": 1}}}]},
            "device x.io/lidar",
        ),
        ({"containers": [CONTAINER], "resourceClaims": [{"name": "gpu"}]}, "resource claim gpu"),
    ],
)
def test_what_only_one_pod_can_have_makes_a_version_exclusive_and_a_surge_impossible(spec: Any, taken: str) -> None:  # noqa: ANN401
    assert render("sorting", workload(), {"spec": spec})[0].exclusive
    with pytest.raises(SpecError, match=rf"spec.workload.cutover: .* both take {taken}"):
        render("sorting", workload(cutover="Surge"), {"spec": spec})


@pytest.mark.parametrize(
    "more", [{"ports": [{"containerPort": 80}]}, {"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}]
)
def test_what_pods_can_share_lets_them_run_side_by_side(more: dict[str, Any]) -> None:
    assert not render("sorting", workload(cutover="Surge"), spec_with(**more))[0].exclusive
    assert not render("sorting", workload(), spec_with(**more))[0].exclusive


def test_what_is_over_before_the_containers_start_is_no_hindrance() -> None:
    first = {"name": "setup", "image": "s", "ports": [{"hostPort": 80}]}
    assert not render("sorting", workload(), {"spec": {"containers": [CONTAINER], "initContainers": [first]}})[
        0
    ].exclusive


def test_a_template_that_is_too_large_is_refused_with_the_limit() -> None:
    with pytest.raises(SpecError, match="at most 262144 are possible; put long values into a ConfigMap"):
        resolve(workload(template=spec_with(env=[{"name": "A", "value": "é" * 140_000}])), None)
    resolve(workload(template=spec_with(env=[{"name": "A", "value": "x" * 250_000}])), None)


def test_an_image_alone_keeps_the_template_before_or_becomes_one() -> None:
    kept = resolve(workload(image="scan:2"), spec_with(args=["-v"]))
    assert kept["spec"]["containers"] == [{"name": "scan", "image": "scan:2", "args": ["-v"]}]
    assert resolve(workload(image="scan:2"), None)["spec"]["containers"] == [{"name": "scan", "image": "scan:2"}]


def test_the_image_goes_to_the_container_named_after_the_workload_else_to_the_first() -> None:
    pair = [{"name": "helper", "image": "h"}, {"name": "scan", "image": "scan:1"}]
    images = [
        one["image"] for one in resolve(workload(image="new"), {"spec": {"containers": pair}})["spec"]["containers"]
    ]
    assert images == ["h", "new"]
    assert resolve(workload(image="new"), {"spec": {"containers": pair[:1]}})["spec"]["containers"][0]["image"] == "new"


def test_what_a_person_wrote_is_not_changed_in_place() -> None:
    template = spec_with()
    resolve(workload(image="new", template=template), None)
    assert template == spec_with()


def test_a_workload_with_neither_image_nor_template_is_refused() -> None:
    with pytest.raises(SpecError, match="set image, template or both"):
        resolve(Workload.model_construct(name="scan"), None)


@pytest.mark.parametrize(
    ("template", "objection"),
    [
        ({"spec": "none"}, r"\.spec: must be an object"),
        ({"metadata": [1], "spec": {}}, r"\.metadata: must be an object"),
        ({"metadata": {"labels": [1]}, "spec": {}}, r"\.metadata\.labels: must be an object"),
        ({"spec": {}}, r"\.spec\.containers: must list at least one container"),
        ({"spec": {"containers": {"a": 1}}}, r"\.spec\.containers: must be a list"),
        ({"spec": {"containers": ["scan"]}}, r"containers\[0\]: must be an object"),
        (spec_with(ports=[80]), r"containers\[0\]\.ports: must be a list of objects"),
        (spec_with(env="A=1"), r"containers\[0\]\.env: must be a list"),
        (spec_with(resources={"limits": [1]}), r"containers\[0\]\.resources\.limits: must be an object"),
        ({"spec": {"containers": [CONTAINER], "initContainers": ["x"]}}, r"initContainers\[0\]: must be an object"),
        ({"spec": {"containers": [CONTAINER], "resourceClaims": ["x"]}}, r"resourceClaims: must be a list of objects"),
        ({"spec": {"containers": [CONTAINER], "restartPolicy": "Never"}}, r"\.restartPolicy: must be Always"),
        ({"spec": {"containers": [CONTAINER, {"name": "b"}]}}, r"containers\[1\]\.image: is required"),
        ({"spec": {"containers": [CONTAINER], "nodeName": "x"}}, r"\.spec\.nodeName: must not be set"),
        ({"spec": {"containers": [CONTAINER], "affinity": {"a": 1}}}, r"\.spec\.affinity: must not be set"),
        ({"spec": {"containers": [CONTAINER], "nodeSelector": {"a": "b"}}}, r"\.spec\.nodeSelector: must not be set"),
    ],
)
def test_a_template_that_cannot_run_on_boxes_is_refused_with_the_field(
    template: dict[str, Any], objection: str
) -> None:
    with pytest.raises(SpecError, match=objection):
        resolve(Workload.model_construct(name="scan", template=template), None)
