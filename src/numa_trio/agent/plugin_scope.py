"""The plugin scope: all that lives as long as one generation of kubelet, and no longer."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import trio
from attrs import Factory, frozen

from numa_trio.agent.advertised import AdvertisedResources, ConnectKubelet
from numa_trio.agent.backoff import Backoff
from numa_trio.agent.counts import AgentCounts, Ending
from numa_trio.agent.registration import register_resources
from numa_trio.agent.serving import serve_resource
from numa_trio.agent.siblings import follow_siblings
from numa_trio.kubelet.plugin_socket import socket_name
from numa_trio.kubelet.socket import KubeletSocket
from numa_trio.kubelet.watch import DirectoryWatch

log = logging.getLogger(__name__)

# A scope that failed after so many seconds is started again as soon as after a first failure.
_RAN_WELL = 60.0


@frozen
class PluginScope:
    """One server task a resource and one registration task, which live and die together.

    `on_generation` is called with the time, in Trio's seconds, when kubelet.sock was made.
    """

    resources: AdvertisedResources
    connect_kubelet: ConnectKubelet
    kubelet_socket: Path
    instance: str
    watch: DirectoryWatch
    counts: AgentCounts = Factory(AgentCounts)
    on_generation: Callable[[float], None] = lambda _at: None

    async def run(self) -> NoReturn:
        """Serve and register every resource until cancelled."""
        async with (
            self.connect_kubelet(self.kubelet_socket) as kubelet,
            trio.open_nursery() as nursery,
        ):
            await nursery.start(follow_siblings, self.resources, self._endpoint, self.watch)
            nursery.start_soon(register_resources, self.resources, kubelet, self._endpoint)
            async for advertised in self.resources.arrivals():
                path = self.kubelet_socket.with_name(self._endpoint(advertised.resource.local_name))
                nursery.start_soon(serve_resource, advertised, path, self.watch)
        raise AssertionError("arrivals() does not end")

    def generation_appeared(self, at: float, made: float) -> None:
        """There is a kubelet.sock for us `at` that time, `made` maybe before, in Trio's seconds."""
        self.counts.kubelet_generations += 1
        for advertised in self.resources:
            advertised.counts.generation_appeared(at)
        self.on_generation(made)

    def failed(self) -> None:
        """The scope failed, and with it every registration."""
        self.counts.scope_failures += 1
        for advertised in self.resources:
            advertised.counts.registration_ended(Ending.SCOPE_FAILED)

    def _endpoint(self, local_name: str) -> str:
        return socket_name(local_name, self.instance)


async def supervise(kubelet_socket: KubeletSocket, scope: PluginScope) -> NoReturn:
    """Run a plugin scope for each generation of kubelet, cancelled when that ends, for ever."""
    appeared = trio.current_time()
    while True:
        generation = await kubelet_socket.appeared()
        made = trio.current_time() - generation.age()
        # No older than the socket before it, nor than our own start, whatever the wall clock.
        appeared = max(appeared, made)
        scope.generation_appeared(appeared, made)
        log.info("Kubelet's socket %s is there: serving and registering", kubelet_socket.path)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_run_again_if_it_fails, scope)
            await kubelet_socket.ended(generation)
            log.info("Kubelet's socket %s was removed or replaced", kubelet_socket.path)
            nursery.cancel_scope.cancel()


async def _run_again_if_it_fails(scope: PluginScope) -> NoReturn:
    """A defect of ours must not leave a node without its resources."""
    backoff = Backoff(first=0.5, longest=30.0)
    while True:
        began = trio.current_time()
        try:
            await scope.run()
        except* Exception:
            scope.failed()
            log.exception("The plugin scope failed, which is a defect: starting it again")
        if trio.current_time() - began >= _RAN_WELL:
            backoff.reset()
        await trio.sleep(backoff.next_delay())
