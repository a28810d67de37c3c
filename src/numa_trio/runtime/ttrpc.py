"""NRI's connection without I/O: bytes in, messages out, and the other way round.

One stream carries two logical connections in mux frames: over one the runtime calls the plugin,
over the other the plugin calls the runtime. Each carries ttrpc messages, cut as the frames are.
Source of the format: containerd/nri (pkg/net/multiplex) and containerd/ttrpc (PROTOCOL.md).
"""

import struct
from collections.abc import Iterator
from enum import IntEnum

from attrs import define, field, frozen

from numa_trio.protobuf import (
    LENGTH_DELIMITED,
    VARINT,
    Budget,
    fields_of,
    integer_field,
    message_field,
    text_field,
)

_MUX = struct.Struct(">II")  # logical connection, length
_TTRPC = struct.Struct(">IIBB")  # length, stream, type, flags

_PACKAGE = "nri.pkg.api.v1alpha1"

# The runtime reads a frame into a buffer of so many bytes, and hangs up if it does not fit.
_LARGEST_SENT = 4096

# Of what is longer nothing is kept but the beginning. ttrpc allows 4 MiB; NRI 0.6.1 sends more.
_LONGEST = 8 << 20
_BEGINNING = 256

# What says that it is longer is no message: its end would never come.
_LONGEST_SKIPPED = 64 << 20

_MOST_FIELDS = 1000  # of ttrpc's own messages, which have five


class ProtocolViolation(Exception):
    """The other end sent something that this connection cannot carry."""


class Channel(IntEnum):
    """The logical connections, by who calls."""

    RUNTIME_CALLS = 1
    PLUGIN_CALLS = 2


class _Kind(IntEnum):
    REQUEST = 1
    RESPONSE = 2


class Status(IntEnum):
    """Codes of gRPC that a call is refused with."""

    UNIMPLEMENTED = 12


@frozen
class Call:
    """The runtime calls `method`, and waits for so many seconds; None if it does not say.

    `payload` is None of a message that was too long to be kept.
    """

    stream: int
    method: str
    payload: bytes | None
    timeout: float | None


@frozen
class Answer:
    """The runtime answers our call of this stream; `problem` says why it failed, if it did."""

    stream: int
    payload: bytes
    problem: str | None


@define
class _Assembly:
    """The bytes of one logical connection, until they are whole ttrpc messages."""

    _buffer: bytearray = field(init=False, factory=bytearray)
    _skipped: int = field(init=False, default=0)

    @property
    def is_within(self) -> bool:
        """Whether some of a message is there, but not all."""
        return bool(self._buffer or self._skipped)

    def feed(self, data: bytes | bytearray) -> Iterator[tuple[int, int, bytes, bool]]:
        """Stream, type and data of each message that is complete now, and whether it is whole.

        Raises `ProtocolViolation`.
        """
        buffer = self._buffer
        buffer += data
        self._skip()
        while len(buffer) >= _TTRPC.size:
            length, stream, kind, _flags = _TTRPC.unpack_from(buffer)
            if length > _LONGEST_SKIPPED:
                raise ProtocolViolation(f"a message of {length} bytes")
            whole = length <= _LONGEST
            kept = _TTRPC.size + (length if whole else _BEGINNING)
            if len(buffer) < kept:
                break
            message = bytes(buffer[_TTRPC.size : kept])
            del buffer[:kept]
            if not whole:
                self._skipped = length - _BEGINNING
                self._skip()
            yield stream, kind, message, whole

    def _skip(self) -> None:
        """Drop what has come of a message that is too long."""
        passed = min(self._skipped, len(self._buffer))
        self._skipped -= passed
        del self._buffer[:passed]


