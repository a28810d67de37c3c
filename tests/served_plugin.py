"""A served plugin in a thread of its own, so that plain sockets and grpcio can be its peers."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import trio

from grpcio_kubelet import DevicePluginOptions, Empty, GrpcioPlugin
from numa_trio.kubelet.plugin_socket import PluginSocket
from numa_trio.kubelet.rpc.loop import open_bridge
from numa_trio.kubelet.rpc.plugin_server import PluginServer
from numa_trio.kubelet.rpc.server import Connection
from numa_trio.plugin.resource import NumaResource

T = TypeVar("T")


class ServedPlugin:
    """Node 1 with `capacity` slots, served by the bridge on `path`."""

    def __init__(self, path: Path, capacity: int = 3) -> None:
        self.path = path
        self.resource = NumaResource.of_node(1, capacity)
        self.streams = 0
        self._started = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=[self._main])

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        with PluginSocket.bind(self.path) as bound:
            async with open_bridge(), trio.open_nursery() as nursery:
                self._scope = nursery.cancel_scope
                self.server = PluginServer(self.resource, self._count_streams)
                await nursery.start(self.server.serve, bound.listener)
                self._started.set()
                await trio.sleep_forever()

    def _count_streams(self, streams: int) -> None:
        self.streams = streams

    @property
    def connections(self) -> list[Connection]:
        """Those that are open now."""
        return self._ask(lambda: list(self.server._server.connections))

    def register(self, plugin: GrpcioPlugin) -> None:
        """Let `plugin` be known as kubelet's, as at a registration."""
        with self.server.registering():
            plugin.call("GetDevicePluginOptions", Empty(), DevicePluginOptions)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not self._ask(condition):
            assert time.monotonic() < deadline
            time.sleep(0.001)

    def _ask(self, question: Callable[[], T]) -> T:
        return trio.from_thread.run_sync(question, trio_token=self._token)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(timeout=60)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._token.run_sync_soon(self._scope.cancel)
        self._thread.join(timeout=60)
        assert not self._thread.is_alive()
