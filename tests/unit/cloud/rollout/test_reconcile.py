"""One look at a workload, against the fake cluster: the order of writes, and what each failure leaves behind."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloud.fleet.errors import Unavailable
from cloud.rollout.cluster import Answer, Conflict, Forbidden, Refused, Verb, Write, always
from cloud.rollout.connectivity import NodeReady
from cloud.rollout.mirror import Mirror
from cloud.rollout.reconcile import REGISTRY_AGAIN, TROUBLE_AGAIN, Look, Trouble
from cloud.rollout.views import Kind, Raw
from tests.contract.fake_cluster import FakeCluster
from tests.unit.cloud.rollout.raw import raw_daemon_set, raw_node, raw_pod, raw_release

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SCAN = ("default", "scan")


class Pinned:
    """A registry that knows one digest."""

    def __init__(self, digest: str | None = "sha256:1") -> None:
        self.digest = digest  # None: digests are not asked for
        self.asked: list[str] = []

    def pin(self, image: str) -> str | None:
        self.asked.append(image)
        return None if self.digest is None else f"{image}@{self.digest}"


class Refusing(FakeCluster):
    """Answers one kind of write with an error."""

    def __init__(self, kind: Kind, failure: Exception) -> None:
        super().__init__()
        self.kind, self.failure = kind, failure

    def write(self, writes: Sequence[Write], may: Callable[[], bool] = always) -> Sequence[Answer]:
        return [self.failure if one.kind is self.kind else super(Refusing, self).write([one], may)[0] for one in writes]

    def tell(self, event: Raw) -> None:
        if self.kind is Kind.SITE:  # stands for events
            raise self.failure
        super().tell(event)


def cluster(*names: str, of: FakeCluster | None = None) -> FakeCluster:
    made = of or FakeCluster()
    for name in names or ("box-1", "box-2"):
        made.create(Kind.NODE, raw_node(name))
    return made


def held(of: FakeCluster, now: datetime = NOW) -> Mirror:
    mirror = Mirror(NodeReady())
    for kind in Kind:
        for raw in of.read(kind):
            mirror.absorb(kind, raw, now)
    return mirror


def look(
    of: FakeCluster,
    now: datetime = NOW,
    registry: Pinned | None = None,
    told: frozenset[Trouble] = frozenset(),
) -> Look:
    taken = Look(held(of, now).held(SCAN, now), of, registry or Pinned(None), now, told=told)
    taken.take()
    return taken


def settle(of: FakeCluster, now: datetime = NOW) -> datetime:
    """Let the DaemonSets' pods become what the labels ask for, and look until nothing is written."""
    for _ in range(12):
        before = len(of.writes)
        follow_labels(of)
        look(of, now)
        if len(of.writes) == before:
            return now
        now += timedelta(seconds=1)
    raise AssertionError(f"no rest: {of.writes[-3:]}")


def follow_labels(of: FakeCluster) -> None:
    for kind, key in list(of.objects):
        if kind is Kind.POD:
            del of.objects[kind, key]
    for node in of.read(Kind.NODE):
        for label in node["metadata"]["labels"]:
            if label.startswith("run.edgefleet.io/"):
                version = label.rpartition(".")[2]
                of.create(
                    Kind.POD, raw_pod(f"scan-{version}-{node['metadata']['name']}", node["metadata"]["name"], version)
                )


def status(of: FakeCluster, name: str) -> dict[str, Any]:
    return dict(of.get(Kind.RELEASE, name, "default")["status"])


def kinds(writes: Sequence[Write]) -> list[str]:
    return [f"{one.verb} {one.kind}" for one in writes]


def test_a_new_release_writes_daemon_set_then_status_then_nodes() -> None:
    fake = cluster()
    fake.create(Kind.RELEASE, raw_release())
    taken = look(fake)
    assert kinds(fake.writes) == ["apply DaemonSet", "replace EdgeRelease", "merge Node", "merge Node"]
    assert set(status(fake, "one")["boxes"]) == {"box-1", "box-2"}, "under way in the status before the labels change"
    assert [kind for kind, _ in taken.answers] == [Kind.DAEMON_SET, Kind.RELEASE, Kind.NODE, Kind.NODE]
    assert {decision.note.reason for decision in taken.decisions} >= {"StageStarted"}
    assert fake.events


def test_a_settled_release_is_looked_at_without_a_write() -> None:
    fake = cluster()
    fake.create(Kind.RELEASE, raw_release())
    now = settle(fake)
    assert status(fake, "one")["phase"] == "Succeeded"
    before = len(fake.writes)
    look(fake, now + timedelta(seconds=30))
    assert len(fake.writes) == before