@define
class Wire:
    """The connection as a plugin speaks it."""

    _unread: bytearray = field(init=False, factory=bytearray)
    _left: int = field(init=False, default=0)  # of the present frame
    _channel: Channel = field(init=False, default=Channel.RUNTIME_CALLS)
    _assemblies: dict[Channel, _Assembly] = field(
        init=False, factory=lambda: {channel: _Assembly() for channel in Channel}
    )
    _next_stream: int = field(init=False, default=1)

    def receive(self, data: bytes | bytearray) -> Iterator[Call | Answer]:
        """What has come with these bytes. Raises `ProtocolViolation`, after which nothing holds."""
        unread = self._unread
        unread += data
        while unread:
            if not self._left:
                if len(unread) < _MUX.size:
                    return
                self._begin_frame(*_MUX.unpack_from(unread))
                del unread[: _MUX.size]
                continue
            piece = unread[: self._left]
            del unread[: self._left]
            self._left -= len(piece)
            channel = self._channel
            for message in self._assemblies[channel].feed(piece):
                yield _understood(channel, *message)

    @property
    def is_within(self) -> bool:
        """Whether a message has begun to come, and is not there yet."""
        return bool(self._unread or self._left) or any(
            assembly.is_within for assembly in self._assemblies.values()
        )

    def call(self, method: str, payload: bytes) -> tuple[int, bytes]:
        """A call to the runtime: the stream that its answer will have, and what to send."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        request = text_field(1, f"{_PACKAGE}.Runtime") + text_field(2, method)
        if payload:
            request += message_field(3, payload)
        return stream, _framed(Channel.PLUGIN_CALLS, stream, _Kind.REQUEST, request)

    def answer(self, stream: int, payload: bytes) -> bytes:
        """What to send in answer to the runtime's call of this stream."""
        response = message_field(2, payload) if payload else b""
        return _framed(Channel.RUNTIME_CALLS, stream, _Kind.RESPONSE, response)

    def refuse(self, stream: int, status: Status, why: str) -> bytes:
        """What to send if the runtime's call of this stream failed."""
        response = message_field(1, integer_field(1, status) + text_field(2, why))
        return _framed(Channel.RUNTIME_CALLS, stream, _Kind.RESPONSE, response)

    def _begin_frame(self, channel: int, length: int) -> None:
        if channel not in self._assemblies:
            raise ProtocolViolation(f"a frame of the logical connection {channel}, not 1 or 2")
        self._channel = Channel(channel)
        self._left = length


def _understood(
    channel: Channel, stream: int, kind: int, message: bytes, whole: bool
) -> Call | Answer:
    if channel is Channel.RUNTIME_CALLS and kind == _Kind.REQUEST:
        return _call(stream, message, whole)
    if channel is Channel.PLUGIN_CALLS and kind == _Kind.RESPONSE and whole:
        return _answer(stream, message)
    raise ProtocolViolation(
        f"a message of type {kind} and {len(message) if whole else 'too many'} bytes"
        f" on the logical connection {channel}"
    )


def _call(stream: int, message: bytes, whole: bool) -> Call:
    service = method = ""
    payload: bytes | None = b""
    timeout = None
    try:
        for number, wire_type, value in fields_of(message, Budget(_MOST_FIELDS, 0, 0)):
            if wire_type == VARINT and number == 4:
                timeout = int(value) / 1e9
            elif wire_type == LENGTH_DELIMITED and isinstance(value, bytes):
                if number == 1:
                    service = value.decode()
                elif number == 2:
                    method = value.decode()
                elif number == 3:
                    payload = value
    except ValueError as problem:
        # Its end is missing if it is too long: what comes before that has the method.
        if whole:
            raise ProtocolViolation(f"a call that cannot be read: {problem}") from problem
    if service != f"{_PACKAGE}.Plugin":
        method = f"{service}.{method}"
    return Call(stream, method, payload if whole else None, timeout)


def _answer(stream: int, message: bytes) -> Answer:
    payload, problem = b"", None
    budget = Budget(_MOST_FIELDS, 0, 0)
    try:
        for number, wire_type, value in fields_of(message, budget):
            if wire_type == LENGTH_DELIMITED and isinstance(value, bytes):
                if number == 1:
                    problem = _problem(value, budget)
                elif number == 2:
                    payload = value
    except ValueError as error:
        raise ProtocolViolation(f"an answer that cannot be read: {error}") from error
    return Answer(stream, payload, problem)


def _problem(status: bytes, budget: Budget) -> str | None:
    code, text = 0, ""
    for number, wire_type, value in fields_of(status, budget):
        if number == 1 and wire_type == VARINT:
            code = int(value)
        elif number == 2 and wire_type == LENGTH_DELIMITED and isinstance(value, bytes):
            text = value.decode(errors="replace")
    return f"{text or 'no reason given'} (code {code})" if code else None


def _framed(channel: Channel, stream: int, kind: _Kind, data: bytes) -> bytes:
    message = _TTRPC.pack(len(data), stream, kind, 0) + data
    frames = bytearray()
    for start in range(0, len(message), _LARGEST_SENT):
        piece = message[start : start + _LARGEST_SENT]
        frames += _MUX.pack(channel, len(piece))
        frames += piece
    return bytes(frames)
