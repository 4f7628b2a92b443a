"""What the operator expects of a Kubernetes API: the fake in memory and the real server pass the same suite."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Protocol

import pytest

from cloud.fleet.errors import Unavailable
from cloud.rollout.cluster import RESOURCES, Cluster, Conflict, Missing, Refused, Verb, Write, manifest
from cloud.rollout.parsing import mark, parse
from cloud.rollout.release import Release, ReleaseSpec, Workload
from cloud.rollout.template import daemonset, render
from cloud.rollout.views import DaemonSetView, Kind, Raw
from tests.contract.fake_cluster import FakeCluster

Json = dict[str, Any]
MORNING = datetime(2026, 3, 2, 8, tzinfo=UTC)


class Side(Protocol):
    """A cluster, and somebody else who writes to it."""

    port: Cluster

    def create(self, kind: Kind, made: Json) -> Json: ...

    def get(self, kind: Kind, name: str, namespace: str = "") -> Json: ...

    def event_counts(self, namespace: str) -> list[int]: ...


class FakeSide:
    """The fake."""

    def __init__(self) -> None:
        self.fake = FakeCluster()
        self.port: Cluster = self.fake

    def create(self, kind: Kind, made: Json) -> Json:
        return self.fake.create(kind, made)

    def get(self, kind: Kind, name: str, namespace: str = "") -> Json:
        return self.fake.get(kind, name, namespace)

    def event_counts(self, namespace: str) -> list[int]:
        return [event["count"] for key, event in self.fake.events.items() if key[0] == namespace]


class RealSide:
    """The real API server, as its administrator; every object gets a name of its own, for the server is shared."""

    def __init__(self, port: Any) -> None:  # noqa: ANN401 - KubeCluster: its import is slow, and only this side needs it
        self.kube = port
        self.port: Cluster = port

    def create(self, kind: Kind, made: Json) -> Json:
        return dict(self.kube.ask("POST", self._path(kind, made["metadata"].get("namespace", "")), body=made))

    def get(self, kind: Kind, name: str, namespace: str = "") -> Json:
        return dict(self.kube.ask("GET", f"{self._path(kind, namespace)}/{name}"))

    def event_counts(self, namespace: str) -> list[int]:
        items = self.kube.ask("GET", f"/api/v1/namespaces/{namespace}/events")["items"]
        return [event["count"] for event in items if event["reason"] == "Contract"]

    @staticmethod
    def _path(kind: Kind, namespace: str) -> str:
        root = f"/apis/{RESOURCES[kind].api_version}" if RESOURCES[kind].group else "/api/v1"
        return f"{root}{f'/namespaces/{namespace}' if namespace else ''}/{RESOURCES[kind].plural}"


@pytest.fixture(params=["fake", pytest.param("real", marks=[pytest.mark.cluster, pytest.mark.xdist_group("contract")])])
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    if request.param == "fake":
        yield FakeSide()
    else:
        yield RealSide(request.getfixturevalue("kube"))


@pytest.fixture
def named(request: pytest.FixtureRequest, side: Side) -> Iterator[Callable[[str], str]]:
    """Yield names that no other test of the shared server uses, and remove what bears them at the end."""
    prefix = f"contract-{abs(hash(request.node.nodeid)) % 10**8}"
    yield lambda name: f"{prefix}-{name}"
    for kind in Kind:
        for raw in side.port.read(kind):
            if raw["metadata"]["name"].startswith(prefix):
                side.port.write([deletion(kind, dict(raw))])


def node(name: str, **labels: str) -> Json:
    return manifest(Kind.NODE, name, metadata={"labels": {"edgefleet.io/site": "contract", **labels}})


def release(name: str) -> Json:
    spec = {"workload": {"name": "scan", "image": "scan:1"}, "targets": {"selector": {"matchLabels": {"a": "b"}}}}
    return manifest(Kind.RELEASE, name, "default", spec=spec)


def status_of(made: Json, **status: object) -> Write:
    lock = {name: made["metadata"][name] for name in ("uid", "resourceVersion")}
    meta = made["metadata"]
    return Write(
        Verb.REPLACE,
        Kind.RELEASE,
        manifest(Kind.RELEASE, meta["name"], "default", metadata=lock, status=status),
        "status",
    )


def deletion(kind: Kind, made: Json, uid: str = "") -> Write:
    meta = made["metadata"]
    lock = {"uid": uid or meta["uid"]}
    return Write(Verb.DELETE, kind, manifest(kind, meta["name"], meta.get("namespace", ""), metadata=lock))


def written(side: Side, write: Write) -> Raw:
    answer = side.port.write([write])[0]
    assert not isinstance(answer, Exception), answer
    return answer


def refusal(side: Side, write: Write) -> Exception:
    answer = side.port.write([write])[0]
    assert isinstance(answer, Exception)
    return answer


def revision(raw: Raw) -> int:
    return mark(raw).revision


def test_only_objects_that_concern_us_are_read(side: Side, named: Callable[[str], str]) -> None:
    side.create(Kind.NODE, node(named("box")))
    other = named("server")
    made = side.create(Kind.NODE, manifest(Kind.NODE, other))
    names = {one["metadata"]["name"] for one in side.port.read(Kind.NODE)}
    written(side, deletion(Kind.NODE, made))
    assert named("box") in names
    assert other not in names


def test_marks_tell_of_the_same_objects_in_the_same_revisions(side: Side, named: Callable[[str], str]) -> None:
    made = [side.create(Kind.SITE, manifest(Kind.SITE, named(name), spec={"timeZone": "UTC"})) for name in "ab"]
    assert {mark(one) for one in made} <= set(side.port.marks(Kind.SITE))


def test_a_merge_removes_what_is_none_and_leaves_the_rest(side: Side, named: Callable[[str], str]) -> None:
    made = side.create(Kind.NODE, node(named("box"), old="", keep="1"))
    patch = manifest(Kind.NODE, named("box"), metadata={"labels": {"old": None, "new": ""}, "annotations": {"a": "1"}})
    answer = written(side, Write(Verb.MERGE, Kind.NODE, patch))
    assert answer["metadata"]["labels"] == {"edgefleet.io/site": "contract", "keep": "1", "new": ""}
    assert answer["metadata"]["annotations"]["a"] == "1"
    assert revision(answer) > revision(made)
    assert side.get(Kind.NODE, named("box"))["metadata"]["labels"] == answer["metadata"]["labels"]


def test_a_merge_that_changes_nothing_makes_no_new_revision(side: Side, named: Callable[[str], str]) -> None:
    side.create(Kind.SITE, manifest(Kind.SITE, named("a"), spec={"timeZone": "UTC"}))  # a node is changed by others too
    labels = {"labels": {"new": "", "no": None}}
    patch = Write(Verb.MERGE, Kind.SITE, manifest(Kind.SITE, named("a"), metadata=labels))
    assert revision(written(side, patch)) == revision(written(side, patch))


def test_what_is_gone_is_told_apart_from_other_failures(side: Side, named: Callable[[str], str]) -> None:
    patch = manifest(Kind.NODE, named("gone"), metadata={"labels": {"new": ""}})
    assert isinstance(refusal(side, Write(Verb.MERGE, Kind.NODE, patch)), Missing)
    status = manifest(Kind.BOX, named("gone"), status={"health": "Online"})
    assert isinstance(refusal(side, Write(Verb.APPLY, Kind.BOX, status, "status")), Missing)


def test_apply_creates_and_then_takes_away_only_what_it_gave(side: Side, named: Callable[[str], str]) -> None:
    def box(**spec: object) -> Write:
        named_spec = {"node": named("box"), "site": "contract", **spec}
        return Write(Verb.APPLY, Kind.BOX, manifest(Kind.BOX, named("box"), spec=named_spec))

    made = written(side, box(roles=["scan"]))
    people = manifest(Kind.BOX, named("box"), spec={"expectedGpus": 2})
    written(side, Write(Verb.MERGE, Kind.BOX, people))
    spec = written(side, box())["spec"]
    assert (spec["expectedGpus"], spec["site"], spec.get("roles") or []) == (2, "contract", [])
    again = written(side, box())
    assert revision(again) == revision(written(side, box()))
    assert again["metadata"]["uid"] == made["metadata"]["uid"]


def test_status_is_written_apart_from_the_spec(side: Side, named: Callable[[str], str]) -> None:
    spec = {"node": named("box"), "site": "contract"}
    made = written(side, Write(Verb.APPLY, Kind.BOX, manifest(Kind.BOX, named("box"), spec=spec)))
    status = Write(Verb.APPLY, Kind.BOX, manifest(Kind.BOX, named("box"), status={"health": "Online"}), "status")
    answer = written(side, status)
    assert answer["status"]["health"] == "Online"
    assert answer["metadata"]["generation"] == made["metadata"]["generation"]
    assert answer["spec"]["site"] == "contract"


def test_a_changed_spec_is_a_new_generation_and_a_changed_label_is_none(
    side: Side, named: Callable[[str], str]
) -> None:
    made = side.create(Kind.RELEASE, release(named("one")))
    label = manifest(Kind.RELEASE, named("one"), "default", metadata={"labels": {"a": "b"}})
    labelled = written(side, Write(Verb.MERGE, Kind.RELEASE, label))
    assert labelled["metadata"]["generation"] == made["metadata"]["generation"]
    pause = manifest(Kind.RELEASE, named("one"), "default", spec={"control": {"paused": True}})
    paused = written(side, Write(Verb.MERGE, Kind.RELEASE, pause))
    assert paused["metadata"]["generation"] == made["metadata"]["generation"] + 1


def test_a_daemon_set_counts_a_generation_for_each_change_of_its_spec_and_none_for_what_stays(
    side: Side, named: Callable[[str], str]
) -> None:
    """So a version that somebody changed is known by its generation, and is settled once it is applied anew."""
    name = named("scan")
    container = {"name": "scan", "image": "scan:1", "resources": {"limits": {"cpu": "0.50"}}}
    rendered, *_ = render("default", Workload(name="scan", image="scan:1"), {"spec": {"containers": [container]}})
    spec = {"workload": {"name": "scan", "image": "scan:1"}, "targets": {"selector": {"matchLabels": {"a": "b"}}}}
    release = Release(namespace="default", name="one", uid="u", created=MORNING, spec=ReleaseSpec.model_validate(spec))

    def applied(generation: int) -> DaemonSetView:
        made = daemonset(release, rendered, generation)
        made["metadata"]["name"] = name
        (answer,) = side.port.write([Write(Verb.APPLY, Kind.DAEMON_SET, made)])
        return seen(answer)

    def seen(raw: Raw | Exception) -> DaemonSetView:
        assert not isinstance(raw, Exception), raw
        view = parse(Kind.DAEMON_SET, raw)
        assert isinstance(view, DaemonSetView)
        return view

    assert (applied(1).edited, applied(1).generation) == (False, 1)
    by_hand = manifest(Kind.DAEMON_SET, name, "default", spec={"updateStrategy": {"type": "RollingUpdate"}})
    (answer,) = side.port.write([Write(Verb.MERGE, Kind.DAEMON_SET, by_hand)])
    changed = seen(answer)
    assert changed.changed
    back = applied(changed.next_settled)
    assert (back.edited, back.generation) == (False, 3)
    too_far = applied(4)
    assert (too_far.edited, too_far.changed, too_far.generation) == (True, False, 3)
    assert not applied(too_far.next_settled).edited


def test_a_status_planned_on_an_older_revision_is_a_conflict_and_changes_nothing(
    side: Side, named: Callable[[str], str]
) -> None:
    made = side.create(Kind.RELEASE, release(named("one")))
    written(side, status_of(made, phase="Rolling"))
    assert isinstance(refusal(side, status_of(made, phase="Halted")), Conflict)
    assert side.get(Kind.RELEASE, named("one"), "default")["status"]["phase"] == "Rolling"


def test_a_status_of_a_release_that_was_made_anew_is_a_conflict(side: Side, named: Callable[[str], str]) -> None:
    old = side.create(Kind.RELEASE, release(named("one")))
    written(side, deletion(Kind.RELEASE, old))
    side.create(Kind.RELEASE, release(named("one")))
    assert isinstance(refusal(side, status_of(old, phase="Rolling")), Conflict)


def test_a_replaced_status_keeps_nothing_of_the_one_before(side: Side, named: Callable[[str], str]) -> None:
    made = side.create(Kind.RELEASE, release(named("one")))
    effort = {"attempt": 1, "cutover": "2026-03-02T12:00:00Z"}
    made = dict(written(side, status_of(made, phase="Rolling", boxes={"box": effort}, message="x")))
    answer = written(side, status_of(made, phase="Rolling", boxes={}))
    assert answer["status"].get("boxes", {}) == {}
    assert not answer["status"].get("message")
    assert answer["spec"]["workload"]["name"] == "scan"


def test_a_template_is_kept_whole_in_the_status(side: Side, named: Callable[[str], str]) -> None:
    made = side.create(Kind.RELEASE, release(named("one")))
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "ports": [{"hostPort": 1}]}]}}
    assert written(side, status_of(made, template=template))["status"]["template"] == template


def test_only_the_object_of_that_uid_is_deleted(side: Side, named: Callable[[str], str]) -> None:
    made = side.create(Kind.SITE, manifest(Kind.SITE, named("a"), spec={"timeZone": "UTC"}))
    assert isinstance(refusal(side, deletion(Kind.SITE, made, uid="another")), Conflict)
    written(side, deletion(Kind.SITE, made))
    assert isinstance(refusal(side, deletion(Kind.SITE, made)), Missing)


def test_what_the_schema_does_not_allow_is_refused(side: Side, named: Callable[[str], str]) -> None:
    box = manifest(Kind.BOX, named("box"), spec={"node": named("box"), "site": "No Site"})
    assert isinstance(refusal(side, Write(Verb.APPLY, Kind.BOX, box)), Refused)


def test_each_of_several_writes_has_its_answer_in_order(side: Side, named: Callable[[str], str]) -> None:
    for number in range(9):
        side.create(Kind.NODE, node(named(f"box-{number}")))
    boxes = [*(named(f"box-{number}") for number in range(9)), named("gone")]
    writes = [Write(Verb.MERGE, Kind.NODE, manifest(Kind.NODE, box, metadata={"labels": {"n": ""}})) for box in boxes]
    *answers, last = side.port.write(writes)
    assert [answer["metadata"]["name"] for answer in answers if not isinstance(answer, Exception)] == boxes[:9]
    assert isinstance(last, Missing)


def test_what_may_not_be_written_any_more_is_not(side: Side, named: Callable[[str], str]) -> None:
    side.create(Kind.NODE, node(named("box")))
    patch = Write(Verb.MERGE, Kind.NODE, manifest(Kind.NODE, named("box"), metadata={"labels": {"n": ""}}))
    for writes in ([patch], [patch, patch]):
        answers = side.port.write(writes, lambda: False)
        assert [type(answer) for answer in answers] == [Unavailable] * len(writes)
    assert "n" not in side.get(Kind.NODE, named("box"))["metadata"]["labels"]


def test_an_event_told_again_is_counted(side: Side, named: Callable[[str], str]) -> None:
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": named("event"), "namespace": "default"},
        "involvedObject": {"kind": "EdgeRelease", "name": "one", "namespace": "default"},
        "reason": "Contract",
        "message": "told",
        "type": "Normal",
        "count": 1,
        "firstTimestamp": "2026-03-02T12:00:00Z",
        "lastTimestamp": "2026-03-02T12:00:00Z",
    }
    for _ in range(3):
        side.port.tell(event)
    assert side.event_counts("default") == [3]