def test_a_release_of_an_image_keeps_the_template_of_the_one_before() -> None:
    fake = cluster()
    template = {"spec": {"containers": [{"name": "scan", "image": "x"}], "hostNetwork": True}}
    fake.create(
        Kind.RELEASE, raw_release("one", spec={"workload": {"name": "scan", "image": "scan:1", "template": template}})
    )
    fake.create(Kind.RELEASE, raw_release("two", created="2026-03-02T11:30:00Z"))
    look(fake)
    assert status(fake, "two")["previousRelease"] == "one"
    spec = status(fake, "two")["template"]["spec"]
    assert (spec["hostNetwork"], spec["containers"][0]["image"]) == (True, "scan:two")


def test_a_release_of_an_image_keeps_the_template_of_a_daemon_set_when_its_release_is_gone() -> None:
    fake = cluster()
    template = {
        "metadata": {"labels": {"edgefleet.io/workload": "scan", "edgefleet.io/version": "a", "team": "sorting"}},
        "spec": {
            "containers": [{"name": "scan", "image": "scan:0"}],
            "hostPID": True,
            "nodeSelector": {"run.edgefleet.io/scan.a": ""},
            "tolerations": [{"operator": "Exists"}],
            "affinity": {"podAntiAffinity": {}},
        },
    }
    fake.create(Kind.DAEMON_SET, raw_daemon_set("a", template=template, release="zero"))
    fake.create(Kind.RELEASE, raw_release("one"))
    look(fake)
    settled = status(fake, "one")["template"]
    assert status(fake, "one")["previousRelease"] == "zero"
    assert settled["metadata"] == {"labels": {"team": "sorting"}}
    assert settled["spec"] == {"containers": [{"name": "scan", "image": "scan:one"}], "hostPID": True}


def test_the_tag_is_settled_once_and_every_box_gets_that_digest() -> None:
    fake, registry = cluster(), Pinned()
    fake.create(Kind.RELEASE, raw_release())
    look(fake, registry=registry)
    look(fake, NOW + timedelta(seconds=1), registry=registry)
    assert registry.asked == ["scan:one"]
    assert status(fake, "one")["resolvedImage"] == "scan:one@sha256:1"
    (made,) = fake.read(Kind.DAEMON_SET)
    assert made["spec"]["template"]["spec"]["containers"][0]["image"] == "scan:one@sha256:1"


def test_a_status_that_somebody_changed_meanwhile_stops_the_look_before_any_box_moves() -> None:
    fake = cluster(of=Refusing(Kind.RELEASE, Conflict("changed")))
    fake.create(Kind.RELEASE, raw_release())
    with pytest.raises(Conflict):
        look(fake)
    assert "merge Node" not in kinds(fake.writes)


def test_an_operator_that_may_have_been_replaced_while_it_wrote_the_status_moves_no_box() -> None:
    fake = cluster()
    fake.create(Kind.RELEASE, raw_release())
    leads = iter([True, True])  # while the DaemonSet and the status are written
    frozen = Look(held(fake).held(SCAN, NOW), fake, Pinned(None), NOW, lambda: next(leads, False))
    with pytest.raises(Unavailable, match="leads"):
        frozen.take()
    assert set(status(fake, "one")["boxes"]) == {"box-1", "box-2"}
    assert kinds(fake.writes) == ["apply DaemonSet", "replace EdgeRelease"]
    look(fake, NOW + timedelta(seconds=1))
    assert kinds(fake.writes)[2:] == ["replace EdgeRelease", "merge Node", "merge Node"], "whoever leads carries it out"


def test_an_operator_that_may_have_been_replaced_among_its_patches_makes_no_further_one() -> None:
    fake = cluster()
    fake.create(Kind.RELEASE, raw_release())
    leads = iter([True, True, True])
    with pytest.raises(Unavailable):
        Look(held(fake).held(SCAN, NOW), fake, Pinned(None), NOW, lambda: next(leads, False)).take()
    assert kinds(fake.writes)[2:] == ["merge Node"]


def test_no_box_is_moved_on_a_status_that_somebody_has_changed_though_ours_would_stay_the_same() -> None:
    fake = cluster()
    fake.create(Kind.RELEASE, raw_release())
    leads = iter([True, True])
    with pytest.raises(Unavailable):
        Look(held(fake).held(SCAN, NOW), fake, Pinned(None), NOW, lambda: next(leads, False)).take()
    stale = held(fake).held(SCAN, NOW)
    paused = fake.get(Kind.RELEASE, "one", "default")
    paused["spec"]["control"] = {"paused": True}
    fake.create(Kind.RELEASE, paused)
    with pytest.raises(Conflict):
        Look(stale, fake, Pinned(None), NOW).take()
    assert "merge Node" not in kinds(fake.writes)


