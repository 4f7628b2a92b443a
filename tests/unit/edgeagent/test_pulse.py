"""When a box speaks, and what it does with what the cloud says."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from edgeagent import pulse
from edgeagent.happening import Happened, Happening, Trouble
from edgeagent.outbox import MOST_HELD, Portrait, Vitals
from edgeagent.pulse import FIGURES_EVERY, SOONEST, Move, Pulse
from edgeagent.wire import (
    Address,
    Answer,
    Ask,
    Backlog,
    Beat,
    Birth,
    Channel,
    Config,
    Event,
    Finding,
    GpuState,
    Message,
    Metrics,
    WorkloadState,
    encode,
    topic,
)  # fmt: skip
from tests.unit.edgeagent.spoken import HERE, at, read

CONFIG, ASK = topic(HERE, Channel.CONFIG), topic(HERE, Channel.ASK)
RUNNING = Vitals({"scan": WorkloadState.RUNNING}, {"L4": GpuState.OK})
CRASHED = Vitals({"scan": WorkloadState.CRASHED}, {"L4": GpuState.OK})


def said(move: Move) -> list[Message]:
    return read(move.send)


def beats(move: Move) -> list[Beat]:
    return [one for one in said(move) if isinstance(one, Beat)]


def begun() -> Pulse:
    """A box that is connected and has beaten once, at 10 s."""
    fresh = pulse.observed(pulse.begin(Portrait(HERE, "0" * 16)), RUNNING, at(9.0)).pulse
    return pulse.opened(fresh, 1, at(10.0)).pulse


def test_a_box_says_what_it_is_and_beats_as_soon_as_it_is_connected() -> None:
    fresh = pulse.observed(pulse.begin(Portrait(HERE, "0" * 16)), RUNNING, at(9.0))
    assert fresh.send == ()
    birth, beat = said(pulse.opened(fresh.pulse, 1, at(10.0)))
    assert isinstance(birth, Birth)
    assert (birth.workloads, birth.gpus) == (("scan",), ("L4",))
    assert isinstance(beat, Beat)
    assert (beat.workloads, beat.gpus) == ("r", "o")


def test_beats_keep_even_steps_though_looks_come_late() -> None:
    one, moments = begun(), []
    for elapsed in (10.4, 11.03, 11.9, 12.07, 13.01, 14.2, 15.0):
        move = pulse.ticked(one, at(elapsed))
        one = move.pulse
        moments += [elapsed] * len(beats(move))
    assert moments == [11.03, 12.07, 13.01, 14.2, 15.0]


def test_after_a_pause_beats_are_not_made_up_for() -> None:
    move = pulse.ticked(begun(), at(60.0))
    assert len(beats(move)) == 1
    assert move.pulse.due == 61.0


def test_a_letter_that_changes_is_said_at_once_and_a_flood_of_changes_five_times_a_second() -> None:
    one = pulse.ticked(begun(), at(11.0)).pulse
    move = pulse.observed(one, CRASHED, at(11.3))
    assert [beat.workloads for beat in beats(move)] == ["c"]
    again = pulse.observed(move.pulse, RUNNING, at(11.3 + SOONEST / 2))
    assert beats(again) == []
    assert [beat.workloads for beat in beats(pulse.ticked(again.pulse, at(11.3 + SOONEST)))] == ["r"]


def test_after_a_beat_out_of_turn_the_next_does_not_follow_on_its_heels() -> None:
    move = pulse.observed(begun(), CRASHED, at(11.125))
    assert len(beats(move)) == 1
    assert move.pulse.due == 12.125


def test_a_load_that_changes_waits_for_the_next_beat() -> None:
    assert pulse.observed(begun(), replace(RUNNING, load=0.5), at(10.5)).send == ()


def test_a_new_workload_is_named_before_its_letter_is_used() -> None:
    more = Vitals({**RUNNING.workloads, "sort": WorkloadState.STARTING}, RUNNING.gpus)
    birth, beat = said(pulse.observed(begun(), more, at(10.5)))
    assert isinstance(birth, Birth)
    assert isinstance(beat, Beat)
    assert (birth.workloads, beat.workloads, beat.roster) == (("scan", "sort"), "rs", birth.roster)


def test_what_happens_is_told_and_kept_where_nobody_listens() -> None:
    one = Happened(Happening.EXITED, "scan", {"exit": "1"})
    (event,) = said(pulse.happened(begun(), one, at(10.5)))
    assert isinstance(event, Event)
    assert (event.kind, event.part, event.details) == ("exited", "scan", {"exit": "1"})
    dark = pulse.happened(pulse.closed(begun()).pulse, one, at(10.5))
    assert (dark.send, [untold.kind for untold in dark.keep]) == ((), ["exited"])


def test_what_the_broker_has_not_confirmed_is_kept_when_the_link_is_lost() -> None:
    one, token = pulse.happened(begun(), Happened(Happening.XID, "0"), at(10.5)), 1
    assert [untold.kind for untold in pulse.closed(one.pulse).keep] == ["xid"]
    confirmed, old = pulse.delivered(one.pulse, token)
    assert (pulse.closed(confirmed).keep, old) == ((), False)


def test_figures_are_due_again_after_a_while() -> None:
    move = pulse.measured(begun(), {"node_load1": 0.5}, at(20.0))
    assert [one.values for one in said(move) if isinstance(one, Metrics)] == [{"node_load1": 0.5}]
    assert move.pulse.figures == 20.0 + FIGURES_EVERY


def test_old_things_go_out_in_one_parcel_at_a_time() -> None:
    kept = pulse.happened(pulse.closed(begun()).pulse, Happened(Happening.XID, "0"), at(11.0)).keep
    move, sent = pulse.caught_up(begun(), kept, at(20.0), 5, 2)
    (old,) = said(move)
    assert isinstance(old, Backlog)
    assert (sent, len(old.kept), old.left, old.dropped) == (1, 1, 5, 2)
    assert pulse.caught_up(move.pulse, kept, at(20.0), 5, 2)[1] == 0
    token = move.send[0].token
    assert pulse.delivered(move.pulse, token)[1]


def test_an_answer_says_what_was_found() -> None:
    (answer,) = said(pulse.answered(begun(), "n", Finding.MACHINE))
    assert isinstance(answer, Answer)
    assert (answer.nonce, answer.found) == ("n", Finding.MACHINE)


def test_a_question_is_handed_on() -> None:
    ask = Ask(nonce="n", box="tc-001-scan-2", lan=("10.0.0.2",))
    move, asked = pulse.received(begun(), ASK, encode(ask), at(10.5))
    assert (move.send, asked) == ((), ask)


def test_a_configuration_is_taken_on_and_a_new_period_is_told() -> None:
    config = Config(revision=3, period=0.5, expected=("scan",))
    move, asked = pulse.received(begun(), CONFIG, encode(config), at(10.5))
    assert (asked, move.pulse.config, move.pulse.refused) == (None, config, "")
    assert [one.kind for one in said(move) if isinstance(one, Event)] == ["config-applied"]
    birth, beat = said(pulse.ticked(move.pulse, at(10.6)))
    assert isinstance(birth, Birth)
    assert (birth.period, type(beat)) == (0.5, Beat)
    assert pulse.received(move.pulse, CONFIG, encode(config), at(11.0))[0] == Move(move.pulse)


def test_a_configuration_of_the_same_period_needs_no_birth() -> None:
    move, _ = pulse.received(begun(), CONFIG, encode(Config(revision=1, expected=("scan",))), at(10.5))
    assert [type(one) for one in said(pulse.ticked(move.pulse, at(11.0)))] == [Beat]


def test_a_bad_configuration_is_refused_once_and_the_one_before_stays_until_a_good_one_comes() -> None:
    good = Config(revision=3, expected=("scan",))
    one = pulse.received(begun(), CONFIG, encode(good), at(10.5))[0].pulse
    move, _ = pulse.received(one, CONFIG, b'{"revision": -1}', at(11.0))
    assert move.pulse.config == good
    assert [event.kind for event in said(move) if isinstance(event, Event)] == ["config-refused"]
    assert [beat.troubles for beat in beats(pulse.ticked(move.pulse, at(11.2)))] == [Trouble.CONFIG_REFUSED]
    assert pulse.received(move.pulse, CONFIG, b'{"revision": -1}', at(12.0))[0] == Move(move.pulse)
    mended, _ = pulse.received(move.pulse, CONFIG, encode(good), at(13.0))
    assert [beat.troubles for beat in beats(pulse.ticked(mended.pulse, at(13.3)))] == [""]


def test_a_counter_elsewhere_than_on_the_box_is_refused_by_its_workload() -> None:
    good = {"sorting/scan": "file:/run/scan/frames"}
    one = pulse.received(begun(), CONFIG, encode(Config(revision=1, progress=good)), at(10.5))[0].pulse
    assert one.config.progress == good
    elsewhere = {**good, "sorting/vision": "http://10.0.0.1/metrics#frames"}
    move, _ = pulse.received(one, CONFIG, encode(Config(revision=2, progress=elsewhere)), at(11.0))
    assert move.pulse.config == one.config
    (event,) = (event for event in said(move) if isinstance(event, Event))
    assert event.kind == "config-refused"
    assert event.details["why"].startswith("progress of sorting/vision: 'http://10.0.0.1/metrics#frames' is no place")


def test_what_is_meant_for_others_or_is_nonsense_changes_nothing() -> None:
    one, other = begun(), Address("tc-001", "tc-001-scan-2")
    config = encode(Config(revision=9))
    for name, payload in (
        ("nonsense", b""),
        (topic(other, Channel.CONFIG), config),
        (ASK, b"nonsense"),
        (topic(HERE, Channel.BEAT), b"{}"),
        (topic(HERE, Channel.BIRTH), encode(Birth(boot="0" * 16, session=1, seq=0, site=HERE.site, box=HERE.box))),
    ):
        assert pulse.received(one, name, payload, at(11.0)) == (Move(one), None)


def test_who_leaves_says_so_to_those_who_listen_and_to_those_who_come_later() -> None:
    move = pulse.left(begun(), "stopped", at(12.0))
    event, birth = said(move)
    assert isinstance(event, Event)
    assert isinstance(birth, Birth)
    assert (event.kind, event.details) == ("goodbye", {"why": "stopped"})
    assert (birth.dead, birth.planned, move.send[1].retain) == (True, True, True)
    assert [untold.kind for untold in pulse.left(pulse.closed(begun()).pulse, "stopped", at(12.0)).keep] == ["goodbye"]


@given(st.lists(st.tuples(st.floats(0, 3), st.sampled_from("tolchw")), max_size=80))
def test_beats_are_never_closer_than_allowed_nor_later_than_a_period_where_there_is_a_link(
    steps: list[tuple[float, str]],
) -> None:
    one, now, last, held = begun(), 10.0, 10.0, 0
    for pause, what in steps:
        now += pause
        match what:
            case "o" if not one.outbox.session:
                move = pulse.opened(one, 2, at(now))
            case "l":
                move = pulse.closed(one)
            case "c":
                move = pulse.observed(one, CRASHED, at(now))
            case "h":
                move = pulse.happened(one, Happened(Happening.XID), at(now))
            case "w":
                move = pulse.observed(one, RUNNING, at(now))
            case _:
                move = pulse.ticked(one, at(now))
        one, found = move.pulse, beats(move)
        assert len(found) <= 1
        if found and what != "o":
            assert now - last >= SOONEST - 1e-9
        if what in "tcw" and one.outbox.session:
            assert now < one.due
            assert one.due - now <= 1.0 + 1e-9
        last = now if found else last
        held = len(one.outbox.held)
        assert held <= MOST_HELD
