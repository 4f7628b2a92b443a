"""What a box says: everything once, in an order that can be told, and nothing that the cloud would refuse."""

from collections.abc import Mapping
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeagent import outbox as box
from edgeagent import wire
from edgeagent.happening import Happening, Trouble
from edgeagent.outbox import Now, Outbox, Parcel, Portrait, Step, Untold, Vitals
from edgeagent.wire import Address, Backlog, Beat, Birth, Channel, Event, Finding, GpuState, Metrics, WorkloadState

HERE = Address("tc-001", "tc-001-scan-1")
BOOT = "3f2a9c1d5e6b7a80"
PORTRAIT = Portrait(HERE, BOOT, version="0.1.0", roles=("scan",), lan=("10.0.0.5",), port=7946)
NOW = Now(elapsed=100.0, at=1_795_712_345.0)
SCAN = Vitals({"prod/scan": WorkloadState.RUNNING}, {}, 0.5)


def read(parcel: Parcel) -> wire.Message:
    """A parcel as the cloud reads it."""
    address, channel = wire.read_topic(parcel.topic)
    assert address == HERE
    return wire.decode(address, channel, parcel.payload)


def said(step: Step) -> list[wire.Message]:
    return [read(parcel) for parcel in step.send]


def lit(vitals: Vitals = SCAN) -> Outbox:
    """An outbox whose session 7 has opened."""
    return box.connected(Outbox(PORTRAIT), 7, vitals, NOW).outbox


def later(seconds: float) -> Now:
    return Now(NOW.elapsed + seconds, NOW.at + seconds)


def test_a_session_opens_with_what_the_box_is_and_that_it_lives() -> None:
    birth, beat = said(box.connected(Outbox(PORTRAIT), 7, SCAN, NOW))
    assert isinstance(birth, Birth)
    assert (birth.session, birth.seq, birth.roster, birth.dead, birth.workloads) == (7, 0, 1, False, ("prod/scan",))
    assert (birth.roles, birth.lan, birth.port, birth.version) == (("scan",), ("10.0.0.5",), 7946, "0.1.0")
    assert beat == Beat(BOOT, 7, 1, 1, "r", "", 0.5)


def test_a_birth_is_retained_and_acknowledged_and_a_beat_is_neither() -> None:
    birth, beat = box.connected(Outbox(PORTRAIT), 7, SCAN, NOW).send
    assert (birth.qos, birth.retain, beat.qos, beat.retain) == (1, True, 0, False)


def test_the_will_speaks_for_the_session_that_it_is_made_for() -> None:
    parcel = box.will(PORTRAIT, 7)
    message = read(parcel)
    assert isinstance(message, Birth)
    assert (message.dead, message.session, message.boot) == (True, 7, BOOT)
    assert (parcel.qos, parcel.retain) == (1, True)


def test_sessions_of_a_boot_grow_with_time() -> None:
    assert box.session_at(later(0.001)) > box.session_at(NOW)
    assert box.session_at(Now(0.0, 0.0)) == 1


def test_a_beat_tells_states_in_the_order_of_the_birth() -> None:
    vitals = Vitals(
        {"b": WorkloadState.STALLED, "a": WorkloadState.RUNNING}, {"L4": GpuState.FAILING}, 1e9, (Trouble.DISK_FULL,)
    )
    (beat,) = said(box.beaten(lit(vitals), vitals, NOW))
    assert beat == Beat(BOOT, 7, 2, 1, "tr", "f", 1e6, "d")


def test_another_list_of_parts_is_told_before_the_letters_that_need_it() -> None:
    more = Vitals({"prod/scan": WorkloadState.RUNNING, "prod/new": WorkloadState.STARTING})
    birth, beat = said(box.beaten(lit(), more, NOW))
    assert isinstance(birth, Birth)
    assert (birth.roster, birth.seq, birth.workloads) == (2, 2, ("prod/scan", "prod/new"))
    assert beat == Beat(BOOT, 7, 3, 2, "rs", "", 0.0)


def test_a_changed_state_needs_no_birth() -> None:
    (beat,) = said(box.beaten(lit(), replace(SCAN, workloads={"prod/scan": WorkloadState.CRASHED}), NOW))
    assert beat == Beat(BOOT, 7, 2, 1, "c", "", 0.5)


def test_nothing_is_said_without_a_link() -> None:
    dark = Outbox(PORTRAIT)
    assert box.beaten(dark, SCAN, NOW) == Step(dark)
    assert box.answered(dark, "n", Finding.AGENT) == Step(dark)
    assert box.caught_up(dark, (untold("x"),), NOW, 0, 0) == (Step(dark), 0)


