"""Kubelet's connections to plugins: Register, the call back, the stream of devices, Allocate.

Source: pkg/kubelet/cm/devicemanager and its plugin/v1beta1 in Kubernetes 1.36.
"""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import trio
from attrs import define, field

from numa_trio.kubelet.errors import PluginRefused, PluginUnavailable, RegistrationRefused
from numa_trio.kubelet.rpc.plugin_client import PluginClient, connect_plugin
from numa_trio.plugin.messages import (
    API_VERSION,
    ContainerAllocation,
    Device,
    PluginOptions,
    PreferredAllocationRequest,
    Registration,
)
from numa_trio.simulator.admission import PluginFailed, Verdict
from numa_trio.simulator.checkpoint import CHECKPOINT, write_checkpoint
from numa_trio.simulator.devices import DeviceManager
from numa_trio.simulator.events import EventKind, EventLog
from numa_trio.workloads.resource_names import is_extended_resource

DIAL_LIMIT = 10.0  # seconds
PRE_START_LIMIT = 30.0
STOP_GRACE = 300.0  # so long the capacity of a resource outlives its plugin

_DIAL_PAUSE = 1.0  # the first backoff of grpc-go

T = TypeVar("T")


@define(eq=False)
class _Endpoint:
    """A plugin that has registered, and whether kubelet has closed its connection since."""

    client: PluginClient
    options: PluginOptions = field(factory=PluginOptions)
    connected: bool = True


