"""Kubelet's pod-resources socket, on which it answers by what a node has given away."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import trio
from attrs import frozen

from numa_trio.kubelet.rpc.pod_resources_server import serve_pod_resources
from numa_trio.plugin.holdings import Allocatable, ContainerHoldings
from numa_trio.simulator.device_directory import listen_anew
from numa_trio.simulator.node import Node
from numa_trio.simulator.pod_resources import allocatable_of, holdings_of


@frozen
class _OfNode:
    node: Node

    def allocatable(self) -> Allocatable:
        return allocatable_of(self.node)

    def devices(self) -> Mapping[str, Collection[str]]:
        devices = self.node.devices
        return {resource: devices.healthy(resource) for resource in devices.resources}

    def place(self, resource: str, device_id: str) -> Sequence[int]:
        return self.node.devices.place(resource, device_id)

    def holdings(self) -> Sequence[ContainerHoldings]:
        return holdings_of(self.node)


async def serve_node(
    node: Node, path: Path, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> NoReturn:
    """Replace the socket at `path` and answer on it until cancelled; it stays behind, dead."""
    await serve_pod_resources(_OfNode(node), listen_anew(path), task_status=task_status)
