"""How the GPUs of a box are, from answers, silence and errors."""

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.gpureading import Health, Reading, Seen, parse
from edgeagent.gpus import (
    FIRST_ANSWER,
    FRESH,
    QUIET,
    SETTLED,
    SILENT,
    Gpus,
    judge,
    metrics,
    read,
    reloaded,
    reported,
    states,
)
from edgeagent.happening import Happened, Happening
from edgeagent.kernel import pci_address
from edgeagent.wire import GpuState
from edgeagent.xids import Xid

OK, LOST, FAILING, UNKNOWN = GpuState.OK, GpuState.LOST, GpuState.FAILING, GpuState.UNKNOWN
WELL = Health(action=0)
OLD_DRIVER = Health()


def gpu(number: int, index: int | None = None, **other: Any) -> Seen:  # noqa: ANN401 - any field
    """GPU a, b, c, ... at the buses 1, 2, 3, ..."""
    place = number if index is None else index
    seen = Seen(place, f"GPU-{number}", "NVIDIA L4", f"00000000:{number + 1:02x}:00.0", memory=24 << 30)
    return msgspec.structs.replace(seen, **other)


def xid(gpu_number: int, number: int, text: str = "") -> Xid:
    return Xid(f"0000:{gpu_number + 1:02x}:00", number, text)


@dataclass
class Box:
    """A box, whose driver speaks as the seconds go by."""

    gpus: Gpus = field(default_factory=lambda: Gpus(since=100.0))
    now: float = 100.0
    session: float = 100.0

    def answer(self, *seen: Seen, error: str = "") -> "Box":
        self.gpus = read(self.gpus, Reading(self.session, seen, error), self.now)
        return self

    def log(self, error: Xid, *, old: bool = False) -> tuple[Happened, ...]:
        self.gpus, happened = reported(self.gpus, error, self.now, old=old)
        return happened

    def later(self, seconds: float, *seen: Seen) -> "Box":
        self.now += seconds
        return self.answer(*seen) if seen else self

    def anew(self, *seen: Seen) -> "Box":
        self.now += 1
        self.session = self.now
        return self.answer(*seen)

    def changes(self) -> list[tuple[str, str]]:
        self.gpus, happened = judge(self.gpus, self.now)
        assert judge(self.gpus, self.now)[1] == ()
        assert {one.kind for one in happened} <= {Happening.GPU_CHANGED}
        return [(one.part, one.details["state"]) for one in happened]

    @property
    def letters(self) -> list[GpuState]:
        return list(states(self.gpus, self.now).values())


def two() -> Box:
    return Box().answer(gpu(0), gpu(1))


def test_gpus_that_answer_are_well_and_nothing_is_told_of_them() -> None:
    box = two()
    assert states(box.gpus, box.now) == {"NVIDIA L4": OK, "NVIDIA L4 (1)": OK}
    assert list(states(box.gpus, box.now)) == ["NVIDIA L4", "NVIDIA L4 (1)"]
    assert box.changes() == []


def test_a_box_without_gpus_has_none() -> None:
    assert Box().answer().letters == []
    assert Box().later(FIRST_ANSWER * 10).letters == []
    assert Box().answer(error="no GPU driver is loaded").letters == []


def test_a_silent_driver_leaves_its_gpus_unknown_until_it_answers() -> None:
    box = two()
    assert box.later(SILENT).letters == [OK, OK]
    assert box.later(0.1).letters == [UNKNOWN, UNKNOWN]
    assert box.changes() == [("0", "unknown"), ("1", "unknown")]
    assert box.later(9, gpu(0), gpu(1)).changes() == [("0", "ok"), ("1", "ok")]


def test_a_driver_that_cannot_be_asked_leaves_its_gpus_unknown_at_once_and_says_why() -> None:
    box = two().answer(error="driver and library differ")
    box.gpus, (first, _) = judge(box.gpus, box.now)
    assert first.details == {"state": "unknown", "why": "driver and library differ"}
    assert box.answer(gpu(0), gpu(1)).letters == [OK, OK]


def test_a_gpu_that_vanishes_is_lost_and_keeps_its_place_whatever_numbers_the_driver_gives() -> None:
    box = two().anew(gpu(1, index=0))
    assert box.letters == [LOST, OK]
    assert box.changes() == [("0", "lost")]
    assert box.anew(gpu(1, index=0), gpu(2, index=1)).letters == [LOST, OK, OK]
    assert box.anew(gpu(0), gpu(1), gpu(2)).letters == [OK, OK, OK]


def test_a_gpu_that_the_driver_has_lost_is_lost_also_while_the_driver_is_silent() -> None:
    box = two().later(1, gpu(0, answer="lost"), gpu(1))
    assert box.letters == [LOST, OK]
    assert box.later(60).letters == [LOST, UNKNOWN]