def test_what_was_written_before_a_failure_is_known() -> None:
    fake = cluster(of=Refusing(Kind.NODE, Unavailable("no answer")))
    fake.create(Kind.RELEASE, raw_release())
    taken = Look(held(fake).held(SCAN, NOW), fake, Pinned(None), NOW)
    with pytest.raises(Unavailable):
        taken.take()
    assert [kind for kind, _ in taken.answers] == [Kind.DAEMON_SET, Kind.RELEASE]


def test_a_lost_event_stops_nothing() -> None:
    fake = cluster(of=Refusing(Kind.SITE, Unavailable("no answer")))
    fake.create(Kind.RELEASE, raw_release())
    taken = look(fake)
    assert taken.untold > 0
    assert "merge Node" in kinds(fake.writes)


def test_a_template_that_the_api_server_refuses_is_the_persons_to_correct_and_not_tried_again() -> None:
    fake = cluster(of=Refusing(Kind.DAEMON_SET, Refused("spec.foo: unknown")))
    fake.create(Kind.RELEASE, raw_release())
    look(fake)
    assert status(fake, "one")["phase"] == "Failed"
    assert "spec.foo: unknown" in status(fake, "one")["message"]
    before = len(fake.writes)
    look(fake, NOW + timedelta(minutes=1))
    assert len(fake.writes) == before


def test_a_quota_that_forbids_a_daemon_set_is_waited_for_where_people_see_it() -> None:
    fake = cluster(of=Refusing(Kind.DAEMON_SET, Forbidden("exceeded quota: q")))
    fake.create(Kind.RELEASE, raw_release())
    taken = look(fake)
    assert taken.recheck_after == TROUBLE_AGAIN
    assert [one.note.reason for one in taken.decisions] == ["Forbidden"]
    assert "exceeded quota: q" in status(fake, "one")["message"]
    assert status(fake, "one")["observedGeneration"] == 1, "or people read that no operator has looked at it"
    stalled = next(one for one in status(fake, "one")["conditions"] if one["type"] == "Stalled")
    assert (status(fake, "one")["phase"], stalled["reason"]) == ("Pending", "Forbidden")
    again = look(fake, NOW + TROUBLE_AGAIN, told=frozenset(taken.troubles))
    assert (again.decisions, [one.reason for one in again.troubles]) == ([], ["Forbidden"]), "told once"
    free = FakeCluster()
    free.objects = fake.objects
    look(free, NOW + 2 * TROUBLE_AGAIN)
    assert status(free, "one")["phase"] == "Rolling"
    assert all(one["type"] != "Stalled" or one["status"] == "False" for one in status(free, "one")["conditions"])


def test_a_status_that_the_api_server_finds_too_large_fails_the_release_with_a_next_step() -> None:
    class Narrow(FakeCluster):
        def write(self, writes: Sequence[Write], may: Callable[[], bool] = always) -> Sequence[Answer]:
            large = Refused("etcdserver: request is too large")
            return [
                large if len(str(one.manifest)) > 100_000 else super(Narrow, self).write([one], may)[0]
                for one in writes
            ]

    fake = cluster(of=Narrow())
    container = {"name": "scan", "image": "scan:1", "env": [{"name": "A", "value": "x" * 98_000}]}
    workload = {"name": "scan", "template": {"spec": {"containers": [container]}}}
    fake.create(Kind.RELEASE, raw_release(spec={"workload": workload}))
    look(fake)
    assert status(fake, "one")["phase"] == "Failed"
    assert "request is too large" in status(fake, "one")["message"]


def test_a_status_that_becomes_too_large_later_is_told() -> None:
    fake = cluster("box-1")
    fake.create(Kind.RELEASE, raw_release())
    look(fake)
    narrow = Refusing(Kind.RELEASE, Refused("etcdserver: request is too large"))
    narrow.objects = fake.objects
    follow_labels(fake)
    assert [one.note.reason for one in look(narrow, NOW + timedelta(seconds=20)).decisions] == ["Refused"]


def test_a_release_that_is_done_does_not_fail_because_its_daemon_set_cannot_be_made_anew() -> None:
    fake = cluster("box-1")
    fake.create(Kind.RELEASE, raw_release())
    now = settle(fake)
    (made,) = fake.read(Kind.DAEMON_SET)
    fake.remove(Kind.DAEMON_SET, made["metadata"]["name"], "default")
    refusing = Refusing(Kind.DAEMON_SET, Refused("no"))
    refusing.objects = fake.objects
    two = raw_release("two", created="2026-03-02T11:30:00Z", spec={"control": {"abort": "Rollback"}})
    refusing.create(Kind.RELEASE, two)
    look(refusing, now)
    assert status(refusing, "one")["phase"] == "Succeeded"


