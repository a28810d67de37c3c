"""What happens to pods and containers, with the plugins that have a say in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trio
from attrs import define, evolve, field

from nri_runtime import messages, ttrpc
from nri_runtime.connection import Gone, Refused, TooSlow
from nri_runtime.cri import Container, Pod, Resources, State
from nri_runtime.faults import Faults
from nri_runtime.flavour import Flavour
from nri_runtime.library import CREATE_CONTAINER, EVENTS, STOP_CONTAINER, UPDATE_CONTAINER, Library
from nri_runtime.merging import Conflict, Wishes
from nri_runtime.node import Node, UpdateFailed
from nri_runtime.peer import Peer
from nri_runtime.recorder import Recorder

_RUN_POD, _POST_CREATE, _START, _POST_START, _POST_UPDATE, _REMOVE = 1, 5, 6, 7, 9, 11


class RequestFailed(Exception):
    """What kubelet asked for was not done; kubelet would see this text."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.code = code


@define(eq=False)
class Events:
    """One lock is held around each event, whatever it waits for."""

    flavour: Flavour
    library: Library
    request_timeout: float
    node: Node
    recorder: Recorder
    faults: Faults
    plugins: list[Peer] = field(factory=list)
    lock: trio.Lock = field(factory=trio.Lock)
    _pids: int = 1000

    def add(self, peer: Peer) -> None:
        """It is asked from now on, in its turn."""
        self.plugins.append(peer)
        self.plugins.sort(key=lambda one: one.index)

    def forget(self, peer: Peer) -> None:
        if peer in self.plugins:
            self.plugins.remove(peer)

    async def run_pod(self, pod: Pod) -> None:
        async with self.lock:
            self.node.pods[pod.id] = pod
            await self._tell(_RUN_POD, pod)

    async def create_container(self, pod: Pod, container: Container) -> Container:
        if pod.id not in self.node.pods:
            await self.run_pod(pod)
        container = self.flavour.dressed(pod, evolve(container, pod_id=pod.id))
        async with self.lock:
            wishes = Wishes(created=container)
            for peer in self._who_want(CREATE_CONTAINER):
                request = messages.CreateContainerRequest(
                    pod=pod.message(), container=wishes.created.message()
                )
                answer = await self._ask(
                    peer, "CreateContainer", request, messages.CreateContainerResponse
                )
                if answer is not None:
                    with _conflicts_fail():
                        wishes.adjust(answer.adjust, peer.name)
                        wishes.update(answer.update, peer.name)
            return await self._make(pod, wishes.created, wishes)

    async def _make(self, pod: Pod, container: Container, wishes: Wishes) -> Container:
        try:
            self.node.check(container.resources)
        except UpdateFailed as error:
            raise RequestFailed(f"failed to create container: {error}") from None
        made = evolve(container, state=State.CREATED)
        self.node.containers[made.id] = made
        self._update_others(wishes, made.id)
        await self._tell(_POST_CREATE, pod, made)
        await self._tell(_START, pod, made)
        self._pids += 1
        started = self.node.become(made.id, State.RUNNING, self._pids)
        await self._tell(_POST_START, pod, started)
        return started

    async def update_container(self, container_id: str, asked: Resources) -> Container:
        async with self.lock:
            container = self._container(container_id)
            pod = self.node.pods[container.pod_id]
            wishes = Wishes()
            for peer in self._who_want(UPDATE_CONTAINER):
                now = asked.merged(wishes.of(container_id))
                request = messages.UpdateContainerRequest(
                    pod=pod.message(),
                    container=container.message(),
                    linux_resources=now.message(whole=True),
                )
                answer = await self._ask(
                    peer, "UpdateContainer", request, messages.UpdateContainerResponse
                )
                if answer is not None:
                    with _conflicts_fail():
                        wishes.update(answer.update, peer.name)
            if container_id in wishes.by_container:  # then the swap limit asked for is lost
                asked = asked.merged(wishes.of(container_id))
                memory = asked.memory or container.resources.memory
                asked = evolve(asked, swap=memory)
            try:
                updated = self.node.apply(container_id, asked)
            except UpdateFailed as error:
                raise RequestFailed(f"failed to update resources: {error}") from None
            self._update_others(wishes, container_id)
            await self._tell(_POST_UPDATE, pod, updated)
            return updated

    async def stop_container(self, container_id: str) -> None:
        async with self.lock:
            container = self._container(container_id)
            await self._tell(STOP_CONTAINER, self.node.pods[container.pod_id], container)
            self.node.become(container_id, State.STOPPED)

    async def remove_container(self, container_id: str) -> None:
        async with self.lock:
            container = self._container(container_id)
            await self._tell(_REMOVE, self.node.pods[container.pod_id], container)
            del self.node.containers[container_id]

    def _container(self, container_id: str) -> Container:
        if (container := self.node.containers.get(container_id)) is None:
            raise RequestFailed(f"container {container_id!r} not found")
        return container

    def _who_want(self, event: int) -> list[Peer]:
        silent = EVENTS[event] in self.faults.silent
        return [] if silent else [peer for peer in self.plugins if peer.wants(event)]

    def _update_others(self, wishes: Wishes, done: str) -> None:
        for container_id, asked in wishes.by_container.items():
            if container_id != done:
                try:
                    self.node.apply(container_id, asked)
                except UpdateFailed as error:
                    self.recorder.note(f"failed to update: {error}")

    async def _tell(self, event: int, pod: Pod, container: Container | None = None) -> None:
        """Tell whoever wants to know of something else that happens."""
        shown = {"pod": pod.message()}
        if container is not None:
            shown["container"] = container.message()
        for peer in self._who_want(event):
            if event == STOP_CONTAINER or self.library.has_methods_of_events:
                request = messages.CreateContainerRequest(**shown)
                try:
                    await self._ask(peer, EVENTS[event], request, messages.Empty)
                except RequestFailed as failed:
                    if failed.code != ttrpc.UNIMPLEMENTED:
                        raise
                else:
                    continue
            changed = messages.StateChangeEvent(event=event, **shown)
            await self._ask(peer, "StateChange", changed, messages.Empty)

    async def _ask(self, peer: Peer, method: str, request: Any, answer: Any) -> Any:
        """The plugin's answer; None if it is not to be had, and then the plugin is dropped."""
        await self.faults.before(method)
        deadline = trio.current_time() + self.request_timeout
        try:
            return await peer.ask(method, request, answer, deadline, self.flavour.metadata)
        except Refused as refused:
            raise RequestFailed(str(refused), refused.code) from None
        except (TooSlow, Gone) as error:
            self.recorder.note(f"closing plugin {peer.name}, failed to handle {method}: {error}")
            peer.connection.close(f"failed to handle {method}")
            self.forget(peer)
            return None


@contextmanager
def _conflicts_fail() -> Iterator[None]:
    try:
        yield
    except Conflict as conflict:
        raise RequestFailed(str(conflict)) from None
