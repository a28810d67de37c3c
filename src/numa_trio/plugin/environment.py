"""What a container is told about its place, in environment variables."""

from collections.abc import Sequence

from numa_trio.topology.lists import format_list


def environment_of(numa_nodes: Sequence[int]) -> dict[str, str]:
    """The variables of a container that gets devices near these nodes.

    `NUMA_NODE` is the node, or a list as the kernel writes it (`0-1`) where it may be any of
    several; it is left out where no node is known.
    """
    return {"NUMA_NODE": format_list(numa_nodes)} if numa_nodes else {}
