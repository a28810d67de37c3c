"""What comes of a container that holds devices of NUMA nodes."""

from enum import StrEnum


class Outcome(StrEnum):
    """What came of a container that holds devices of NUMA nodes."""

    PINNED = "pinned"  # we gave it CPUs or memory of its nodes
    UNCHANGED = "unchanged"  # kubelet, or another plugin, or we had done so before
    ELSEWHERE = "elsewhere"  # it was given CPUs or memory of other nodes only
    NOT_FOUND = "not_found"  # which nodes its volume is near is not known
    IMPOSSIBLE = "impossible"  # its nodes are offline, or have no CPUs and no memory
    NOT_TRUSTED = "not_trusted"  # nobody can tell whether kubelet named the nodes
    WITHHELD = "withheld"  # its creation has failed before with what we gave it
    FAILED = "failed"  # the runtime could not do it
