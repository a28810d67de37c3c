"""A rig whose machine has a disk, and an agent that has a name for it."""

from fractions import Fraction
from pathlib import Path

import trio

from fault_rig import Rig, RunningAgent
from host_tree import HostTree
from numa_trio.agent.advertised import AdvertisedResource
from numa_trio.agent.nearness import Nearness
from numa_trio.workloads.pod import Container, ContainerKind, Pod, Resources

DATA = "numa-align/near-data"
DISK = "0000:01:00.0"
MOUNTED = "259:0 / /data ext4 /dev/nvme0n1 rw"


class NearRig:
    """A rig whose machine has a disk, mounted at /data, and an agent that calls that `data`."""

    def __init__(self, rig: Rig, tmp_path: Path) -> None:
        self.rig = rig
        self.tree = HostTree(tmp_path)
        self.card = self.tree.card("0000:00:01.0", DISK, node=1)
        self.tree.disk("nvme0n1", on=self.card, number="259:0")
        self.mount(MOUNTED)

    @property
    def mount_table(self) -> Path:
        return self.tree.root / "proc/1/mountinfo"

    def mount(self, *mounts: str) -> None:
        self.tree.mounts(*mounts)

    def move(self, node: int) -> None:
        """As if the disk had been plugged in elsewhere."""
        self.tree.write(f"{self.card}/numa_node", str(node))
        self.tree.write(f"{Path(self.card).parent}/numa_node", str(node))

    async def start(
        self, near: str = "data=/data", *, in_thread: bool = False, **settings: str
    ) -> RunningAgent:
        await self.rig.kubelet.start()
        return await self.rig.start_agent(
            in_thread=in_thread,
            NUMA_NEAR=near,
            NUMA_HOST_ROOT=str(self.tree.root),
            **settings,
        )

    async def offered(self, near: str = "data=/data") -> AdvertisedResource:
        """Start, and wait until kubelet has the slots of `data`."""
        running = await self.start(near)
        await self.allocatable(4)
        resource = running.agent.resources.get("near-data")
        assert resource is not None
        return resource

    async def allocatable(self, count: int, name: str = DATA, within: float = 1.0) -> None:
        with trio.fail_after(within):
            await self.rig.kubelet.wait_allocatable(name, count)

    def nearness(self) -> Nearness:
        found = self.rig.agents[-1].agent.nearness
        assert found is not None
        return found


def asking(name: str, *kinds: ContainerKind) -> Pod:
    """A pod whose containers, each of a kind, ask for a CPU near `data`."""
    asked = {"cpu": Fraction(1), "memory": Fraction(1 << 20), DATA: Fraction(1)}
    return Pod(name, tuple(Container(kind, Resources(asked, asked), kind) for kind in kinds))