def test_an_event_is_told_at_once_and_held_until_the_broker_has_it() -> None:
    step = box.happened(lit(), Happening.EXITED, NOW, "prod/scan", {"exit": "139"})
    (event,) = said(step)
    assert isinstance(event, Event)
    assert (event.kind, event.part, event.details, event.seq) == ("exited", "prod/scan", {"exit": "139"}, 2)
    after, old = box.acknowledged(step.outbox, step.send[0].token)
    assert (dict(after.held), old) == ({}, False)


def test_an_event_without_a_link_is_kept() -> None:
    step = box.happened(Outbox(PORTRAIT), Happening.XID, NOW, "0", {"xid": "79"})
    assert step.send == ()
    assert step.keep == (Untold(BOOT, 100.0, NOW.at, "xid", "0", {"xid": "79"}),)


def test_what_the_broker_did_not_acknowledge_before_the_link_was_lost_is_kept_in_order() -> None:
    step = box.happened(lit(), Happening.EXITED, NOW, "a")
    step = box.happened(step.outbox, Happening.STARTED, NOW, "a")
    closed = box.lost(step.outbox)
    assert [one.kind for one in closed.keep] == ["exited", "started"]
    assert (closed.outbox.session, dict(closed.outbox.held)) == (0, {})


def test_a_flood_of_events_costs_no_more_than_the_bound() -> None:
    outbox, kept = lit(), 0
    for _ in range(box.MOST_HELD + 10):
        step = box.happened(outbox, Happening.EXITED, NOW, "a")
        outbox, kept = step.outbox, kept + len(step.keep)
    assert (len(outbox.held), kept) == (box.MOST_HELD, 10)


def test_figures_are_told_or_kept() -> None:
    (figures,) = said(box.measured(lit(), {"node_load1": 0.5}, NOW))
    assert isinstance(figures, Metrics)
    assert (figures.values, figures.at) == ({"node_load1": 0.5}, NOW.at)
    kept = box.measured(Outbox(PORTRAIT), {"node_load1": 0.5}, NOW).keep
    assert kept == (Untold(BOOT, 100.0, NOW.at, values={"node_load1": 0.5}),)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e19])
def test_a_figure_that_is_no_number_is_left_out(value: float) -> None:
    (figures,) = said(box.measured(lit(), {"bad": value, "good": 1.0, "": 2.0}, NOW))
    assert isinstance(figures, Metrics)
    assert figures.values == {"good": 1.0}


def test_an_answer_about_a_neighbour_goes_out_at_once() -> None:
    (answer,) = said(box.answered(lit(), "n1", Finding.MACHINE))
    assert answer == wire.Answer(boot=BOOT, session=7, seq=2, nonce="n1", found=Finding.MACHINE)


def untold(kind: str, elapsed: float = 90.0, boot: str = BOOT, details: Mapping[str, str] | None = None) -> Untold:
    return Untold(boot, elapsed, NOW.at - 50, kind, details=dict(details or {}))


def test_old_things_are_told_with_their_age_and_how_many_are_to_come() -> None:
    step, taken = box.caught_up(lit(), (untold("exited"), untold("xid", boot="0" * 16)), NOW, left=5, dropped=2)
    (old,) = said(step)
    assert isinstance(old, Backlog)
    assert [(one.kind, one.age) for one in old.kept] == [("exited", 10.0), ("xid", 50.0)]
    assert (old.left, old.dropped, taken, step.send[0].qos) == (5, 2, 2, 1)


def test_a_clock_that_was_set_back_makes_nothing_happen_in_the_future() -> None:
    step, _ = box.caught_up(lit(), (untold("x", boot="0" * 16),), Now(1.0, NOW.at - 1000), 0, 0)
    (old,) = said(step)
    assert isinstance(old, Backlog)
    assert old.kept[0].age == 0.0


def test_old_things_go_one_parcel_at_a_time() -> None:
    many = tuple(untold("x") for _ in range(box.PARCEL + 3))
    step, taken = box.caught_up(lit(), many, NOW, left=0, dropped=0)
    assert taken == box.PARCEL
    assert box.caught_up(step.outbox, many, NOW, 0, 0) == (Step(step.outbox), 0)
    after, old = box.acknowledged(step.outbox, step.send[0].token)
    assert (after.backlog, old) == (0, True)
    assert box.caught_up(after, many[taken:], NOW, 0, 0)[1] == 3


def test_old_things_that_are_too_large_together_go_in_smaller_parcels() -> None:
    large = tuple(untold("x", details={str(n): "\x01" * 120 for n in range(10)}) for _ in range(8))
    step, taken = box.caught_up(lit(), large, NOW, left=1, dropped=0)
    (old,) = said(step)
    assert isinstance(old, Backlog)
    assert (taken, len(old.kept), old.left) == (2, 2, 1 + 6)


