"""Kubelet's pod-resources API, for the stand-in: answers List and GetAllocatableResources."""

import logging
import socket
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from typing import NoReturn, Protocol

import trio

from numa_trio.kubelet.api import v1 as api
from numa_trio.kubelet.rpc.limits import SMALL
from numa_trio.kubelet.rpc.peer_log import PeerLog
from numa_trio.kubelet.rpc.server import Server, serve
from numa_trio.plugin.holdings import Allocatable, ContainerHoldings, MemoryBlock

log = logging.getLogger(__name__)


class PodResources(Protocol):
    """What is answered."""

    def allocatable(self) -> Allocatable:
        """What can be given to containers for themselves."""

    def devices(self) -> Mapping[str, Collection[str]]:
        """The ids of the healthy devices, by resource."""

    def place(self, resource: str, device_id: str) -> Sequence[int]:
        """The NUMA nodes of a device."""

    def holdings(self) -> Sequence[ContainerHoldings]:
        """What containers have, those of a pod one after the other."""


async def serve_pod_resources(
    resources: PodResources,
    listener: socket.socket,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Answer on a bound, listening socket until cancelled; then drop every connection."""
    server = Server(_Servicer(resources), PeerLog(log), lambda: SMALL)
    await serve(server, listener, task_status)


class _Servicer(api.PodResourcesListerBase):
    """What is called, documented in proto/."""

    def __init__(self, resources: PodResources) -> None:
        self._resources = resources

    async def get_allocatable_resources(
        self, message: api.AllocatableResourcesRequest
    ) -> api.AllocatableResourcesResponse:
        allocatable = self._resources.allocatable()
        return api.AllocatableResourcesResponse(
            devices=[*self._devices(self._resources.devices())],
            cpu_ids=sorted(allocatable.cpus),
            memory=_memory(allocatable.memory),
        )

    async def list(self, message: api.ListPodResourcesRequest) -> api.ListPodResourcesResponse:
        by_pod = groupby(self._resources.holdings(), key=lambda each: (each.namespace, each.pod))
        return api.ListPodResourcesResponse(
            pod_resources=[
                api.PodResources(
                    name=name,
                    namespace=namespace,
                    containers=[self._container(each) for each in pod],
                )
                for (namespace, name), pod in by_pod
            ]
        )

    def _container(self, holdings: ContainerHoldings) -> api.ContainerResources:
        return api.ContainerResources(
            name=holdings.container,
            devices=[*self._devices(holdings.devices)],
            cpu_ids=sorted(holdings.cpus),
            memory=_memory(holdings.memory),
        )

    def _devices(self, devices: Mapping[str, Collection[str]]) -> Sequence[api.ContainerDevices]:
        """An entry for each device and each of its NUMA nodes, as kubelet writes them."""
        return [
            api.ContainerDevices(resource_name=resource, device_ids=[each], topology=topology)
            for resource, ids in devices.items()
            for each in ids
            for topology in self._topologies(resource, each)
        ]

    def _topologies(self, resource: str, device_id: str) -> Sequence[api.TopologyInfo | None]:
        nodes = self._resources.place(resource, device_id)
        return [_topology([node]) for node in nodes] or [None]


def _topology(nodes: Iterable[int]) -> api.TopologyInfo:
    return api.TopologyInfo(nodes=[api.NumaNode(id=node) for node in nodes])


def _memory(blocks: Sequence[MemoryBlock]) -> list[api.ContainerMemory]:
    return [
        api.ContainerMemory(
            memory_type=each.memory_type,
            size=each.size_bytes,
            topology=_topology(each.numa_nodes),
        )
        for each in blocks
    ]
