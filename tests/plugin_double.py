"""A plugin in the test's own process, which serves and registers only when it is told."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from attrs import define, field

from numa_trio.kubelet.plugin_socket import PluginSocket
from numa_trio.kubelet.rpc.kubelet_client import connect_kubelet
from numa_trio.kubelet.rpc.plugin_server import PluginServer
from numa_trio.plugin.messages import (
    ContainerAllocation,
    Device,
    InvalidRequest,
    PluginOptions,
    PreferredAllocationRequest,
    Registration,
)
from numa_trio.plugin.resource import NumaResource
from numa_trio.repeated_event import RepeatedEvent


@define
class Recording:
    """A resource that notes the calls of kubelet, and may be told to misbehave."""

    resource: NumaResource
    options: PluginOptions = field(factory=PluginOptions)
    calls: list[tuple[str, object]] = field(factory=list)
    answers_nothing: bool = False
    refuses_to_start: bool = False

    def devices(self) -> Sequence[Device]:
        return self.resource.devices()

    def allocate(self, requests: Sequence[Sequence[str]]) -> Sequence[ContainerAllocation]:
        self.calls.append(("Allocate", [list(device_ids) for device_ids in requests]))
        return [] if self.answers_nothing else self.resource.allocate(requests)

    def preferred_allocation(
        self, requests: Sequence[PreferredAllocationRequest]
    ) -> Sequence[Sequence[str]]:
        self.calls.append(("GetPreferredAllocation", requests))
        return [sorted(request.available)[-request.size :] for request in requests]

    def pre_start_container(self, device_ids: Sequence[str]) -> None:
        self.calls.append(("PreStartContainer", list(device_ids)))
        if self.refuses_to_start:
            raise InvalidRequest("not today")


@define(eq=False)
class PluginDouble:
    """Serves `plugin` on the socket `endpoint` of a directory; `streams` are open now."""

    directory: Path
    plugin: Recording
    endpoint: str
    nursery: trio.Nursery
    server: PluginServer = field(init=False)
    streams: int = 0
    _serving: trio.CancelScope = field(factory=trio.CancelScope)
    _ended: trio.Event = field(factory=trio.Event)
    _changed: RepeatedEvent = field(factory=RepeatedEvent)

    def __attrs_post_init__(self) -> None:
        self.server = PluginServer(self.plugin, self._count_streams)

    def _count_streams(self, streams: int) -> None:
        self.streams = streams
        self._changed.happen()

    @property
    def name(self) -> str:
        return self.plugin.resource.name

    async def serve(self) -> None:
        """Bind the socket and answer, until `die`."""
        self._ended = trio.Event()
        await self.nursery.start(self._serve)

    async def _serve(self, *, task_status: trio.TaskStatus[None]) -> None:
        with (
            PluginSocket.bind(self.directory / self.endpoint) as bound,
            trio.CancelScope() as self._serving,
        ):
            await self.server.serve(bound.listener, task_status=task_status)
        self._ended.set()

    async def register(self, **changes: str) -> None:
        """Call Register; raises what the bridge raises."""
        given = {"resource_name": self.name, "endpoint": self.endpoint, **changes}
        async with connect_kubelet(self.directory / "kubelet.sock") as kubelet:
            with self.server.registering():
                await kubelet.register(Registration(**given))

    async def die(self) -> None:
        """End the streams, close and remove the socket."""
        self._serving.cancel()
        await self._ended.wait()

    async def wait_streams(self, streams: int) -> None:
        while self.streams != streams:
            await self._changed.next().wait()


@asynccontextmanager
async def open_plugin(
    directory: Path, node: int, *, capacity: int = 4, endpoint: str | None = None
) -> AsyncIterator[PluginDouble]:
    async with trio.open_nursery() as nursery:
        recording = Recording(NumaResource.of_node(node, capacity))
        yield PluginDouble(directory, recording, endpoint or f"numa-{node}.sock", nursery)
        nursery.cancel_scope.cancel()
