"""Serves one resource to kubelet: its list, and the answers to kubelet's calls."""

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, NoReturn, TypeVar

import grpclib.server
import trio
import trio_asyncio
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from numa_trio.kubelet.api import v1beta1 as api
from numa_trio.kubelet.drop import Drop
from numa_trio.kubelet.rpc import messages
from numa_trio.kubelet.rpc.device_list import Edition, EncodedList
from numa_trio.kubelet.rpc.server import FAREWELL, Server, serve, within
from numa_trio.plugin.messages import DevicePlugin, InvalidRequest

log = logging.getLogger(__name__)

T = TypeVar("T")


class PluginServer:
    """Serves one `DevicePlugin`.

    `on_streams` is told how many ListAndWatch streams are open, `on_allocation` to how many
    containers an Allocate call gave slots, `on_drop` why a connection was refused or cut off.
    """

    def __init__(
        self,
        plugin: DevicePlugin,
        on_streams: Callable[[int], None],
        on_allocation: Callable[[int], None] = lambda _containers: None,
        on_drop: Callable[[Drop], None] = lambda _reason: None,
    ) -> None:
        self._servicer = _Servicer(plugin, on_streams, on_allocation)
        self._on_drop = on_drop
        self._server: Server | None = None

    async def serve(
        self,
        listener: socket.socket,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> NoReturn:
        """Answer on a bound, listening socket until cancelled; then end every stream cleanly.

        Takes the socket over. Leaving takes at most some 1.6 s, whatever the peers do.
        """
        self._server = Server(self._servicer, self._on_drop)
        await serve(self._server, listener, task_status, farewell=self._end_streams)

    def update(self, plugin: DevicePlugin) -> None:
        """Answer from `plugin` from now on, and send its list to every open stream."""
        self._servicer.publish(plugin)

    async def end_streams(self) -> None:
        """End every ListAndWatch stream that is open now, and return when they have ended.

        The connections of a peer that does not read its stream's end are dropped.
        """
        if self._servicer.streams:
            await trio_asyncio.aio_as_trio(self._end_streams)()

    async def _end_streams(self) -> None:
        servicer = self._servicer
        servicer.end_streams()
        await within(FAREWELL, servicer.no_stream)
        if servicer.streams and self._server:
            for connection in self._server.connections:
                self._on_drop(Drop.STALLED)
                connection.transport.abort()
            await within(FAREWELL, servicer.no_stream)


class _Servicer(api.DevicePluginBase):
    """What kubelet calls, documented in proto/; and the ListAndWatch streams that are open."""

    def __init__(
        self,
        plugin: DevicePlugin,
        on_streams: Callable[[int], None],
        on_allocation: Callable[[int], None],
    ) -> None:
        self._edition = Edition(plugin)
        self._on_streams = on_streams
        self._on_allocation = on_allocation
        self._epoch = 0  # streams of an earlier epoch end
        self.streams = 0
        self.no_stream = asyncio.Event()
        self.no_stream.set()

    def publish(self, plugin: DevicePlugin) -> None:
        """Answer from `plugin` from now on; every open stream sends its list."""
        before, self._edition = self._edition, Edition(plugin)
        before.superseded.set()

    def end_streams(self) -> None:
        """Let every stream that is open now end."""
        self._epoch += 1
        self.publish(self._edition.plugin)

    async def get_device_plugin_options(self, message: api.Empty) -> api.DevicePluginOptions:
        return messages.encode_options(self._edition.plugin.options)

    async def list_and_watch(self, message: api.Empty) -> AsyncGenerator[EncodedList, None]:
        epoch = self._epoch
        self._count_streams(+1)
        try:
            while epoch == self._epoch:
                edition = self._edition
                yield await edition.encoded_list()
                await edition.superseded.wait()
        finally:
            self._count_streams(-1)

    async def get_preferred_allocation(
        self, message: api.PreferredAllocationRequest
    ) -> api.PreferredAllocationResponse:
        requests = messages.decode_preferred_request(message)
        preferred = _answer(lambda: self._edition.plugin.preferred_allocation(requests))
        return messages.encode_preferred(preferred)

    async def allocate(self, message: api.AllocateRequest) -> api.AllocateResponse:
        requests = [request.devices_ids for request in message.container_requests]
        allocations = _answer(lambda: self._edition.plugin.allocate(requests))
        self._on_allocation(len(allocations))
        return messages.encode_allocations(allocations)

    async def pre_start_container(
        self, message: api.PreStartContainerRequest
    ) -> api.PreStartContainerResponse:
        _answer(lambda: self._edition.plugin.pre_start_container(message.devices_ids))
        return api.PreStartContainerResponse()

    def _count_streams(self, change: int) -> None:
        self.streams += change
        if self.streams:
            self.no_stream.clear()
        else:
            self.no_stream.set()
        self._on_streams(self.streams)

    async def _call_rpc_handler_server_stream(
        self, handler: Callable[..., Any], stream: grpclib.server.Stream[Any, Any], request: Any
    ) -> None:
        # The generator must end with its stream, not when it is garbage: it counts the streams.
        async with aclosing(handler(request)) as lists:
            async for one in lists:
                await stream.send_message(one)


def _answer(call: Callable[[], T]) -> T:
    try:
        return call()
    except InvalidRequest as problem:
        log.warning("Kubelet asked for what we do not have: %s", problem)
        raise GRPCError(Status.INVALID_ARGUMENT, str(problem)) from None
