"""What cannot be done is told where people see it, and stops nothing else."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any

import pytest

from cloud.fleet.errors import Late, Unavailable
from cloud.rollout.cluster import Answer, Forbidden, Refused, Write, always
from cloud.rollout.reconcile import LATE_AGAIN, REGISTRY_AGAIN, TROUBLE_AGAIN, Look
from cloud.rollout.release import Release
from cloud.rollout.views import Kind
from tests.contract.fake_cluster import FakeCluster, Json
from tests.unit.cloud.rollout.looking import (
    NOW,
    SCAN,
    Pinned,
    Refusing,
    cluster,
    edited,
    follow_labels,
    held,
    kinds,
    look,
    settle,
    status,
)
from tests.unit.cloud.rollout.raw import raw_daemon_set, raw_node, raw_release


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
        def pin(self, image: str, release: Release) -> str | None:
            if image == "scan:odd":
                raise UnicodeError("label empty or too long")
            return super().pin(image, release)

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
        def pin(self, image: str, release: Release) -> str | None:
            if image == "scan:two":
                raise Unavailable("others are being asked for")
            return super().pin(image, release)

    fake = cluster("box-1")
    fake.create(Kind.RELEASE, raw_release("one"))
    fake.create(Kind.RELEASE, raw_release("two", created="2026-03-02T11:30:00Z"))
    assert look(fake, registry=Busy(None)).recheck_after == REGISTRY_AGAIN
    assert status(fake, "one")["phase"] == "Rolling"
    assert status(fake, "two") == {}


def test_a_release_that_waits_long_for_its_registry_says_so_once_and_goes_on_once_it_is_told() -> None:
    class Slow(Pinned):
        def pin(self, image: str, release: Release) -> str | None:  # noqa: ARG002 - the port's
            raise Late("Waits for registry.example to tell which content scan:one is")

    fake = cluster("box-1")
    fake.create(Kind.RELEASE, raw_release("one"))
    taken = look(fake, registry=Slow())
    assert taken.recheck_after == LATE_AGAIN
    assert "registry.example" in status(fake, "one")["message"]
    assert [one.note.reason for one in taken.decisions] == ["RegistryLate"]
    before = len(fake.writes)
    again = look(fake, NOW + LATE_AGAIN, registry=Slow(), told=frozenset(taken.troubles))
    assert (again.decisions, len(fake.writes)) == ([], before)
    settle(fake, NOW + 2 * LATE_AGAIN)
    assert status(fake, "one")["phase"] == "Succeeded"


def test_a_release_that_was_edited_before_it_started_does_not_settle_on_its_old_image_while_the_registry_is_slow() -> (
    None
):
    class Slow(Pinned):
        def pin(self, image: str, release: Release) -> str | None:
            if image == "scan:new":
                raise Late("Waits for registry.example")
            return super().pin(image, release)

    fake = cluster("box-1")
    fake.create(Kind.RELEASE, raw_release(spec={"targets": {"selector": {"matchLabels": {"no": "box"}}}}))
    look(fake)
    assert status(fake, "one")["template"]["spec"]["containers"][0]["image"] == "scan:one"
    edited(fake, workload={"name": "scan", "image": "scan:new"}, targets=raw_release()["spec"]["targets"])
    look(fake, registry=Slow(None))
    assert "merge Node" not in kinds(fake.writes)
    assert "template" not in status(fake, "one")
    settle(fake)
    assert status(fake, "one")["template"]["spec"]["containers"][0]["image"] == "scan:new"
    assert status(fake, "one")["phase"] == "Succeeded"


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


class OneNodeRefused(FakeCluster):
    """A policy forbids to write one node."""

    def write(self, writes: Sequence[Write], may: Callable[[], bool] = always) -> Sequence[Answer]:
        no = Forbidden("denied by policy: box-2 is being serviced")
        return [no if one.name == "box-2" else super(OneNodeRefused, self).write([one], may)[0] for one in writes]


def test_a_node_that_cannot_be_patched_is_a_box_that_failed_and_the_others_go_on() -> None:
    fake = cluster("box-1", "box-2", "box-3", of=OneNodeRefused())
    fake.create(Kind.RELEASE, raw_release(spec={"onFailure": {"retries": 0, "maxFailed": 1}}))
    taken = look(fake)
    assert (taken.decisions[-1].note.reason, taken.troubles) == ("BoxFailed", [])
    settle(fake)
    told = status(fake, "one")
    assert (told["phase"], told["counts"]["done"], told["counts"]["failed"]) == ("Succeeded", "2/3", 1)
    assert told["failures"][0]["cause"] == "NotPatched"
    assert "denied by policy" in told["failures"][0]["message"]


class NoNodeBack(FakeCluster):
    """A policy forbids to take a label from a node, until it is lifted."""

    lifted = False

    def write(self, writes: Sequence[Write], may: Callable[[], bool] = always) -> Sequence[Answer]:
        def taking(one: Write) -> bool:
            return (
                not self.lifted
                and one.kind is Kind.NODE
                and None in one.manifest["metadata"].get("labels", {}).values()
            )

        return [Refused("no") if taking(one) else super(NoNodeBack, self).write([one], may)[0] for one in writes]


def test_a_trouble_stays_where_people_see_it_until_it_is_over() -> None:
    policy = NoNodeBack()
    fake = cluster("box-1", of=policy)
    fake.create(Kind.RELEASE, raw_release(spec={"watchAfter": "0s"}))
    now = settle(fake)
    edited(fake, control={"abort": "Rollback"})
    told = frozenset(look(fake, now).troubles)
    for _ in range(3):
        now += TROUBLE_AGAIN
        taken = look(fake, now, told=told)
        assert [one.reason for one in taken.troubles] == ["Refused"]
        assert status(fake, "one")["message"].startswith("The API server says no")
    stalled = next(one for one in status(fake, "one")["conditions"] if one["type"] == "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "Refused")
    policy.lifted = True
    look(fake, now + TROUBLE_AGAIN, told=told)
    look(fake, now + 2 * TROUBLE_AGAIN)
    assert status(fake, "one")["phase"] == "RolledBack"
    assert not status(fake, "one")["message"].startswith("The API server says no")


class Lenient(FakeCluster):
    """Takes whatever it is given, as one with newer definitions does."""

    @staticmethod
    def _refuse(kind: Kind, made: Json) -> None:
        del kind, made


def two_releases() -> tuple[FakeCluster, datetime]:
    """Two releases that have completed, one after the other."""
    fake = cluster(of=Lenient())
    fake.create(Kind.RELEASE, raw_release("one"))
    now = settle(fake)
    fake.create(Kind.RELEASE, raw_release("two", created="2026-03-02T11:30:00Z"))
    return fake, settle(fake, now)


def broken_spec(release: dict[str, Any]) -> None:
    release["spec"]["offline"] = {"policy": "Quarantine"}  # of a newer version of edgefleet


def broken_template(release: dict[str, Any]) -> None:
    release["status"]["template"] = {"spec": {"containers": []}}


@pytest.mark.parametrize("spoil", [broken_spec, broken_template])
def test_boxes_of_a_release_that_cannot_be_read_any_more_stay_as_they_are(
    spoil: Callable[[dict[str, Any]], None],
) -> None:
    fake, now = two_releases()
    before = [node["metadata"]["labels"] for node in fake.read(Kind.NODE)]
    whole = deepcopy(fake.get(Kind.RELEASE, "two", "default"))
    spoilt = deepcopy(whole)
    spoil(spoilt)
    fake.create(Kind.RELEASE, spoilt)
    now = settle(fake, now)
    assert [node["metadata"]["labels"] for node in fake.read(Kind.NODE)] == before
    assert status(fake, "one")["phase"] == "Superseded"
    fake.create(Kind.RELEASE, whole)
    settle(fake, now)
    assert (status(fake, "two")["phase"], status(fake, "one")["phase"]) == ("Succeeded", "Superseded")
    assert [node["metadata"]["labels"] for node in fake.read(Kind.NODE)] == before
