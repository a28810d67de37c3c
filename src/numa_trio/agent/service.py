"""The agent: one nursery around all of its tasks."""

import logging
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import trio
from attrs import evolve

from numa_trio.agent.advertised import AdvertisedResource, AdvertisedResources
from numa_trio.agent.counted import CountedResources
from numa_trio.agent.counting import Counting
from numa_trio.agent.counts import AgentCounts
from numa_trio.agent.discovery import Discovery
from numa_trio.agent.monitor.http import serve_http
from numa_trio.agent.monitor.http_counts import HttpCounts
from numa_trio.agent.monitor.observation import Observer
from numa_trio.agent.monitor.routes import Routes
from numa_trio.agent.outages import warn_of_outages
from numa_trio.agent.plugin_scope import PluginScope, supervise
from numa_trio.agent.service_manager import ServiceManager
from numa_trio.agent.settling import settle
from numa_trio.agent.shut_out import shut_out
from numa_trio.agent.status import ResourceStatus
from numa_trio.kubelet.device_checkpoint import (
    CheckpointUnreadable,
    DeviceCheckpoint,
    DeviceNodes,
    PodDevices,
)
from numa_trio.kubelet.directory import KUBELET_SOCKET, choose_directory
from numa_trio.kubelet.plugin_socket import is_plugin_socket_name, remove_dead_sockets
from numa_trio.kubelet.pod_resources import choose_pod_resources_socket
from numa_trio.kubelet.rpc.kubelet_client import connect_kubelet
from numa_trio.kubelet.rpc.loop import open_bridge
from numa_trio.kubelet.rpc.plugin_server import PluginServer
from numa_trio.kubelet.rpc.pod_resources_client import connect_pod_resources
from numa_trio.kubelet.socket import KubeletSocket
from numa_trio.kubelet.watch import DirectoryWatch
from numa_trio.plugin.environment import Environment, HostFacts, NodeFacts
from numa_trio.plugin.resource import NEAR, NEAR_VOLUME, NumaResource
from numa_trio.settings import Settings, check_socket_paths

if TYPE_CHECKING:
    from numa_trio.agent.container_runtime import ContainerRuntime
    from numa_trio.agent.locating import Locator
    from numa_trio.agent.nearness import Nearness

log = logging.getLogger(__name__)

# The longest name of what is counted: sockets are named for it.
_LONGEST_COUNTED = "numa-1023-memory"

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def run_agent(settings: Settings, manager: ServiceManager | None = None) -> None:
    """Run until SIGTERM or SIGINT, and tell the service manager of it, if there is one.

    Raises `BadConfiguration` or `SysfsRootMissing` at once; whatever else goes wrong is logged,
    shown and tried again.
    """
    running = trio.CancelScope()

    def stop(number: int) -> None:
        if not running.cancel_called:
            log.info("%s: stopping", signal.Signals(number).name)
            if manager:
                manager.stopping()
            running.cancel()

    with _on_signals(stop), running:
        async with open_bridge(), trio.open_nursery() as nursery:
            nursery.start_soon(settle)
            await Agent(settings, manager).run()
            nursery.cancel_scope.cancel()
    log.info("Stopped")


