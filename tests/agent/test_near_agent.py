"""A real agent with names for what things are near, before kubelet as the stand-in has it."""

from fractions import Fraction
from pathlib import Path
from typing import NoReturn

import pytest
import trio
from trio.testing import MockClock

from fault_rig import RESOURCES, Rig, RunningAgent, open_rig
from host_tree import HostTree
from numa_trio.agent.nearness import Nearness
from numa_trio.workloads.pod import Container, ContainerKind, Pod, Resources
from simulated import GIB

DATA = "numa-align/near-data"
DISK = "0000:01:00.0"


class NearRig:
    """A rig whose machine has a disk, mounted at /data, and an agent that calls that `data`."""

    def __init__(self, rig: Rig, tmp_path: Path) -> None:
        self.rig = rig
        self.tree = HostTree(tmp_path)
        self.card = self.tree.card("0000:00:01.0", DISK, node=1)
        self.tree.disk("nvme0n1", on=self.card, number="259:0")
        self.mount("259:0 / /data ext4 /dev/nvme0n1 rw")

    def mount(self, *mounts: str) -> None:
        self.tree.mounts(*mounts)

    def move(self, node: int) -> None:
        """As if the disk had been plugged in elsewhere."""
        self.tree.write(f"{self.card}/numa_node", str(node))
        self.tree.write(f"{Path(self.card).parent}/numa_node", str(node))

    async def start(self, near: str = "data=/data", **settings: str) -> RunningAgent:
        await self.rig.kubelet.start()
        return await self.rig.start_agent(
            NUMA_NEAR=near, NUMA_HOST_ROOT=str(self.tree.root), **settings
        )

    async def allocatable(self, count: int, name: str = DATA, within: float = 1.0) -> None:
        with trio.fail_after(within):
            await self.rig.kubelet.wait_allocatable(name, count)

    def nearness(self) -> Nearness:
        found = self.rig.agents[-1].agent.nearness
        assert found is not None
        return found


async def test_name_is_offered_near_its_disk_and_follows_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Slots near the disk's node; unhealthy while it is not mounted; elsewhere once it is moved."""
    async with open_rig(tmp_path) as rig:
        near = NearRig(rig, tmp_path)
        running = await near.start("data=mount:/data")
        await near.allocatable(4)
        resource = running.agent.resources.get("near-data")
        assert resource is not None
        assert resource.resource.numa_nodes == (1,)
        near.mount()
        await near.allocatable(0, within=31)
        assert rig.kubelet.capacity(DATA) == 4
        near.mount("259:0 / /data ext4 /dev/nvme0n1 rw")
        near.move(0)
        await near.allocatable(4, within=31)
        assert resource.resource.numa_nodes == (0,)
        assert {device.numa_nodes for device in resource.resource.devices()} == {(0,)}
        for name in RESOURCES:
            assert rig.kubelet.allocatable(name) == 4


