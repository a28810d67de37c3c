"""Serves one resource to kubelet: its list, and the answers to kubelet's calls."""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import Any, NoReturn, TypeVar
from weakref import WeakSet

import trio
import trio_asyncio
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from numa_trio.kubelet.api import v1beta1 as api
from numa_trio.kubelet.drop import Drop
from numa_trio.kubelet.rpc import messages
from numa_trio.kubelet.rpc.calls import Caller, caller
from numa_trio.kubelet.rpc.device_list import Edition, EncodedList
from numa_trio.kubelet.rpc.limits import RequestLimits
from numa_trio.kubelet.rpc.peer_log import PeerLog
from numa_trio.kubelet.rpc.server import FAREWELL, Server, serve, within
from numa_trio.plugin.messages import DevicePlugin, InvalidRequest

log = logging.getLogger(__name__)

T = TypeVar("T")


class PluginServer:
    """Serves one `DevicePlugin`.

    `on_streams` is told how many ListAndWatch streams kubelet holds open, `on_allocation` which
    devices an Allocate call gave to each container, `on_drop` why a connection was refused or cut
    off.
    """

    def __init__(
        self,
        plugin: DevicePlugin,
        on_streams: Callable[[int], None],
        on_allocation: Callable[[Sequence[Sequence[str]]], None] = lambda _device_ids: None,
        on_drop: Callable[[Drop], None] = lambda _reason: None,
    ) -> None:
        self._servicer = _Servicer(plugin, on_streams, on_allocation)
        self._peers = PeerLog(log)
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
        self._server = Server(
            self._servicer,
            self._peers,
            self._servicer.limits,
            on_drop=self._on_drop,
            is_kubelets=self._servicer.is_kubelets,
        )
        await serve(self._server, listener, task_status, farewell=self._end_streams)

    def update(self, plugin: DevicePlugin) -> None:
        """Answer from `plugin` from now on, and send its list to every open stream."""
        self._servicer.publish(plugin)

    @contextmanager
    def registering(self) -> Iterator[None]:
        """While a Register call is under way: whoever asks for the options meanwhile is kubelet.

        Kubelet does so before it answers, over the connection that it then uses for everything
        else. Only streams of such connections count, from the last Register call on.
        """
        self._servicer.begin_registration()
        try:
            yield
        finally:
            self._servicer.registering = False

    @property
    def other_streams(self) -> int:
        """How many ListAndWatch streams are held open by others than kubelet."""
        return self._servicer.streams - self._servicer.kubelets_streams

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
            for connection in list(self._server.connections):
                if servicer.holds_stream(connection):
                    connection.drop(Drop.STALLED, "whose peer does not read the end of its stream")
            await within(FAREWELL, servicer.no_stream)


class _Servicer(api.DevicePluginBase):
    """What kubelet calls, documented in proto/; and the ListAndWatch streams that are open."""

    def __init__(
        self,
        plugin: DevicePlugin,
        on_streams: Callable[[int], None],
        on_allocation: Callable[[Sequence[Sequence[str]]], None],
    ) -> None:
        self._edition = Edition(plugin)
        self._on_streams = on_streams
        self._on_allocation = on_allocation
        self._epoch = 0  # streams of an earlier epoch end
        self._streams: Counter[Caller] = Counter()
        self._kubelets: WeakSet[Caller] = WeakSet()
        self._told = 0
        self.registering = False
        self.no_stream = asyncio.Event()
        self.no_stream.set()

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return self._streams.total()

    @property
    def kubelets_streams(self) -> int:
        """How many streams kubelet holds open."""
        return sum(
            count for connection, count in self._streams.items() if self.is_kubelets(connection)
        )

    def limits(self) -> RequestLimits:
        """How large a request may be."""
        return RequestLimits.for_devices(self._edition.device_count)

    def is_kubelets(self, connection: Caller) -> bool:
        """Whether kubelet has made the connection, as far as we know."""
        return connection in self._kubelets

    def holds_stream(self, connection: Caller) -> bool:
        """Whether a stream of the connection is open."""
        return connection in self._streams

    def begin_registration(self) -> None:
        """Kubelet is asked to register the resource, and will make a new connection."""
        self.registering = True
        self._kubelets.clear()
        self._tell()

    def publish(self, plugin: DevicePlugin) -> None:
        """Answer from `plugin` from now on; every open stream sends its list."""
        self._supersede(Edition(plugin))

    def end_streams(self) -> None:
        """Let every stream that is open now end."""
        self._epoch += 1
        self._supersede(self._edition.reissued())

    def _supersede(self, edition: Edition) -> None:
        before, self._edition = self._edition, edition
        before.superseded.set()

    async def get_device_plugin_options(self, message: api.Empty) -> api.DevicePluginOptions:
        if self.registering:
            self._kubelets.add(caller.get())
            self._tell()
        return messages.encode_options(self._edition.plugin.options)

    async def list_and_watch(self, message: api.Empty) -> AsyncGenerator[EncodedList, None]:
        epoch = self._epoch
        connection = caller.get()
        self._count_streams(connection, +1)
        try:
            while epoch == self._epoch:
                edition = self._edition
                yield await edition.encoded_list()
                await edition.superseded.wait()
        finally:
            self._count_streams(connection, -1)

    async def get_preferred_allocation(
        self, message: api.PreferredAllocationRequest
    ) -> api.PreferredAllocationResponse:
        requests = messages.decode_preferred_request(message)
        preferred = _answer(lambda: self._edition.plugin.preferred_allocation(requests))
        return messages.encode_preferred(preferred)

    async def allocate(self, message: api.AllocateRequest) -> api.AllocateResponse:
        requests = [request.devices_ids for request in message.container_requests]
        allocations = _answer(lambda: self._edition.plugin.allocate(requests))
        self._on_allocation(requests)
        return messages.encode_allocations(allocations)

    async def pre_start_container(
        self, message: api.PreStartContainerRequest
    ) -> api.PreStartContainerResponse:
        _answer(lambda: self._edition.plugin.pre_start_container(message.devices_ids))
        return api.PreStartContainerResponse()

    def _count_streams(self, connection: Caller, change: int) -> None:
        self._streams[connection] += change
        if not self._streams[connection]:
            del self._streams[connection]
        if self._streams:
            self.no_stream.clear()
        else:
            self.no_stream.set()
        self._tell()

    def _tell(self) -> None:
        if self._told != self.kubelets_streams:
            self._told = self.kubelets_streams
            self._on_streams(self._told)

    async def _call_rpc_handler_server_stream(
        self, handler: Callable[..., Any], stream: Any, request: Any
    ) -> None:
        # The generator must end with its stream, not when it is garbage: it counts the streams.
        async with aclosing(handler(request)) as lists:
            async for one in lists:
                await stream.send_message(one)


def _answer(call: Callable[[], T]) -> T:
    try:
        return call()
    except InvalidRequest as problem:
        raise GRPCError(Status.INVALID_ARGUMENT, str(problem)) from None
