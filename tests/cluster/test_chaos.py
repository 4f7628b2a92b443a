"""Whatever is killed, frozen or doubled while boxes are moved: the end is the same, and no box is moved twice."""

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import pytest

from simulator.faults import Fault
from simulator.programs import cloudcore
from tests.cluster.ground import DUO, KILL, names
from tests.cluster.observer import Program
from tests.cluster.rollouts import Rig, Rollout
from tests.cluster.waiting import LATE

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.xdist_group("rig"),
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("darkness"),
]

KILLS: Final = 30
SEED: Final = 20261123
ALONE: Final = {"peering": ""}  # nobody to agree with: the next operator begins as soon as it is started
TWO_STAGES: Final = [{"name": "canary", "upTo": 1, "soak": "1s"}, {"name": "rest", "upTo": "100%", "soak": "1s"}]
ONE_BY_ONE: Final = {"stages": TWO_STAGES, "budget__maxParallelSites": 1}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a release has ended: by its own books, by the labels of the boxes, and by the patches of the nodes."""

    phase: str
    counts: dict[str, Any]
    passed: list[str]  # stages
    steps: dict[str, list[str]]  # by box: what was asked of it, "new" or "old", one entry a change
    moves: dict[str, int]  # by box
    runs: dict[str, str]  # by box: "new" or "old"


Pair = tuple[Callable[[], Rollout], Callable[[], Rollout]]


def play(
    rig: Rig, programs: tuple[Program, Program], releases: Pair, disturb: Callable[[list[Rollout]], None]
) -> list[Outcome]:
    """Create the releases, let them be disturbed, wait until both are over, and tell how each has ended."""
    began, before = time.monotonic(), [rig.moves(program) for program in programs]
    rollouts = [create() for create in releases]
    disturb(rollouts)
    for one in rollouts:
        one.wait("Succeeded", "RolledBack")
        rig.until(partial(runs_what_it_should, rig, one.program), "every box runs one version", one)
    return [outcome(rig, one, began, moved) for one, moved in zip(rollouts, before, strict=True)]


def runs_what_it_should(rig: Rig, program: Program) -> bool:
    """Whether every box is asked for one version and runs that alone."""
    asked = {box: rig.observer.asked(box, program)[-1] for box in rig.boxes(*names(KILL))}
    return all(len(tags) == 1 and rig.observer.settled(box, program, *tags) for box, tags in asked.items())


def outcome(rig: Rig, rollout: Rollout, began: float, moved_before: dict[str, int]) -> Outcome:
    """How a release that began then has ended."""

    def word(tags: tuple[str, ...]) -> str:
        return " and ".join(sorted("new" if tag == rollout.tag else "old" for tag in tags))

    boxes, program, moves = rig.boxes(*names(KILL)), rollout.program, rig.moves(rollout.program)
    asked = {box: rig.observer.asks_when(box, program) for box in boxes}
    return Outcome(
        phase=rollout.phase,
        counts=rollout.status["counts"],
        passed=[stage["name"] for stage in rollout.status["stages"] if stage["phase"] == "Passed"],
        steps={box: [word(tags) for at, tags in asked[box] if at > began] for box in boxes},
        moves={box: moves[box] - moved_before.get(box, 0) for box in boxes},
        runs={box: word(rig.observer.runs(box, program)) for box in boxes},
    )


def survive_a_while(rig: Rig, dice: random.Random) -> None:
    """Return in the middle of things: a few milliseconds after one of the next changes that were decided."""
    until, patience = rig.observer.decisions + dice.randint(1, 4), time.monotonic() + dice.uniform(0.3, 2)
    while rig.observer.decisions < until and time.monotonic() < patience:
        time.sleep(0.001)
    time.sleep(dice.uniform(0, 0.03))


def test_an_operator_killed_at_thirty_random_points_brings_about_the_same_end(rig: Rig) -> None:
    """One release surges and ends well; of another the last box is bad, so all go back. Both run on the same boxes."""
    namespace = rig.namespace("killed")
    good, bad = Program(namespace, "scan"), Program(namespace, "vision")
    rig.cluster.fault("kill-3-2", Fault(image="*/vision:*-bad", crash_after=0.5))
    rig.stop_operators()
    rig.lead(**ALONE)
    surge = {"workload__cutover": "Surge"}
    for base in [rig.release(good, "1.0", names(KILL), **surge), rig.release(bad, "1.0", names(KILL))]:
        base.wait("Succeeded")
    dice, kills = random.Random(SEED), 0  # noqa: S311 - the same dice each time

    def releases(number: int) -> Pair:
        taken_back = {"onFailure": {"retries": 0, "action": "RollbackAll"}, "health__maxRestarts": 0}
        return (
            lambda: rig.release(good, f"{number}.0", names(KILL), **ONE_BY_ONE, **surge),
            lambda: rig.release(bad, f"{number}.0-bad", names(KILL), **ONE_BY_ONE, **taken_back, health__readyFor="2s"),
        )

    def killing(rollouts: list[Rollout]) -> None:
        nonlocal kills
        while kills < KILLS and not all(one.phase in {"Succeeded", "RolledBack"} for one in rollouts):
            survive_a_while(rig, dice)
            rig.send(rig.operators[0], signal.SIGKILL)
            kills += 1
            rig.start_operator(**ALONE)
            if dice.random() < 0.9:  # one in ten dies before it has begun
                rig.until(lambda: rig.leads(rig.operators[0]), "the next operator leads", *rollouts)

    undisturbed = play(rig, (good, bad), releases(2), lambda _: None)
    assert [one.phase for one in undisturbed] == ["Succeeded", "RolledBack"]
    assert set(undisturbed[0].moves.values()) == {2}, "a surge is two patches"
    assert set(undisturbed[1].moves.values()) == {2}, "one forth, one back"
    assert undisturbed[0].steps["kill-3-2"] == ["new and old", "new"]
    assert undisturbed[1].steps["kill-3-2"] == ["new", "old"]
    number = 3
    while kills < KILLS:
        assert play(rig, (good, bad), releases(number), killing) == undisturbed
        number += 1


def test_a_cloudcore_killed_in_mid_release_only_delays_it(led: Rig) -> None:
    program = Program(led.namespace("hubless"), "scan")
    led.release(program, "1.0", names(KILL)).wait("Succeeded")
    rollout = led.release(program, "2.0", names(KILL), **ONE_BY_ONE)
    rollout.wait_until_moving()
    led.restart(cloudcore(led.cluster.record.place))
    rollout.wait("Succeeded", seconds=LATE)
    led.until(lambda: led.settled(program, "2.0", led.boxes(*names(KILL))), "2.0 runs everywhere", rollout)
    assert set(led.moves(program).values()) == {2}, "one patch for 1.0 and one for 2.0"


def test_an_operator_frozen_for_twenty_seconds_goes_on_where_it_stood(led: Rig) -> None:
    program = Program(led.namespace("frozen"), "scan")
    led.release(program, "1.0", names(DUO)).wait("Succeeded")
    rollout = led.release(program, "2.0", names(DUO), **ONE_BY_ONE)
    rollout.wait_until_moving()
    frozen_at = time.monotonic()
    led.send(led.operators[0], signal.SIGSTOP)
    led.until(lambda: time.monotonic() > frozen_at + 20, "twenty seconds have gone")
    led.send(led.operators[0], signal.SIGCONT)
    rollout.wait("Succeeded")
    assert set(led.moves(program).values()) == {2}, "one patch for 1.0 and one for 2.0"


def test_of_two_operators_only_one_writes_and_the_other_takes_over_when_it_is_killed(rig: Rig) -> None:
    program = Program(rig.namespace("doubled"), "scan")
    rig.stop_operators()
    leader = rig.lead()
    standby = rig.start_operator()
    rig.until(lambda: rig.has_said(standby, "starting"), "the second stands by")
    rig.release(program, "1.0", names(DUO)).wait("Succeeded")
    rollout = rig.release(program, "2.0", names(DUO), **ONE_BY_ONE).wait_until_moving()
    rig.send(leader, signal.SIGKILL)
    rig.until(lambda: rig.leads(standby), "the standby leads", rollout, seconds=TAKEN_OVER)
    rollout.wait("Succeeded")
    assert set(rig.moves(program).values()) == {2}, "one patch for each version, whoever made it"
    theirs, ours = rig.writes_of(leader), rig.writes_of(standby)
    assert max(one.at for one in theirs) < min(one.at for one in ours), "never both"
    assert theirs


TAKEN_OVER: Final = 20 + 10.0  # seconds: a signature is good for 20, and the standby lists everything before it acts