async def test_what_comes_late_is_offered_late(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A mount that is made after the agent's start, soon after the kernel tells of it."""
    async with open_rig(tmp_path) as rig:
        near = NearRig(rig, tmp_path)
        near.mount()
        await near.start("data=mount:/data", NUMA_TOPOLOGY_INTERVAL="3600")
        await rig.everything_allocatable(within=1)
        await trio.sleep(60)
        assert rig.agents[0].agent.resources.get("near-data") is None
        near.mount("259:0 / /data ext4 /dev/nvme0n1 rw")
        near.nearness().happened()
        await near.allocatable(4, within=2)


def asking(name: str, *kinds: ContainerKind) -> Pod:
    """A pod whose containers, each of a kind, ask for a CPU near `data`."""
    asked = {"cpu": Fraction(1), "memory": Fraction(1 << 20), DATA: Fraction(1)}
    return Pod(name, tuple(Container(kind, Resources(asked, asked), kind) for kind in kinds))


async def test_slots_that_containers_have_stay_where_they_are(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A pod lives through a move of the disk and a restart of kubelet; others go to the disk."""
    async with open_rig(tmp_path) as rig:
        near = NearRig(rig, tmp_path)
        running = await near.start()
        await near.allocatable(4)
        resource = running.agent.resources.get("near-data")
        assert resource is not None
        old = asking("old", ContainerKind.INIT, ContainerKind.APP)
        assert (await rig.kubelet.admit(old)).admitted
        near.move(0)
        await trio.sleep(91)
        assert rig.kubelet.allocatable(DATA) == 3
        await rig.restart_kubelet()
        (again,) = await rig.kubelet.admitted_again()
        assert again.admitted
        assert {each.environment["NUMA_NODE"] for each in rig.kubelet.placements(old)} == {"1"}
        await trio.sleep(90)
        rig.kubelet.remove(old)
        new = asking("new", ContainerKind.APP)
        assert (await rig.kubelet.admit(new)).admitted
        (placement,) = rig.kubelet.placements(new)
        assert placement.environment == {"NUMA_NODE": "0"}
        assert placement.cpus <= {0, 1}
        await near.allocatable(4, within=31)


async def test_agent_that_starts_knows_where_slots_were_given(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The disk is moved while no agent runs, and kubelet starts again with the next one."""
    async with open_rig(tmp_path) as rig:
        near = NearRig(rig, tmp_path)
        running = await near.start()
        await near.allocatable(4)
        assert (
            await rig.kubelet.admit(asking("old", ContainerKind.INIT, ContainerKind.APP))
        ).admitted
        await running.stop()
        near.move(0)
        await rig.kubelet.stop()
        await near.start()
        (again,) = await rig.kubelet.admitted_again()
        assert again.admitted
        await trio.sleep(90)
        assert rig.kubelet.allocatable(DATA) == 3


async def test_bad_names_cost_only_themselves(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The nodes' slots and the good names are offered, and the log names what is wrong."""
    async with open_rig(tmp_path) as rig:
        near = NearRig(rig, tmp_path)
        await near.start("data=/data,Bad!=/data,cpu=/data,twice=/a,twice=/b,x=../y,gone=net:eth9")
        await rig.everything_allocatable(within=1)
        await near.allocatable(4)
        problems = near.nearness().near.look.problems
        assert len(problems) == 4
        for problem in problems:
            assert problem in caplog.text
        assert len(rig.agents[0].agent.resources) == 3


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


async def test_counted_next_to_a_name(tmp_path: Path, autojump_clock: MockClock) -> None:
    """What is counted of a name's node moves with it."""
    socket = tmp_path / "pod-resources/kubelet.sock"
    socket.parent.mkdir()
    async with open_rig(tmp_path, pod_resources=socket) as rig:
        near = NearRig(rig, tmp_path)
        running = await near.start(NUMA_COUNTED="cpu", NUMA_POD_RESOURCES_SOCKET=str(socket))
        await near.allocatable(2, "numa-align/near-data-cpu", within=31)
        near.move(0)
        await trio.sleep(31)
        resource = running.agent.resources.get("near-data-cpu")
        assert resource is not None
        assert resource.resource.numa_nodes == (0,)
        assert rig.kubelet.allocatable("numa-align/near-data-cpu") == rig.kubelet.allocatable(
            "numa-align/numa-0-cpu"
        )


async def test_defect_does_not_take_the_slots(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking that fails by a defect is told and tried again."""

    def judge(*_arguments: object) -> NoReturn:
        raise RuntimeError("oops")

    async with open_rig(tmp_path) as rig:
        near = NearRig(rig, tmp_path)
        with monkeypatch.context() as patched:
            patched.setattr("numa_trio.agent.nearness.judge", judge)
            await near.start()
            await rig.everything_allocatable(within=1)
            assert near.nearness().problem == "a defect of the agent: RuntimeError('oops')"
        await near.allocatable(4, within=31)
        assert near.nearness().problem is None