@contextmanager
def _on_signals(react: Callable[[int], None]) -> Iterator[None]:
    """Call `react` for each SIGTERM and SIGINT, however many come.

    Trio's own receiver would deliver again, and deadly, what came after the first.
    """
    token = trio.lowlevel.current_trio_token()

    def receive(number: int, _frame: FrameType | None) -> None:
        token.run_sync_soon(react, number)

    before = {number: signal.signal(number, receive) for number in _STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Agent:
    """All that the agent consists of; it runs inside an open bridge."""

    def __init__(self, settings: Settings, manager: ServiceManager | None = None) -> None:
        self.settings = settings
        self.manager = manager
        self.directory = choose_directory(settings.socket_dir)
        check_socket_paths(self.directory.path, settings.instance)
        if settings.counted:
            check_socket_paths(self.directory.path, settings.instance, _LONGEST_COUNTED)
        self.checkpoint = DeviceCheckpoint(self.directory.path)
        self.counts = AgentCounts()
        self.host = HostFacts() if settings.env is Environment.FULL else None
        self.resources = AdvertisedResources()
        self.discovery = Discovery(settings, self.resources, self._offer)
        self.watch = DirectoryWatch(self.directory.path, relevant=_is_relevant)
        self.kubelet_socket = KubeletSocket(self.directory.path / KUBELET_SOCKET, self.watch)
        self.scope = PluginScope(
            self.resources,
            connect_kubelet,
            self.kubelet_socket.path,
            settings.instance,
            self.watch,
            self.counts,
            self._kubelet_appeared,
        )
        self.counting = self._counting() if settings.counted else None
        self.runtime = self._runtime()
        self.nearness = self._nearness()

    async def run(self) -> None:
        """Discover the nodes and offer them to kubelet, until cancelled or shut out."""
        async with trio.open_nursery() as nursery:
            if address := self.settings.http_addr:
                counts = HttpCounts()
                observer = Observer(
                    self.discovery,
                    self.kubelet_socket,
                    self.watch,
                    self.counts,
                    counts,
                    self.counting,
                    self.nearness,
                    self.runtime,
                )
                host, sysfs = self.settings.host_name, self.settings.sysfs_root
                respond = Routes(observer.observe, host, sysfs).respond
                nursery.start_soon(serve_http, address, respond, counts.connection_dropped)
            await self.discovery.first()
            log.info("Device-plugin directory: %s (%s)", self.directory.path, self.directory.reason)
            if removed := remove_dead_sockets(self.directory.path):
                log.info("Removed sockets of earlier instances: %s", ", ".join(removed))
            await nursery.start(self.watch.run)
            nursery.start_soon(supervise, self.kubelet_socket, self.scope)
            if self.manager:
                nursery.start_soon(self.manager.follow, self.resources)
                nursery.start_soon(self._end_when_shut_out, nursery.cancel_scope)
            nursery.start_soon(warn_of_outages, self.resources)
            nursery.start_soon(self.discovery.follow)
            if self.nearness:
                nursery.start_soon(self.nearness.follow)
            if self.counting:
                nursery.start_soon(self.counting.follow)
            if self.runtime:
                nursery.start_soon(self.runtime.follow)

    async def _end_when_shut_out(self, running: trio.CancelScope) -> None:
        await shut_out(self.kubelet_socket.path, self.watch)
        log.warning(
            "%s was replaced, and the new one is read-only for this process: ending, for the"
            " service manager to start it anew",
            self.directory.path,
        )
        running.cancel()

    def _counting(self) -> Counting:
        chosen = choose_pod_resources_socket(self.settings.pod_resources_socket)
        log.info("Kubelet's pod-resources socket: %s (%s)", chosen.path, chosen.reason)
        counted = CountedResources(
            self.settings,
            self.resources,
            self.discovery.offer,
            lambda: self.discovery.machine,
            self._devices_in_checkpoint,
            self._nodes_in_checkpoint,
        )
        interval = self.settings.pod_resources_interval
        return Counting(counted, chosen.path, connect_pod_resources, interval)

    def _nearness(self) -> "Nearness | None":
        settings = self.settings
        if not (settings.near or settings.near_file or self.host or self._names_are_in_use()):
            return None
        # Only here: few need it, and it takes memory.
        from numa_trio.agent.looking import Looker
        from numa_trio.agent.near import NearResources
        from numa_trio.agent.nearness import Nearness
        from numa_trio.locality.host import MOUNT_TABLE, Host
        from numa_trio.near.source import NearSource

        host = Host(settings.sysfs_root, settings.host_root)
        source = NearSource(settings.near, settings.near_file)
        return Nearness(
            NearResources(
                settings,
                self.resources,
                self.discovery.offer,
                self.directory.path,
                self._nodes_in_checkpoint,
            ),
            Looker(source, host, settings.near_unknown, tells=self.host is not None),
            lambda: self.discovery.machine,
            settings.topology_interval,
            host.inside(MOUNT_TABLE),
            changed=self._slots_changed,
            tell=self._tell_containers,
        )

    def _runtime(self) -> "ContainerRuntime | None":
        settings = self.settings
        if not settings.nri:
            return None
        # Only here: few need it, and it takes memory.
        from numa_trio.agent.container_runtime import ContainerRuntime

        locate = self._locator()
        if locate:
            near_volume = NumaResource(NEAR_VOLUME, (), settings.capacity, settings.resource_domain)
            self.resources.add(self.discovery.offer(near_volume))
        return ContainerRuntime.of(settings, lambda: self.discovery.machine, locate)

    def _locator(self) -> "Locator | None":
        if self.settings.host_root is None:
            return None
        from numa_trio.agent.locating import Locator
        from numa_trio.locality.host import Host

        host = Host(self.settings.sysfs_root, self.settings.host_root)
        return Locator(host, lambda: self.discovery.machine)

    def _names_are_in_use(self) -> bool:
        """Whether containers have slots of names that an earlier agent offered."""
        domain = f"{self.settings.resource_domain}/"
        return any(
            name.startswith(domain + NEAR) and not self.resources.get(name.removeprefix(domain))
            for name in self._nodes_in_checkpoint() or ()
        )

    def _slots_changed(self) -> None:
        if self.counting:
            self.counting.slots_changed()

    def _tell_containers(self, facts: Mapping[int, NodeFacts]) -> None:
        if self.host:
            self.host.nodes = facts

    def _kubelet_appeared(self, at: float) -> None:
        if self.nearness:
            self.nearness.kubelet_appeared(at)
        if self.counting:
            self.counting.kubelet_appeared(at)

    def _devices_in_checkpoint(self) -> Sequence[PodDevices]:
        try:
            return self.checkpoint.given_devices()
        except CheckpointUnreadable as problem:
            log.debug("Cannot tell the devices of init containers: %s", problem)
            return ()

    def _nodes_in_checkpoint(self) -> DeviceNodes | None:
        try:
            return self.checkpoint.device_nodes()
        except CheckpointUnreadable as problem:
            log.debug("Cannot tell where devices were when they were given: %s", problem)
            return None

    def _offer(self, resource: NumaResource) -> AdvertisedResource:
        status = ResourceStatus(resource.name)
        counts = status.counts

        def allocated(device_ids: Sequence[Sequence[str]]) -> None:
            counts.allocated(device_ids)
            if self.counting:
                self.counting.allocated(device_ids)

        resource = evolve(resource, host=self.host)
        server = PluginServer(
            resource, status.streams_changed, allocated, counts.connection_dropped
        )
        return AdvertisedResource(resource, status, server)


def _is_relevant(name: str) -> bool:
    """Kubelet writes its checkpoint here too, at every registration and allocation."""
    return name == KUBELET_SOCKET or is_plugin_socket_name(name)
