"""The wire: what released agents said is read for ever, and nothing that is said can do more than a WireError."""

import contextlib
import itertools
import random
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeagent import wire
from edgeagent.wire import Address, Beat, Birth, Channel, GpuState, Objection, WireError, WorkloadState

BOX = Address("tc-001", "tc-001-scan-1")
BOOT = "3f2a9c1d5e6b7a80"
FRAMES = Path(__file__).parent / "frames"
RELEASED = sorted(folder.name for folder in FRAMES.iterdir())


def frames() -> Iterator[tuple[Channel, bytes]]:
    """Everything that an agent or a cloud of any release has said."""
    for path in sorted(FRAMES.rglob("*.jsonl")):
        yield from ((Channel(path.stem), line) for line in path.read_bytes().splitlines())


GOLDEN = list(frames())


def objection_to(channel: Channel, payload: bytes) -> Objection | None:
    try:
        wire.decode(BOX, channel, payload)
    except WireError as wrong:
        return wrong.objection
    return None


@pytest.mark.parametrize("release", RELEASED)
def test_every_channel_of_every_release_has_golden_frames(release: str) -> None:
    assert {path.stem for path in (FRAMES / release).iterdir()} == set(Channel)


@pytest.mark.parametrize(("channel", "frame"), GOLDEN, ids=itertools.count())
def test_a_golden_frame_is_read_and_written_again_byte_for_byte(channel: Channel, frame: bytes) -> None:
    assert wire.encode(wire.decode(BOX, channel, frame)) == frame


def test_a_beat_of_a_box_with_eight_workloads_and_four_gpus_is_short() -> None:
    beat = Beat(BOOT, 123_456_789, 86_400, 3, "r" * 8, "o" * 4, 0.42)
    assert len(wire.encode(beat)) + len(wire.topic(BOX, Channel.BEAT)) <= 120


def test_a_newer_box_may_say_more_than_we_know() -> None:
    beat = wire.decode(BOX, Channel.BEAT, b'["3f2a9c1d5e6b7a80",5,1,1,"rq","o",0.1,"dz",{"new":[1]}]')
    assert isinstance(beat, Beat)
    assert wire.workload_states(beat) == (WorkloadState.RUNNING, None)
    birth = b'{"boot":"3f2a9c1d5e6b7a80","session":5,"seq":0,"site":"tc-001","box":"tc-001-scan-1","new":{"x":[1]}}'
    assert isinstance(wire.decode(BOX, Channel.BIRTH, birth), Birth)


def test_letters_mean_states() -> None:
    beat = Beat(BOOT, 5, 1, 1, "rsclteMm", "olfuz", 0.0)
    assert wire.workload_states(beat) == (*(WorkloadState(one) for one in "rsclte"), None, WorkloadState.MISSING)
    assert wire.gpu_states(beat) == (*(GpuState(one) for one in "olfu"), None)


def test_letters_are_told_apart() -> None:
    assert all(len(state.value) == 1 for kind in (WorkloadState, GpuState) for state in kind)


@pytest.mark.parametrize("channel", Channel)
def test_a_topic_is_read_as_it_was_written(channel: Channel) -> None:
    assert wire.read_topic(wire.topic(BOX, channel)) == (BOX, channel)
    assert str(BOX) == "tc-001/tc-001-scan-1"


def test_the_shard_of_a_site_never_changes() -> None:
    assert [wire.shard(site) for site in ("tc-001", "tc-002", "hangzhou-2", "a")] == ["19", "41", "29", "03"]


def test_shards_spread_a_hundred_sites() -> None:
    shards = [wire.shard(f"tc-{number:03}") for number in range(1, 1001)]
    assert len(set(shards)) == wire.SHARDS
    assert max(map(shards.count, shards)) <= 3 * len(shards) / wire.SHARDS