def test_a_release_that_cannot_be_begun_stops_no_other_of_its_workload() -> None:
    class Fussy(Pinned):
        def pin(self, image: str) -> str | None:
            if image == "scan:odd":
                raise UnicodeError("label empty or too long")
            return super().pin(image)

    fake = cluster("box-1")
    fake.create(Kind.RELEASE, raw_release("one"))
    now = settle(fake)
    fake.create(Kind.RELEASE, raw_release("odd", created="2026-03-02T11:30:00Z"))
    one = fake.get(Kind.RELEASE, "one", "default")
    one["spec"]["control"] = {"abort": "Rollback"}
    fake.create(Kind.RELEASE, one)
    taken = look(fake, now, registry=Fussy(None))
    assert status(fake, "one")["phase"] == "RollingBack"
    (told,) = [one for one in taken.decisions if one.release == "odd"]
    assert (told.note.reason, type(told.cause)) == ("Broken", UnicodeError)
    assert "label empty or too long" in status(fake, "odd")["message"]


def test_a_release_whose_registry_cannot_be_asked_yet_waits_alone() -> None:
    class Busy(Pinned):
        def pin(self, image: str) -> str | None:
            if image == "scan:two":
                raise Unavailable("others are being asked for")
            return super().pin(image)

    fake = cluster("box-1")
    fake.create(Kind.RELEASE, raw_release("one"))
    fake.create(Kind.RELEASE, raw_release("two", created="2026-03-02T11:30:00Z"))
    assert look(fake, registry=Busy(None)).recheck_after == REGISTRY_AGAIN
    assert status(fake, "one")["phase"] == "Rolling"
    assert status(fake, "two") == {}


def test_a_status_that_our_own_types_refuse_is_a_fault_to_be_seen_and_not_written() -> None:
    fake = cluster("box-1")
    fake.create(Kind.RELEASE, raw_release())
    taken = look(fake, registry=Pinned("x" * 600))
    assert [one.reason for one in taken.troubles] == ["Broken"]
    assert "resolvedImage" in status(fake, "one")["message"]
    assert "merge Node" not in kinds(fake.writes)


def test_a_status_that_cannot_be_read_is_told_and_what_it_may_have_moved_is_touched_by_nobody() -> None:
    fake = cluster("box-1")
    for number in range(4):
        fake.create(Kind.DAEMON_SET, raw_daemon_set(f"v{number}", created=f"2026-03-02T10:0{number}:00Z"))
    fake.create(Kind.RELEASE, raw_release("one"))
    now = settle(fake)
    fake.create(Kind.RELEASE, raw_release("two", created="2026-03-02T11:30:00Z"))
    now = settle(fake, now)
    fake.objects[Kind.RELEASE, ("default", "two")]["status"]["stages"] = [{"name": "A_Stage"}]
    before = (len(fake.writes), fake.read(Kind.NODE), fake.read(Kind.DAEMON_SET))
    mirrored = held(fake)
    fake.objects[Kind.RELEASE, ("default", "one")]["metadata"]["resourceVersion"] = "0"  # no write of it would be taken
    taken = Look(mirrored.held(SCAN, now), fake, Pinned(None), now)
    taken.take()
    assert (len(fake.writes), fake.read(Kind.NODE), fake.read(Kind.DAEMON_SET)) == before
    assert [one.note.reason for one in taken.decisions] == ["StatusUnreadable"]
    assert "status.stages.0.name" in taken.decisions[0].note.message


def test_an_api_server_that_does_not_answer_about_a_daemon_set_is_asked_again() -> None:
    fake = cluster(of=Refusing(Kind.DAEMON_SET, Unavailable("no answer")))
    fake.create(Kind.RELEASE, raw_release())
    with pytest.raises(Unavailable):
        look(fake)


def test_a_release_that_cannot_be_read_fails_alone() -> None:
    fake = cluster()
    fake.create(Kind.RELEASE, raw_release("good"))
    broken = raw_release("broken")
    broken["spec"]["targets"] = {}
    broken["metadata"].update(resourceVersion="99", uid="uid-broken", generation=1)
    fake.objects[Kind.RELEASE, ("default", "broken")] = broken
    mirror = held(fake)
    broken["spec"]["targets"] = raw_release()["spec"]["targets"]  # the fake would refuse its status otherwise
    Look(mirror.held(SCAN, NOW), fake, Pinned(None), NOW).take()
    assert status(fake, "broken")["phase"] == "Failed"
    assert status(fake, "good")["phase"] == "Rolling"


