"""A gRPC server on one Unix socket, which peers can leave and harm only for themselves."""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, NoReturn

import trio
import trio_asyncio

from numa_trio.kubelet.drop import Drop
from numa_trio.kubelet.rpc.internals import GrpcConnection, GrpcServer
from numa_trio.kubelet.socket_file import peer_of

log = logging.getLogger(__name__)

# A plugin's only peer is kubelet, which holds one connection for each registration.
MAX_CONNECTIONS = 64

# gRPC's default limit for what a peer may send in one message.
MAX_REQUEST_BYTES = 4 * 1024 * 1024

# Kubelet resets a call now and then; a peer that does so more often in a minute wants to keep us
# busy.
MAX_RESETS = 1000

# How long ending streams and closing connections may take, in seconds each.
FAREWELL = 0.4


class Connection(GrpcConnection):
    """A peer's connection, which ends alone if the peer may not talk to us or talks nonsense."""

    server: "Server"
    _minute = 0.0  # when the present one began; it counts the resets since then
    _resets_before = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the peer or refuse it."""
        assert isinstance(transport, asyncio.Transport)
        if refusal := self._refusal(transport):
            reason, explanation = refusal
            log.warning("Refused a connection: %s", explanation)
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
        if len(self.server.connections) >= MAX_CONNECTIONS and not self.server.make_room():
            return Drop.TOO_MANY, f"{MAX_CONNECTIONS} with open calls are there already"
        return None

    def data_received(self, data: bytes) -> None:
        """Handle what the peer sent; drop the connection if that cannot be done."""
        if not self.admitted:
            return
        try:
            self.process(data)
            self._check_limits()
        except Exception as problem:  # noqa: BLE001  whatever a peer can make h2 or grpclib raise
            log.warning("Dropped a connection whose peer sent nonsense: %r", problem)
            self.server.on_drop(Drop.PROTOCOL_ERROR)
            self.transport.abort()

    def _check_limits(self) -> None:
        if trio.current_time() - self._minute > 60:
            self._minute, self._resets_before = trio.current_time(), self.resets
        if self.resets - self._resets_before > MAX_RESETS:
            raise ValueError(f"more than {MAX_RESETS} calls reset in a minute")
        if self.largest_request > MAX_REQUEST_BYTES:
            raise ValueError(f"a request of more than {MAX_REQUEST_BYTES} bytes")

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection, and end its calls."""
        if self.admitted:
            self.server.closed(self)
        super().connection_lost(exc)


class Server(GrpcServer):
    """grpclib's server, which knows its connections and so can end them."""

    def __init__(
        self, service: Any, on_drop: Callable[[Drop], None] = lambda _reason: None
    ) -> None:
        super().__init__(service)
        self.on_drop = on_drop
        self.connections: dict[Connection, None] = {}  # in order of their age
        self._none_open = asyncio.Event()
        self._none_open.set()

    def make_connection(self, *arguments: Any) -> Connection:
        """A connection that knows its server."""
        connection = Connection(*arguments)
        connection.server = self
        return connection

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
        """Drop the oldest connection without an open call, so that kubelet finds a place."""
        for connection in self.connections:
            if not connection.open_calls:
                self.on_drop(Drop.TOO_MANY)
                connection.transport.abort()
                self.closed(connection)
                return True
        return False

    async def stop(self) -> None:
        """Stop listening, cancel the calls and close all connections, within a bounded time."""
        self.close()
        for connection in list(self.connections):
            connection.transport.close()
        await within(FAREWELL, self._none_open)
        for connection in self.connections:
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
            await trio_asyncio.aio_as_trio(server.start)(sock=listener)
        task_status.started()
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            if farewell is not None:
                await trio_asyncio.aio_as_trio(farewell)()
            await trio_asyncio.aio_as_trio(server.stop)()
