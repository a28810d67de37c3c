"""A container runtime's stand-in: its NRI socket, and what kubelet can ask of it.

    async with open_runtime(directory, flavour=Containerd(), library=(0, 6, 1)) as runtime:
        await runtime.start()
        await runtime.wait_plugins(1)
        container = await runtime.create_container(Pod("db"), Container("app"))
        await runtime.restart()

Time is Trio's, and the socket a real one: plugins may be tasks of the test, on a virtual clock, or
processes. Pods and containers outlive the runtime, as they do.
"""

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import trio
from attrs import define, field

from nri_runtime import messages, mux
from nri_runtime.connection import Connection
from nri_runtime.cri import Container, Pod, Resources
from nri_runtime.events import Events
from nri_runtime.faults import Faults
from nri_runtime.flavour import Containerd, Flavour
from nri_runtime.library import Library
from nri_runtime.node import Node
from nri_runtime.peer import Peer
from nri_runtime.recorder import Recorder
from nri_runtime.registration import (
    NotRegistered,
    apply_updates,
    configure,
    register,
    synchronize,
)

T = TypeVar("T")


class RuntimeIsDown(Exception):
    """Only a running runtime can do that."""


@define(eq=False)
class StandInRuntime:
    """It lives and dies at command; see `open_runtime` for its settings."""

    directory: Path
    flavour: Flavour
    library: Library
    registration_timeout: float
    request_timeout: float
    largest_message: int
    registration_gap: float
    cut: mux.Cut
    node: Node
    _nursery: trio.Nursery
    recorder: Recorder = field(factory=Recorder)
    faults: Faults = field(factory=Faults)
    peers: list[Peer] = field(factory=list)
    events: Events = field(init=False)
    _life: trio.CancelScope | None = None
    _over: trio.Event = field(factory=trio.Event)
    _requests: set[trio.CancelScope] = field(factory=set)

    def __attrs_post_init__(self) -> None:
        self.events = Events(
            self.flavour,
            self.library,
            self.request_timeout,
            self.node,
            self.recorder,
            self.faults,
        )

    @property
    def socket_path(self) -> Path:
        """Where plugins connect."""
        return self.directory / "nri.sock"

    @property
    def plugins(self) -> list[Peer]:
        """Those that hear of what happens, in the order in which they are asked."""
        return self.events.plugins

    async def start(self) -> None:
        """Make the socket anew, and listen there."""
        assert self._life is None, "it runs already"
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.socket_path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as made:
            made.bind(os.fspath(self.socket_path))
            made.listen()
            listener = trio.SocketListener(trio.socket.from_stdlib_socket(made.dup()))
        self._life, self._over = trio.CancelScope(), trio.Event()
        self._nursery.start_soon(self._live, listener, self._life)
        await trio.lowlevel.checkpoint()

    async def stop(self, *, killed: bool = False) -> None:
        """End it; plugins see the end of their connections. Who is `killed` leaves its socket."""
        assert self._life is not None, "it does not run"
        for request in self._requests:
            request.cancel()
        self._life.cancel()
        self._life = None
        if not killed:
            self.socket_path.unlink(missing_ok=True)
        await self._over.wait()

    async def restart(self, *, away: float = 0.0) -> None:
        """Stop it, and start it after so many seconds."""
        await self.stop()
        await trio.sleep(away)
        await self.start()

    async def run_pod(self, pod: Pod) -> None:
        """Make the pod's sandbox."""
        await self._ask(self.events.run_pod, pod)

    async def create_container(self, pod: Pod, container: Container) -> Container:
        """Create and start it, as it comes from the plugins; raises `RequestFailed`.

        Its annotations are those that kubelet gives; the pod's own go the runtime's way.
        """
        return await self._ask(self.events.create_container, pod, container)

    async def update_container(
        self,
        container: str,
        *,
        cpus: str = "",
        mems: str = "",
        shares: int | None = None,
        cpu_quota: int | None = None,
        cpu_period: int | None = None,
        memory: int | None = None,
        swap: int | None = None,
    ) -> Container:
        """UpdateContainerResources: what is not asked for stays; raises `RequestFailed`."""
        asked = Resources(cpus, mems, shares, cpu_quota, cpu_period, memory, swap)
        return await self._ask(self.events.update_container, container, asked)

    async def stop_container(self, container: str) -> None:
        await self._ask(self.events.stop_container, container)

    async def remove_container(self, container: str) -> None:
        await self._ask(self.events.remove_container, container)

    async def wait_plugins(self, count: int) -> list[Peer]:
        """Return the plugins as soon as so many are synchronized."""
        await self.recorder.wait_until(lambda: len(self.plugins) == count)
        return self.plugins

    async def _ask(self, do: Callable[..., Awaitable[T]], *what: object) -> T:
        """Do what kubelet asks; raises `RuntimeIsDown` if the runtime ends before that is done."""
        with trio.CancelScope() as request:
            if self._life is not None:
                self._requests.add(request)
                try:
                    return await do(*what)
                finally:
                    self._requests.remove(request)
        raise RuntimeIsDown(f"nobody serves {self.socket_path}")

    async def _live(self, listener: trio.SocketListener, life: trio.CancelScope) -> None:
        with life:
            async with listener, trio.open_nursery() as nursery:
                while True:
                    stream = await listener.accept()
                    await self._take(stream, nursery)
        self.peers.clear()
        self.plugins.clear()
        self._over.set()

    async def _take(self, stream: trio.SocketStream, nursery: trio.Nursery) -> None:
        """Make a plugin of who has connected; nobody else is looked at meanwhile."""
        peer = Peer(self.library, self.faults, self.recorder, self._update_containers)
        peer.connection = Connection(stream, "Plugin", peer.answer, self.cut, mux.LONGEST)
        self.peers.append(peer)
        self.recorder.tell()
        nursery.start_soon(self._run, peer)
        try:
            await register(peer, self)
            await configure(peer, self)
            async with self.events.lock:
                await synchronize(peer, self)
            await trio.sleep(self.registration_gap)
        except NotRegistered as why:
            self.recorder.note(f"{peer.name}: {why}")
            return
        if not peer.connection.closed.is_set():
            self.events.add(peer)
            self.recorder.note(f'plugin "{peer.name}" connected and synchronized')

    async def _run(self, peer: Peer) -> None:
        await peer.connection.run()
        self.peers.remove(peer)
        self.events.forget(peer)
        why = peer.connection.why_closed
        self.recorder.note(f'connection to plugin "{peer.name}" closed: {why}')

    async def _update_containers(self, request: Any) -> Any:
        async with self.events.lock:
            return messages.UpdateContainersResponse(failed=apply_updates(request.update, self))


@asynccontextmanager
async def open_runtime(
    directory: Path,
    *,
    flavour: Flavour | None = None,
    library: tuple[int, int, int] = (0, 6, 1),
    registration_timeout: float = 5.0,
    request_timeout: float = 2.0,
    largest_message: int = 4 << 20,
    registration_gap: float = 0.0,
    cut: mux.Cut = mux.buffered,
    cpus: str = "0-3",
    mems: str = "0-1",
) -> AsyncIterator[StandInRuntime]:
    """A runtime on that directory, not started yet; whatever runs of it ends with the context.

    A Synchronize of more than `largest_message` bytes is parted, if the library can. For
    `registration_gap` seconds after it a plugin is not one yet, and nothing is asked of it.
    """
    async with trio.open_nursery() as nursery:
        yield StandInRuntime(
            directory,
            flavour or Containerd(),
            Library(*library),
            registration_timeout,
            request_timeout,
            largest_message,
            registration_gap,
            cut,
            Node(cpus, mems),
            nursery,
        )
        nursery.cancel_scope.cancel()
