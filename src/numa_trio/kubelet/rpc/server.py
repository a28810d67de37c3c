"""A gRPC server on one Unix socket, which peers can leave and harm only for themselves."""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, NoReturn

import trio
import trio_asyncio
from grpclib.const import Handler, Status

from numa_trio.kubelet.drop import Drop
from numa_trio.kubelet.rpc import limits
from numa_trio.kubelet.rpc.calls import Caller, Calls
from numa_trio.kubelet.rpc.internals import GrpcConnection
from numa_trio.kubelet.rpc.limits import RequestLimits
from numa_trio.kubelet.rpc.peer_log import PeerLog
from numa_trio.kubelet.socket_file import peer_of

log = logging.getLogger(__name__)

# How long ending streams and closing connections may take, in seconds each.
FAREWELL = 0.4

_BACKLOG = 100  # as many as asyncio would take


class Excess(Exception):
    """A peer sent more than it may."""


class Connection(GrpcConnection):
    """A peer's connection, which ends alone if the peer may not talk to us or talks nonsense."""

    _minute = 0.0  # when the present one began, and what there had been by then
    _resets_before = 0
    _uncalled_before = 0

    def __init__(self, server: "Server") -> None:
        super().__init__(Calls(self))
        self.server = server

    @property
    def methods(self) -> Mapping[str, Handler]:
        """What can be called, by path."""
        return self.server.methods

    def limits(self) -> RequestLimits:
        """How large a request may be."""
        return self.server.limits()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the peer or refuse it."""
        assert isinstance(transport, asyncio.Transport)
        if refusal := self._refusal(transport):
            reason, explanation = refusal
            self.server.peers.warn(reason, "Refused a connection: %s", explanation)
            self.server.on_drop(reason)
            transport.abort()
            return
        self._minute = trio.current_time()
        self.server.opened(self)
        self.admit(transport)

    def _refusal(self, transport: asyncio.Transport) -> tuple[Drop, str] | None:
        peer = peer_of(transport.get_extra_info("socket"))
        if peer.uid not in (0, os.geteuid()):
            explanation = f"process {peer.pid} runs as uid {peer.uid}, not as root or as we do"
            return Drop.FOREIGN_UID, explanation
        if len(self.server.connections) >= limits.MAX_CONNECTIONS and not self.server.make_room():
            explanation = f"{limits.MAX_CONNECTIONS} with open calls are there already"
            return Drop.TOO_MANY, explanation
        return None

    def data_received(self, data: bytes) -> None:
        """Handle what the peer sent; drop the connection if that cannot be done."""
        if not self.admitted or self.transport.is_closing():
            return
        try:
            self.process(data)
            self._check_limits()
        except Exception as problem:  # noqa: BLE001  whatever a peer can make h2 or grpclib raise
            self.drop(Drop.PROTOCOL_ERROR, f"whose peer sent nonsense: {problem!r}")
            return
        unread = self.transport.get_write_buffer_size()
        if unread > limits.MAX_UNREAD_BYTES:
            self.drop(Drop.STALLED, f"whose peer sends, and leaves {unread} bytes unread")
        self.server.check_limits()

    def _check_limits(self) -> None:
        if trio.current_time() - self._minute > 60:
            self._minute = trio.current_time()
            self._resets_before, self._uncalled_before = self.resets, self.uncalled_frames
        if self.resets - self._resets_before > limits.MAX_RESETS:
            raise Excess(f"more than {limits.MAX_RESETS} calls reset in a minute")
        if self.uncalled_frames - self._uncalled_before > limits.MAX_CONTROL_FRAMES:
            raise Excess(f"more than {limits.MAX_CONTROL_FRAMES} pings and settings in a minute")
        if self.incomplete_bytes > limits.MAX_INCOMPLETE_BYTES:
            raise Excess(f"a frame or headers of more than {limits.MAX_INCOMPLETE_BYTES} bytes")
        if self.unanswered_bytes > (most := limits.MAX_UNANSWERED_BYTES_OF_CONNECTION):
            raise Excess(f"more than {most} bytes of requests at once")

    def drop(self, reason: Drop, explanation: str) -> None:
        """End the connection at once."""
        if not self.transport.is_closing():
            self.server.peers.warn(reason, "Dropped a connection %s", explanation)
            self.server.on_drop(reason)
            self.transport.abort()
            self.server.closed(self)

    def refused(self, status: Status, message: str | None) -> None:
        """Log that a call was answered with an error."""
        self.server.peers.warn(status.name, "Refused a call: %s: %s", status.name, message)

    def failed(self, method: str, problem: Exception) -> None:
        """Log a defect."""
        if self.server.peers.warn("defect", "Calls of %s fail, which is a defect", method):
            log.error("Where it came from", exc_info=problem)

    def exceeded(self, problem: str) -> None:
        """Drop the connection."""
        self.drop(Drop.PROTOCOL_ERROR, f"whose peer sent {problem}")

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection, and end its calls."""
        if self.admitted:
            self.server.closed(self)
        super().connection_lost(exc)


