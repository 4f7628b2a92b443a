"""What is said of workloads: crashes told once and soon, planned stops not at all, what is missing after a while."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.happening import Happened, Happening
from edgeagent.rhythm import MOVES
from edgeagent.wire import WorkloadState
from edgeagent.workloads import (
    AWAY,
    CERTAIN,
    LOOP,
    LOOP_WINDOW,
    MOST,
    SHUTDOWN,
    STEADY,
    Pod,
    Workloads,
    expecting,
    judge,
    measured,
    states,
    workload_name,
)  # fmt: skip

SCAN = "sorting/scan"
R, S, C, L, T, M, E = (
    WorkloadState.RUNNING,
    WorkloadState.STARTING,
    WorkloadState.CRASHED,
    WorkloadState.CRASH_LOOPING,
    WorkloadState.STALLED,
    WorkloadState.MISSING,
    WorkloadState.ENDED,
)


def pod(
    *processes: int, uid: str = "1", name: str = "scan-0123456789-x7k2p", sandbox: bool = True, restarts: int = 0
) -> Pod:
    return Pod(uid, "sorting", name, {"scan": restarts}, sandbox, frozenset(processes))


@dataclass
class Box:
    """A box whose pods a test writes down."""

    workloads: Workloads = field(default_factory=Workloads)
    now: float = 1000.0
    told: list[Happened] = field(default_factory=list)

    def see(self, *pods: Pod, after: float = 0.0) -> WorkloadState | None:
        self.now += after
        self.workloads, happened = judge(self.workloads, pods, self.now)
        self.told += happened
        return states(self.workloads).get(SCAN)

    def kinds(self) -> list[Happening]:
        kinds, self.told = [one.kind for one in self.told], []
        return kinds


@pytest.fixture
def box() -> Box:
    box = Box()
    box.see()
    return box


@pytest.fixture
def running(box: Box) -> Box:
    assert box.see(pod(sandbox=False)) is S
    assert box.see(pod(), after=0.5) is S
    assert box.see(pod(7), after=0.5) is R
    assert box.kinds() == [Happening.STARTED]
    assert box.see(pod(7), after=STEADY) is R
    return box


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("scan-0123456789-x7k2p", "scan"),
        ("scan-x7k2p", "scan"),
        ("web-5d9c7b8f6d-x7k2p", "web"),
        ("belt-scan-0123456789-x7k2p", "belt-scan"),
        ("db-0", "db-0"),
        ("edge-proxy", "edge-proxy"),
        ("x7k2p", "x7k2p"),
        ("", ""),
    ],
)
def test_a_workload_keeps_its_name_from_version_to_version(name: str, owner: str) -> None:
    assert workload_name("sorting", name) == f"sorting/{owner}"


def test_a_process_that_ends_while_its_sandbox_goes_on_has_crashed(running: Box) -> None:
    assert running.see(pod(), after=30) is R, "it may be taken away"
    assert running.see(pod(), after=CERTAIN + 0.01) is C
    assert running.told == [Happened(Happening.EXITED, SCAN, {"ran": "40", "restarts": "0"})]
    running.kinds()
    assert running.see(pod(8, restarts=1), after=1) is C, "it has to run for a while"
    assert running.kinds() == [Happening.STARTED], "the start that follows an end is no further crash"
    assert running.see(pod(8, restarts=1), after=STEADY) is R
    assert running.kinds() == []


def test_a_crash_that_is_over_before_anyone_looked_is_told_by_its_restart(running: Box) -> None:
    assert running.see(pod(8, restarts=1), after=0.2) is C
    assert running.kinds() == [Happening.EXITED, Happening.STARTED]
    assert running.see(pod(8, restarts=1), after=CERTAIN + 0.01) is C
    assert running.kinds() == []


def test_a_pod_that_is_taken_away_is_no_crash(running: Box) -> None:
    assert running.see(pod(), after=5) is R
    assert running.see(pod(sandbox=False), after=CERTAIN * 0.9) is E
    assert running.see(pod(sandbox=False), after=CERTAIN + 0.01) is E
    assert running.see(after=1) is E
    assert running.kinds() == [Happening.ENDED]
    assert running.see(after=AWAY) is None
    assert running.kinds() == []


def test_an_update_is_an_end_and_a_start(running: Box) -> None:
    new = pod(9, uid="2", name="scan-abcdef0123-bbbbb")
    assert running.see(pod(sandbox=False), replace(new, processes=frozenset()), after=5) is S
    assert running.see(new, after=2) is R
    assert running.kinds() == [Happening.STARTED]


def test_beside_an_old_pod_that_runs_a_new_one_only_speaks_when_it_is_worse_off(running: Box) -> None:
    old, new = pod(7), pod(uid="2")
    assert running.see(old, new, after=1) is R
    assert running.see(old, replace(new, processes=frozenset({9})), after=1) is R
    assert running.see(old, replace(new, restarts={"scan": 1}), after=1) is C
    assert running.see(old, replace(new, sandbox=False, restarts={"scan": 1}), after=1) is R


def test_what_prepares_a_pod_may_end_while_it_is_young(box: Box) -> None:
    assert box.see(pod(5)) is R
    assert box.see(pod(), after=3) is R
    assert box.see(pod(), after=CERTAIN + 0.01) is S
    assert box.see(pod(6), after=1) is R
    assert Happening.EXITED not in box.kinds()


def test_a_young_container_that_starts_anew_has_crashed(box: Box) -> None:
    assert box.see(pod(5)) is R
    assert box.see(pod(), after=1) is R
    assert box.see(pod(restarts=1), after=1) is C
    assert box.kinds() == [Happening.STARTED, Happening.EXITED]


def test_three_crashes_are_a_loop_until_it_has_run_for_a_while(running: Box) -> None:
    for number in range(1, LOOP + 1):
        state = running.see(pod(7 + number, restarts=number), after=20 * number)
        assert state is (L if number == LOOP else C)
    assert running.see(pod(restarts=LOOP), after=3) is L
    assert running.see(pod(restarts=LOOP), after=300) is L
    assert running.see(pod(20, restarts=LOOP + 1), after=1) is L
    assert running.see(pod(20, restarts=LOOP + 1), after=STEADY) is R
    assert running.see(pod(21, restarts=LOOP + 2), after=LOOP_WINDOW + 1) is C, "one in ten minutes is none"


def test_a_loop_is_known_to_an_agent_that_has_just_begun() -> None:
    for restarts, state in ((0, S), (1, C), (7, L)):
        box = Box()
        assert box.see(pod(restarts=restarts)) is state
        assert box.kinds() == []
        assert box.see(pod(9, restarts=restarts + 1), after=60) in {R, C, L}
        assert box.kinds().count(Happening.EXITED) <= (restarts == 0)


def test_an_agent_that_has_just_begun_tells_a_crash_at_once() -> None:
    box = Box()
    assert box.see(pod(7, restarts=3)) is R
    assert box.see(pod(restarts=3), after=0.1) is R
    assert box.see(pod(restarts=3), after=CERTAIN + 0.01) is C


def test_what_must_be_here_is_missed_after_a_while(box: Box) -> None:
    box.workloads = expecting(box.workloads, (SCAN,), box.now)
    assert box.see(after=AWAY - 1) is S
    assert box.see(after=2) is M
    assert box.see(after=100) is M
    assert box.kinds() == [Happening.MISSING]
    assert box.see(pod(7)) is R
    assert box.see(pod(sandbox=False), after=20) is E
    assert box.see(after=AWAY) is M
    box.workloads = expecting(box.workloads, (), box.now)
    assert box.see(after=1) is None


def test_what_must_be_here_is_named_first_and_the_rest_is_cut(box: Box) -> None:
    box.workloads = expecting(box.workloads, ("sorting/z",), box.now)
    box.see(*(pod(number + 1, uid=str(number), name=f"a{number:03}") for number in range(100)))
    names = list(states(box.workloads))
    assert len(names) == MOST
    assert names[:2] == ["sorting/z", "sorting/a000"]


def test_a_counter_that_stands_is_told_and_its_return_too(running: Box) -> None:
    for number in range(MOVES + 2):
        running.workloads = measured(running.workloads, SCAN, float(number), running.now)
        assert running.see(pod(7), after=0.5) is R
    for _ in range(8):
        running.workloads = measured(running.workloads, SCAN, 21.0, running.now)
        state = running.see(pod(7), after=0.5)
    assert state is T
    (stalled,) = running.told
    assert (stalled.kind, stalled.details["counter"]) == (Happening.STALLED, "21")
    running.workloads = measured(running.workloads, SCAN, 22.0, running.now)
    assert running.see(pod(7)) is R
    assert running.kinds() == [Happening.STALLED, Happening.RESUMED]
    assert running.see(pod(), after=1) is R
    running.workloads = measured(running.workloads, "nobody", 1.0, running.now)
    assert running.see(pod(), after=CERTAIN + 0.01) is C
    assert measured(running.workloads, SCAN, 0.0, running.now) == running.workloads, "the dead are not asked"


def test_of_several_containers_one_that_ends_is_a_crash_and_the_rest_go_on(running: Box) -> None:
    assert running.see(pod(7, 8), after=1) is R
    assert running.see(pod(7), after=STEADY) is R
    assert running.see(pod(7), after=CERTAIN + 0.01) is R, "the pod may be taken away, and the other take its time"
    assert running.see(pod(7, 9, restarts=1), after=1) is C
    assert running.see(pod(7, 9, restarts=1), after=STEADY) is R


NAMES = {"a": "scan-0123456789-x7k2p", "b": "scan-bbbbb", "c": "web-0"}


def test_of_several_containers_one_that_never_begins_anew_is_a_crash_in_the_end(running: Box) -> None:
    assert running.see(pod(7, 8), after=1) is R
    assert running.see(pod(7), after=STEADY) is R
    assert running.see(pod(7), after=SHUTDOWN - 1) is R
    assert running.see(pod(7), after=2) is C


def test_several_containers_that_stop_one_after_the_other_are_no_crash(running: Box) -> None:
    assert running.see(pod(7, 8), after=1) is R
    assert running.see(pod(7), after=STEADY) is R
    assert running.see(pod(), after=30) is R
    assert running.see(pod(sandbox=False), after=CERTAIN * 0.9) is E
    assert Happening.EXITED not in running.kinds()


PODS = st.builds(
    lambda uid, *rest: Pod(uid, "sorting", NAMES[uid], *rest),
    st.sampled_from("abc"),
    st.dictionaries(st.sampled_from("xy"), st.integers(0, 5)),
    st.booleans(),
    st.frozensets(st.integers(1, 4), max_size=3),
)
LOOKS = st.lists(st.tuples(st.lists(PODS, max_size=4, unique_by=lambda one: one.uid), st.floats(0, 100)), max_size=25)


@given(LOOKS, st.lists(st.sampled_from([SCAN, "sorting/web-0"]), unique=True))
def test_whatever_is_seen_is_said_in_words_that_fit(looks: list[tuple[list[Pod], float]], expected: list[str]) -> None:
    box = Box()
    box.workloads = expecting(box.workloads, expected, box.now)
    box.see()
    for pods, after in looks:
        before = states(box.workloads)
        box.told = []
        box.see(*pods, after=after)
        said, here = states(box.workloads), {workload_name(one.namespace, one.name) for one in pods}
        assert set(expected) | here <= set(said)
        for name, state in said.items():
            if state is M:
                assert name in expected
                assert name not in here
            if state in {C, L} and before.get(name) not in {C, L}:
                assert Happened(Happening.EXITED, name) in [replace(one, details={}) for one in box.told]
        for one in box.told:
            assert one.part in said or one.kind in {Happening.STARTED, Happening.EXITED}


@given(LOOKS)
def test_a_pod_without_a_sandbox_never_crashes(looks: list[tuple[list[Pod], float]]) -> None:
    box = Box()
    box.see()
    for pods, after in looks:
        box.see(*(replace(one, sandbox=False, processes=frozenset(), restarts={}) for one in pods), after=after)
    assert Happening.EXITED not in box.kinds()
