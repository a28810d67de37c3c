"""The generated messages on one side, the words of `numa_trio.plugin.messages` on the other."""

from collections.abc import Sequence

from numa_trio.kubelet.api import v1beta1 as api
from numa_trio.plugin.messages import (
    ContainerAllocation,
    Device,
    PluginOptions,
    PreferredAllocationRequest,
    Registration,
)

HEALTHY = "Healthy"
UNHEALTHY = "Unhealthy"

# What the generated code raises, for bytes that are no message.
_UNPARSABLE = (AttributeError, EOFError, LookupError, OverflowError, TypeError, ValueError)


def encode_registration(registration: Registration) -> api.RegisterRequest:
    """The message of Register."""
    return api.RegisterRequest(
        version=registration.version,
        endpoint=registration.endpoint,
        resource_name=registration.resource_name,
        options=encode_options(registration.options),
    )


def decode_registration(message: api.RegisterRequest) -> Registration:
    """What a plugin asks for in Register."""
    return Registration(
        resource_name=message.resource_name,
        endpoint=message.endpoint,
        version=message.version,
        options=decode_options(message.options or api.DevicePluginOptions()),
    )


def encode_options(options: PluginOptions) -> api.DevicePluginOptions:
    """The options, in Register and as the answer to GetDevicePluginOptions."""
    return api.DevicePluginOptions(
        pre_start_required=options.pre_start_required,
        get_preferred_allocation_available=options.preferred_allocation_available,
    )


def decode_options(message: api.DevicePluginOptions) -> PluginOptions:
    """Which optional calls a plugin wants."""
    return PluginOptions(
        pre_start_required=message.pre_start_required,
        preferred_allocation_available=message.get_preferred_allocation_available,
    )


def encode_device(device: Device) -> api.Device:
    """One device of a list."""
    return api.Device(
        id=device.id,
        health=HEALTHY if device.healthy else UNHEALTHY,
        topology=api.TopologyInfo(nodes=[api.NumaNode(id=node) for node in device.numa_nodes]),
    )


def decode_device(message: api.Device) -> Device:
    """One device of a list."""
    nodes = message.topology.nodes if message.topology else []
    return Device(message.id, message.health == HEALTHY, tuple(node.id for node in nodes))


def encode_allocate_request(requests: Sequence[Sequence[str]]) -> api.AllocateRequest:
    """The message of Allocate, from the device ids of each container."""
    return api.AllocateRequest(
        container_requests=[
            api.ContainerAllocateRequest(devices_ids=list(device_ids)) for device_ids in requests
        ]
    )


def encode_allocation(allocation: ContainerAllocation) -> api.ContainerAllocateResponse:
    """What one container gets."""
    return api.ContainerAllocateResponse(
        envs=dict(allocation.environment), annotations=dict(allocation.annotations)
    )


def decode_allocation(message: api.ContainerAllocateResponse) -> ContainerAllocation:
    """What one container gets, as far as it is kept."""
    return ContainerAllocation(dict(message.envs), dict(message.annotations))


def dump_allocation(allocation: ContainerAllocation) -> bytes:
    """What one container gets, in the wire format, as kubelet's checkpoint keeps it."""
    return bytes(encode_allocation(allocation))


def load_allocation(data: bytes) -> ContainerAllocation:
    """The opposite of `dump_allocation`; raises `ValueError` if these bytes are no such message."""
    try:
        return decode_allocation(api.ContainerAllocateResponse.parse(data))
    except _UNPARSABLE as problem:
        raise ValueError(f"not a ContainerAllocateResponse: {problem!r}") from problem


def encode_allocations(allocations: Sequence[ContainerAllocation]) -> api.AllocateResponse:
    """The answer to Allocate."""
    return api.AllocateResponse(container_responses=[encode_allocation(one) for one in allocations])


def encode_preferred_request(
    requests: Sequence[PreferredAllocationRequest],
) -> api.PreferredAllocationRequest:
    """The message of GetPreferredAllocation."""
    return api.PreferredAllocationRequest(
        container_requests=[
            api.ContainerPreferredAllocationRequest(
                available_deviceIDs=list(request.available),
                must_include_deviceIDs=list(request.must_include),
                allocation_size=request.size,
            )
            for request in requests
        ]
    )


def decode_preferred_request(
    message: api.PreferredAllocationRequest,
) -> list[PreferredAllocationRequest]:
    """What kubelet asks in GetPreferredAllocation, for each container."""
    return [
        PreferredAllocationRequest(
            available=request.available_deviceIDs,
            must_include=request.must_include_deviceIDs,
            size=request.allocation_size,
        )
        for request in message.container_requests
    ]


def encode_preferred(preferred: Sequence[Sequence[str]]) -> api.PreferredAllocationResponse:
    """The answer to GetPreferredAllocation."""
    return api.PreferredAllocationResponse(
        container_responses=[
            api.ContainerPreferredAllocationResponse(device_i_ds=list(device_ids))
            for device_ids in preferred
        ]
    )
