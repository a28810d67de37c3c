"""Serves one resource: its socket is bound, kept in place, and bound anew when it is lost."""

import logging
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import trio

from numa_trio.agent.advertised import AdvertisedResource
from numa_trio.agent.backoff import Backoff
from numa_trio.kubelet.plugin_socket import PluginSocket, SocketInUse
from numa_trio.kubelet.watch import DirectoryWatch

log = logging.getLogger(__name__)

# Kubelet that starts deletes our socket shortly before its own; the new generation then ends this
# task, and binding in between would be in vain.
_WIPE_GRACE = 0.1


async def serve_resource(
    advertised: AdvertisedResource, path: Path, watch: DirectoryWatch
) -> NoReturn:
    """Serve `advertised` on the socket at `path` until cancelled."""
    backoff = Backoff(first=0.05, longest=5.0)
    while True:
        change = watch.next_change()
        try:
            plugin_socket = PluginSocket.bind(path)
        except (OSError, SocketInUse) as problem:
            advertised.status.serving_refused(f"cannot serve on {path}: {problem}")
            with trio.move_on_after(backoff.next_delay()):
                await change.wait()
            continue
        backoff.reset()
        with plugin_socket:
            await _serve_while_in_place(advertised, plugin_socket, watch)


async def _serve_while_in_place(
    advertised: AdvertisedResource, plugin_socket: PluginSocket, watch: DirectoryWatch
) -> None:
    try:
        async with trio.open_nursery() as serving:
            await serving.start(advertised.server.serve, plugin_socket.listener)
            advertised.status.serving_began()
            await _displaced(plugin_socket, watch)
            advertised.status.socket_displaced(f"{plugin_socket.path} was removed or replaced")
            await trio.sleep(_WIPE_GRACE)
            serving.cancel_scope.cancel()
    finally:
        advertised.status.serving_ended()


async def _displaced(plugin_socket: PluginSocket, watch: DirectoryWatch) -> None:
    while True:
        change = watch.next_change()
        with suppress(OSError):  # what cannot be examined may well be in place
            if not plugin_socket.in_place():
                return
        await change.wait()