@pytest.mark.parametrize(
    ("topic", "objection"),
    [
        ("", Objection.TOPIC),
        ("edgefleet/v1/19/tc-001/tc-001-scan-1", Objection.TOPIC),
        ("edgefleet/v1/19/tc-001/tc-001-scan-1/death", Objection.TOPIC),
        ("edgefleet/v1/19/tc-001/tc-001-scan-1/beat/", Objection.TOPIC),
        ("edgefleet/v1/19/tc-001/tc-001-scan-1/beat\n", Objection.TOPIC),
        ("edgefleet/v1/19/tc-001//beat", Objection.TOPIC),
        ("edgefleet/v1/19/TC-001/x/beat", Objection.TOPIC),
        ("edgefleet/v1/19/tc-001/-x/beat", Objection.TOPIC),
        ("edgefleet/v1/19/tc-001/x-/beat", Objection.TOPIC),
        ("edgefleet/v1/19/tc-001/\u0661/beat", Objection.TOPIC),
        ("edgefleet/v1/\u0664\u0666/tc-001/x/beat", Objection.TOPIC),
        ("edgefleet/v1/47/tc-001/x/beat", Objection.TOPIC),
        (f"edgefleet/v1/{wire.shard('s' * 64)}/{'s' * 64}/x/beat", Objection.TOPIC),
        (f"edgefleet/v1/19/tc-001/{'b' * 254}/beat", Objection.TOPIC),
        ("edgefleet/v2/19/tc-001/x/beat", Objection.VERSION),
        (f"edgefleet/{'v' * 60_000}/19/tc-001/x/beat", Objection.VERSION),
    ],
)
def test_a_topic_that_is_not_ours_is_told(topic: str, objection: Objection) -> None:
    with pytest.raises(WireError) as wrong:
        wire.read_topic(topic)
    assert wrong.value.objection == objection
    assert len(str(wrong.value)) <= 200


@pytest.mark.parametrize(
    ("channel", "payload"),
    [
        (Channel.BEAT, b""),
        (Channel.BEAT, b"null"),
        (Channel.BEAT, b"{}"),
        (Channel.BEAT, b"[]"),
        (Channel.BEAT, b'["3f2a9c1d5e6b7a80",5,1]'),
        (Channel.BEAT, b'["3F2A9C1D5E6B7A80",5,1,1]'),
        (Channel.BEAT, b'["3f2a9c1d5e6b7a80\\n",5,1,1]'),
        (Channel.BEAT, b'["3f2a9c1d5e6b7a8",5,1,1]'),
        (Channel.BEAT, b'["3f2a9c1d5e6b7a80",-5,1,1]'),
        (Channel.BEAT, b'["3f2a9c1d5e6b7a80",true,1,1]'),
        (Channel.BEAT, b'["3f2a9c1d5e6b7a80",1.5,1,1]'),
        (Channel.BEAT, b'["3f2a9c1d5e6b7a80",9007199254740993,1,1]'),
        (Channel.BEAT, b'["3f2a9c1d5e6b7a80",5,1,1,"%s"]' % (b"r" * 65)),
        (Channel.BEAT, b'["3f2a9c1d5e6b7a80",5,1,1,"r","o",NaN]'),
        (Channel.BEAT, b'["3f2a9c1d5e6b7a80",5,1,1,"r","o",1e19]'),
        (Channel.BEAT, b'["3f2a9c1d5e6b7a80",5,1,1,"r","o",1e999]'),
        (Channel.BEAT, b'["3f2a9c1d5e6b7a80",5,1,1,"\xff"]'),
        (Channel.BEAT, b"[" * wire.LARGEST),
        (Channel.BEAT, b'["3f2a9c1d5e6b7a80",5,1,1,"r","o",0.1,' + b"[" * 8000 + b"]" * 8000 + b"]"),
        (Channel.BIRTH, b'{"a":' * 2500 + b"1" + b"}" * 2500),
        (Channel.BIRTH, b'{"boot":"3f2a9c1d5e6b7a80","session":5,"seq":0,"site":"tc-001"}'),
        (Channel.EVENT, b'{"boot":"3f2a9c1d5e6b7a80","session":5,"seq":0,"kind":""}'),
        (Channel.EVENT, b'{"boot":"3f2a9c1d5e6b7a80","session":5,"seq":0,"kind":"x","details":{"a":1}}'),
        (Channel.METRICS, b'{"boot":"3f2a9c1d5e6b7a80","session":5,"seq":0}'),
        (Channel.METRICS, b'{"boot":"3f2a9c1d5e6b7a80","session":5,"seq":0,"values":{"x":"1"}}'),
        (Channel.ANSWER, b'{"boot":"3f2a9c1d5e6b7a80","session":5,"seq":0,"nonce":"n","found":"gold"}'),
        (Channel.ASK, b'{"nonce":"n","box":"b","lan":["10.0.0.1"],"within":0}'),
        (Channel.CONFIG, b'{"revision":1,"period":0}'),
        (Channel.BACKLOG, b'{"boot":"3f2a9c1d5e6b7a80","session":5,"seq":0,"kept":[{"age":"1"}]}'),
    ],
    ids=itertools.count(),
)
def test_a_malformed_message_is_a_wire_error(channel: Channel, payload: bytes) -> None:
    assert objection_to(channel, payload) == Objection.FORM


