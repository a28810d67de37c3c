"""The vocabulary of the device plugin API v1beta1 in types of our own.

Source of names and meaning: k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1.
The bridge (`numa_trio.kubelet.rpc`) translates between these and the generated messages.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from attrs import field, frozen

API_VERSION = "v1beta1"


class InvalidRequest(ValueError):
    """Kubelet asked for something that this resource cannot answer: INVALID_ARGUMENT."""


@frozen
class Device:
    """One schedulable slot of a resource, as in the list of ListAndWatch.

    `numa_nodes` is its TopologyInfo: any of these nodes suits; empty means no hint.
    """

    id: str
    healthy: bool
    numa_nodes: tuple[int, ...]


@frozen
class PluginOptions:
    """The answer to GetDevicePluginOptions: which optional calls kubelet shall make."""

    pre_start_required: bool = False
    preferred_allocation_available: bool = False


@frozen
class Registration:
    """What a plugin sends to kubelet in Register.

    `endpoint` is the file name of the plugin's socket in the device-plugin directory.
    """

    resource_name: str
    endpoint: str
    version: str = API_VERSION
    options: PluginOptions = PluginOptions()


@frozen
class ContainerAllocation:
    """The answer to one container request of Allocate.

    The container gets the variables; the annotations are for the container runtime.
    """

    environment: Mapping[str, str] = field(factory=dict)
    annotations: Mapping[str, str] = field(factory=dict)


@frozen
class PreferredAllocationRequest:
    """One container request of GetPreferredAllocation: choose `size` ids out of `available`."""

    available: Sequence[str]
    must_include: Sequence[str]
    size: int


class DevicePlugin(Protocol):
    """What a resource answers to kubelet. Every method may raise `InvalidRequest`."""

    @property
    def options(self) -> PluginOptions:
        """Which of the optional calls kubelet shall make."""

    def devices(self) -> Sequence[Device]:
        """The whole list of slots, in a fixed order."""

    def allocate(self, requests: Sequence[Sequence[str]]) -> Sequence[ContainerAllocation]:
        """One answer for each container request, a list of device ids, in order."""

    def preferred_allocation(
        self, requests: Sequence[PreferredAllocationRequest]
    ) -> Sequence[Sequence[str]]:
        """The preferred device ids for each container request, in order."""

    def pre_start_container(self, device_ids: Sequence[str]) -> None:
        """Check the ids; there is nothing to prepare."""