class Server:
    """Answers the calls of a generated service, and knows its connections and so can end them."""

    def __init__(
        self,
        service: Any,
        peers: PeerLog,
        request_limits: Callable[[], RequestLimits],
        on_drop: Callable[[Drop], None] = lambda _reason: None,
        is_kubelets: Callable[[Caller], bool] = lambda _connection: False,
    ) -> None:
        self.methods: Mapping[str, Handler] = service.__mapping__()
        self.peers = peers
        self.limits = request_limits
        self.on_drop = on_drop
        self._is_kubelets = is_kubelets
        self.connections: dict[Connection, None] = {}  # in order of their age
        self._listening: asyncio.Server | None = None
        self._none_open = asyncio.Event()
        self._none_open.set()

    async def start(self, listener: socket.socket) -> None:
        """Begin to accept connections."""
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(
            lambda: Connection(self), sock=listener, backlog=_BACKLOG
        )

    def opened(self, connection: Connection) -> None:
        """Remember a connection."""
        self.connections[connection] = None
        self._none_open.clear()

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        self.connections.pop(connection, None)
        if not self.connections:
            self._none_open.set()

    def make_room(self) -> bool:
        """Drop the oldest connection that calls nothing, or else the oldest; never kubelet's."""
        others = [one for one in self.connections if not self._is_kubelets(one)]
        for connection in sorted(others, key=lambda one: one.open_calls > 0):
            connection.drop(Drop.TOO_MANY, f"to make room: {limits.MAX_CONNECTIONS} were open")
            return True
        return False

    def check_limits(self) -> None:
        """Drop whoever has most open calls, or most bytes in them, while there are too many."""
        if sum(one.open_calls for one in self.connections) > limits.MAX_CALLS:
            most = f"most of more than {limits.MAX_CALLS} open calls"
            self._drop_greediest(lambda one: one.open_calls, most)
        if sum(one.unanswered_bytes for one in self.connections) > limits.MAX_UNANSWERED_BYTES:
            most = f"most of more than {limits.MAX_UNANSWERED_BYTES} bytes of open requests"
            self._drop_greediest(lambda one: one.unanswered_bytes, most)

    def _drop_greediest(self, amount: Callable[[Connection], int], explanation: str) -> None:
        greediest = max(self.connections, key=lambda one: (not self._is_kubelets(one), amount(one)))
        greediest.drop(Drop.TOO_MANY, f"that has {explanation}")

    async def stop(self) -> None:
        """Stop listening, cancel the calls and close all connections, within a bounded time."""
        if self._listening is not None:
            self._listening.close()
        for connection in list(self.connections):
            connection.handler.close()
            connection.transport.close()
        await within(FAREWELL, self._none_open)
        for connection in list(self.connections):
            connection.transport.abort()
        await within(FAREWELL, self._none_open)


async def within(seconds: float, event: asyncio.Event) -> None:
    """Wait for the event, but no longer than so many seconds."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


async def serve(
    server: Server,
    listener: socket.socket,
    task_status: trio.TaskStatus[None],
    farewell: Callable[[], Awaitable[object]] | None = None,
) -> NoReturn:
    """Run the server on a bound, listening socket until cancelled.

    Then await `farewell`, an asyncio function, and drop every connection. Takes the listener over:
    whenever the cancellation comes, also at the start, nothing watches its descriptor afterwards.
    """
    try:
        with trio.CancelScope(shield=True):  # half started, it could not be stopped
            await trio_asyncio.aio_as_trio(server.start)(listener)
        task_status.started()
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            if farewell is not None:
                await trio_asyncio.aio_as_trio(farewell)()
            await trio_asyncio.aio_as_trio(server.stop)()
