"""Asks the running kubelet what it can give away, over its pod-resources socket."""

from pathlib import Path

from numa_trio.doctor.evidence.observations import GivenAway
from numa_trio.doctor.evidence.seen import Missing


def ask_allocatable(socket: Path) -> GivenAway | Missing:
    """What kubelet answers on that socket; Missing where it is not there or gives no answer."""
    if not socket.is_socket():
        return Missing(f"{socket}: there is no such socket", absent=True)
    # They bring gRPC along, which only a host with a kubelet needs.
    import trio

    return trio.run(_ask, socket)


async def _ask(socket: Path) -> GivenAway | Missing:
    from numa_trio.kubelet.errors import PodResourcesUnavailable
    from numa_trio.kubelet.rpc.loop import open_bridge
    from numa_trio.kubelet.rpc.pod_resources_client import connect_pod_resources

    async with open_bridge(), connect_pod_resources(socket) as client:
        try:
            given = await client.allocatable()
        except PodResourcesUnavailable as problem:
            return Missing(str(problem))
    nodes = frozenset[int]().union(*(block.numa_nodes for block in given.memory))
    return GivenAway(given.cpus, nodes)