def test_a_cutover_that_cannot_work_fails_with_the_field_and_starts_after_a_correction() -> None:
    fake = cluster()
    container = {"name": "scan", "image": "scan:1", "ports": [{"hostPort": 80}]}
    workload = {"name": "scan", "template": {"spec": {"containers": [container]}}, "cutover": "Surge"}
    fake.create(Kind.RELEASE, raw_release(spec={"workload": workload}))
    look(fake)
    assert "spec.workload.cutover" in status(fake, "one")["message"]
    made = fake.get(Kind.RELEASE, "one", "default")
    made["spec"]["workload"]["cutover"] = "Recreate"
    made["metadata"]["generation"] = 2
    fake.create(Kind.RELEASE, made)
    look(fake)
    assert status(fake, "one")["phase"] == "Rolling"
    assert all(one["type"] != "Stalled" or one["status"] == "False" for one in status(fake, "one")["conditions"])


def test_a_daemon_set_that_somebody_deleted_comes_back() -> None:
    fake = cluster()
    fake.create(Kind.RELEASE, raw_release(spec={"stages": [{"name": "all", "soak": "1h"}]}))
    look(fake)
    (made,) = fake.read(Kind.DAEMON_SET)
    fake.remove(Kind.DAEMON_SET, made["metadata"]["name"], "default")
    look(fake, NOW + timedelta(seconds=1))
    assert [one["metadata"]["name"] for one in fake.read(Kind.DAEMON_SET)] == [made["metadata"]["name"]]


def settled_daemon_set() -> tuple[FakeCluster, datetime, Any]:
    fake = cluster("box-1")
    fake.create(Kind.RELEASE, raw_release(spec={"watchAfter": "0s"}))
    now = settle(fake) + timedelta(hours=1)
    (made,) = fake.read(Kind.DAEMON_SET)
    return fake, now, made


def by_hand(of: FakeCluster, made: Any) -> None:  # noqa: ANN401 - JSON
    spec = made["spec"] | {"updateStrategy": {"type": "RollingUpdate"}}
    patch = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": made["metadata"], "spec": spec}
    of.write([Write(Verb.MERGE, Kind.DAEMON_SET, patch)])


def test_a_daemon_set_that_a_box_needs_comes_back_though_its_release_is_done() -> None:
    fake, now, made = settled_daemon_set()
    fake.remove(Kind.DAEMON_SET, made["metadata"]["name"], "default")
    look(fake, now)
    assert [one["spec"] for one in fake.read(Kind.DAEMON_SET)] == [made["spec"]]


def test_a_daemon_set_that_was_changed_by_hand_is_put_back_and_people_are_told() -> None:
    fake, now, made = settled_daemon_set()
    changed = deepcopy(made)
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "evil"
    by_hand(fake, changed)
    taken = look(fake, now)
    assert [one["spec"] for one in fake.read(Kind.DAEMON_SET)] == [made["spec"]]
    assert [one.note.reason for one in taken.decisions] == ["DaemonSetRestored"]
    before = len(fake.writes)
    assert look(fake, now).decisions == []
    assert len(fake.writes) == before


def test_a_daemon_set_that_was_changed_and_changed_back_by_hand_is_left_in_peace_soon() -> None:
    fake, now, made = settled_daemon_set()
    by_hand(fake, made)
    back = {"metadata": made["metadata"] | {"kind": "DaemonSet"}, "spec": made["spec"]}
    fake.write([Write(Verb.MERGE, Kind.DAEMON_SET, back)])
    assert fake.get(Kind.DAEMON_SET, made["metadata"]["name"], "default")["metadata"]["generation"] == 3
    assert [one.note.reason for one in look(fake, now).decisions] == ["DaemonSetRestored"]
    assert look(fake, now).decisions == [], "the annotation alone is put right"
    before = len(fake.writes)
    look(fake, now)
    assert len(fake.writes) == before


@pytest.mark.parametrize(
    "strange",
    [{"name": "theirs"}, {"template": {"spec": {"nodeSelector": {"no": "where"}, "containers": []}}}],
    ids=["name", "template"],
)
def test_a_daemon_set_of_somebody_else_is_no_version_and_never_removed(strange: dict[str, Any]) -> None:
    fake = cluster("box-1")
    for number in range(4):
        fake.create(Kind.DAEMON_SET, raw_daemon_set(f"v{number}", created=f"2026-03-02T10:1{number}:00Z"))
    fake.create(Kind.DAEMON_SET, raw_daemon_set("w", created="2026-03-02T10:00:00Z", **strange))
    fake.create(Kind.RELEASE, raw_release())
    look(fake)
    names = {one["metadata"]["name"] for one in fake.read(Kind.DAEMON_SET)}
    assert {"scan-v0"} & names == set(), "ours is removed"
    assert {"theirs", "scan-w"} & names, "theirs is not"


