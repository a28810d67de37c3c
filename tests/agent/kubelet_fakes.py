"""Small stand-ins for the two sides of the bridge, for tests in virtual time."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from socket import socket
from typing import NoReturn

import trio
from attrs import define, field

from numa_trio.agent.advertised import AdvertisedResource
from numa_trio.agent.status import ResourceStatus
from numa_trio.kubelet.watch import DirectoryWatch
from numa_trio.plugin.messages import DevicePlugin, Registration
from numa_trio.plugin.resource import NumaResource


@define(eq=False)
class FakeServer:
    """Serves nobody; remembers what it was told."""

    status: ResourceStatus
    listeners: list[socket] = field(factory=list)
    updates: list[DevicePlugin] = field(factory=list)
    streams_ended: int = 0
    serving: bool = False

    async def serve(
        self, listener: socket, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        self.listeners.append(listener)
        self.serving = True
        try:
            task_status.started()
            await trio.sleep_forever()
        finally:
            self.serving = False
            self.status.streams_changed(0)

    def update(self, plugin: DevicePlugin) -> None:
        self.updates.append(plugin)

    @contextmanager
    def registering(self) -> Iterator[None]:
        self.status.streams_changed(0)
        yield

    async def end_streams(self) -> None:
        self.streams_ended += 1
        self.status.streams_changed(0)


def advertise(node: int = 0) -> AdvertisedResource:
    return offer(NumaResource.of_node(node, 3))


def offer(resource: NumaResource) -> AdvertisedResource:
    status = ResourceStatus(resource.name)
    return AdvertisedResource(resource, status, FakeServer(status))


@define(eq=False, slots=False)
class FakeKubelet:
    """Answers registrations as `answers` says, then for ever with None: accepted.

    An answer is an error to raise, or a number of seconds to take over accepting. A stream opens
    at each acceptance for the resource of `statuses`, unless `opens_streams` is False.
    """

    statuses: dict[str, ResourceStatus] = field(factory=dict)
    answers: list[Exception | float | None] = field(factory=list)
    opens_streams: bool = True
    calls: list[tuple[float, Registration]] = field(factory=list)

    async def register(self, registration: Registration) -> None:
        self.calls.append((trio.current_time(), registration))
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, float):
            await trio.sleep(answer)
        await trio.lowlevel.checkpoint()
        if self.opens_streams and registration.resource_name in self.statuses:
            self.statuses[registration.resource_name].streams_changed(1)

    @property
    def times(self) -> list[float]:
        """When it was called, in seconds since the first call."""
        return [time - self.calls[0][0] for time, _ in self.calls]

    @asynccontextmanager
    async def connect(self, _kubelet_socket: Path, /) -> AsyncIterator["FakeKubelet"]:
        yield self


class HandWatch(DirectoryWatch):
    """Wakes those who wait when a test says so."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)

    def wake(self) -> None:
        self._announce()
