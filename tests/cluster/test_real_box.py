"""Releases on one real edge box: KubeEdge's edgecore, containerd and runc, behind a link that is really cut."""

import os
import signal
import time
from collections.abc import Iterator
from functools import partial

import pytest

from edgeagent.happening import Happening
from edgeagent.wire import Beat, Birth, Event, WorkloadState
from tests.cluster.realbox import BELT, BOX, SITE, WEB, Stand, need_a_box, stand, wait
from tests.cluster.truth import Watch
from tests.contract.cloudside import Cloud

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.edgebox,
    pytest.mark.xdist_group("real box"),
    pytest.mark.timeout(600),
]


RUNNING, CRASHED = WorkloadState.RUNNING.value, WorkloadState.CRASHED.value
UNHEARD, STARTED, READY = "before the box hears", "with the new container started", "with the new container ready"


@pytest.fixture(scope="module")
def running_stand(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """The stand with version 1 on the box; the tests take it from version to version."""
    need_a_box()
    with stand(tmp_path_factory.mktemp("real box")) as up:
        up.release_next()
        up.settle()
        yield up
        plugins = request.config.pluginmanager
        terminal, capture = plugins.get_plugin("terminalreporter"), plugins.get_plugin("capturemanager")
        if terminal and capture:
            with capture.global_and_fixture_disabled():
                terminal.write_line("\nreal edge box, seconds:")
                for name, value in up.figures.items():
                    terminal.write_line(f"{value:6.1f}  {name}")


@pytest.fixture
def at(running_stand: Stand) -> Iterator[Stand]:
    """The stand, settled; whatever a test leaves cut or killed is put right for the next."""
    running_stand.settle()
    yield running_stand
    running_stand.cluster.heal(SITE.name)
    for program in {"containerd", "edgecore"} - running_stand.box.keeper.pids().keys():
        running_stand.box.start(program)


def test_the_first_release_is_pulled_over_the_link(at: Stand) -> None:
    assert {path.split("/")[2] for path in at.registry.sent} == {WEB, BELT}


def test_an_online_box_changes_over_without_a_gap_and_without_an_overlap(at: Stand) -> None:
    moved: dict[str, float] = {}  # when the node's label changed

    def both_moved() -> bool:
        for workload in changed(labels, at.labels()):
            moved.setdefault(workload, time.monotonic())
        return moved.keys() == {WEB, BELT}

    with at.watch() as watch:
        labels = at.labels()
        old = at.release_next()
        wait(both_moved, at.told)
        at.succeed()
    for workload, cutover in ((WEB, "Recreate"), (BELT, "Surge")):
        at.figures[f"online, {cutover}: label to new Ready"] = watch.first_ready(workload, at.version) - moved[workload]
        at.figures[f"online, {cutover}: label to old gone"] = watch.last_of(workload, old) - moved[workload]
    cutovers_held(watch)


def test_a_dark_box_is_let_be_and_works_on_without_edgecore_and_follows_when_it_returns(at: Stand) -> None:
    with at.watch() as watch:
        at.cluster.cut(SITE.name)
        at.cluster.wait_not_ready(BOX.name)
        labels, before = at.labels(), {one.workload: one.pid for one in at.running()}
        old = at.release_next()
        wait(lambda: [deferred(at, workload) for workload in (WEB, BELT)] == [1, 1], at.told)

        at.box.kill("edgecore")
        os.kill(before[WEB], signal.SIGKILL)
        wait(lambda: {one.pid for one in at.running()} == {before[BELT]}, lambda: "the killed process to end")
        at.box.start("edgecore")
        at.figures["dark: edgecore started to killed workload Ready"] = wait(
            lambda: at.is_at(old), lambda: f"a restart on the box itself: {at.states()}"
        )
        restarted = at.running()
        at.box.kill("containerd")
        assert at.answer() == old
        at.box.start("containerd")
        wait(lambda: at.by_containerd() == at.images(old), lambda: "containerd to know its containers again")
        assert at.running() == restarted
        assert at.labels() == labels

        at.cluster.heal(SITE.name)
        at.figures["dark, edgecore and containerd killed: link back to new version Ready"] = wait(
            lambda: at.is_at(at.version), lambda: f"catching up: {at.states()}"
        )
        at.succeed()
    cutovers_held(watch)


@pytest.mark.parametrize("moment", [UNHEARD, STARTED, READY])
def test_a_link_cut_on_the_way_leaves_exactly_one_version_once_it_is_back(at: Stand, moment: str) -> None:
    with at.watch() as watch:
        labels = at.labels()
        if moment == UNHEARD:
            at.cluster.cut(SITE.name)  # nobody knows it yet: the node is still Ready
        at.release_next()
        wait(lambda: changed(labels, at.labels()) == {WEB, BELT}, at.told)
        if moment != UNHEARD:
            wait(lambda: (BELT, at.version, moment == READY) in at.states(), lambda: f"{moment}: {at.states()}")
            at.cluster.cut(SITE.name)

        at.box.kill("edgecore")
        at.box.start("edgecore")
        wait(at.edgecore_is_well, lambda: "edgecore to take the box over in the dark")
        assert at.by_containerd()
        at.cluster.heal(SITE.name)
        at.figures[f"cut {moment}, edgecore killed: link back to new version alone"] = wait(
            lambda: at.is_at(at.version), lambda: f"{at.version} alone, not {at.states()}"
        )
        at.succeed()
    cutovers_held(watch)


def test_a_killed_process_is_told_within_a_second_and_a_change_of_version_is_no_crash(at: Stand) -> None:
    web, belt = (f"default/{name}" for name in (WEB, BELT))
    with at.agent() as cloud:
        letters = partial(of_workloads, cloud)
        wait(lambda: letters() == {web: RUNNING, belt: RUNNING}, lambda: f"the agent to see both, not {letters()}")
        process = next(one.pid for one in at.running() if one.workload == BELT)
        killed = time.monotonic()
        os.kill(process, signal.SIGKILL)
        wait(lambda: letters().get(belt) == CRASHED, lambda: f"the crash to be told, not {letters()}")
        at.figures["process killed: told over MQTT"] = (
            next(
                heard for heard, _, said, _ in cloud.heard if isinstance(said, Event) and said.kind == Happening.EXITED
            )
            - killed
        )
        at.settle()
        wait(lambda: letters() == {web: RUNNING, belt: RUNNING}, lambda: f"both to be well again, not {letters()}")
        before = cloud.count()
        at.release_next()
        at.succeed()
        wait(lambda: letters() == {web: RUNNING, belt: RUNNING}, lambda: f"the new versions, not {letters()}")
        events = [said for _, _, said, _ in cloud.heard[before:] if isinstance(said, Event)]
        assert not [one for one in events if one.kind == Happening.EXITED], events
        assert {one.part for one in events if one.kind == Happening.STARTED} == {web, belt}
        assert not [one for one in cloud.heard[before:] if isinstance(one[2], Beat) and CRASHED in one[2].workloads]


def of_workloads(cloud: Cloud) -> dict[str, str]:
    """The letter of each workload, as the newest beat that the newest birth explains has it."""
    cloud.listen()
    births = [said for _, _, said, _ in cloud.heard if isinstance(said, Birth) and not said.dead]
    beats = [said for _, _, said, _ in cloud.heard if isinstance(said, Beat)]
    if not births or not beats or beats[-1].roster != births[-1].roster:
        return {}
    return dict(zip(births[-1].workloads, beats[-1].workloads, strict=True))


def test_a_failed_release_goes_back_and_downloads_nothing_for_it(at: Stand) -> None:
    good, before, known = at.version, len(at.registry.sent), at.known_images()
    with at.watch() as watch:
        at.release("bad")
        wait(lambda: all(at.status(workload, "bad").get("failures") for workload in (WEB, BELT)), at.told)
        at.settle()
    cutovers_held(watch)
    assert {one.version for _, found in watch.seen for one in found} == {good, "bad"}
    asked = {path.rpartition("/")[2] for path in at.registry.sent[before:]}
    assert {at.registry.images[f"{name}:bad"].manifest for name in (WEB, BELT)} <= asked  # the bad one was fetched
    kept = {digest for name in at.images(good) for digest in at.registry.images[name].blobs}
    assert not asked & kept
    assert {name for name in at.known_images() - known if "@" in name} == {
        f"{at.registry.address}/{name}@{at.registry.images[f'{name}:bad'].manifest}" for name in (WEB, BELT)
    }


def test_a_box_imaged_anew_comes_back_with_its_version(at: Stand) -> None:
    # settled matters: a wiped box is sent only what has changed, and a ready pod does when its node falls silent
    labels, certificate = at.labels(), at.certificate()
    at.box.power_off()
    at.box.wipe()
    at.cluster.wait_not_ready(BOX.name)  # imaging takes longer than that
    begun = time.monotonic()
    at.box.power_on()
    wait(lambda: at.is_at(at.version), lambda: f"{at.version} alone, not {at.states()}")
    at.figures["imaged anew: power on to both workloads Ready"] = time.monotonic() - begun
    at.settle()
    assert at.labels() == labels
    assert at.certificate() != certificate


def changed(before: dict[str, str], now: dict[str, str]) -> set[str]:
    """The workloads of which the node is asked for other versions than before."""
    return {name.partition("/")[2].partition(".")[0] for name in before.keys() ^ now.keys()}


def deferred(at: Stand, workload: str) -> object:
    """How many boxes the operator has put off."""
    return at.status(workload, at.version).get("counts", {}).get("deferred")


def cutovers_held(watch: Watch) -> None:
    """Surge always had a ready container; Recreate never ran two versions; and the watch was close enough to tell."""
    assert watch.longest_gap < 1
    assert watch.fewest_ready(BELT) >= 1, watch.seen
    assert watch.most_at_once(WEB) == 1, watch.seen
