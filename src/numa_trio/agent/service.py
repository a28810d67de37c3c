"""The agent: one nursery around all of its tasks."""

import logging
import signal

import trio

from numa_trio.agent.advertised import AdvertisedResource, AdvertisedResources
from numa_trio.agent.discovery import Discovery
from numa_trio.agent.plugin_scope import PluginScope, supervise
from numa_trio.agent.status import ResourceStatus
from numa_trio.kubelet.directory import KUBELET_SOCKET, choose_directory
from numa_trio.kubelet.plugin_socket import is_plugin_socket_name, remove_dead_sockets
from numa_trio.kubelet.rpc import PluginServer, connect_kubelet, open_bridge
from numa_trio.kubelet.socket import KubeletSocket
from numa_trio.kubelet.watch import DirectoryWatch
from numa_trio.plugin.resource import NumaResource
from numa_trio.settings import Settings, check_socket_paths

log = logging.getLogger(__name__)


async def run_agent(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT.

    Raises `BadConfiguration` or `SysfsRootMissing` at once; whatever else goes wrong is logged,
    shown and tried again.
    """
    directory = choose_directory(settings.socket_dir)
    check_socket_paths(directory.path, settings.instance)
    async with open_bridge(), trio.open_nursery() as nursery:
        await nursery.start(_stop_on_signal, nursery.cancel_scope)
        resources = AdvertisedResources()
        discovery = Discovery(settings, resources, _offer)
        await discovery.first()
        log.info("Device-plugin directory: %s (%s)", directory.path, directory.reason)
        if removed := remove_dead_sockets(directory.path):
            log.info("Removed sockets of earlier instances: %s", ", ".join(removed))
        watch = DirectoryWatch(directory.path, relevant=_is_relevant)
        await nursery.start(watch.run)
        kubelet_socket = KubeletSocket(directory.path / KUBELET_SOCKET, watch)
        scope = PluginScope(
            resources, connect_kubelet, kubelet_socket.path, settings.instance, watch
        )
        nursery.start_soon(supervise, kubelet_socket, scope)
        nursery.start_soon(discovery.follow)
    log.info("Stopped")


def _offer(resource: NumaResource) -> AdvertisedResource:
    status = ResourceStatus(resource.name)
    return AdvertisedResource(resource, status, PluginServer(resource, status.has_streams))


def _is_relevant(name: str) -> bool:
    """Kubelet writes its checkpoint here too, at every registration and allocation."""
    return name == KUBELET_SOCKET or is_plugin_socket_name(name)


async def _stop_on_signal(
    running: trio.CancelScope, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            log.info("%s: stopping", signal.Signals(number).name)
            running.cancel()
            return
