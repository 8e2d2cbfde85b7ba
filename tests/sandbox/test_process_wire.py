"""Frames and values between a program and the host, honest and hostile."""

import asyncio
import io
import json
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aflow_verl.sandbox.process import frames, values
from aflow_verl.sandbox.process.channel import Channel

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**9000), 2**9000) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple)
    | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(plain)
def test_plain_values_come_back_as_they_were(value: object) -> None:
    payload = json.dumps(values.encode(value, 100)).encode()
    assert values.decode(values.loads(payload), 100) == value


def test_other_values_become_texts_and_long_ones_are_cut() -> None:
    assert values.encode({1: {2}, "long": "x" * 9}, 3) == {"d": {"1": "{2}", "lon": "xxx"}}
    assert values.encode((1, [2]), 9) == {"t": [1, [2]]}


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xff\xfe\x00", b"nul", b"1" * 5000, b"[" * 100_000, b'{"x": 1}', b'{"t": 1}', b'{"d": []}', b"{}"],
)
def test_what_is_no_value_is_refused(payload: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        values.decode(values.loads(payload), 10)


def test_too_many_values_are_refused_on_both_sides() -> None:
    with pytest.raises(values.Unreadable, match="more than 100000"):
        values.encode([[0] * 1000] * 101, 10)
    with pytest.raises(values.Unreadable, match="more than 100000"):
        values.decode([0] * 100_001, 10)


def test_surrogates_are_replaced_where_they_could_not_be_stored() -> None:
    assert values.decode({"d": {"\ud800": ["a\udfff"]}}, 10) == {"?": ["a?"]}
    assert frames.to_text(frames.to_bytes("a\ud800")) == "a\ud800"


def test_frames_are_read_whole_from_any_parts() -> None:
    source = io.BytesIO(frames.encode(frames.ANSWER, b"hello"))
    assert frames.read(lambda length: source.read(min(length, 2)), {frames.ANSWER: 5}) == (b"A", b"hello")
    with pytest.raises(EOFError):
        frames.read(io.BytesIO(b"A\0\0\0\x05hell").read, {frames.ANSWER: 5})


@pytest.mark.parametrize(("kind", "length"), [(b"A", 6), (b"V", 1), (b"A", 2**32 - 1)])
def test_frames_of_another_kind_or_length_are_refused(kind: bytes, length: int) -> None:
    with pytest.raises(frames.BrokenFrame):
        frames.decode_header(kind + length.to_bytes(4, "big"), {frames.ANSWER: 5})


async def test_a_flood_leaves_the_host_responsive() -> None:
    """16 MiB are read while a task that wakes every millisecond goes on."""
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.001)
            beats += 1

    heart = asyncio.create_task(beat())
    frame = frames.encode(frames.CALL, bytes(frames.MAX_CALL_BYTES))
    writer = asyncio.create_task(asyncio.to_thread(theirs.sendall, frame))
    kind, payload = await channel.receive({frames.CALL: frames.MAX_CALL_BYTES})
    await writer
    heart.cancel()
    theirs.close()
    with pytest.raises(EOFError):
        await channel.receive({frames.CALL: 1})
    channel.close()
    assert (kind, len(payload)) == (frames.CALL, 16 << 20)
    assert beats > 0