def test_a_message_that_is_too_large_is_not_even_looked_at() -> None:
    assert objection_to(Channel.BEAT, b"[" * (wire.LARGEST + 1)) == Objection.SIZE


def test_a_birth_of_another_box_is_refused() -> None:
    theirs = wire.encode(Birth(boot=BOOT, session=5, seq=0, site="tc-001", box="tc-001-scan-2"))
    assert objection_to(Channel.BIRTH, theirs) == Objection.ADDRESS


def test_what_the_peer_would_refuse_for_its_size_is_not_sent() -> None:
    kept = tuple(wire.Kept(age=1.0, kind="x", details={"text": "x" * 512}) for _ in range(64))
    with pytest.raises(WireError, match="bytes are more than 16384"):
        wire.encode(wire.Backlog(boot=BOOT, session=1, seq=1, kept=kept))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**64))
def test_nothing_that_is_said_does_more_than_a_wire_error(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    for _ in range(1000):
        (channel, frame), (_, other) = chance.choice(GOLDEN), chance.choice(GOLDEN)
        with contextlib.suppress(WireError):
            message = wire.decode(BOX, channel, spliced(frame, other, chance))
            assert wire.decode(BOX, channel, wire.encode(message)) == message


def spliced(frame: bytes, other: bytes, chance: random.Random) -> bytes:
    """A frame with a few pieces cut out, doubled, moved in from another, or with a value made absurd."""
    for _ in range(chance.randint(1, 4)):
        start, end = sorted(chance.randrange(len(frame) + 1) for _ in range(2))
        piece = chance.choice(
            (
                b"",
                frame[start:end] * chance.randint(1, 50),
                other[start:end],
                chance.randbytes(chance.randint(1, 8)),
                chance.choice((b"null", b"-1", b"1e308", b"[" * 2000, b'"', b"\\ud800", b"9" * 400, b"true", b"{}")),
            )
        )
        frame = frame[:start] + piece + (frame[end:] if chance.random() < 0.7 else frame[start:])
    return frame[: 2 * wire.LARGEST]


@settings(max_examples=300, deadline=None)
@given(
    topic=st.from_regex(re.compile(r"edgefleet/v[12]/[0-9]{2}/.{0,70}/.{0,8}/(beat|birth|ask)"), fullmatch=True)
    | st.text()
)
def test_no_topic_does_more_than_a_wire_error(topic: str) -> None:
    try:
        address, channel = wire.read_topic(topic)
    except WireError:
        return
    assert wire.topic(address, channel) == topic


def test_a_surrogate_in_a_text_can_be_written_again() -> None:
    event = b'{"boot":"3f2a9c1d5e6b7a80","session":5,"seq":0,"kind":"x","part":"\\ud83d\\ude00"}'
    assert msgspec.json.decode(wire.encode(wire.decode(BOX, Channel.EVENT, event)))["part"] == "\U0001f600"
    assert objection_to(Channel.EVENT, event.replace(b"\\ude00", b"")) in {None, Objection.FORM}