@define(eq=False)
class PluginConnections:
    """The plugins of one life of kubelet; its tasks run in `nursery`.

    With `disconnect_trap`, as in 1.36, the end of a stream disconnects whichever plugin called
    Register last for the resource; without, only the plugin whose stream it was.
    """

    directory: Path
    devices: DeviceManager
    log: EventLog
    nursery: trio.Nursery
    disconnect_trap: bool
    # By resource: who called Register last, and who is asked for devices.
    _registered: dict[str, _Endpoint] = field(factory=dict)
    _endpoints: dict[str, _Endpoint] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        for resource in self.devices.resources:
            self.nursery.start_soon(self._forget_later, resource, None)

    async def register(self, registration: Registration) -> None:
        """Answer Register: check it and call back; raises `RegistrationRefused`."""
        resource = registration.resource_name
        self.log.record(EventKind.REGISTER, resource, registration.endpoint)
        try:
            _check(registration)
            await self.nursery.start(self._run_client, registration)
        except RegistrationRefused as refusal:
            self.log.record(EventKind.REFUSED, resource, str(refusal))
            raise
        self.log.record(EventKind.REGISTERED, resource)

    async def _run_client(
        self, registration: Registration, *, task_status: trio.TaskStatus[None]
    ) -> None:
        resource = registration.resource_name
        async with connect_plugin(self.directory / registration.endpoint) as client:
            endpoint = _Endpoint(client)
            self._registered[resource] = endpoint  # the one before is not closed
            try:
                endpoint.options = await _call_back(endpoint)
            except RegistrationRefused:
                self._registered.pop(resource, None)
                raise
            self._endpoints[resource] = endpoint
            self.log.record(EventKind.OPTIONS, resource)
            task_status.started()
            await self._follow(resource, client)
            if self.disconnect_trap:
                ended = self._registered.pop(resource, None)
            else:
                ended = endpoint if self._endpoints.get(resource) is endpoint else None
            if ended:
                self._disconnect(resource, ended)

    async def _follow(self, resource: str, client: PluginClient) -> None:
        def listed(devices: Sequence[Device]) -> None:
            self.devices.update(resource, devices)
            healthy = self.devices.allocatable(resource)
            detail = f"{healthy} of {len(devices)} devices healthy"
            self.log.record(EventKind.LISTED, resource, detail)
            self._write_checkpoint()

        self.log.record(EventKind.WATCHING, resource)
        try:
            await client.list_and_watch(listed)
        except (PluginUnavailable, PluginRefused) as problem:
            self.log.record(EventKind.STREAM_ENDED, resource, str(problem))
        else:
            self.log.record(EventKind.STREAM_ENDED, resource)

    def _disconnect(self, resource: str, endpoint: _Endpoint) -> None:
        endpoint.connected = False
        endpoint.client.close()
        if used := self._endpoints.get(resource):
            used.connected = False
            self.devices.disconnect(resource)
            self.nursery.start_soon(self._forget_later, resource, used)
        self.log.record(EventKind.DISCONNECTED, resource)

    async def _forget_later(self, resource: str, gone: _Endpoint | None) -> None:
        await trio.sleep(STOP_GRACE)
        if self._endpoints.get(resource) is gone:
            self._endpoints.pop(resource, None)
            self.devices.forget(resource)
            self.log.record(EventKind.FORGOTTEN, resource)
            self._write_checkpoint()

    def _write_checkpoint(self) -> OSError | None:
        """Write down who has which devices; gives the problem if that fails."""
        try:
            write_checkpoint(self.directory, self.devices)
        except OSError as problem:
            self.log.record(EventKind.NO_CHECKPOINT, detail=str(problem))
            return problem
        self.log.record(EventKind.CHECKPOINT)
        return None

    # What admission asks of the plugins:

    def prefers(self, resource: str) -> bool:
        """Whether the plugin offers GetPreferredAllocation."""
        endpoint = self._endpoints.get(resource)
        return endpoint is not None and endpoint.options.preferred_allocation_available

    async def preferred(self, resource: str, request: PreferredAllocationRequest) -> Sequence[str]:
        """Call GetPreferredAllocation; raises `PluginFailed`."""
        answers = await self._call(resource, lambda client: client.preferred_allocation([request]))
        self.log.record(EventKind.PREFERRED, resource)
        return answers[0] if answers else ()

    async def allocate(self, resource: str, device_ids: Sequence[str]) -> ContainerAllocation:
        """Call Allocate for one container; raises `PluginFailed`."""
        answers = await self._call(resource, lambda client: client.allocate([device_ids]))
        self.log.record(EventKind.ALLOCATED, resource, ", ".join(device_ids))
        if not answers:
            raise PluginFailed("no containers return in allocation response")
        return answers[0]

    def allocated(self) -> None:
        """Write down that a container has its devices; raises `PluginFailed` if that fails."""
        if problem := self._write_checkpoint():
            raise PluginFailed(f'failed to write checkpoint file "{CHECKPOINT}": {problem}')

    async def start_containers(self, verdict: Verdict) -> None:
        """Call PreStartContainer for all devices of a pod; record what could not be started."""
        for placement in verdict.placements:
            for resource, device_ids in placement.devices.items():
                try:
                    await self._pre_start(resource, device_ids)
                except PluginFailed as problem:
                    name = f"{verdict.pod.name}/{placement.container.name}"
                    self.log.record(EventKind.NOT_STARTED, name, str(problem))

    async def _pre_start(self, resource: str, device_ids: Sequence[str]) -> None:
        """Call PreStartContainer where the plugin wants it; raises `PluginFailed`."""
        endpoint = self._endpoints.get(resource)
        if endpoint is None or not endpoint.options.pre_start_required:
            return
        try:
            with trio.fail_after(PRE_START_LIMIT):
                await self._call(resource, lambda client: client.pre_start_container(device_ids))
        except trio.TooSlowError:
            raise PluginFailed(
                "rpc error: code = DeadlineExceeded desc = context deadline exceeded"
            ) from None
        self.log.record(EventKind.PRE_STARTED, resource, ", ".join(device_ids))

    async def _call(self, resource: str, call: Callable[[PluginClient], Awaitable[T]]) -> T:
        endpoint = self._endpoints.get(resource)
        if endpoint is None:
            raise PluginFailed(f"unknown Device Plugin {resource}")
        if not endpoint.connected:
            raise PluginFailed(f"endpoint {resource} has been stopped")
        try:
            return await call(endpoint.client)
        except PluginRefused as refusal:
            raise PluginFailed(_rpc_error(refusal.code, refusal.message)) from refusal
        except PluginUnavailable as problem:
            raise PluginFailed(_rpc_error("UNAVAILABLE", str(problem))) from problem


def _check(registration: Registration) -> None:
    if registration.version != API_VERSION:
        raise RegistrationRefused(
            f'requested API version "{registration.version}" is not supported by kubelet.'
            f' Supported version is ["{API_VERSION}"]'
        )
    if not is_extended_resource(registration.resource_name):
        raise RegistrationRefused(f'the ResourceName "{registration.resource_name}" is invalid')


async def _call_back(endpoint: _Endpoint) -> PluginOptions:
    """Dial the plugin, again and again if need be, and ask for its options."""
    try:
        with trio.fail_after(DIAL_LIMIT):
            while True:
                try:
                    return await endpoint.client.options()
                except PluginUnavailable:
                    if not endpoint.connected:
                        problem = _rpc_error("CANCELED", "grpc: the client connection is closing")
                        break
                    await trio.sleep(_DIAL_PAUSE)
    except trio.TooSlowError:
        reason = "failed to dial device plugin: context deadline exceeded"
        raise RegistrationRefused(reason) from None
    except PluginRefused as refusal:
        problem = _rpc_error(refusal.code, refusal.message)
    raise RegistrationRefused(f"failed to get device plugin options: {problem}")


def _rpc_error(code: str, message: str) -> str:
    """An error as grpc-go words it, with the code in its spelling: `InvalidArgument`."""
    return f"rpc error: code = {code.title().replace('_', '')} desc = {message}"