def test_a_lost_gpu_that_has_forgotten_its_name_keeps_it() -> None:
    box = two().later(1, gpu(0, answer="lost", name=""), gpu(1))
    assert list(states(box.gpus, box.now)) == ["NVIDIA L4", "NVIDIA L4 (1)"]


def test_a_gpu_that_answers_strangely_is_unknown_and_one_that_wants_a_reset_is_failing() -> None:
    assert two().later(1, gpu(0, answer="Unknown Error"), gpu(1, answer="reset required")).letters == [UNKNOWN, FAILING]


def test_gpus_that_should_be_there_are_lost_once_the_driver_has_answered() -> None:
    box = Box(Gpus(since=100.0, expected=2))
    assert box.letters == []
    assert box.later(FIRST_ANSWER + 0.1).letters == [UNKNOWN, UNKNOWN]
    assert states(box.answer(gpu(0)).gpus, box.now) == {"NVIDIA L4": OK, "GPU 1": LOST}
    assert box.changes() == [("1", "lost")]


def test_a_driver_that_cannot_be_asked_does_not_make_expected_gpus_lost() -> None:
    box = Box(Gpus(since=100.0, expected=1)).answer(error="no GPU driver is loaded")
    assert box.letters == [UNKNOWN]
    assert judge(box.gpus, box.now)[1][0].details["why"] == "no GPU driver is loaded"


def test_a_gpu_that_the_driver_counts_and_cannot_reach_is_lost() -> None:
    assert Box().answer(gpu(0), Seen(1, answer="lost")).letters == [OK, LOST]


def test_a_gpu_that_fell_off_the_bus_is_lost_at_once_and_comes_back_only_in_a_new_session() -> None:
    box = two().later(1)
    (told,) = box.log(xid(1, 79, "GPU has fallen off the bus."))
    assert told == Happened(
        Happening.XID, "1", {"xid": "79", "text": "GPU has fallen off the bus.", "pci": "0000:02:00"}
    )
    assert box.changes() == [("1", "lost")]
    box.log(xid(1, 154, "recovery action changed from 0x0 (None) to 0x2 (OS Reboot)"))
    assert box.later(60, gpu(0), gpu(1, health=WELL)).letters == [OK, LOST]
    assert box.anew(gpu(0), gpu(1)).letters == [OK, OK]


def test_a_gpu_that_fell_before_the_agent_began_is_lost_and_not_told_as_news() -> None:
    box = Box()
    assert box.log(xid(0, 79), old=True) == ()
    assert box.answer(gpu(1, index=0)).letters == [OK, LOST]
    box.gpus, (changed,) = judge(box.gpus, box.now)
    assert (changed.part, changed.details["why"]) == ("1", "Xid 79 at 0000:01:00: ")
    assert box.anew(gpu(0), gpu(1)).letters == [OK, OK]


def test_a_gpu_that_fell_before_the_agent_began_and_answers_again_is_well() -> None:
    box = Box()
    box.log(xid(0, 79), old=True)
    assert box.answer(gpu(0)).letters == [OK]


def test_a_failing_gpu_is_well_when_the_driver_later_wants_nothing_done() -> None:
    box = two()
    box.log(xid(0, 119))
    assert box.later(1, gpu(0, health=WELL), gpu(1)).letters == [FAILING, OK]
    assert box.later(SETTLED, gpu(0), gpu(1)).letters == [FAILING, OK]
    assert box.later(1, gpu(0, health=WELL), gpu(1)).letters == [OK, OK]


def test_a_failing_gpu_of_an_old_driver_is_failing_until_it_is_loaded_anew() -> None:
    box = two()
    box.log(xid(0, 48))
    assert box.later(3600, gpu(0, health=OLD_DRIVER), gpu(1)).letters == [FAILING, OK]
    box.gpus = reloaded(box.gpus)
    assert box.letters == [OK, OK]


def test_the_driver_s_own_word_in_the_log_makes_a_gpu_failing_and_well() -> None:
    box = two()
    box.log(xid(0, 109))
    assert box.letters == [OK, OK]
    box.log(xid(0, 154, "recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)"))
    assert box.letters == [FAILING, OK]
    box.log(xid(0, 154, "recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)"))
    assert box.letters == [OK, OK]


def test_a_failing_gpu_stays_so_while_the_driver_is_silent() -> None:
    box = two()
    box.log(xid(0, 119))
    assert box.later(60).letters == [FAILING, UNKNOWN]


@pytest.mark.parametrize(
    ("health", "state"),
    [
        (Health(action=0), OK),
        (Health(action=1), FAILING),
        (Health(action=99), FAILING),
        (Health(action=0, remap_failed=True), FAILING),
        (Health(action=0, uncorrected=7), OK),  # the driver knows of them, and wants nothing done
        (Health(uncorrected=7), FAILING),
        (Health(), OK),
    ],
)
def test_what_the_driver_says_of_the_hardware_counts(health: Health, state: GpuState) -> None:
    assert Box().answer(gpu(0, health=health)).letters == [state]
    assert Box().answer(gpu(0, health=health)).later(1, gpu(0)).letters == [state]  # until it says otherwise


