"""A real agent that offers more than the plain slots, before kubelet as the stand-in has it."""

from pathlib import Path

import trio
from trio.testing import MockClock

from fault_rig import RESOURCES, open_rig
from numa_trio.plugin.resource import NumaResource

CPUS = "numa-align/numa-1-cpu"
NEAR = "numa-align/near-data"


async def test_others_come_change_and_survive_kubelet(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Added at run time, unhealthy one by one or as a whole, moved, and there after a restart."""
    async with open_rig(tmp_path) as rig:
        await rig.settle()
        agent = rig.agents[0].agent
        cpus = agent.discovery.offer(NumaResource("numa-1-cpu", (1,), 8))
        near = agent.discovery.offer(NumaResource("near-data", (0, 1), 4))
        for one in (cpus, near):
            agent.resources.add(one)
        with trio.fail_after(1):
            await rig.kubelet.wait_allocatable(CPUS, 8)
            await rig.kubelet.wait_allocatable(NEAR, 4)
            cpus.update(cpus.resource.with_unhealthy([0, 5]))
            await rig.kubelet.wait_allocatable(CPUS, 6)
            near.update(near.resource.with_nodes([1]).with_health(False))
            await rig.kubelet.wait_allocatable(NEAR, 0)
            near.update(near.resource.with_health(True))
            await rig.kubelet.wait_allocatable(NEAR, 4)
        await rig.kubelet.stop()
        await trio.sleep(1)
        await rig.kubelet.start()
        with trio.fail_after(1):
            await rig.kubelet.wait_allocatable(CPUS, 6)
            await rig.kubelet.wait_allocatable(NEAR, 4)
            for name in RESOURCES:
                await rig.kubelet.wait_allocatable(name, 4)
        assert rig.kubelet.capacity(CPUS) == 8
        names = {path.name for path in rig.directory.glob("numa-*.sock")}
        assert names == {
            "numa-0.sock",
            "numa-1.sock",
            "numa-1-cpu+.sock",
            "numa-near-data+.sock",
        }
