"""A real agent with names for what things are near, before kubelet as the stand-in has it."""

from pathlib import Path

import trio
from trio.testing import MockClock

from fault_rig import open_rig
from near_rig import NearRig, asking
from numa_trio.workloads.pod import ContainerKind
from simulated import GIB


async def test_container_is_told_what_the_host_has(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """NUMA_ENV=full adds what the node has, by names that say so."""
    async with open_rig(tmp_path) as rig:
        near = NearRig(rig, tmp_path)
        running = await near.start(NUMA_ENV="full")
        await near.allocatable(4)
        for name in ("near-data", "numa-1"):
            resource = running.agent.resources.get(name)
            assert resource is not None
            (answer,) = resource.resource.allocate([[f"{name}-0"]])
            assert answer.environment == {
                "NUMA_NODE": "1",
                "NUMA_HOST_NODE_CPUS": "2-3",
                "NUMA_HOST_NODE_MEMORY_BYTES": str(4 * GIB),
                "NUMA_HOST_NODE_DISKS": "nvme0n1",
            }


async def test_odd_names_of_interfaces_are_not_told(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The kernel allows nearly any bytes; one that cannot be told must not fail Allocate."""
    async with open_rig(tmp_path) as rig:
        near = NearRig(rig, tmp_path)
        for name in ("eth0", "a,b", "\udcff", "ö", "e\x01"):
            near.tree.interface(name, on=near.card)
        await near.start(NUMA_ENV="full", NUMA_SYSFS_ROOT=str(rig.sysfs))
        await near.allocatable(4)
        pod = asking("pod", ContainerKind.APP)
        verdict = await rig.kubelet.admit(pod)
        assert verdict.admitted, verdict.message
        (placement,) = rig.kubelet.placements(pod)
        assert placement.environment["NUMA_HOST_NODE_INTERFACES"] == "eth0"


async def test_counted_next_to_a_name(tmp_path: Path, autojump_clock: MockClock) -> None:
    """What is counted of a name's node moves with it."""
    socket = tmp_path / "pod-resources/kubelet.sock"
    socket.parent.mkdir()
    async with open_rig(tmp_path, pod_resources=socket) as rig:
        near = NearRig(rig, tmp_path)
        running = await near.start(
            NUMA_COUNTED="cpu",
            NUMA_POD_RESOURCES_SOCKET=str(socket),
            NUMA_POD_RESOURCES_INTERVAL="3600",
        )
        assert near.nearness().mount_table == near.mount_table
        await near.allocatable(2, "numa-align/near-data-cpu", within=31)
        near.move(0)
        await trio.sleep(31)
        resource = running.agent.resources.get("near-data-cpu")
        assert resource is not None
        assert resource.resource.numa_nodes == (0,)
        assert rig.kubelet.allocatable("numa-align/near-data-cpu") == rig.kubelet.allocatable(
            "numa-align/numa-0-cpu"
        )
