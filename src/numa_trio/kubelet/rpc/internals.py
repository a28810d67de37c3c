"""The parts of asyncio, grpclib and h2 that they do not document, and that we need nonetheless.

Each use of a private name, or of a class that the library does not document, stands here;
docs/decisions/0012-the-bridge-is-a-package.md says what each is for, and what to do if it goes.
`AbstractHandler`, `Stream` and `encode_grpc_message` are taken from here by `calls`.
"""

import asyncio
import errno
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import h2.connection
from grpclib.client import Channel, Handler
from grpclib.client import Stream as Call
from grpclib.config import Configuration
from grpclib.encoding.base import CodecBase
from grpclib.metadata import encode_grpc_message as encode_grpc_message
from grpclib.protocol import AbstractHandler as AbstractHandler
from grpclib.protocol import Connection, EventsProcessor, H2Protocol
from grpclib.protocol import Stream as Stream
from h2.config import H2Configuration
from h2.events import (
    DataReceived,
    PingAckReceived,
    PingReceived,
    PriorityUpdated,
    RemoteSettingsChanged,
    SettingsAcknowledged,
)
from h2.settings import SettingCodes, Settings

from numa_trio.kubelet.rpc.limits import (
    BYTES_PER_EVENT,
    BYTES_PER_PING,
    MAX_ANSWER_EVENTS,
    MAX_CALLS_OF_CONNECTION,
    MAX_HEADER_BYTES,
    PIECE_BYTES,
    READ_AT_ONCE,
)
from numa_trio.protobuf import (
    LENGTH_DELIMITED,
    VARINT,
    FieldShape,
    MessageShape,
    MessageTooLarge,
)

# What requests consist of. Numbers in them are neither repeated nor of fixed size.
_WIRE_TYPES = {
    "bool": VARINT,
    "int32": VARINT,
    "message": LENGTH_DELIMITED,
    "string": LENGTH_DELIMITED,
}

# h2 remembers how each stream of a connection ended, by default of the last 65,536: that is 7 MiB
# of memory for the one connection that kubelet keeps. Only frames that cross in flight need it.
h2.connection.H2Connection.MAX_CLOSED_STREAMS = 1024

_GRPC = Configuration()
_HTTP2 = H2Configuration(
    client_side=False,
    header_encoding="ascii",
    validate_inbound_headers=False,
    validate_outbound_headers=False,
    normalize_inbound_headers=False,
    normalize_outbound_headers=False,
)
_SETTINGS = {
    SettingCodes.MAX_CONCURRENT_STREAMS: MAX_CALLS_OF_CONNECTION,
    SettingCodes.MAX_HEADER_LIST_SIZE: MAX_HEADER_BYTES,
}
_CONTROL = (
    PingAckReceived,
    PingReceived,
    PriorityUpdated,
    RemoteSettingsChanged,
    SettingsAcknowledged,
)


_SETTINGS_FRAME = b"\x04"  # the type of the first frame of a server, in its fourth byte
_PREFIX = struct.Struct(">?I")  # of a gRPC message: whether it is compressed, and its length
_PIECE = 64 * 1024  # of an answer that is copied at once


