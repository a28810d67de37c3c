"""The resources that this agent advertises, each with its server and its status."""

import logging
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

log = logging.getLogger(__name__)


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

    def update(self, resource: NumaResource) -> None:
        """Offer it as it is now, under the name that it has. Kubelet is told if it has changed."""
        if resource.name != self.resource.name:
            raise ValueError(f"{self.resource.name} cannot become {resource.name}")
        if resource != self.resource:
            self.resource = resource
            self.server.update(resource)

    def set_health(self, trouble: str | None) -> None:
        """Let all its devices be unhealthy for this reason, or healthy again if there is none."""
        if self.resource.healthy is (trouble is None):
            return
        self.update(self.resource.with_health(trouble is None))
        if trouble:
            log.warning("%s is unhealthy: %s", self.resource.name, trouble)
        else:
            log.info("%s is healthy again", self.resource.name)


@define(eq=False)
class AdvertisedResources:
    """All of them, by local name (`numa-1`); resources are added at any time, never removed."""

    _by_name: dict[str, AdvertisedResource] = field(init=False, factory=dict)
    _added: RepeatedEvent = field(init=False, factory=RepeatedEvent)

    def add(self, advertised: AdvertisedResource) -> None:
        """Advertise one more. Raises `ValueError` if there is one of its name."""
        name = advertised.resource.local_name
        if name in self._by_name:
            raise ValueError(f"{name} is advertised already")
        self._by_name[name] = advertised
        self._added.happen()

    def __iter__(self) -> Iterator[AdvertisedResource]:
        return iter(list(self._by_name.values()))

    def __len__(self) -> int:
        return len(self._by_name)

    def get(self, local_name: str) -> AdvertisedResource | None:
        """The resource of that name, if it is advertised."""
        return self._by_name.get(local_name)

    async def arrivals(self) -> AsyncGenerator[AdvertisedResource, None]:
        """Each resource there is, and then each as it is added, for ever."""
        seen = 0
        while True:
            added = self._added.next()
            for advertised in list(self._by_name.values())[seen:]:
                seen += 1
                yield advertised
            await added.wait()