def test_versions_that_nothing_needs_are_removed_but_for_the_last_three() -> None:
    fake = cluster()
    for number in range(6):
        fake.create(Kind.DAEMON_SET, raw_daemon_set(f"v{number}", created=f"2026-03-02T10:0{number}:00Z"))
    labels = {"run.edgefleet.io/scan.v0": ""}
    fake.create(Kind.NODE, raw_node("box-1", labels=labels, annotations={"previous.edgefleet.io/default.scan": "v1"}))
    look(fake)
    assert {one["metadata"]["labels"]["edgefleet.io/version"] for one in fake.read(Kind.DAEMON_SET)} == {
        "v0",
        "v1",
        "v3",
        "v4",
        "v5",
    }


def test_one_odd_site_label_stops_no_release_and_what_runs_there_stays() -> None:
    fake = cluster("box-1")
    for number in range(4):
        fake.create(Kind.DAEMON_SET, raw_daemon_set(f"v{number}", created=f"2026-03-02T10:0{number}:00Z"))
    labels = {"edgefleet.io/site": "A_Site", "run.edgefleet.io/scan.v0": ""}
    fake.create(Kind.NODE, raw_node("odd", labels=labels))
    fake.create(Kind.RELEASE, raw_release(spec={"stages": [{"name": "canary", "upTo": 1}, {"name": "rest"}]}))
    look(fake)
    started = status(fake, "one")["startedAt"]
    look(fake, NOW + timedelta(seconds=1))
    assert status(fake, "one")["startedAt"] == started
    assert "odd" in status(fake, "one")["warnings"][-1]
    assert "scan-v0" in {one["metadata"]["name"] for one in fake.read(Kind.DAEMON_SET)}


def test_a_version_that_another_removed_meanwhile_is_no_error() -> None:
    fake = cluster()
    for number in range(5):
        fake.create(Kind.DAEMON_SET, raw_daemon_set(f"v{number}", created=f"2026-03-02T10:0{number}:00Z"))
    known = held(fake).held(SCAN, NOW)
    fake.remove(Kind.DAEMON_SET, "scan-v0", "default")
    Look(known, fake, Pinned(None), NOW).take()


def test_a_move_is_one_patch_of_labels_and_memory() -> None:
    fake = cluster("box-1")
    fake.create(Kind.RELEASE, raw_release("one"))
    now = settle(fake)
    first = status(fake, "one")["version"]
    workload = {"name": "scan", "image": "scan:2", "cutover": "Recreate"}
    fake.create(Kind.RELEASE, raw_release("two", created="2026-03-02T11:30:00Z", spec={"workload": workload}))
    before = len(fake.writes)
    look(fake, now)
    (patch,) = [one for one in fake.writes[before:] if one.kind is Kind.NODE]
    second = status(fake, "two")["version"]
    assert patch.verb is Verb.MERGE
    assert patch.manifest["metadata"]["labels"] == {
        f"run.edgefleet.io/scan.{first}": None,
        f"run.edgefleet.io/scan.{second}": "",
    }
    assert patch.manifest["metadata"]["annotations"] == {
        "previous.edgefleet.io/default.scan": first,
        "moved.edgefleet.io/default.scan": "uid-two,uid-one",
    }


def test_an_older_release_counts_the_boxes_that_a_newer_one_has_moved_in_the_same_look() -> None:
    fake = cluster()
    for name, wave in (("box-1", "a"), ("box-2", "b")):
        fake.create(Kind.NODE, raw_node(name, labels={"wave": wave}))
    budget = {"maxParallelSites": "100%", "maxUnavailablePerSite": 1}
    fake.create(Kind.RELEASE, raw_release("one"))
    now = settle(fake)
    workload = {"name": "scan", "cutover": "Recreate"}
    everywhere = {"workload": {**workload, "image": "scan:2"}, "budget": budget}
    first_wave = {
        "workload": {**workload, "image": "scan:3"},
        "budget": budget,
        "targets": {"selector": {"matchLabels": {"wave": "a"}}},
    }
    fake.create(Kind.RELEASE, raw_release("two", created="2026-03-02T11:30:00Z", spec=everywhere))
    fake.create(Kind.RELEASE, raw_release("three", created="2026-03-02T11:40:00Z", spec=first_wave))
    before = len(fake.writes)
    look(fake, now)
    assert [one.name for one in fake.writes[before:] if one.kind is Kind.NODE] == ["box-1"]
    settle(fake, now)
    assert [one.name for one in fake.writes[before:] if one.kind is Kind.NODE] == ["box-1", "box-2"]


