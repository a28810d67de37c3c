"""A plugin as kubelet calls it, for the stand-in."""

import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TypeVar, cast

import grpclib.client
import trio_asyncio
from grpclib.exceptions import GRPCError, StreamTerminatedError

from numa_trio.kubelet.api import v1beta1 as api
from numa_trio.kubelet.errors import PluginRefused, PluginUnavailable
from numa_trio.kubelet.rpc import messages
from numa_trio.plugin.messages import (
    ContainerAllocation,
    Device,
    PluginOptions,
    PreferredAllocationRequest,
)

T = TypeVar("T")


class PluginClient:
    """One connection to a plugin. Every call raises `PluginRefused` or `PluginUnavailable`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._channel = grpclib.client.Channel(path=os.fspath(path))
        self._stub = api.DevicePluginStub(self._channel)

    async def options(self) -> PluginOptions:
        """Call GetDevicePluginOptions."""
        return messages.decode_options(await self._call(self._stub.get_device_plugin_options))

    async def list_and_watch(self, deliver: Callable[[Sequence[Device]], None]) -> None:
        """Hand each list to `deliver` as it comes; return when the plugin ends the stream."""

        async def follow() -> None:
            lists = cast("AsyncGenerator[api.ListAndWatchResponse]", self._stub.list_and_watch())
            async with aclosing(lists):
                async for one in lists:
                    deliver([messages.decode_device(device) for device in one.devices])

        await self._call(follow)

    async def allocate(self, requests: Sequence[Sequence[str]]) -> list[ContainerAllocation]:
        """Call Allocate with the device ids of each container; only environments are kept."""
        message = messages.encode_allocate_request(requests)
        answer = await self._call(self._stub.allocate, message)
        return [messages.decode_allocation(one) for one in answer.container_responses]

    async def preferred_allocation(
        self, requests: Sequence[PreferredAllocationRequest]
    ) -> list[list[str]]:
        """Call GetPreferredAllocation."""
        message = messages.encode_preferred_request(requests)
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
