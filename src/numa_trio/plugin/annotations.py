"""The annotations by which kubelet, pods and we tell each other of a container's NUMA nodes.

Each begins with the domain of the resources.
"""

from attrs import frozen


@frozen
class Annotations:
    """Their names in one domain."""

    domain: str

    @property
    def node(self) -> str:
        """The nodes of a container's devices: Allocate returns it."""
        return f"{self.domain}/node"

    @property
    def near_volume(self) -> str:
        """A container is to be near one of its volumes: Allocate returns it."""
        return f"{self.domain}/near-volume"

    @property
    def preferred(self) -> str:
        """The nodes whose memory comes first: who asks for that tells the next plugin, by this."""
        return f"{self.domain}/memory-preferred"

    @property
    def near(self) -> str:
        """Which volume that is: a pod has it, for all of its containers."""
        return f"{self.domain}/near"