def test_an_older_release_plans_on_a_box_as_a_newer_one_has_left_it_in_the_same_look() -> None:
    fake = cluster("box-1")
    fake.create(Kind.RELEASE, raw_release("one"))
    now = settle(fake)
    fake.create(Kind.RELEASE, raw_release("two", created="2026-03-02T11:30:00Z"))
    now = settle(fake, now)
    two = fake.get(Kind.RELEASE, "two", "default")
    two["spec"]["control"] = {"abort": "Rollback"}
    fake.create(Kind.RELEASE, two)
    look(fake, now)
    assert status(fake, "one")["counts"]["targeted"] == 1, "the box is its own again at once"
    assert status(fake, "one")["counts"]["pending"] == 0


def test_rollback_is_remembered_on_the_box_and_forgotten_with_the_next_move() -> None:
    fake = cluster("box-1")
    fake.create(Kind.RELEASE, raw_release("one"))
    now = settle(fake)
    fake.create(Kind.RELEASE, raw_release("two", created="2026-03-02T11:30:00Z"))
    now = settle(fake, now)
    two = fake.get(Kind.RELEASE, "two", "default")
    two["spec"]["control"] = {"abort": "Rollback"}
    two["metadata"]["generation"] = 2
    uid = fake.create(Kind.RELEASE, two)["metadata"]["uid"]
    now = settle(fake, now)
    assert status(fake, "two")["phase"] == "RolledBack"
    assert fake.get(Kind.NODE, "box-1")["metadata"]["annotations"]["reverted.edgefleet.io/default.scan"] == uid
    fake.create(Kind.RELEASE, raw_release("three", created="2026-03-02T11:40:00Z"))
    settle(fake, now)
    assert "reverted.edgefleet.io/default.scan" not in fake.get(Kind.NODE, "box-1")["metadata"]["annotations"]


def test_the_next_look_is_when_the_first_of_all_reasons_is_due() -> None:
    fake = cluster("box-1")
    fake.create(Kind.NODE, raw_node("box-2", since="2026-03-02T11:59:55Z"))
    assert look(fake).recheck_after == timedelta(seconds=5)
    fake.create(Kind.RELEASE, raw_release(spec={"health": {"readyFor": "2s"}}))
    look(fake)
    follow_labels(fake)
    after = look(fake, NOW + timedelta(seconds=1)).recheck_after
    assert after is not None
    assert after <= timedelta(seconds=4)


def test_a_person_is_told_once_that_a_release_is_impossible() -> None:
    fake = cluster()
    container = {"name": "scan", "image": "scan:1", "ports": [{"hostPort": 80}]}
    workload = {"name": "scan", "template": {"spec": {"containers": [container]}}, "cutover": "Surge"}
    fake.create(Kind.RELEASE, raw_release(spec={"workload": workload}))
    assert [decision.note.reason for decision in look(fake).decisions] == ["InvalidSpec"]
    before = len(fake.writes)
    assert look(fake, NOW + timedelta(minutes=1)).decisions == []
    assert len(fake.writes) == before


def test_a_settled_template_that_somebody_broke_is_told_once() -> None:
    fake = cluster()
    fake.create(Kind.RELEASE, raw_release(status={"template": {"spec": {}}, "startedAt": "2026-03-02T11:30:00Z"}))
    assert [decision.note.reason for decision in look(fake).decisions] == ["InvalidSpec"]
    assert look(fake, NOW + timedelta(minutes=1)).decisions == []


def edited(fake: FakeCluster, **spec: Any) -> None:  # noqa: ANN401 - JSON
    """Change the spec of release `one`, as a person does."""
    made = fake.get(Kind.RELEASE, "one", "default")
    made["spec"] |= spec
    made["metadata"]["generation"] += 1
    fake.create(Kind.RELEASE, made)


def test_what_is_edited_before_the_release_starts_is_what_boxes_get() -> None:
    fake = cluster("box-1")
    fake.create(Kind.RELEASE, raw_release(spec={"control": {"paused": True}}))
    look(fake)
    first = status(fake, "one")["version"]
    edited(fake, workload={"name": "scan", "image": "scan:right"}, control={"paused": True})
    look(fake)
    second = status(fake, "one")["version"]
    assert second != first
    edited(fake, control={})
    now = settle(fake)
    assert status(fake, "one")["template"]["spec"]["containers"][0]["image"] == "scan:right"
    assert fake.get(Kind.NODE, "box-1")["metadata"]["labels"].keys() >= {f"run.edgefleet.io/scan.{second}"}
    edited(fake, control={"emergency": {"by": "Mei", "reason": "x"}})
    look(fake, now)
    assert status(fake, "one")["version"] == second, "it has started: what it settled on stands"


