"""What can be counted of a NUMA node, besides its slots."""

from enum import StrEnum


class Counted(StrEnum):
    """A kind of counted resource: what `numa-1-cpu` and `numa-1-memory` end with."""

    CPU = "cpu"  # a device for each CPU that kubelet can give to a container for itself
    MEMORY = "memory"  # a device for each whole unit of memory that kubelet can give away
