"""How the command line gets on with an API server that answers, refuses, hangs, goes away and comes back."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import typer
from kubernetes.client import ApiException

from cloud.cli import gather, kube
from cloud.cli.control import Hand, rollback
from cloud.cli.doctor import skew_to
from cloud.cli.kube import Conflict, Forbidden, Gone, NotFound, connect
from cloud.cli.options import Format
from cloud.cli.plan import plan
from cloud.fleet.errors import SpecError, Unavailable
from cloud.rollout import control
from cloud.rollout.release import Approval
from cloud.rollout.status import Phase
from tests.contract.served import Answer, api_of, kubeconfig, serving


def release(phase: Phase, version: int, approvals: tuple[dict[str, str], ...] = ()) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "sorting",
            "name": "scan-2",
            "uid": "u",
            "creationTimestamp": "2026-03-02T12:00:00Z",
            "resourceVersion": str(version),
            "generation": 1,
        },
        "spec": {
            "workload": {"name": "scan", "image": "scan:2"},
            "targets": {"selector": {"matchLabels": {"a": "b"}}},
            "stages": [{"name": "canary", "upTo": 1, "approval": True}, {"name": "rest", "approval": True}],
            "control": {"approvals": list(approvals)},
        },
        "status": {"observedGeneration": 1, "phase": phase.value},
    }


def test_the_kubeconfig_gives_namespace_user_and_where_it_came_from(tmp_path: Path) -> None:
    api = connect(kubeconfig(tmp_path, 1))
    assert (api.namespace, api.user) == ("sorting", "li")
    assert "context 'here'" in api.origin


@pytest.mark.parametrize(
    ("content", "context", "told"),
    [
        (None, None, "no kubeconfig at .*: no such file"),
        ("{", None, "expected the node content.*`kubectl config get-contexts`"),
        ("{}", None, "Expected key current-context"),
        ("[]", None, "is of another form than a kubeconfig"),
        ("\x1f\udc8b", None, "can't decode byte"),
        ("whole", "elsewhere", "elsewhere"),
    ],
)
def test_an_unusable_kubeconfig_is_named(tmp_path: Path, content: str | None, context: str | None, told: str) -> None:
    file = Path(kubeconfig(tmp_path, 1))
    if content is None:
        file.unlink()
    elif content != "whole":
        file.write_text(content, errors="surrogateescape")
    with pytest.raises(SpecError, match=told) as caught:
        connect(str(file), context)
    assert str(file) in str(caught.value)


def test_a_collection_is_read_page_by_page(tmp_path: Path) -> None:
    asked = []

    def answer(_: str, __: str, query: dict[str, str], ___: object) -> Answer:
        asked.append(query)
        page = int(query.get("continue", 0))
        return 200, {"items": [{"page": page}], "metadata": {"continue": str(page + 1) if page < 2 else ""}}

    with api_of(tmp_path, answer) as api:
        assert api.every("/api/v1/nodes", labelSelector="a") == [{"page": number} for number in range(3)]
    assert [query.get("continue") for query in asked] == [None, "1", "2"]
    assert {query["labelSelector"] for query in asked} == {"a"}


RELEASES = "/apis/edgefleet.io/v1alpha1/namespaces/sorting/edgereleases"
REFUSALS = [
    (401, {"message": "Unauthorized"}, SpecError, "does not know this user"),
    (403, {"message": "li cannot list"}, Forbidden, "li cannot list; ask the cluster's administrator"),
    (404, "404 page not found", SpecError, "`kubectl apply --server-side -k manifests/crds` installs them"),
    (404, "404 page not found", SpecError, "`edgefleet crds | kubectl apply"),
    (404, {"reason": "NotFound", "details": {"name": "x"}, "message": "x not found"}, NotFound, "x not found"),
    (409, {"message": "object was modified"}, Conflict, "modified"),
    (410, {"message": "too old"}, Gone, "too old"),
    (422, {"details": {"causes": [{"field": "spec.a", "message": "bad"}]}}, SpecError, "spec.a: bad"),
    (400, {"message": "unknown field"}, SpecError, "unknown field"),
    (413, {"message": "limit is 3145728"}, SpecError, "too large for the API server: limit is 3145728; write less"),
    (429, {"message": "slow down"}, Unavailable, "slow down; try again"),
    (500, "oops", Unavailable, "500: oops"),
]


@pytest.mark.parametrize(("status", "body", "kind", "told"), REFUSALS)
def test_a_refusal_says_who_has_to_act_and_how(
    tmp_path: Path, status: int, body: object, kind: type[Exception], told: str
) -> None:
    with api_of(tmp_path, lambda *_: (status, body)) as api:
        with pytest.raises(kind, match=told.replace("|", r"\|")):
            api.get(RELEASES)
        with pytest.raises(kind, match=told.replace("|", r"\|")):
            list(api.watch(RELEASES, 1))


def test_nobody_listening_is_told_with_the_address(tmp_path: Path) -> None:
    with serving(lambda *_: (200, {})) as port:
        pass
    with pytest.raises(Unavailable, match=f"127.0.0.1:{port}.*refused.*edgefleet doctor"):
        connect(kubeconfig(tmp_path, port)).get("/version")


@pytest.mark.parametrize(
    ("words", "kind", "told"),
    [
        (
            "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate",
            SpecError,
            "no trust in",
        ),
        ("EOF occurred in violation of protocol (_ssl.c:2427)", Unavailable, "no secure connection to .*EOF occurred"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)", Unavailable, "wrong version number"),
    ],
    ids=["not trusted", "broken off", "no TLS"],
)
def test_only_a_certificate_is_a_matter_of_trust(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, kind: type[Exception], told: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ApiException(status=0, reason=f"SSLError\n{words}")

    api = connect(kubeconfig(tmp_path, 1))
    monkeypatch.setattr(api.client, "call_api", refuse)
    with pytest.raises(kind, match=told):
        api.get("/version")
    assert skew_to(api) is None


def test_an_empty_kubeconfig_variable_is_as_good_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".kube").mkdir()
    Path(kubeconfig(tmp_path, 1)).rename(tmp_path / ".kube" / "config")
    monkeypatch.setenv("HOME", str(tmp_path))
    for words in ("", str(tmp_path / ".kube" / "config")):
        monkeypatch.setenv("KUBECONFIG", words)
        assert connect().namespace == "sorting"
    monkeypatch.delenv("KUBECONFIG")
    assert connect().namespace == "sorting"


def test_a_server_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube, "ANSWER_SECONDS", 0.2)

    def hang(*_: object) -> Answer:
        time.sleep(1)
        return 200, {}

    with api_of(tmp_path, hang) as api:
        began = time.monotonic()
        with pytest.raises(Unavailable, match="timed out"):
            api.get("/version")
        assert time.monotonic() - began < 0.9


def test_who_we_are_is_what_the_server_says_and_else_the_kubeconfig(tmp_path: Path) -> None:
    with api_of(tmp_path, lambda *_: (201, {"status": {"userInfo": {"username": "li-wei"}}})) as api:
        assert api.whoami() == "li-wei"
    with api_of(tmp_path, lambda *_: (404, "404 page not found")) as api:
        assert api.whoami() == "li"


def test_a_watch_yields_events_and_says_when_it_is_too_old(tmp_path: Path) -> None:
    lines = [{"type": "ADDED", "object": {"n": 1}}, {"type": "ERROR", "object": {"code": 410}}]
    with api_of(tmp_path, lambda *_: (200, lines)) as api:
        watch = api.watch(RELEASES, 1)
        assert next(watch) == ("ADDED", {"n": 1})
        with pytest.raises(Gone):
            next(watch)


def test_a_release_is_followed_across_a_restart_of_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "_LONGEST_PAUSE", 0.05)
    reads = iter([(200, release(Phase.ROLLING, 4)), (503, "starting"), (200, release(Phase.SUCCEEDED, 6))])
    watches = iter([(200, [{"type": "MODIFIED", "object": release(Phase.SOAKING, 5)}]), (503, "going down")])

    def answer(_: str, __: str, query: dict[str, str], ___: object) -> Answer:
        return next(watches if "watch" in query else reads)

    with api_of(tmp_path, answer) as api:
        following = gather.follow(api, "sorting", "scan-2", time.monotonic() + 20)
        assert [next(following).status.phase for _ in range(3)] == [Phase.ROLLING, Phase.SOAKING, Phase.SUCCEEDED]


def test_a_release_is_told_once_however_little_time_there_is(tmp_path: Path) -> None:
    with api_of(
        tmp_path, lambda _, __, query, ___: (200, [] if "watch" in query else release(Phase.ROLLING, 4))
    ) as api:
        assert [one.status.phase for one in gather.follow(api, "sorting", "scan-2", time.monotonic())] == [
            Phase.ROLLING
        ]


def test_a_server_that_stays_away_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "_LONGEST_PAUSE", 0.01)
    with serving(lambda _, __, query, ___: (200, [] if "watch" in query else release(Phase.ROLLING, 4))) as port:
        following = gather.follow(connect(kubeconfig(tmp_path, port)), "sorting", "scan-2", time.monotonic() + 60)
        next(following)
    with pytest.raises(Unavailable):
        list(following)


def test_a_release_that_is_not_there_at_first_or_is_deleted_ends_the_following(tmp_path: Path) -> None:
    missing = {"reason": "NotFound", "details": {"name": "scan-2"}}

    def none(_: str, path: str, *__: object) -> Answer:
        return (404, missing) if path.endswith("scan-2") else (200, {"items": [release(Phase.ROLLING, 1)]})

    with api_of(tmp_path, none) as api, pytest.raises(NotFound, match=r"no EdgeRelease 'scan-2'.*there are scan-2"):
        next(gather.follow(api, "sorting", "scan-2", time.monotonic() + 20))

    def deleted(_: str, __: str, query: dict[str, str], ___: object) -> Answer:
        gone = [{"type": "DELETED", "object": release(Phase.ROLLING, 2)}]
        return 200, gone if "watch" in query else release(Phase.ROLLING, 1)

    with api_of(tmp_path, deleted) as api, pytest.raises(NotFound, match="was deleted"):
        list(gather.follow(api, "sorting", "scan-2", time.monotonic() + 20))


def test_two_people_who_approve_at_once_both_keep_their_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    canary = {"stage": "canary", "by": "wang", "reason": ""}
    state: dict[str, Any] = {"version": 1, "approvals": (), "patches": 0}

    def answer(method: str, _: str, __: object, body: Any) -> Answer:  # noqa: ANN401 - JSON
        if method == "PATCH":
            state["patches"] += 1
            if state["patches"] == 1:  # somebody was faster
                state.update(version=2, approvals=(canary,))
            if body["metadata"]["resourceVersion"] != str(state["version"]):
                return 409, {"message": "modified"}
            state["approvals"] = tuple(body["spec"]["control"]["approvals"])
        shown = release(Phase.AWAITING_APPROVAL, state["version"], state["approvals"])
        shown["status"]["stages"] = [{"name": "canary", "phase": "Passed"}]
        return 200, shown

    with api_of(tmp_path, answer) as api:
        given = Approval(stage="rest", by="li")
        Hand(api, "sorting", "scan-2", Format.TEXT).turn(
            lambda one: control.approve(one.release, one.status, given), {}
        )
    assert state["approvals"] == (canary, {"stage": "rest", "by": "li", "reason": ""})
    assert state["patches"] == 2
    assert "stage rest is approved by li" in capsys.readouterr().out


def test_a_release_that_keeps_changing_is_given_up_undone(tmp_path: Path) -> None:
    def answer(method: str, *_: object) -> Answer:
        return (409, {}) if method == "PATCH" else (200, release(Phase.ROLLING, 1))

    with api_of(tmp_path, answer) as api, pytest.raises(Unavailable, match="nothing was done"):
        Hand(api, "sorting", "scan-2", Format.TEXT).turn(lambda one: control.pause(one.release, one.status), {})


def test_who_may_not_look_at_the_boxes_may_still_take_a_release_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state: dict[str, Any] = {}

    def answer(method: str, path: str, _: object, body: Any) -> Answer:  # noqa: ANN401 - JSON
        if not path.startswith(RELEASES):
            return 403, {"message": "li cannot list nodes"}
        if method == "PATCH":
            state.update(body["spec"]["control"])
        return 200, release(Phase.ROLLING, 1)

    with serving(answer) as port:
        file = kubeconfig(tmp_path, port)
        rollback("scan-2", reason="crashes", by="li", yes=True, kubeconfig=file)
    assert state == {"abort": "Rollback"}
    assert "one that ran nothing before will run nothing" in capsys.readouterr().out


def test_a_namespace_of_a_file_that_cannot_be_one_is_told_and_never_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def answer(method: str, path: str, *_: object) -> Answer:
        asked.append((method, path))
        return 200, {}

    wanted = {"workload": {"name": "scan", "image": "scan:2"}, "targets": {"selector": {"matchLabels": {"a": "b"}}}}
    head = {"apiVersion": "edgefleet.io/v1alpha1", "kind": "EdgeRelease"}
    file = tmp_path / "release.yaml"
    file.write_text(json.dumps({**head, "metadata": {"name": "scan-2", "namespace": "a/b"}, "spec": wanted}))
    with serving(answer) as port, pytest.raises(typer.Exit):
        plan(file=str(file), kubeconfig=kubeconfig(tmp_path, port))
    assert "metadata.namespace: 'a/b': write lower-case letters" in capsys.readouterr().out
    assert asked == []
