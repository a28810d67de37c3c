"""The two logical connections in one stream: whole messages however they are cut, or none."""

import struct
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numa_trio.protobuf import integer_field, message_field, text_field
from numa_trio.runtime.ttrpc import Answer, Call, ProtocolViolation, Status, Wire

PLUGIN = "nri.pkg.api.v1alpha1.Plugin"
PAYLOADS = st.binary(max_size=9000)


def muxed(channel: int, data: bytes, most: int = 4096) -> bytes:
    """As the runtime frames the bytes of a logical connection."""
    pieces = [data[start : start + most] for start in range(0, len(data), most)]
    return b"".join(struct.pack(">II", channel, len(piece)) + piece for piece in pieces)


def message(stream: int, kind: int, data: bytes) -> bytes:
    return struct.pack(">IIBB", len(data), stream, kind, 0) + data


def request(
    method: str, payload: bytes = b"", nanoseconds: int = 0, service: str = PLUGIN
) -> bytes:
    return (
        text_field(1, service)
        + text_field(2, method)
        + message_field(3, payload)
        + integer_field(4, nanoseconds)
    )


def received(data: bytes, *cuts: int) -> list[Call | Answer]:
    """What a new connection makes of these bytes, which come in pieces."""
    wire = Wire()
    ends = sorted(cut % (len(data) + 1) for cut in cuts)
    starts = [0, *ends]
    found: list[Call | Answer] = []
    for start, end in zip(starts, [*ends, len(data)], strict=True):
        found += wire.receive(data[start:end])
    return found


@given(payload=PAYLOADS, answer=PAYLOADS, cuts=st.lists(st.integers(0, 30000), max_size=6))
def test_messages_are_the_same_however_they_are_cut(
    payload: bytes, answer: bytes, cuts: Sequence[int]
) -> None:
    """In pieces of any length, with the frames of the two connections one in the other."""
    call = muxed(1, message(3, 1, request("CreateContainer", payload, 1_500_000_000)), 1000)
    reply = muxed(2, message(1, 2, message_field(2, answer)), 700)
    frames = [*_frames(call), *_frames(reply)]
    mixed = b"".join(frames[::2] + frames[1::2])  # each connection's own frames stay in order
    expected = [Call(3, "CreateContainer", payload, 1.5), Answer(1, answer, None)]
    found = received(mixed, *cuts)
    assert sorted(found, key=repr) == sorted(expected, key=repr)


def _frames(data: bytes) -> list[bytes]:
    """Of one connection, the first half and the second, each as it is framed."""
    frames = []
    while data:
        _channel, length = struct.unpack_from(">II", data)
        frames.append(data[: 8 + length])
        data = data[8 + length :]
    half = len(frames) // 2
    return [b"".join(frames[:half]), b"".join(frames[half:])]


@given(size=st.integers(0, 20_000))
def test_no_frame_is_larger_than_the_runtimes_buffer(size: int) -> None:
    """The runtime drops a connection over a payload of more than 4096 bytes."""
    data = Wire().answer(5, bytes(size))
    joined = b""
    while data:
        channel, length = struct.unpack_from(">II", data)
        assert channel == 1
        assert 0 < length <= 4096
        joined += data[8 : 8 + length]
        data = data[8 + length :]
    body = message_field(2, bytes(size)) if size else b""
    assert joined == message(5, 2, body)


def test_calls_are_numbered_odd_and_answered_by_number() -> None:
    """ttrpc's clients count 1, 3, 5; the answer tells which call it is for."""
    wire = Wire()
    streams = [wire.call("UpdateContainers", b"")[0] for _ in range(3)]
    assert streams == [1, 3, 5]
    answer = muxed(2, message(3, 2, message_field(2, b"x")))
    assert list(wire.receive(answer)) == [Answer(3, b"x", None)]


def test_a_refusal_has_code_and_text() -> None:
    """gRPC's codes: 12 is a method that is not there."""
    data = Wire().refuse(7, Status.UNIMPLEMENTED, "Shutdown")
    status = message_field(1, integer_field(1, 12) + text_field(2, "Shutdown"))
    assert data == muxed(1, message(7, 2, status))


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (integer_field(1, 2) + text_field(2, "index taken"), "index taken (code 2)"),
        (integer_field(1, 2), "no reason given (code 2)"),
        (b"", None),
    ],
)
def test_a_failed_call_says_why(status: bytes, problem: str | None) -> None:
    """A status of code 0 is success."""
    assert received(muxed(2, message(1, 2, message_field(1, status)))) == [Answer(1, b"", problem)]


def test_what_is_too_long_is_told_and_skipped() -> None:
    """Of a Synchronize beyond all measure the method is known, and what comes next is read."""
    long = message(1, 1, request("Synchronize", bytes(9 << 20), 2_000_000_000))
    data = muxed(1, long, 1 << 20) + muxed(1, message(3, 1, request("CreateContainer")))
    assert received(data, 100, 300, 5 << 20) == [
        Call(1, "Synchronize", None, None),
        Call(3, "CreateContainer", b"", None),
    ]


@pytest.mark.parametrize("size", [0, 5000, 9 << 20])
def test_it_is_known_whether_a_message_is_on_its_way(size: int) -> None:
    """From its first byte to its last."""
    data = muxed(1, message(1, 1, request("Synchronize", bytes(size))), 4096)
    wire = Wire()
    assert not wire.is_within
    for piece in (data[:1], data[1:-1]):
        list(wire.receive(piece))
        assert wire.is_within
    list(wire.receive(data[-1:]))
    assert not wire.is_within


def test_another_service_is_no_method_of_ours() -> None:
    """A call is answered only if it is for the plugin's service."""
    data = muxed(1, message(1, 1, request("Configure", service="other.Service")))
    (call,) = received(data)
    assert isinstance(call, Call)
    assert call.method == "other.Service.Configure"


@pytest.mark.parametrize(
    "data",
    [
        muxed(0, message(1, 1, request("Configure"))),
        muxed(3, message(1, 1, request("Configure"))),
        muxed(1, message(1, 2, b"")),  # an answer to nobody
        muxed(2, message(1, 1, request("RegisterPlugin"))),  # we are no runtime
        muxed(1, message(1, 3, b"streamed")),
        muxed(1, message(1, 1, b"\xff")),
        muxed(2, message(1, 2, b"\x0a\x05")),
        b"GET / HTTP/1.1\r\n\r\n",
        muxed(1, b"GET / HTTP/1.1\r\n\r\n"),  # a message of a gigabyte
    ],
)
def test_what_cannot_be_carried_ends_the_connection(data: bytes) -> None:
    """It is never guessed where the next message begins."""
    with pytest.raises(ProtocolViolation):
        received(data)


@given(data=st.binary(max_size=2000), cuts=st.lists(st.integers(0, 2000), max_size=4))
def test_any_bytes_are_read_or_refused(data: bytes, cuts: Sequence[int]) -> None:
    """Nothing else happens, and nothing is kept but what came."""
    with suppress(ProtocolViolation):
        received(data, *cuts)