def test_a_parcel_that_was_on_its_way_when_the_link_was_lost_is_sent_again() -> None:
    step, _ = box.caught_up(lit(), (untold("x"),), NOW, 0, 0)
    again = box.connected(box.lost(step.outbox).outbox, 8, SCAN, NOW).outbox
    assert box.caught_up(again, (untold("x"),), NOW, 0, 0)[1] == 1


def test_a_token_is_never_used_twice() -> None:
    first = box.happened(lit(), Happening.EXITED, NOW)
    second = box.connected(box.lost(first.outbox).outbox, 8, SCAN, NOW)
    third = box.happened(second.outbox, Happening.EXITED, NOW)
    assert first.send[0].token != third.send[0].token
    assert box.acknowledged(third.outbox, first.send[0].token) == (third.outbox, False)


ANY_TEXT = st.text(max_size=700) | st.just("\x01" * 700) | st.just("\udc80" * 700) | st.just("包裹" * 300)
NAMES = st.lists(st.text("abc-/\udc80", min_size=1, max_size=127), max_size=80, unique=True)


@settings(max_examples=60, deadline=None)
@given(
    names=NAMES,
    details=st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=20),
    values=st.dictionaries(ANY_TEXT, st.floats(), max_size=300),
    load=st.floats(allow_nan=False),
)
def test_whatever_the_box_sees_can_be_said(
    names: list[str], details: dict[str, str], values: dict[str, float], load: float
) -> None:
    states = dict.fromkeys(names, WorkloadState.RUNNING)
    gpus = dict.fromkeys(names, GpuState.OK)
    vitals = Vitals(states, gpus, load)
    portrait = replace(PORTRAIT, facts=details)
    opened = box.connected(Outbox(portrait), 7, vitals, NOW)
    event = box.happened(opened.outbox, Happening.EXITED, NOW, "".join(names), details)
    figures = box.measured(event.outbox, values, NOW)
    dark = Outbox(portrait)
    kept = box.happened(dark, Happening.XID, NOW, "x" * 600, details).keep + box.measured(dark, values, NOW).keep
    old, taken = box.caught_up(figures.outbox, kept, NOW, 0, 0)
    stored = [msgspec.json.decode(msgspec.json.encode(one), type=Untold) for one in kept]
    assert stored == list(kept)
    assert taken >= 1
    assert said(Step(old.outbox, (box.will(portrait, 7), *opened.send, *event.send, *figures.send, *old.send)))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["connect", "lose", "beat", "more", "event", "figures", "ack"]), max_size=30))
def test_every_message_of_a_session_has_the_next_number_and_letters_fit_their_birth(turns: list[str]) -> None:
    outbox, vitals, session = Outbox(PORTRAIT), SCAN, 0
    sent: list[Parcel] = []
    for number, turn in enumerate(turns):
        step = Step(outbox)
        match turn:
            case "connect":
                session += 1
                step = box.connected(box.lost(outbox).outbox, session, vitals, NOW)
            case "lose":
                step = box.lost(outbox)
            case "beat":
                step = box.beaten(outbox, vitals, NOW)
            case "more":
                vitals = Vitals({**vitals.workloads, f"w{number}": WorkloadState.STARTING})
            case "event":
                step = box.happened(outbox, Happening.EXITED, NOW)
            case "figures":
                step = box.measured(outbox, {"x": 1.0}, NOW)
            case _:
                step = Step(box.acknowledged(outbox, sent[-1].token if sent else 0)[0])
        sent += step.send
        outbox = step.outbox
    assert_orderly([read(parcel) for parcel in sent])


def assert_orderly(messages: list[wire.Message]) -> None:
    numbers: dict[int, list[int]] = {}
    rosters: dict[tuple[int, int], int] = {}
    for message in messages:
        assert not isinstance(message, wire.Ask | wire.Config)
        numbers.setdefault(message.session, []).append(message.seq)
        if isinstance(message, Birth):
            rosters[message.session, message.roster] = len(message.workloads)
        if isinstance(message, Beat):
            assert len(message.workloads) == rosters[message.session, message.roster]
    assert all(of_session == list(range(len(of_session))) for of_session in numbers.values())


def test_every_channel_goes_where_the_cloud_looks_for_it() -> None:
    step = box.connected(Outbox(PORTRAIT), 7, SCAN, NOW)
    assert [parcel.topic for parcel in step.send] == [wire.topic(HERE, one) for one in (Channel.BIRTH, Channel.BEAT)]