@contextmanager
def running_loop(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Let asyncio's C code find `loop`.

    trio-asyncio answers get_running_loop(); from Python 3.12 on, current_task() is C and asks the
    interpreter instead. Without this, grpclib and asyncio's timeouts find no loop there.
    """
    asyncio._set_running_loop(loop)  # noqa: SLF001  meant for event loops, as this is
    try:
        yield
    finally:
        asyncio._set_running_loop(None)  # noqa: SLF001


@cache
def shape_of(message_type: Any) -> MessageShape:
    """The shape of a generated message, such as a request: see `_WIRE_TYPES`."""
    meta = message_type()._betterproto  # noqa: SLF001  what the parser itself goes by
    shape = {}
    for number, name in meta.field_name_by_number.items():
        kind = meta.meta_by_field_name[name].proto_type
        inner = shape_of(meta.cls_by_field[name]) if kind == "message" else None
        shape[number] = FieldShape(_WIRE_TYPES[kind], inner)
    return shape


class GrpcConnection(H2Protocol):
    """A peer's connection, which speaks HTTP/2 once it is `admitted`."""

    transport: asyncio.Transport
    admitted = False
    _control_frames = 0  # that the peer has sent

    def __init__(self, calls: AbstractHandler) -> None:
        super().__init__(calls, _GRPC, _HTTP2)

    def admit(self, transport: asyncio.Transport) -> None:
        """Begin to speak HTTP/2. Without grpclib's keepalive: a Unix socket tells who has gone."""
        self.transport = transport
        self.admitted = True
        if hasattr(transport, "max_size"):
            transport.max_size = READ_AT_ONCE
        http2 = h2.connection.H2Connection(self.h2_config)
        http2.local_settings = Settings(client=False, initial_values=_SETTINGS)
        http2.decoder.max_header_list_size = MAX_HEADER_BYTES
        http2.initiate_connection()
        self.connection = Connection(http2, transport, config=self.config)
        self.processor = EventsProcessor(self.handler, self.connection)
        self.connection.flush()

    def process(self, data: bytes) -> None:
        """Handle what the peer sent. Raises whatever a peer can make h2 or grpclib raise."""
        events = self.connection.feed(data)
        self.connection.flush()
        for event in events:
            if isinstance(event, _CONTROL):
                self._control_frames += 1
            if isinstance(event, DataReceived) and not event.flow_controlled_length:
                continue  # nothing, which grpclib would take for the end of the request
            self.processor.process(event)
        if not self.connection.is_closing():
            self.connection.flush()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the calls of a connection that was admitted."""
        if self.admitted:
            super().connection_lost(exc)

    @property
    def resets(self) -> int:
        """How many of its calls the peer has reset."""
        return self.connection.streams_failed

    @property
    def uncalled_frames(self) -> int:
        """How many control frames the peer has sent, less those that its calls call for."""
        called_for = self.connection.streams_started + self.connection.data_sent // BYTES_PER_PING
        return self._control_frames - called_for

    @property
    def open_calls(self) -> int:
        """How many calls are being answered."""
        return len(self.processor.streams)

    @property
    def unanswered_bytes(self) -> int:
        """What the requests of the open calls take: their bytes, and the pieces not yet joined."""
        return sum(
            stream.data_received
            + PIECE_BYTES * (stream.buffer._unacked.qsize() + len(stream.buffer._acked))  # noqa: SLF001
            for stream in self.processor.streams.values()
        )

    @property
    def incomplete_bytes(self) -> int:
        """What has come of a frame, or of headers in several frames, that is not complete yet."""
        buffer = self.connection._connection.incoming_buffer  # noqa: SLF001
        headers = sum(len(frame.data) for frame in buffer._headers_buffer)  # noqa: SLF001
        return len(buffer._data) + headers  # noqa: SLF001


class AnswerConnection(H2Protocol):
    """Our connection to a server, which ends when more comes over it than answers can be.

    Or when what comes is nonsense. Whoever waits for an answer is told why.
    """

    transport: asyncio.Transport
    _greeted = _ended = False
    _received = 0  # bytes
    _events = 0

    def __init__(self, config: Configuration, http2: H2Configuration, most: int) -> None:
        super().__init__(Handler(), config, http2)
        self._most = most

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to speak HTTP/2."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if hasattr(transport, "max_size"):
            transport.max_size = READ_AT_ONCE
        super().connection_made(transport)

    def expect_answer(self) -> None:
        """Allow for as much as one answer can be, from now on."""
        self._received = self._events = 0

    def data_received(self, data: bytes) -> None:
        """Handle what the server sent."""
        if self.transport.is_closing():
            return
        try:
            if not self._greeted and data[3:4] not in (b"", _SETTINGS_FRAME):
                raise ValueError(f"not HTTP/2, but {data[:20]!r}")
            self._greeted = True
            events = self.connection.feed(data)
            self._received += len(data)
            self._events += len(events)
            if self._received > self._most:
                raise MessageTooLarge(f"an answer of more than {self._most} bytes")
            if self._events > MAX_ANSWER_EVENTS + self._received // BYTES_PER_EVENT:
                raise MessageTooLarge(f"{self._events} frames in {self._received} bytes")
            self.connection.flush()
            for event in events:
                if isinstance(event, DataReceived) and not event.flow_controlled_length:
                    continue  # nothing, which grpclib would take for the end of the answer
                self.processor.process(event)
            if not self.connection.is_closing():
                self.connection.flush()
        except Exception as problem:  # noqa: BLE001  whatever a peer can make h2 or grpclib raise
            self.end(f"no proper answer: {problem!r}")

    def end(self, reason: str) -> None:
        """End the connection at once, whatever the peer has not read yet."""
        self._ended = True
        self.transport.abort()
        self.processor.close(reason)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tell those who wait, unless they know already."""
        if not self._ended:
            super().connection_lost(exc)


class AnswerChannel(Channel):
    """A channel whose connections are bounded: see `AnswerConnection`."""

    def __init__(self, path: str, codec: CodecBase, most: int) -> None:
        super().__init__(path=path, codec=codec)
        self._most = most

    def _protocol_factory(self) -> H2Protocol:
        return AnswerConnection(self._config, self._h2_config, self._most)

    async def __connect__(self) -> H2Protocol:  # what each call begins with
        protocol = await super().__connect__()
        if protocol.connection.is_closing():  # grpclib would look for what is gone with it
            raise ConnectionResetError(errno.ECONNRESET, "the connection broke at once")
        assert isinstance(protocol, AnswerConnection)
        protocol.expect_answer()
        return protocol

    def close(self) -> None:
        """End the connection, if there is one. Nothing of it stays behind."""
        if isinstance(self._protocol, AnswerConnection):
            self._protocol.end("closed by us")
        super().close()


async def receive_answer(call: Call[Any, Any], most: int) -> bytearray:
    """The message of an answer, which is never held twice.

    Raises `MessageTooLarge` before it is received, `EOFError` if it is not there or not complete,
    and whatever grpclib raises for an error.
    """
    await call.recv_initial_metadata()
    with call._wrapper:  # noqa: SLF001  how grpclib wakes those who wait when a stream breaks
        stream = call._stream  # noqa: SLF001
        if prefix := await stream.recv_data(_PREFIX.size):
            compressed, length = _PREFIX.unpack(prefix)
            if compressed:
                raise ValueError("a compressed answer, though none was asked for")
            if length > most:
                raise MessageTooLarge(f"an answer of {length} bytes, where {most} are the most")
            answer = bytearray(length)
            for start in range(0, length, _PIECE):
                end = min(start + _PIECE, length)
                piece = await stream.recv_data(end - start)
                if len(piece) != end - start:  # grpclib gives nothing, if the end is known already
                    raise EOFError("an answer that ends half-way")
                answer[start:end] = piece
            return answer
    await call.recv_trailing_metadata()
    raise EOFError("an answer without a message")
