"""The calls of one connection: each is read, bounded, answered and ended as gRPC over HTTP/2 says.

Source of the format: grpc/grpc, doc/PROTOCOL-HTTP2.md. A call's deadline is left to its caller,
who gives up by itself: our answers take no time, and streams are meant to last.
"""

import asyncio
import struct
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Protocol

from grpclib.const import Handler, Status
from grpclib.exceptions import GRPCError
from h2.exceptions import ProtocolError

from numa_trio.kubelet.rpc.internals import AbstractHandler, Stream, encode_grpc_message, shape_of
from numa_trio.kubelet.rpc.limits import (
    MAX_MESSAGE_BYTES,
    MAX_UNKNOWN_FIELDS,
    SMALL,
    RequestLimits,
)
from numa_trio.protobuf import MalformedMessage, TooManyFields, check_fields

_PREFIX = struct.Struct(">?I")  # whether the message is compressed, and its length
_CHUNK = 16 * 1024  # of a long answer, so that little waits for a peer that does not read
_LONGEST_MESSAGE = 500  # of a status, in characters: header text is bounded on the other side, too
_OWN_HEADERS = [(":status", "200"), ("content-type", "application/grpc+proto")]
_UNCOMPRESSED_ONLY = "requests must not be compressed: only the encoding 'identity' is understood"

Headers = list[tuple[str, str]]


class Caller(Protocol):
    """The connection that calls come from."""

    @property
    def methods(self) -> Mapping[str, Handler]:
        """What can be called, by path."""

    def limits(self) -> RequestLimits:
        """How large a request may be."""

    def refused(self, status: Status, message: str | None) -> None:
        """A call was answered with an error, for something that its peer did."""

    def failed(self, method: str, problem: Exception) -> None:
        """A call failed because of a defect of ours."""

    def exceeded(self, problem: str) -> None:
        """The peer sent more than can be answered with an error."""


# Which connection made the call that is being answered, in the task that answers it.
caller: ContextVar[Caller] = ContextVar("caller")


class CallOfGeneratedCode:
    """What the generated code takes for grpclib's stream: a request, and a way to answer it."""

    def __init__(self, stream: Stream, request: Any) -> None:
        self._stream = stream
        self._request = request
        self.answered = False

    async def recv_message(self) -> Any:
        """The request."""
        return self._request

    async def send_message(self, message: Any) -> None:
        """Send an answer, as fast as the peer reads it. Keeps no copy of its bytes."""
        if not self.answered:
            self.answered = True
            await self._stream.send_headers(_OWN_HEADERS)
        encoded = memoryview(message.SerializeToString())
        first = _CHUNK - _PREFIX.size
        await self._stream.send_data(_PREFIX.pack(False, len(encoded)) + encoded[:first])
        for start in range(first, len(encoded), _CHUNK):
            await self._stream.send_data(bytes(encoded[start : start + _CHUNK]))


class Calls(AbstractHandler):
    """The calls that a connection is waiting for; it ends them when it ends."""

    def __init__(self, connection: Caller) -> None:
        self._connection = connection
        self._tasks: dict[Stream, asyncio.Task[None]] = {}

    def accept(
        self, stream: Stream, headers: Headers, release_stream: Callable[[], object]
    ) -> None:
        """Begin to answer a call."""
        self._tasks[stream] = task = asyncio.get_running_loop().create_task(
            self._answer(stream, dict(headers))
        )

        def ended(_task: "asyncio.Task[None]") -> None:
            self._tasks.pop(stream, None)
            release_stream()

        task.add_done_callback(ended)

    def cancel(self, stream: Stream) -> None:
        """End a call: its peer has reset it."""
        if task := self._tasks.get(stream):
            task.cancel()

    def close(self) -> None:
        """End every call."""
        for task in self._tasks.values():
            task.cancel()

    async def _answer(self, stream: Stream, headers: dict[str, str]) -> None:
        caller.set(self._connection)
        answered = False
        status, message = Status.OK, None
        try:
            method = self._method(headers)
            request = await self._request(stream, method)
            call = CallOfGeneratedCode(stream, request)
            try:
                await method.func(call)
            finally:
                answered = call.answered
        except GRPCError as error:
            status, message = error.status, error.message
            self._connection.refused(status, message)
        except ProtocolError:
            return  # the peer has ended the call, or the connection
        except Exception as problem:  # noqa: BLE001  the peer must be told, and the connection go on
            status, message = Status.INTERNAL, "a defect of numa-trio, which is in its log"
            self._connection.failed(headers.get(":path", ""), problem)
        trailers: Headers = [] if answered else list(_OWN_HEADERS)
        trailers.append(("grpc-status", str(status.value)))
        if message:
            trailers.append(("grpc-message", encode_grpc_message(message[:_LONGEST_MESSAGE])))
        if status is Status.UNIMPLEMENTED:
            trailers.append(("grpc-accept-encoding", "identity"))
        try:
            await stream.send_headers(trailers, end_stream=True)
            if stream.closable:  # whatever else the peer would send is not wanted
                stream.reset_nowait()
        except ProtocolError:
            return  # as above

    def _method(self, headers: Mapping[str, str]) -> Handler:
        if not headers.get("content-type", "").startswith("application/grpc"):
            raise GRPCError(Status.INVALID_ARGUMENT, "the content type is not application/grpc")
        path = headers.get(":path", "")
        method = self._connection.methods.get(path)
        if method is None or headers.get(":method") != "POST":
            raise GRPCError(Status.UNIMPLEMENTED, f"there is no method {path[:100]!r}")
        if headers.get("grpc-encoding", "identity") != "identity":
            raise GRPCError(Status.UNIMPLEMENTED, _UNCOMPRESSED_ONLY)
        return method

    async def _request(self, stream: Stream, method: Handler) -> Any:
        """The request, decoded; raises `GRPCError` if it cannot be, or should not be."""
        name = method.request_type.__name__
        try:
            prefix = await stream.recv_data(_PREFIX.size)
            if not prefix:
                raise GRPCError(Status.INVALID_ARGUMENT, f"the call has no {name}")
            compressed, length = _PREFIX.unpack(prefix)
            if compressed:
                raise GRPCError(Status.UNIMPLEMENTED, _UNCOMPRESSED_ONLY)
            if length > MAX_MESSAGE_BYTES:
                self._connection.exceeded(f"a request of more than {MAX_MESSAGE_BYTES} bytes")
            # No field takes less than two bytes.
            limits = SMALL if length <= 2 * SMALL.fields else self._connection.limits()
            if length > limits.size:
                raise GRPCError(
                    Status.RESOURCE_EXHAUSTED,
                    f"{name} of {length} bytes: at most {limits.size} are taken",
                )
            data = await stream.recv_data(length)
        except AssertionError:  # what grpclib's buffer raises
            raise GRPCError(Status.INVALID_ARGUMENT, f"{name} ends half-way") from None
        try:
            check_fields(
                data,
                shape_of(method.request_type),
                most=limits.fields,
                most_unknown=MAX_UNKNOWN_FIELDS,
            )
        except TooManyFields as problem:
            raise GRPCError(Status.RESOURCE_EXHAUSTED, f"{name} has {problem}") from None
        except MalformedMessage as problem:
            raise GRPCError(Status.INVALID_ARGUMENT, f"no {name}: {problem}") from None
        try:
            return method.request_type.FromString(data)
        except Exception as problem:  # noqa: BLE001  whatever bytes can make the parser raise
            raise GRPCError(Status.INVALID_ARGUMENT, f"no {name}: {problem!r}") from None
