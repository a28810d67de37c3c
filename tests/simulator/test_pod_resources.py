"""What the stand-in says of who has what, as kubelet's pod-resources API does."""

from pathlib import Path

import grpc
import trio
from attrs import evolve

from google_messages import google_class
from grpcio_pod_resources import AllocatableResourcesResponse, ListPodResourcesResponse
from numa_trio.kubelet.rpc.loop import open_bridge
from numa_trio.plugin.holdings import Allocatable, ContainerHoldings, MemoryBlock
from numa_trio.simulator.hints import Policy
from numa_trio.simulator.kubelet import open_kubelet
from numa_trio.simulator.kubelet_config import (
    CpuManagerPolicy,
    KubeletConfig,
    MemoryManagerPolicy,
)
from numa_trio.simulator.node import Node
from numa_trio.simulator.pod_resources import allocatable_of, holdings_of
from numa_trio.topology.machine import HugePages, Machine
from plugin_double import open_plugin
from simulated import GIB, cluster, container, init, machine, pod, sidecar

MIB = 1 << 20
TWO_NODES = machine([0, 1, 2, 3], [4, 5, 6, 7])


def test_what_is_reserved_cannot_be_given_away() -> None:
    """CPUs and memory; huge pages are told apart, and taken off the memory."""
    pages = (HugePages(GIB, total=1, free=1),)
    nodes = tuple(evolve(node, huge_pages=pages) for node in TWO_NODES.machine.nodes[:1])
    nodes += TWO_NODES.machine.nodes[1:]
    node = cluster(evolve(TWO_NODES, machine=Machine(nodes)), reserved_cpus=2).node

    reserved = 512 * MIB  # of each node
    assert allocatable_of(node) == Allocatable(
        frozenset({2, 3, 4, 5, 6, 7}),
        (
            MemoryBlock("memory", 3 * GIB - reserved, (0,)),
            MemoryBlock("hugepages-1Gi", GIB, (0,)),
            MemoryBlock("memory", 4 * GIB - reserved, (1,)),
        ),
    )


async def test_lists_what_containers_have() -> None:
    """As seen with a kubelet 1.36: devices, exclusive CPUs, and memory with its node."""
    wide = cluster(TWO_NODES)
    await wide.admit(container(numa=[1], slots=2), name="pinned")
    await wide.admit(container(cpu="500m", limits=False), name="shared")

    block = MemoryBlock("memory", 128 * MIB, (1,))
    assert holdings_of(wide.node) == (
        ContainerHoldings(
            "default",
            "pinned",
            "app",
            {"numa-align/numa-1": ("numa-1-0", "numa-1-1")},
            frozenset({4}),
            (block,),
        ),
        ContainerHoldings("default", "shared", "app"),
    )


async def test_init_containers_are_left_out_and_sidecars_come_first() -> None:
    """What a larger init container has is kept from others, yet not listed."""
    wide = cluster(TWO_NODES)
    await wide.admit(init("3", numa=[1]), sidecar(numa=[1]), container(numa=[1]))

    assert [(each.container, each.cpus) for each in holdings_of(wide.node)] == [
        ("sidecar", {4}),
        ("app", {5}),
    ]
    assert wide.node.cpus.shared == {0, 1, 2, 3, 7}


async def test_pods_are_unknown_from_a_reboot_until_they_are_admitted() -> None:
    """What they had stays theirs, and kubelet does not list it before it has looked at them."""
    wide = cluster(TWO_NODES)
    admitted = (await wide.admit(container(numa=[1]))).pod
    wide.node.reboot()

    assert holdings_of(wide.node) == ()
    assert wide.node.cpus.shared == {0, 1, 2, 3, 5, 6, 7}
    wide.node.started(admitted)
    assert [each.cpus for each in holdings_of(wide.node)] == [{4}]


async def test_a_block_may_span_nodes() -> None:
    """Memory that no single node has is told with all of its nodes."""
    wide = cluster(TWO_NODES, Policy.RESTRICTED)
    await wide.admit(container(cpu="5", memory="5Gi"))

    [holdings] = holdings_of(wide.node)
    assert holdings.memory == (MemoryBlock("memory", 5 * GIB, (0, 1)),)


