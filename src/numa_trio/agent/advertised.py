"""The resources that this agent advertises, each with its server and its status."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from socket import socket
from typing import NoReturn, Protocol

import trio
from attrs import define, field

from numa_trio.agent.counts import ResourceCounts
from numa_trio.agent.status import ResourceStatus
from numa_trio.plugin.messages import DevicePlugin, Registration
from numa_trio.plugin.resource import NumaResource
from numa_trio.repeated_event import RepeatedEvent


class Server(Protocol):
    """What serves a resource to kubelet: `numa_trio.kubelet.rpc.plugin_server.PluginServer`."""

    async def serve(
        self, listener: socket, *, task_status: trio.TaskStatus[None] = ...
    ) -> NoReturn:
        """Answer on the socket until cancelled."""

    def update(self, plugin: DevicePlugin) -> None:
        """Answer from `plugin` from now on."""

    def registering(self) -> AbstractContextManager[None]:
        """Hold this while Register is called: only kubelet's streams count, from then on."""

    async def end_streams(self) -> None:
        """End the ListAndWatch streams that are open now."""


class Kubelet(Protocol):
    """Kubelet as we call it: `numa_trio.kubelet.rpc.kubelet_client.KubeletClient`."""

    async def register(self, registration: Registration) -> None:
        """Register a resource."""


class ConnectKubelet(Protocol):
    """How to reach kubelet: `numa_trio.kubelet.rpc.kubelet_client.connect_kubelet`."""

    def __call__(self, kubelet_socket: Path, /) -> AbstractAsyncContextManager[Kubelet]:
        """A connection for as long as the context lasts."""


@define(eq=False)
class AdvertisedResource:
    """One resource: what it is, its state, and what serves it through all generations."""

    resource: NumaResource
    status: ResourceStatus
    server: Server

    @property
    def counts(self) -> ResourceCounts:
        """What has happened to it."""
        return self.status.counts

    def set_health(self, healthy: bool) -> None:
        """Tell kubelet, over the open stream, that all slots are healthy or that none is."""
        if healthy != self.resource.healthy:
            self.resource = self.resource.with_health(healthy)
            self.server.update(self.resource)


@define(eq=False)
class AdvertisedResources:
    """All of them, by node; resources are added, never removed."""

    _by_node: dict[int, AdvertisedResource] = field(factory=dict)
    _added: RepeatedEvent = field(init=False, factory=RepeatedEvent)

    def add(self, advertised: AdvertisedResource) -> None:
        """Advertise one more."""
        self._by_node[advertised.resource.node] = advertised
        self._added.happen()

    def __iter__(self) -> Iterator[AdvertisedResource]:
        return iter(list(self._by_node.values()))

    def __len__(self) -> int:
        return len(self._by_node)

    def get(self, node: int) -> AdvertisedResource | None:
        """The resource of a node, if it is advertised."""
        return self._by_node.get(node)

    async def arrivals(self) -> AsyncGenerator[AdvertisedResource, None]:
        """Each resource there is, and then each as it is added, for ever."""
        seen = 0
        while True:
            added = self._added.next()
            for advertised in list(self._by_node.values())[seen:]:
                seen += 1
                yield advertised
            await added.wait()
