"""One life of kubelet, from its start to its end: its servers, and the pods that it finds."""

from collections.abc import Callable
from pathlib import Path

import trio
from attrs import define, field

from numa_trio.kubelet.directory import KUBELET_SOCKET
from numa_trio.kubelet.rpc.registration_server import serve_registration
from numa_trio.simulator.admission import Verdict
from numa_trio.simulator.device_directory import listen_anew
from numa_trio.simulator.events import EventKind, EventLog
from numa_trio.simulator.known_pods import admit_known_pods
from numa_trio.simulator.node import Node
from numa_trio.simulator.plugin_connections import PluginConnections
from numa_trio.simulator.pod_resources_socket import serve_node


@define(eq=False)
class Life:
    """What begins when kubelet is started, and ends with it.

    Pods are admitted under the lock `admission`, which lives longer; `keep` is called whenever
    something was given to one. `knows_pods` is set once it has looked at the pods that were there
    before it, of which `again` has the verdicts. `over` is set at the end.
    """

    directory: Path
    node: Node
    log: EventLog
    admission: trio.Lock
    keep: Callable[[], None]
    disconnect_trap: bool = field(kw_only=True)
    admit_again: float = field(kw_only=True)
    pod_resources: Path | None = field(kw_only=True)
    connections: PluginConnections = field(init=False)
    again: list[Verdict] = field(init=False, factory=list)
    knows_pods: trio.Event = field(init=False, factory=trio.Event)
    over: trio.Event = field(init=False, factory=trio.Event)
    scope: trio.CancelScope = field(init=False, factory=trio.CancelScope)
    _server: trio.CancelScope = field(init=False, factory=trio.CancelScope)
    _server_over: trio.Event = field(init=False, factory=trio.Event)

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Serve, and admit the pods that were there, until `scope` is cancelled."""
        try:
            with self.scope:
                async with trio.open_nursery() as nursery:
                    self.connections = PluginConnections(
                        self.directory, self.node.devices, self.log, nursery, self.disconnect_trap
                    )
                    await nursery.start(self._serve)
                    if self.pod_resources is not None:
                        await nursery.start(serve_node, self.node, self.pod_resources)
                    if not self.node.pods:
                        self.knows_pods.set()
                    task_status.started()
                    await self._admit_known_pods()
                    await trio.sleep_forever()
        finally:
            self.knows_pods.set()  # or those who wait would wait for ever
            self.over.set()

    async def serve_again(self, pause: float) -> None:
        """Lose the server, and after a pause serve on a new kubelet.sock."""
        self._server.cancel()
        await self._server_over.wait()
        await trio.sleep(pause)
        await self.connections.nursery.start(self._serve)

    async def _serve(self, *, task_status: trio.TaskStatus[None]) -> None:
        listener = listen_anew(self.directory / KUBELET_SOCKET)
        self._server_over = trio.Event()
        try:
            with trio.CancelScope() as self._server:
                self.log.record(EventKind.LISTENING, KUBELET_SOCKET)
                await serve_registration(
                    self.connections.register, listener, task_status=task_status
                )
        finally:
            self._server_over.set()

    async def _admit_known_pods(self) -> None:
        await trio.sleep(self.admit_again)
        async with self.admission:
            if self.knows_pods.is_set():
                return
            self.again += await admit_known_pods(self.node, self.connections, self.log)
            self.keep()
            self.knows_pods.set()