def test_a_box_that_is_ill_on_the_version_of_before_the_edit_is_not_moved_ahead_of_its_stage() -> None:
    fake = cluster("box-1")
    asking = {"stages": [{"name": "all", "soak": "0s", "approval": True}]}
    fake.create(Kind.RELEASE, raw_release(spec=asking))
    look(fake)
    labels = {f"run.edgefleet.io/scan.{status(fake, 'one')['version']}": ""}
    fake.create(Kind.NODE, raw_node("box-1", labels=labels))
    look(fake)
    assert status(fake, "one")["boxes"]
    edited(fake, workload={"name": "scan", "image": "scan:right"})
    look(fake)
    assert not status(fake, "one").get("boxes")
    assert "merge Node" not in kinds(fake.writes)


def test_a_cutover_that_works_with_the_edited_template_is_not_judged_by_the_one_of_before() -> None:
    fake = cluster()
    port = {"name": "scan", "image": "scan:1", "ports": [{"hostPort": 80}]}
    workload = {"name": "scan", "template": {"spec": {"containers": [port]}}}
    fake.create(Kind.RELEASE, raw_release(spec={"workload": workload, "control": {"paused": True}}))
    look(fake)
    plain = {"spec": {"containers": [{"name": "scan", "image": "scan:1"}]}}
    edited(fake, workload={"name": "scan", "template": plain, "cutover": "Surge"}, control={})
    look(fake)
    assert status(fake, "one")["phase"] == "Rolling"


def template(mark: str) -> dict[str, Any]:
    return {"metadata": {"labels": {"mark": mark}}, "spec": {"containers": [{"name": "scan", "image": "scan:1"}]}}


def of_template(mark: str) -> dict[str, Any]:
    return {"workload": {"name": "scan", "template": template(mark)}}


def mark_of(fake: FakeCluster, name: str) -> str:
    return str(status(fake, name)["template"]["metadata"]["labels"]["mark"])


BREACH = {"at": "2026-03-02T11:10:00Z", "stage": "all", "failed": 1, "attempted": 1, "message": "1 of 1"}


@pytest.mark.parametrize(
    ("spec", "change"),
    [
        ({}, {"phase": "Failed"}),
        ({}, {"breach": BREACH}),
        ({"control": {"abort": "Rollback"}}, {}),
        ({}, {}),
    ],
    ids=["refused", "breached", "rolled back", "not completed"],
)
def test_an_image_keeps_the_template_of_the_newest_release_that_completed(
    spec: dict[str, Any], change: dict[str, Any]
) -> None:
    fake = cluster()
    fake.create(Kind.RELEASE, raw_release("one", spec=of_template("good")))
    now = settle(fake)
    begun = {"template": template("bad"), "startedAt": "2026-03-02T11:10:00Z", "observedGeneration": 1, **change}
    later = raw_release("two", created="2026-03-02T11:10:00Z", spec=of_template("bad") | spec, status=begun)
    fake.create(Kind.RELEASE, later)
    fake.create(Kind.RELEASE, raw_release("three", created="2026-03-02T11:30:00Z"))
    look(fake, now)
    assert (mark_of(fake, "three"), status(fake, "three")["previousRelease"]) == ("good", "one")


def test_where_no_release_has_completed_an_image_keeps_the_template_that_most_boxes_run() -> None:
    fake = cluster()
    fake.create(Kind.RELEASE, raw_release("one", spec=of_template("running") | {"control": {"paused": True}}))
    fake.create(Kind.DAEMON_SET, raw_daemon_set("old", template=template("old"), created="2026-03-02T11:59:00Z"))
    look(fake)
    labels = {f"run.edgefleet.io/scan.{status(fake, 'one')['version']}": ""}
    for name in ("box-1", "box-2"):
        fake.create(Kind.NODE, raw_node(name, labels=labels))
    fake.create(Kind.NODE, raw_node("box-3", labels={"run.edgefleet.io/scan.old": ""}))
    follow_labels(fake)
    asking = {"control": {"paused": True}}
    fake.create(Kind.RELEASE, raw_release("two", created="2026-03-02T11:30:00Z", spec=asking))
    look(fake)
    assert (mark_of(fake, "two"), status(fake, "two")["previousRelease"]) == ("running", "one")


def test_a_version_that_only_a_failed_release_made_is_no_example() -> None:
    fake = cluster()
    failed = {"template": template("bad"), "phase": "Failed", "observedGeneration": 1}
    fake.create(Kind.RELEASE, raw_release("one", spec=of_template("bad"), status=failed))
    (view,) = held(fake).releases()
    fake.create(Kind.DAEMON_SET, raw_daemon_set(view.rendered[-1].hash, template=template("bad")))
    fake.create(Kind.RELEASE, raw_release("two", created="2026-03-02T11:30:00Z"))
    look(fake)
    assert status(fake, "two").get("previousRelease", "") == ""
