"""What is read out of the API's objects, and that nothing in them raises."""

import pickle
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.rollout import parsing
from cloud.rollout.parsing import mark, parse
from cloud.rollout.release import Workload
from cloud.rollout.snapshot import Version
from cloud.rollout.template import versions
from cloud.rollout.views import (
    BoxView,
    DaemonSetView,
    Kind,
    NodeView,
    PodView,
    ReleaseView,
    SiteView,
    memory_name,
)
from tests.unit.cloud.rollout.raw import raw_daemon_set, raw_node, raw_pod, raw_release, raw_site

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
EXAMPLES = {
    Kind.NODE: raw_node(
        labels={"run.edgefleet.io/scan.a": ""}, annotations={"previous.edgefleet.io/default.scan": "a"}
    ),
    Kind.POD: raw_pod(containers=[{"restartCount": 1, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]),
    Kind.DAEMON_SET: raw_daemon_set(),
    Kind.SITE: raw_site(),
    Kind.BOX: {"metadata": {"name": "box-1"}, "spec": {"node": "box-1", "site": "tc-1"}, "status": {}},
    Kind.RELEASE: raw_release(status={"template": {"spec": {"containers": [{"name": "a", "image": "b"}]}}}),
}


def paths(raw: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:  # noqa: ANN401 - JSON
    inside = raw.items() if isinstance(raw, dict) else enumerate(raw) if isinstance(raw, list) else ()
    return [at, *(path for key, value in inside for path in paths(value, (*at, key)))]


def damaged(raw: Any, path: tuple[Any, ...], junk: Any) -> Any:  # noqa: ANN401 - JSON
    if not path:
        return junk
    copy = dict(raw) if isinstance(raw, dict) else list(raw)
    copy[path[0]] = damaged(raw[path[0]], path[1:], junk)
    return copy


@given(st.sampled_from(sorted(Kind)), st.data())
def test_no_damage_to_an_object_makes_reading_it_fail(kind: Kind, data: st.DataObject) -> None:
    example = EXAMPLES[kind]
    path = data.draw(st.sampled_from(paths(example)).filter(lambda one: one != ()))
    parse(kind, damaged(example, path, data.draw(JSON)))


def node(**more: Any) -> NodeView:  # noqa: ANN401 - of the builder
    view = parse(Kind.NODE, raw_node(**more))
    assert isinstance(view, NodeView)
    return view


def pod(**more: Any) -> PodView:  # noqa: ANN401 - of the builder
    view = parse(Kind.POD, raw_pod(**more))
    assert isinstance(view, PodView)
    return view


def release(**more: Any) -> ReleaseView:  # noqa: ANN401 - of the builder
    view = parse(Kind.RELEASE, raw_release(**more))
    assert isinstance(view, ReleaseView)
    return view


def test_a_node_tells_which_versions_of_which_workload_it_is_asked_to_run() -> None:
    labels = {"run.edgefleet.io/scan.a": "", "run.edgefleet.io/scan.b": "", "run.edgefleet.io/sc-2.c": ""}
    assert node(labels=labels).versions == {"scan": {"a", "b"}, "sc-2": {"c"}}


def test_a_node_remembers_by_namespace_and_workload() -> None:
    view = node(annotations={"reverted.edgefleet.io/default.scan": "uid", "other": "x"})
    assert view.reverted == {"default.scan": "uid"}


def test_a_node_remembers_which_releases_moved_it_as_many_as_it_can_be_taken_back_from() -> None:
    view = node(annotations={"moved.edgefleet.io/default.scan": "e,d,,c,b,a"})
    assert view.moved_by == {"default.scan": ("e", "d", "c")}
    assert view.previous == {}


def test_only_a_ready_node_is_ready_and_one_that_never_spoke_is_dark_since_it_was_made() -> None:
    assert node().sign.ready
    assert not node(ready=False).sign.ready
    silent = raw_node()
    silent["status"] = {}
    view = parse(Kind.NODE, silent)
    assert isinstance(view, NodeView)
    assert (view.sign.ready, view.sign.since) == (False, datetime(2026, 3, 2, 11, tzinfo=UTC))


def test_a_pod_that_is_not_bound_yet_belongs_to_the_box_its_daemon_set_meant() -> None:
    raw = raw_pod(node="")
    term = {"matchFields": [{"key": "other"}, {"key": "metadata.name", "operator": "In", "values": ["box-7"]}]}
    for terms, meant in (([{}, term], "box-7"), ([], "")):
        wanted = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        raw["spec"] = {"affinity": {"nodeAffinity": wanted}}
        view = parse(Kind.POD, raw)
        assert isinstance(view, PodView)
        assert view.node == meant


@pytest.mark.parametrize(
    ("state", "trouble", "detail"),
    [
        ({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}, "CrashLoopBackOff", "back-off"),
        ({"waiting": {"reason": "ImagePullBackOff"}}, "ImagePullBackOff", "exit code 137"),
        ({"waiting": {"reason": "ContainerCreating"}}, "", ""),
        ({"terminated": {"exitCode": 3, "reason": "Error"}}, "Error", "exit code 3"),
        ({"terminated": {"exitCode": 0, "reason": "Completed"}}, "", ""),
        ({"running": {}}, "", ""),
    ],
)
def test_a_pod_tells_what_troubles_its_container(state: dict[str, Any], trouble: str, detail: str) -> None:
    container = {"restartCount": 2, "state": state, "lastState": {"terminated": {"exitCode": 137}}}
    told = pod(containers=[container]).pod
    assert (told.trouble, told.detail, told.restarts) == (trouble, detail, 2)


def test_restarts_that_no_kubelet_would_report_are_bounded() -> None:
    assert pod(containers=[{"restartCount": count} for count in (-5, 2**40, 2**40)]).pod.restarts == 2**31 - 1
    assert pod(containers=[{"restartCount": -5}, {"restartCount": 3}]).pod.restarts == 3
    assert release(generation=-1).generation == 0


def test_a_failed_pod_tells_why_even_without_containers() -> None:
    raw = raw_pod()
    raw["status"] = {"phase": "Failed", "reason": "Evicted", "message": "no disk"}
    view = parse(Kind.POD, raw)
    assert isinstance(view, PodView)
    assert (view.pod.trouble, view.pod.detail, view.pod.ready) == ("Evicted", "no disk", False)


def test_a_pod_that_the_scheduler_holds_back_says_so_in_its_words() -> None:
    raw = raw_pod(node="")
    raw["status"]["conditions"] = [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/9 nodes are available"}
    ]
    view = parse(Kind.POD, raw)
    assert isinstance(view, PodView)
    assert (view.pod.bound, view.pod.trouble, view.pod.detail) == (False, "Unschedulable", "0/9 nodes are available")
    assert pod().pod.bound


@pytest.mark.parametrize(
    ("containers", "pulled"),
    [
        ([{"state": {"running": {}}}], True),
        ([{"state": {"terminated": {"exitCode": 1}}}], True),
        ([{"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 1}}}], True),
        ([{"state": {"waiting": {"reason": "ImagePullBackOff"}}, "lastState": {}}], False),
        ([{"state": {"running": {}}}, {"state": {"waiting": {"reason": "ContainerCreating"}}}], False),
        ([], False),
    ],
)
def test_a_pod_is_pulled_once_all_its_containers_were_started(
    containers: list[dict[str, Any]], *, pulled: bool
) -> None:
    assert pod(containers=containers).pod.pulled is pulled


def test_a_pod_whose_deletion_has_begun_is_ending() -> None:
    assert pod(ending=True).pod.ending


def test_a_daemon_set_is_a_version() -> None:
    view = parse(Kind.DAEMON_SET, raw_daemon_set())
    assert isinstance(view, DaemonSetView)
    assert (view.workload, view.version, view.exclusive, view.release) == ("scan", "a", True, "one")
    assert (view.ours, view.edited) == (True, False)


@pytest.mark.parametrize(("said", "due"), [("1", False), ("2", True), ("x", True)])
def test_a_daemon_set_of_another_generation_than_ours_is_written_anew(said: str, *, due: bool) -> None:
    raw = raw_daemon_set()
    raw["metadata"]["annotations"]["edgefleet.io/generation"] = said
    view = parse(Kind.DAEMON_SET, raw)
    assert isinstance(view, DaemonSetView)
    assert view.edited is due


def test_a_zone_that_does_not_exist_is_none() -> None:
    views = [parse(Kind.SITE, raw_site(zone=zone)) for zone in ("Asia/Shanghai", "Mars/Base", "")]
    assert [view.zone for view in views if isinstance(view, SiteView)] == ["Asia/Shanghai", "", ""]


def test_a_release_that_cannot_be_read_says_which_field_is_wrong() -> None:
    view = release(spec={"targets": {}})
    assert view.release is None
    assert view.problem.startswith("spec.targets.selector: ")
    assert "set image, template or both" in release(spec={"workload": {"name": "scan"}}).problem


def test_a_started_release_is_rendered_from_its_settled_template() -> None:
    template = {"spec": {"containers": [{"name": "a", "image": "b"}]}}
    view = release(status={"template": template})
    assert view.release is not None
    assert view.rendered == versions("default", view.release.spec.workload, template)
    assert release().rendered == ()


def test_a_release_is_rendered_again_only_when_what_goes_into_it_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def counting(namespace: str, workload: Workload, base: Mapping[str, Any]) -> tuple[Version, ...]:
        made.append(namespace)
        return versions(namespace, workload, base)

    monkeypatch.setattr(parsing, "versions", counting)
    raw = raw_release(status={"template": {"spec": {"containers": [{"name": "a", "image": "b"}]}}})
    view = parse(Kind.RELEASE, raw)
    raw["metadata"]["annotations"] = {"touched": "yes"}
    raw["spec"]["control"] = {"paused": True}
    assert isinstance(again := parse(Kind.RELEASE, raw, view), ReleaseView)
    assert isinstance(view, ReleaseView)
    assert (again.rendered, len(made)) == (view.rendered, 1)
    raw["status"] = {"template": {"spec": {"containers": [{"name": "a", "image": "c"}]}}}
    assert isinstance(other := parse(Kind.RELEASE, raw, view), ReleaseView)
    assert (other.rendered == view.rendered, len(made)) == (False, 2)


def test_large_templates_are_not_kept_once_for_each_override() -> None:
    container = {"name": "a", "image": "b", "env": [{"name": f"V{n}", "value": "x" * 100} for n in range(500)]}
    template = {"spec": {"containers": [container]}}
    overrides = [{"selector": {"matchLabels": {"wave": str(n)}}, "args": [str(n)]} for n in range(16)]
    workload = {"name": "scan", "template": template, "overrides": overrides}
    view = release(spec={"workload": workload}, status={"template": template})
    assert len(set(view.rendered)) == 17
    assert len(pickle.dumps(view)) < 3 * len(pickle.dumps(template)), "as it was asked for, and as it was settled"


def test_the_template_of_a_daemon_set_is_kept_small() -> None:
    container = {"name": "a", "image": "b", "env": [{"name": f"V{n}", "value": "x" * 100} for n in range(500)]}
    raw = raw_daemon_set(template={"spec": {"containers": [container]}})
    view = parse(Kind.DAEMON_SET, raw)
    assert isinstance(view, DaemonSetView)
    assert view.template == raw["spec"]["template"]
    assert len(pickle.dumps(view)) < len(pickle.dumps(view.template)) / 10


def test_a_settled_template_that_is_still_broken_is_still_told() -> None:
    raw = raw_release(status={"template": {"spec": {}}})
    view = parse(Kind.RELEASE, raw, parse(Kind.RELEASE, raw))
    assert isinstance(view, ReleaseView)
    assert "status.template" in view.problem


def test_a_settled_template_that_somebody_broke_is_a_problem_of_the_release() -> None:
    view = release(status={"template": {"spec": {}}})
    assert view.rendered == ()
    assert "status.template" in view.problem


def test_an_unreadable_status_of_a_release_is_said_to_be_one() -> None:
    view = release(status={"phase": "Sideways", "stages": []})
    assert view.unreadable.startswith("status.phase: Input should be 'Pending'")
    assert view.standing is not None
    assert view.standing.unknown
    assert release(status={"phase": "Rolling"}).unreadable == ""


def test_an_unreadable_status_of_a_box_counts_as_none() -> None:
    box = parse(Kind.BOX, {**EXAMPLES[Kind.BOX], "status": {"health": "Fine"}})
    assert isinstance(box, BoxView)
    assert box.status.health is None


@pytest.mark.parametrize("revision", ["x", "9" * 5000, "-1", 7])
def test_a_revision_that_is_no_number_is_older_than_any(revision: object) -> None:
    assert mark({"metadata": {"name": "a", "resourceVersion": revision}}).revision == 0
    assert mark({"metadata": {"name": "a", "resourceVersion": str(2**64 - 1)}}).revision == 2**64 - 1


def test_a_generation_that_no_daemon_set_can_have_is_no_obstacle() -> None:
    raw = raw_daemon_set()
    raw["metadata"]["annotations"]["edgefleet.io/generation"] = "9" * 5000
    view = parse(Kind.DAEMON_SET, raw)
    assert isinstance(view, DaemonSetView)
    assert (view.settled, view.changed) == (0, True), "it is put back"


@given(st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True), st.integers(1, 40))
def test_a_node_can_remember_of_every_workload(namespace: str, length: int) -> None:
    name = memory_name(namespace, "w" * length)
    assert len(name) <= 63
    assert name[0].isalnum()
    assert name[-1].isalnum()
    assert name != memory_name(namespace, "x" * length)
