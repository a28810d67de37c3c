"""The bridge: gRPC, spoken by grpclib on an asyncio loop that runs inside Trio.

This is the only module that knows asyncio, grpclib or the generated messages. What comes in or
goes out is in the words of `numa_trio.plugin.messages`; what goes wrong is one of the exceptions
below. Everything runs in one thread, so the plain methods may be called from any Trio task.
"""

import asyncio
import logging
import math
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, NoReturn, Self, TypeVar, cast

import grpclib.client
import grpclib.server
import h2.connection
import trio
import trio_asyncio
from grpclib.config import Configuration
from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError
from grpclib.protocol import H2Protocol

from numa_trio.kubelet.api import v1beta1 as api
from numa_trio.kubelet.socket_file import peer_of
from numa_trio.plugin.messages import (
    ContainerAllocation,
    Device,
    DevicePlugin,
    InvalidRequest,
    PluginOptions,
    PreferredAllocationRequest,
    Registration,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

HEALTHY = "Healthy"
UNHEALTHY = "Unhealthy"

# Kubelet dials back for up to 10 s before it answers Register.
REGISTER_TIMEOUT = 15.0

# A plugin's only peer is kubelet, which holds one connection for each registration.
MAX_CONNECTIONS = 64

# gRPC's default limit for what a peer may send in one message.
MAX_REQUEST_BYTES = 4 * 1024 * 1024

# Kubelet resets a call now and then; a peer that does so more often in a minute wants to keep us
# busy.
MAX_RESETS = 1000

# h2 remembers how each stream of a connection ended, by default of the last 65,536: that is 7 MiB
# of memory for the one connection that kubelet keeps. Only frames that cross in flight need it.
h2.connection.H2Connection.MAX_CLOSED_STREAMS = 1024

# A Unix socket tells when its peer goes. Each timer, though cancelled, would be kept for two hours.
_NO_KEEPALIVE = Configuration(_keepalive_time=None)

# How many devices are made into messages at once.
_ENCODED_AT_ONCE = 500

# How long ending streams and closing connections may take, in seconds each.
_FAREWELL = 0.4


class KubeletUnavailable(Exception):
    """Kubelet could not be reached, or gave no answer that makes sense."""


class RegistrationRefused(Exception):
    """Kubelet answered Register with an error; the message is kubelet's."""


class PluginUnavailable(Exception):
    """A plugin could not be reached, or its connection broke."""


class PluginRefused(Exception):
    """A plugin answered a call with an error: `code` is gRPC's name of it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Drop(StrEnum):
    """Why a connection to one of our servers was refused or cut off."""

    FOREIGN_UID = "foreign_uid"
    TOO_MANY = "too_many"
    PROTOCOL_ERROR = "protocol_error"
    STALLED = "stalled"  # its peer did not read the end of its stream


@asynccontextmanager
async def open_bridge() -> AsyncIterator[None]:
    """Run the asyncio loop. Open it once, around everything else of this module."""
    async with trio_asyncio.open_loop() as loop:
        # The default would end the whole process for what one peer sent or one callback did.
        loop.set_exception_handler(_AsyncioProblems())
        # trio-asyncio answers get_running_loop(); from Python 3.12 on, current_task() is C and asks
        # the interpreter instead. Without this, grpclib and asyncio's timeouts find no loop there.
        asyncio._set_running_loop(loop)  # noqa: SLF001  meant for event loops, as this is
        try:
            yield
        finally:
            asyncio._set_running_loop(None)  # noqa: SLF001


class _AsyncioProblems:
    """What asyncio cannot handle is logged: each message once a minute, for some come in floods."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def __call__(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        message, problem = str(context.get("message")), context.get("exception")
        now = trio.current_time()
        if now - self._last.get(message, -math.inf) >= 60:
            self._last[message] = now
            log.warning("In the gRPC connections: %s: %r", message, problem)
            log.debug("Where it came from", exc_info=problem)


# --- one server on one Unix socket -----------------------------------------------------------


class _Connection(H2Protocol):
    """A peer's connection, which ends alone if the peer may not talk to us or talks nonsense."""

    server: "_Server"
    transport: asyncio.Transport
    _accepted = False
    _minute = 0.0  # when the present one began; it counts the resets since then
    _resets_before = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if refusal := self._refusal(transport):
            reason, explanation = refusal
            log.warning("Refused a connection: %s", explanation)
            self.server.on_drop(reason)
            transport.abort()
            return
        self.transport = transport
        self._minute = trio.current_time()
        self._accepted = True
        self.server.opened(self)
        super().connection_made(transport)

    def _refusal(self, transport: asyncio.Transport) -> tuple[Drop, str] | None:
        peer = peer_of(transport.get_extra_info("socket"))
        if peer.uid not in (0, os.geteuid()):
            explanation = f"process {peer.pid} runs as uid {peer.uid}, not as root or as we do"
            return Drop.FOREIGN_UID, explanation
        if len(self.server.connections) >= MAX_CONNECTIONS and not self.server.make_room():
            return Drop.TOO_MANY, f"{MAX_CONNECTIONS} with open calls are there already"
        return None

    def data_received(self, data: bytes) -> None:
        if not self._accepted:
            return
        try:
            # As grpclib does it, which however closes in silence on what h2 finds wrong.
            events = self.connection.feed(data)
            self.connection.flush()
            for event in events:
                self.processor.process(event)
            self.connection.flush()
            self._check_limits()
        except Exception as problem:  # noqa: BLE001  whatever a peer can make h2 or grpclib raise
            log.warning("Dropped a connection whose peer sent nonsense: %r", problem)
            self.server.on_drop(Drop.PROTOCOL_ERROR)
            self.transport.abort()

    def _check_limits(self) -> None:
        if trio.current_time() - self._minute > 60:
            self._minute, self._resets_before = trio.current_time(), self.connection.streams_failed
        if self.connection.streams_failed - self._resets_before > MAX_RESETS:
            raise ValueError(f"more than {MAX_RESETS} calls reset in a minute")
        for stream in self.processor.streams.values():
            if stream.data_received > MAX_REQUEST_BYTES:
                raise ValueError(f"a request of more than {MAX_REQUEST_BYTES} bytes")

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._accepted:
            self.server.closed(self)
            super().connection_lost(exc)


class _Server(grpclib.server.Server):
    """grpclib's server, which knows its connections and so can end them."""

    def __init__(
        self, service: Any, on_drop: Callable[[Drop], None] = lambda _reason: None
    ) -> None:
        super().__init__([service], config=_NO_KEEPALIVE)
        self.on_drop = on_drop
        self.connections: dict[_Connection, None] = {}  # in order of their age
        self._none_open = asyncio.Event()
        self._none_open.set()

    def opened(self, connection: _Connection) -> None:
        self.connections[connection] = None
        self._none_open.clear()

    def closed(self, connection: _Connection) -> None:
        self.connections.pop(connection, None)
        if not self.connections:
            self._none_open.set()

    def make_room(self) -> bool:
        """Drop the oldest connection without an open call, so that kubelet finds a place."""
        for connection in self.connections:
            if not connection.processor.streams:
                self.on_drop(Drop.TOO_MANY)
                connection.transport.abort()
                self.closed(connection)
                return True
        return False

    def _protocol_factory(self) -> H2Protocol:
        protocol = super()._protocol_factory()
        connection = _Connection(protocol.handler, protocol.config, protocol.h2_config)
        connection.server = self
        return connection

    async def stop(self) -> None:
        """Stop listening, cancel the calls and close all connections, within a bounded time."""
        self.close()
        for connection in list(self.connections):
            connection.transport.close()
        await _within(_FAREWELL, self._none_open)
        for connection in self.connections:
            connection.transport.abort()
        await _within(_FAREWELL, self._none_open)


async def _within(seconds: float, event: asyncio.Event) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


async def _serve(
    server: _Server,
    listener: socket.socket,
    farewell: Callable[[], Awaitable[object]],
    task_status: trio.TaskStatus[None],
) -> NoReturn:
    await trio_asyncio.aio_as_trio(server.start)(sock=listener)
    try:
        task_status.started()
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await trio_asyncio.aio_as_trio(farewell)()
            await trio_asyncio.aio_as_trio(server.stop)()


# --- the plugin's side -----------------------------------------------------------------------


class _EncodedList(api.ListAndWatchResponse):
    """A list of devices as bytes, which every stream sends alike. Its messages are not kept."""

    _encoded = b""

    @classmethod
    async def of(cls, devices: Sequence[Device]) -> Self:
        """Encode them, a part at a time, so that a long list holds nobody up.

        The encodings of a repeated field's parts, one after the other, are that of the whole. And
        messages take a hundred times the memory of their bytes, so there are never many of them.
        """
        parts = []
        for start in range(0, len(devices), _ENCODED_AT_ONCE):
            part = map(_encode_device, devices[start : start + _ENCODED_AT_ONCE])
            parts.append(bytes(api.ListAndWatchResponse(devices=list(part))))
            if start + _ENCODED_AT_ONCE < len(devices):
                await asyncio.sleep(0)
        made = cls()
        made._encoded = b"".join(parts)
        return made

    def SerializeToString(self) -> bytes:  # noqa: N802  protobuf's name
        return self._encoded


class PluginServer(api.DevicePluginBase):
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
        self._plugin = plugin
        self._on_streams = on_streams
        self._on_allocation = on_allocation
        self._on_drop = on_drop
        self._streams = 0
        self._epoch = 0  # streams of an earlier epoch end
        self._device_list: _EncodedList | None = None
        self._encoding = asyncio.Lock()
        self._server: _Server | None = None
        self._news = asyncio.Event()
        self._no_stream = asyncio.Event()
        self._no_stream.set()

    async def serve(
        self,
        listener: socket.socket,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> NoReturn:
        """Answer on a bound, listening socket until cancelled; then end every stream cleanly.

        Takes the socket over. Leaving takes at most some 1.6 s, whatever the peers do.
        """
        self._server = _Server(self, self._on_drop)
        await _serve(self._server, listener, self._end_streams, task_status)

    def update(self, plugin: DevicePlugin) -> None:
        """Answer from `plugin` from now on, and send its list to every open stream."""
        self._plugin = plugin
        self._device_list = None
        self._wake_streams()

    async def end_streams(self) -> None:
        """End every ListAndWatch stream that is open now, and return when they have ended.

        The connections of a peer that does not read its stream's end are dropped.
        """
        if self._streams:
            await trio_asyncio.aio_as_trio(self._end_streams)()

    def _wake_streams(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _end_streams(self) -> None:
        self._epoch += 1
        self._wake_streams()
        await _within(_FAREWELL, self._no_stream)
        if self._streams and self._server:
            for connection in self._server.connections:
                self._on_drop(Drop.STALLED)
                connection.transport.abort()
            await _within(_FAREWELL, self._no_stream)

    # What kubelet calls:

    async def get_device_plugin_options(self, message: api.Empty) -> api.DevicePluginOptions:
        return _encode_options(self._plugin.options)

    async def list_and_watch(
        self, message: api.Empty
    ) -> AsyncGenerator[api.ListAndWatchResponse, None]:
        epoch = self._epoch
        self._count_streams(+1)
        try:
            while epoch == self._epoch:
                news = self._news
                yield await self._current_list()
                await news.wait()
        finally:
            self._count_streams(-1)

    async def get_preferred_allocation(
        self, message: api.PreferredAllocationRequest
    ) -> api.PreferredAllocationResponse:
        requests = [
            PreferredAllocationRequest(
                available=request.available_deviceIDs,
                must_include=request.must_include_deviceIDs,
                size=request.allocation_size,
            )
            for request in message.container_requests
        ]
        preferred = _answer(lambda: self._plugin.preferred_allocation(requests))
        return api.PreferredAllocationResponse(
            container_responses=[
                api.ContainerPreferredAllocationResponse(device_i_ds=list(device_ids))
                for device_ids in preferred
            ]
        )

    async def allocate(self, message: api.AllocateRequest) -> api.AllocateResponse:
        requests = [request.devices_ids for request in message.container_requests]
        allocations = _answer(lambda: self._plugin.allocate(requests))
        self._on_allocation(len(allocations))
        return api.AllocateResponse(
            container_responses=[
                api.ContainerAllocateResponse(envs=dict(allocation.environment))
                for allocation in allocations
            ]
        )

    async def pre_start_container(
        self, message: api.PreStartContainerRequest
    ) -> api.PreStartContainerResponse:
        _answer(lambda: self._plugin.pre_start_container(message.devices_ids))
        return api.PreStartContainerResponse()

    async def _current_list(self) -> _EncodedList:
        async with self._encoding:
            while self._device_list is None:
                plugin = self._plugin
                encoded = await _EncodedList.of(plugin.devices())
                if plugin is self._plugin:  # else it has changed meanwhile
                    self._device_list = encoded
            return self._device_list

    def _count_streams(self, change: int) -> None:
        self._streams += change
        if self._streams:
            self._no_stream.clear()
        else:
            self._no_stream.set()
        self._on_streams(self._streams)

    async def _call_rpc_handler_server_stream(
        self, handler: Callable[..., Any], stream: grpclib.server.Stream[Any, Any], request: Any
    ) -> None:
        # The generator must end with its stream, not when it is garbage: it counts the streams.
        async with aclosing(handler(request)) as messages:
            async for message in messages:
                await stream.send_message(message)


def _answer(call: Callable[[], T]) -> T:
    try:
        return call()
    except InvalidRequest as problem:
        log.warning("Kubelet asked for what we do not have: %s", problem)
        raise GRPCError(Status.INVALID_ARGUMENT, str(problem)) from None


class KubeletClient:
    """Kubelet as a plugin calls it: one connection to kubelet.sock, made when it is needed."""

    def __init__(self, kubelet_socket: Path) -> None:
        self._path = kubelet_socket
        self._channel = grpclib.client.Channel(path=os.fspath(kubelet_socket))
        self._stub = api.RegistrationStub(self._channel)

    async def register(self, registration: Registration) -> None:
        """Register a resource, whose socket must be served already.

        Raises `RegistrationRefused` or `KubeletUnavailable`.
        """
        request = api.RegisterRequest(
            version=registration.version,
            endpoint=registration.endpoint,
            resource_name=registration.resource_name,
            options=_encode_options(registration.options),
        )
        call = trio_asyncio.aio_as_trio(self._stub.register)
        try:
            await call(request, timeout=REGISTER_TIMEOUT)
        except GRPCError as error:
            raise RegistrationRefused(_describe(error)) from error
        except TimeoutError as error:
            raise KubeletUnavailable(f"no answer within {REGISTER_TIMEOUT:g} s") from error
        except OSError as error:
            raise KubeletUnavailable(f"{self._path}: {error.strerror or error}") from error
        except Exception as error:  # whatever nonsense can make h2, grpclib or the parser raise
            raise KubeletUnavailable(f"{self._path}: no proper answer: {error!r}") from error

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()


@asynccontextmanager
async def connect_kubelet(kubelet_socket: Path) -> AsyncIterator[KubeletClient]:
    """A client for as long as the context lasts. Connects at the first call, and anew if broken."""
    client = KubeletClient(kubelet_socket)
    try:
        yield client
    finally:
        client.close()


def _describe(error: GRPCError) -> str:
    return f"{error.status.name}: {error.message}" if error.message else error.status.name


# --- kubelet's side, for the stand-in --------------------------------------------------------


class _RegistrationService(api.RegistrationBase):
    def __init__(self, register: Callable[[Registration], Awaitable[None]]) -> None:
        self._register = trio_asyncio.trio_as_aio(register)

    async def register(self, message: api.RegisterRequest) -> api.Empty:
        registration = Registration(
            resource_name=message.resource_name,
            endpoint=message.endpoint,
            version=message.version,
            options=_decode_options(message.options or api.DevicePluginOptions()),
        )
        try:
            await self._register(registration)
        except RegistrationRefused as refusal:
            raise GRPCError(Status.UNKNOWN, str(refusal)) from None
        return api.Empty()


async def serve_registration(
    register: Callable[[Registration], Awaitable[None]],
    listener: socket.socket,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Answer Register on a bound, listening socket until cancelled; then drop every connection.

    `register` is a Trio function; it raises `RegistrationRefused` to refuse.
    """

    async def no_farewell() -> None:
        pass

    await _serve(_Server(_RegistrationService(register)), listener, no_farewell, task_status)


class PluginClient:
    """A plugin as kubelet calls it. Every call raises `PluginRefused` or `PluginUnavailable`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._channel = grpclib.client.Channel(path=os.fspath(path))
        self._stub = api.DevicePluginStub(self._channel)

    async def options(self) -> PluginOptions:
        """Call GetDevicePluginOptions."""
        return _decode_options(await self._call(self._stub.get_device_plugin_options))

    async def list_and_watch(self, deliver: Callable[[Sequence[Device]], None]) -> None:
        """Hand each list to `deliver` as it comes; return when the plugin ends the stream."""

        async def follow() -> None:
            messages = cast("AsyncGenerator[api.ListAndWatchResponse]", self._stub.list_and_watch())
            async with aclosing(messages):
                async for message in messages:
                    deliver([_decode_device(device) for device in message.devices])

        await self._call(follow)

    async def allocate(self, requests: Sequence[Sequence[str]]) -> list[ContainerAllocation]:
        """Call Allocate with the device ids of each container; only environments are kept."""
        message = api.AllocateRequest(
            container_requests=[
                api.ContainerAllocateRequest(devices_ids=list(device_ids))
                for device_ids in requests
            ]
        )
        answer = await self._call(self._stub.allocate, message)
        return [ContainerAllocation(dict(one.envs)) for one in answer.container_responses]

    async def preferred_allocation(
        self, requests: Sequence[PreferredAllocationRequest]
    ) -> list[list[str]]:
        """Call GetPreferredAllocation."""
        message = api.PreferredAllocationRequest(
            container_requests=[
                api.ContainerPreferredAllocationRequest(
                    available_deviceIDs=list(request.available),
                    must_include_deviceIDs=list(request.must_include),
                    allocation_size=request.size,
                )
                for request in requests
            ]
        )
        answer = await self._call(self._stub.get_preferred_allocation, message)
        return [list(one.device_i_ds) for one in answer.container_responses]

    async def pre_start_container(self, device_ids: Sequence[str]) -> None:
        """Call PreStartContainer."""
        message = api.PreStartContainerRequest(devices_ids=list(device_ids))
        await self._call(self._stub.pre_start_container, message)

    def close(self) -> None:
        """Close the connection; a stream that is open on it ends."""
        self._channel.close()

    async def _call(self, method: Callable[..., Awaitable[T]], *arguments: object) -> T:
        try:
            answer: T = await trio_asyncio.aio_as_trio(method)(*arguments)
        except GRPCError as error:
            raise PluginRefused(error.status.name, error.message or "") from error
        except (OSError, StreamTerminatedError, AssertionError) as error:
            raise PluginUnavailable(f"{self._path}: {error!r}") from error
        return answer


@asynccontextmanager
async def connect_plugin(path: Path) -> AsyncIterator[PluginClient]:
    """A client for as long as the context lasts. Connects at the first call."""
    client = PluginClient(path)
    try:
        yield client
    finally:
        client.close()


# --- the messages ----------------------------------------------------------------------------


def _encode_options(options: PluginOptions) -> api.DevicePluginOptions:
    return api.DevicePluginOptions(
        pre_start_required=options.pre_start_required,
        get_preferred_allocation_available=options.preferred_allocation_available,
    )


def _decode_options(message: api.DevicePluginOptions) -> PluginOptions:
    return PluginOptions(
        pre_start_required=message.pre_start_required,
        preferred_allocation_available=message.get_preferred_allocation_available,
    )


def _encode_device(device: Device) -> api.Device:
    return api.Device(
        id=device.id,
        health=HEALTHY if device.healthy else UNHEALTHY,
        topology=api.TopologyInfo(nodes=[api.NumaNode(id=node) for node in device.numa_nodes]),
    )


def _decode_device(message: api.Device) -> Device:
    nodes = message.topology.nodes if message.topology else []
    return Device(message.id, message.health == HEALTHY, tuple(node.id for node in nodes))
