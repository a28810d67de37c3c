"""The parts of asyncio, grpclib and h2 that they do not document, and that we need nonetheless.

Each use of a private name, or of a class that the library does not document, stands here;
docs/decisions/0012-the-bridge-is-a-package.md says what each is for, and what to do if it goes.
`AbstractHandler`, `Stream` and `encode_grpc_message` are taken from here by `calls`.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import grpclib.client
import h2.connection
from grpclib.config import Configuration
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
    BYTES_PER_PING,
    MAX_CALLS_OF_CONNECTION,
    MAX_HEADER_BYTES,
    PIECE_BYTES,
    READ_AT_ONCE,
)
from numa_trio.kubelet.rpc.wire import LENGTH_DELIMITED, VARINT, FieldShape, MessageShape

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


async def received_bytes(stream: grpclib.client.Stream[Any, Any], size: int) -> bytes:
    """So many bytes of what the server answers; none at the end of its answer.

    grpclib's own `recv_message` takes a message of any size.
    """
    return await stream._stream.recv_data(size)  # noqa: SLF001