def test_an_error_of_an_application_is_told_and_changes_nothing() -> None:
    box = two()
    (told,) = box.log(xid(0, 13, "Graphics Exception"))
    assert (told.part, told.details["xid"]) == ("0", "13")
    assert box.letters == [OK, OK]


def test_the_same_error_is_told_once_in_a_while_and_others_beside_it() -> None:
    box = two()
    assert [len(box.log(xid(0, 13, f"SM {number}"))) for number in range(3)] == [1, 0, 0]
    assert (len(box.log(xid(1, 13))), len(box.log(xid(0, 31)))) == (1, 1)
    box.later(QUIET)
    assert len(box.log(xid(0, 13))) == 1


def test_an_error_at_an_unknown_address_is_told_of_the_box() -> None:
    (told,) = two().log(xid(7, 79))
    assert told.part == ""


def test_a_flood_of_errors_at_addresses_without_end_costs_no_memory() -> None:
    box, told = two(), 0
    for number in range(1000):
        told += len(box.log(Xid(f"0000:{number:x}", 79, "")))
    assert told == len(box.gpus.faults) == len(box.gpus.last) == 64
    assert len(box.letters) == 64


def test_gpus_without_end_cost_no_memory() -> None:
    box = Box()
    for number in range(200):
        box.answer(gpu(number, index=number % 64))
    assert len(box.gpus.known) == len(box.letters) == 64


def test_figures_bear_the_index_and_are_told_while_they_are_fresh() -> None:
    box = Box().answer(gpu(0, health=WELL, figures={"DCGM_FI_DEV_GPU_TEMP": 61.0}), gpu(1))
    box.log(xid(1, 31))
    xids = {"DCGM_FI_DEV_XID_ERRORS:0": 0.0, "DCGM_FI_DEV_XID_ERRORS:1": 31.0}
    assert metrics(box.gpus, box.now) == {"DCGM_FI_DEV_GPU_TEMP:0": 61.0, **xids}
    box.later(FRESH - 1, gpu(0), gpu(1))
    assert "DCGM_FI_DEV_GPU_TEMP:0" in metrics(box.gpus, box.now)
    assert metrics(box.gpus, box.now + 1) == xids


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"{",
        b"[" * 100_000,
        b'{"gpus": [{"index": -1, "uuid": "a"}]}',
        b'{"gpus": [{"index": 64, "uuid": "a"}]}',
        b'{"gpus": [{"index": 0, "uuid": "' + b"a" * 300 + b'"}]}',
        b'{"gpus": [{"index": 0, "figures": {"a": 1e300}}]}',
        b'{"gpus": [{"index": 0, "memory": -1}]}',
        b'{"error": 7}',
        b"\xff\xfe",
    ],
)
def test_a_line_that_is_no_answer_is_none(line: bytes) -> None:
    assert parse(line) is None


def test_an_answer_is_read_and_what_a_newer_one_says_beside_is_ignored() -> None:
    line = b'{"session": 5.5, "gpus": [{"index": 0, "uuid": "GPU-1", "answer": "lost", "new": {}}], "other": 1}'
    assert parse(line) == Reading(5.5, (Seen(0, "GPU-1", answer="lost"),))


SEEN: st.SearchStrategy[Seen] = st.builds(
    gpu, st.integers(0, 5), st.integers(0, 7), answer=st.sampled_from(["ok", "lost", "reset required", "?"]),
    health=st.sampled_from([None, WELL, OLD_DRIVER, Health(1)]), uuid=st.sampled_from(["", "GPU-1", "GPU-2", "GPU-3"]),
)  # fmt: skip
ERRORS: st.SearchStrategy[Xid] = st.builds(xid, st.integers(0, 7), st.sampled_from([13, 48, 79, 119]))


@given(st.lists(st.lists(SEEN, max_size=5) | ERRORS | st.floats(0.1, 100), max_size=12), st.integers(0, 6))
def test_whatever_happens_places_are_without_a_gap_and_a_gpu_keeps_its_own(story: list[Any], expected: int) -> None:
    box, places = Box(Gpus(since=100.0, expected=expected)), dict[str, int]()
    for happened in story:
        match happened:
            case list():
                box.answer(*happened)
            case Xid():
                box.log(happened)
            case _:
                box.later(happened)
        known = {uuid: one.index for uuid, one in box.gpus.known.items()}
        assert places.items() <= known.items()
        assert len(set(known.values())) == len(known)
        assert len(box.letters) >= max(known.values(), default=-1) + 1
        assert len(box.letters) <= 64
        places = known
        box.changes()
    assert all(pci == pci_address(pci) for pci in box.gpus.faults)