async def test_policies_none_give_nothing_away() -> None:
    """A Guaranteed pod runs in the shared pool, its memory anywhere; each manager for itself."""
    shared = Node.create(TWO_NODES, KubeletConfig(cpu_manager=CpuManagerPolicy.NONE))
    assert not allocatable_of(shared).cpus
    assert allocatable_of(shared).memory
    unbound = Node.create(TWO_NODES, KubeletConfig(memory_manager=MemoryManagerPolicy.NONE))
    assert allocatable_of(unbound).cpus
    assert not allocatable_of(unbound).memory

    config = KubeletConfig(
        cpu_manager=CpuManagerPolicy.NONE, memory_manager=MemoryManagerPolicy.NONE
    )
    loose = cluster(TWO_NODES)
    loose.node = Node.create(TWO_NODES, config)
    assert allocatable_of(loose.node) == Allocatable()
    verdict = await loose.admit(container(cpu="2"), container("wide", cpu="5", memory="5Gi"))
    assert verdict.admitted
    assert not any(each.exclusive or each.memory_bound for each in verdict.placements)
    assert {each.cpus for each in holdings_of(loose.node)} == {frozenset()}
    assert {each.memory for each in holdings_of(loose.node)} == {()}


Plain = list[tuple[str, list[tuple[str, str, list[int]]], list[int], list[tuple[str, int]]]]


def asked(path: Path, method: str, request: str, answer: type) -> object:
    """What grpcio's client is answered, as any monitoring agent is."""
    with grpc.insecure_channel(f"unix:{path}") as channel:
        call = channel.unary_unary(
            f"/v1.PodResourcesLister/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        return call(google_class(request, "v1")(), timeout=60, wait_for_ready=True)


def listed(path: Path) -> Plain:
    answer = asked(path, "List", "ListPodResourcesRequest", ListPodResourcesResponse)
    return [
        (
            f"{pod.namespace}/{pod.name}/{each.name}",
            [
                (entry.resource_name, *entry.device_ids, [node.ID for node in entry.topology.nodes])
                for entry in each.devices
            ],
            list(each.cpu_ids),
            [(block.memory_type, block.size) for block in each.memory],
        )
        for pod in answer.pod_resources
        for each in pod.containers
    ]


async def test_a_client_of_grpcio_reads_what_kubelet_would_say(tmp_path: Path) -> None:
    """Over a real socket: sidecars but no init containers, each device for itself; in each life."""
    socket = tmp_path / "pod-resources.sock"
    async with (
        open_bridge(),
        open_kubelet(
            tmp_path / "plugins", TWO_NODES, admit_again=0.0, pod_resources=socket
        ) as kubelet,
        open_plugin(tmp_path / "plugins", 1) as plugin,
    ):
        with trio.fail_after(60):
            await kubelet.start()
            await plugin.serve()
            await plugin.register()
            await kubelet.wait_allocatable("numa-align/numa-1", 4)
            wanted = pod(
                init(numa=[1]), sidecar(numa=[1]), container(numa=[1], slots=2), name="three"
            )
            assert (await kubelet.admit(wanted)).admitted
            before = await trio.to_thread.run_sync(listed, socket)
            allocatable = await trio.to_thread.run_sync(
                asked,
                socket,
                "GetAllocatableResources",
                "AllocatableResourcesRequest",
                AllocatableResourcesResponse,
            )
            await kubelet.stop()
            await kubelet.start()
            await kubelet.admitted_again()
            after = await trio.to_thread.run_sync(listed, socket)

    devices = [
        [(each.resource_name, *each.device_ids, [node.ID for node in each.topology.nodes])]
        for each in allocatable.devices
    ]
    slot = "numa-align/numa-1"
    assert sorted(devices) == [[(slot, f"numa-1-{each}", [1])] for each in range(4)]
    assert sorted(allocatable.cpu_ids) == [1, 2, 3, 4, 5, 6, 7]
    assert [(each[0], each[2], each[3]) for each in before] == [
        ("default/three/sidecar", [4], [("memory", 128 * MIB)]),
        ("default/three/app", [5], [("memory", 128 * MIB)]),
    ]
    assert [[entry[2] for entry in each[1]] for each in before] == [[[1]], [[1], [1]]]
    assert {entry[0] for each in before for entry in each[1]} == {slot}
    assert [(each[0], each[2]) for each in after] == []  # as the init container had no plugin
