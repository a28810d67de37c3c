"""A plugin comes: registered, configured and synchronized, in that order and in time."""

from collections.abc import Sequence
from typing import Any, Protocol

import trio

from nri_runtime import messages, ttrpc
from nri_runtime.connection import Gone, Refused, TooSlow
from nri_runtime.flavour import Flavour
from nri_runtime.library import Library
from nri_runtime.node import Node, UpdateFailed
from nri_runtime.peer import Peer
from nri_runtime.recorder import Recorder

_FEWEST = 8  # pods and containers in a part of a Synchronize


class NotRegistered(Exception):
    """The plugin is not one of the runtime's; says why, in the words of its log."""


class Runtime(Protocol):
    """What is asked of the runtime that registers plugins."""

    flavour: Flavour
    library: Library
    registration_timeout: float
    request_timeout: float
    largest_message: int
    node: Node
    recorder: Recorder


async def register(peer: Peer, runtime: Runtime) -> None:
    """Wait for its RegisterPlugin; raises `NotRegistered`."""
    with trio.move_on_after(runtime.registration_timeout):
        async with trio.open_nursery() as nursery:
            for event in (peer.registered, peer.connection.closed):
                nursery.start_soon(_end_after, event, nursery.cancel_scope)
    if peer.connection.closed.is_set():
        raise NotRegistered("failed to register plugin, connection closed")
    if not peer.registered.is_set():
        peer.connection.close("plugin registration timed out")
        raise NotRegistered("plugin registration timed out")
    if peer.refused:
        raise NotRegistered(f"failed to register plugin: {peer.refused}")


async def _end_after(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


async def configure(peer: Peer, runtime: Runtime) -> None:
    """Tell it of the runtime, and ask for the events it wants; raises `NotRegistered`."""
    request = messages.ConfigureRequest(
        runtime_name=runtime.flavour.name, runtime_version=runtime.flavour.version
    )
    if runtime.library.splits:
        request.registration_timeout = int(runtime.registration_timeout * 1000)
        request.request_timeout = int(runtime.request_timeout * 1000)
    if runtime.library.checks_names:
        request.nri_version = f"v{runtime.library}"
    await _unless_gone(peer, "Configure")
    deadline = trio.current_time() + runtime.request_timeout
    try:
        answer = await peer.ask("Configure", request, messages.ConfigureResponse, deadline)
    except (Refused, TooSlow, Gone) as error:
        peer.connection.close("failed to configure")
        raise NotRegistered(f"failed to configure plugin: {error}") from None
    events = answer.events & 0xFFFF_FFFF
    if unknown := events & ~runtime.library.known_events:
        peer.connection.close("invalid plugin events")
        raise NotRegistered(f"invalid plugin events: 0x{unknown:x}")
    peer.events = events or runtime.library.known_events


async def synchronize(peer: Peer, runtime: Runtime) -> None:
    """Show it all pods and containers and do what it asks for; raises `NotRegistered`.

    The connection stays open where the library leaves it so, but the plugin hears of nothing more.
    """
    await _unless_gone(peer, "Synchronize")
    deadline = trio.current_time() + runtime.request_timeout
    pods = [pod.message() for pod in runtime.node.pods.values()]
    containers = [container.message() for container in runtime.node.living()]
    try:
        for request in _parts(pods, containers, runtime):
            answer = await peer.ask("Synchronize", request, messages.SynchronizeResponse, deadline)
            if request.more and (answer.update or not answer.more):
                raise Refused(ttrpc.UNKNOWN, "plugin does not handle split sync requests")
    except (Refused, TooSlow, Gone) as error:
        if runtime.library.drops_who_fails_to_synchronize:
            peer.connection.close("failed to synchronize")
        raise NotRegistered(f"failed to synchronize plugin: {error}") from None
    failed = apply_updates(answer.update, runtime)
    if failed and runtime.flavour.refuses_plugins_whose_updates_fail:
        raise NotRegistered("failed to synchronize plugin: failed to apply updates")


def apply_updates(updates: Sequence[Any], runtime: Runtime) -> list[Any]:
    """Do as they say, without asking any plugin; those that fail and may not."""
    failed = []
    for update in updates:
        try:
            runtime.node.update(update)
        except UpdateFailed as error:
            runtime.recorder.note(f"failed to update: {error}")
            if not update.ignore_failure:
                failed.append(update)
    return failed


async def _unless_gone(peer: Peer, method: str) -> None:
    """Wait as the faults say, or until the plugin has hung up."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_end_after, peer.connection.closed, nursery.cancel_scope)
        await peer.faults.before(method)
        nursery.cancel_scope.cancel()


def _parts(pods: list[Any], containers: list[Any], runtime: Runtime) -> list[Any]:
    """The requests: one, or if that is too large and the library parts it, several."""
    parts = []
    pods_at_once, containers_at_once = len(pods), len(containers)
    while True:
        rest = pods[pods_at_once:], containers[containers_at_once:]
        request = messages.SynchronizeRequest(
            pods=pods[:pods_at_once],
            containers=containers[:containers_at_once],
            more=any(rest),
        )
        size = request.ByteSize()
        if size <= runtime.largest_message or not runtime.library.splits:
            parts.append(request)
            if not request.more:
                return parts
            pods, containers = rest
        elif pods_at_once + containers_at_once <= _FEWEST:
            raise Refused(ttrpc.RESOURCE_EXHAUSTED, f"message of {size} bytes cannot be parted")
        else:
            share = min(0.9, runtime.largest_message / size)
            pods_at_once = max(1, int(pods_at_once * share))
            containers_at_once = max(1, int(containers_at_once * share))
            if pods_at_once + containers_at_once < _FEWEST:
                pods_at_once = containers_at_once = _FEWEST // 2
