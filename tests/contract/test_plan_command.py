"""``edgefleet plan`` against an API server: what it takes from its answer, and how it ends."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer

from cloud.cli.options import Format
from cloud.cli.plan import plan
from cloud.cli.trial import LAST_APPLIED, _without_dropped
from cloud.fleet.errors import SpecError
from tests.contract.served import Answer, Serve, kubeconfig, serving
from tests.unit.cloud.rollout.raw import raw_daemon_set, raw_node, raw_pod, raw_release

Json = dict[str, Any]
RELEASES = "/apis/edgefleet.io/v1alpha1/edgereleases"


def cluster(nodes: list[Json], live: Json | None = None, *, may_write: bool = True) -> Serve:
    """An API server with these nodes and at most one release, which judges a release as the real one does.

    Every node asks for the version that one DaemonSet brings.
    """
    labels = {"run.edgefleet.io/scan.a": ""}
    old = [{**node, "metadata": {**node["metadata"], "labels": node["metadata"]["labels"] | labels}} for node in nodes]
    pods = [raw_pod(f"scan-a-{node['metadata']['name']}", node["metadata"]["name"]) for node in nodes]
    kept = {"/api/v1/nodes": old, "/api/v1/pods": pods, "/apis/apps/v1/daemonsets": [raw_daemon_set()]}

    def answer(method: str, path: str, _: dict[str, str], body: Json) -> Answer:
        if method == "PATCH" and not may_write:
            return 403, {"message": "li cannot patch edgereleases"}
        if method == "PATCH":
            known = live or raw_release(body["metadata"]["name"])
            return 200, {**known, "spec": {**known["spec"], **body["spec"]}}
        if path.endswith("/edgereleases/one"):
            return (200, live) if live else (404, {"reason": "NotFound", "details": {"name": "one"}})
        if path == RELEASES:
            return 200, {"items": [live] if live else []}
        return 200, {"items": kept.get(path, [])}

    return answer


def written(name: str = "one", **spec: object) -> Json:
    made = raw_release(name, spec=spec)
    head = {"apiVersion": "edgefleet.io/v1alpha1", "kind": "EdgeRelease", "metadata": {"name": name}}
    return {**head, "spec": made["spec"]}


def foretold(folder: Path, capsys: pytest.CaptureFixture[str], serve: Serve, *documents: Json) -> tuple[int, Json]:
    """Return the exit code, and what programs get of the first release."""
    file = folder / "release.yaml"
    file.write_text("\n---\n".join(map(json.dumps, documents)))
    code = 0
    with serving(serve) as port:
        try:
            plan(file=str(file), namespace="default", kubeconfig=kubeconfig(folder, port), form=Format.JSON)
        except typer.Exit as end:
            code = end.exit_code
    return code, json.loads(capsys.readouterr().out)[0]


def over(phase: str, **control: object) -> Json:
    status = {"observedGeneration": 1, "phase": phase, "message": "It is over."}
    return raw_release(status=status, spec={"control": control})


@pytest.mark.parametrize("may_write", [True, False])
@pytest.mark.parametrize(
    ("phase", "control"), [("RolledBack", {"abort": "Rollback"}), ("Halted", {"abort": "Halt"}), ("Superseded", {})]
)
def test_a_release_that_is_over_is_told_to_be_and_foretold_no_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], phase: str, control: Json, *, may_write: bool
) -> None:
    live = over(phase, **control)
    code, told = foretold(tmp_path, capsys, cluster([raw_node()], live, may_write=may_write), written())
    assert (code, told["good"], told["steps"]) == (1, False, [])
    assert told["blocked"] == f"one is over ({phase}): create a new EdgeRelease under another name"


@pytest.mark.parametrize("may_write", [True, False])
def test_a_hand_on_the_release_counts_though_the_file_does_not_know_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, may_write: bool
) -> None:
    live = raw_release(spec={"control": {"paused": True, "abort": "Rollback"}})
    code, told = foretold(tmp_path, capsys, cluster([raw_node()], live, may_write=may_write), written())
    assert (code, told["good"], told["steps"]) == (1, False, [])


def test_what_the_file_says_of_the_hand_wins_where_the_api_server_has_not_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live = raw_release(spec={"control": {"paused": True}})
    serve = cluster([raw_node()], live, may_write=False)
    assert foretold(tmp_path, capsys, serve, written())[1]["waits"][0]["reason"] == "Paused"
    code, told = foretold(tmp_path, capsys, serve, written(control={"paused": False}))
    assert (code, told["waits"]) == (0, [])


def test_boxes_that_stay_held_back_are_no_good_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nodes = [raw_node("box-1"), raw_node("box-2", ready=False), raw_node("box-3", labels={"edgefleet.io/site": "tc-2"})]
    file = written(offline={"minOnline": 0}, budget={"maxUnavailablePerSite": 1})
    code, told = foretold(tmp_path, capsys, cluster(nodes), file)
    assert (told["heldBack"], told["blocked"], told["dark"]) == (["box-1"], None, ["box-2"])
    assert (code, told["good"]) == (1, False)


def test_a_release_that_comes_to_its_end_is_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = foretold(tmp_path, capsys, cluster([raw_node()]), written())
    assert (code, told["good"], len(told["steps"])) == (0, True, 1)


def test_an_answer_that_is_no_release_of_this_version_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def newer(method: str, *_: object) -> Answer:
        return 200, {"metadata": {}, "spec": {"workload": {}}} if method == "PATCH" else {"metadata": {}, "items": []}

    code, told = foretold(tmp_path, capsys, newer, written())
    assert (code, "that this version does not understand" in told["problems"][0]) == (1, True)


def test_two_releases_of_one_name_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SpecError, match="EdgeRelease default/one stands in it 2 times; keep one of them"):
        foretold(tmp_path, capsys, cluster([raw_node()]), written(), written())


def test_a_kind_that_is_no_text_is_an_objection_like_any_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = foretold(tmp_path, capsys, cluster([raw_node()]), {**written(), "kind": ["EdgeRelease"]})
    assert (code, told["problems"]) == (1, ["kind: is ['EdgeRelease'], write EdgeRelease"])


def test_other_kinds_are_passed_over_and_alone_they_are_no_release(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = {"apiVersion": "v1", "kind": "ConfigMap"}
    assert foretold(tmp_path, capsys, cluster([raw_node()]), other, written())[0] == 0
    with pytest.raises(SpecError, match="holds no EdgeRelease"):
        foretold(tmp_path, capsys, cluster([raw_node()]), other)


OPEN = [{"from": "00:00", "to": "23:00", "tz": "UTC"}]
SHUT = [{"from": "00:00", "to": "00:05", "tz": "UTC"}]  # shorter than the time-out of a box, so never long enough


def applied(annotation: str | None, **spec: object) -> Json:
    """A release in the cluster, with what kubectl noted when it was applied."""
    live = raw_release(spec=spec)
    live["metadata"]["annotations"] = {} if annotation is None else {LAST_APPLIED: annotation}
    return live


def test_what_apply_wrote_before_and_the_file_lacks_is_gone_and_what_others_wrote_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {"windows": SHUT, "health": {"timeout": "10m", "readyFor": "1h"}, "stages": [{"name": "old"}]}
    live = applied(json.dumps({"spec": before}), **before, control={"paused": True})
    code, told = foretold(tmp_path, capsys, cluster([raw_node()], live), written(stages=[{"name": "new"}]))
    assert (code, [wait["reason"] for wait in told["waits"]]) == (0, ["Paused", "Soak"])
    assert [stage["name"] for stage in told["stages"]] == ["new"]


@pytest.mark.parametrize("annotation", [None, "", "[]", "{", '{"spec": 1}'])
def test_what_nobody_is_known_to_have_applied_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], annotation: str | None
) -> None:
    serve = cluster([raw_node()], applied(annotation, windows=SHUT))
    code, told = foretold(tmp_path, capsys, serve, written())
    assert (code, "No window is as long as health.timeout" in told["blocked"]) == (1, True)
    assert foretold(tmp_path, capsys, serve, written(windows=OPEN))[1]["blocked"] is None


def test_lists_that_others_have_added_to_are_as_the_api_server_merges_them() -> None:
    found = {"approvals": [{"stage": "a"}, {"stage": "b"}], "paused": True}
    assert _without_dropped(found, {}, {"approvals": [{"stage": "a"}]}) == found
    assert _without_dropped({"health": {"a": 1, "b": 2}}, {"health": {"a": 1}}, {"health": {}}) == {"health": {"b": 2}}
