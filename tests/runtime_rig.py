"""A rig whose node has a container runtime besides, and agents that ask it to pin containers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from attrs import define

from fault_rig import AT_ONCE, Rig, RunningAgent, open_rig
from nri_runtime import cri
from nri_runtime.runtime import StandInRuntime, open_runtime
from numa_trio.agent.container_runtime import ContainerRuntime
from simulated import container, pod

# What the machine's nodes have, as the runtime sets it.
ON_NODE = {0: cri.Resources(cpus="0-1", mems="0"), 1: cri.Resources(cpus="2-3", mems="1")}
UNPINNED = cri.Resources()


@define(eq=False)
class RuntimeRig:
    """Kubelet, which knows nothing of all this, and the runtime beside it."""

    rig: Rig
    runtime: StandInRuntime
    containers: int = 0

    async def start_agent(self, **settings: str) -> RunningAgent:
        return await self.rig.start_agent(
            NUMA_NRI="cpus,mems", NUMA_NRI_SOCKET=str(self.runtime.socket_path), **settings
        )

    async def settle(self, **settings: str) -> None:
        """Start kubelet, the runtime and an agent, and let them run for an hour."""
        await self.rig.kubelet.start()
        await self.runtime.start()
        await self.start_agent(**settings)
        await self.slots_are_offered()
        await self.connected(within=AT_ONCE)
        await trio.sleep(3600)

    def agents_runtime(self) -> ContainerRuntime:
        """What the agent that was started last knows of the runtime."""
        found = self.rig.agents[-1].agent.runtime
        assert found is not None
        return found

    async def connected(self, within: float, agents: int = 1) -> None:
        """Return when the runtime tells so many agents of each container."""
        with trio.fail_after(within):
            await self.runtime.wait_plugins(agents)

    async def slots_are_offered(self) -> None:
        """Fail unless kubelet has every slot, now."""
        await self.rig.everything_allocatable(within=AT_ONCE)

    async def admitted(self, node: int) -> cri.Container:
        """A Burstable container that kubelet has given a slot of that node, to be created."""
        self.containers += 1
        name = f"app-{self.containers}"
        asked = pod(container(name, cpu=None, memory=None, numa=[node]), name=name)
        verdict = await self.rig.kubelet.admit(asked)
        assert verdict.admitted, verdict.message
        given = verdict.placements[0].annotations
        assert given, "kubelet knows no slots yet"
        annotations = {**given, "io.kubernetes.container.restartCount": "0"}
        self.rig.kubelet.remove(asked)  # its slot is for the next
        return cri.Container(name, annotations=annotations)

    async def create(self, node: int = 1) -> cri.Container:
        """A container of that node as the runtime has made it."""
        made = await self.admitted(node)
        return await self.runtime.create_container(cri.Pod(made.name), made)

    async def create_pinned(self, node: int = 1) -> cri.Container:
        """The same; fails unless it was pinned before it ran."""
        made = await self.create(node)
        assert made.resources == ON_NODE[node]
        return made

    async def start_with(self, count: int) -> list[cri.Container]:
        """Start kubelet and the runtime; containers that were created while nothing pinned them."""
        await self.rig.kubelet.start()
        await self.runtime.start()
        agent = await self.rig.start_agent()
        await self.rig.everything_allocatable(within=AT_ONCE)
        created = [await self.create() for _ in range(count)]
        await agent.stop()
        return created

    async def pinned(self, *containers: cri.Container, within: float, node: int = 1) -> None:
        """Return when these are on the node; fail after that time."""
        with trio.fail_after(within):
            for one in containers:
                while self.runtime.node.containers[one.id].resources != ON_NODE[node]:
                    await trio.sleep(0.01)


@asynccontextmanager
async def open_runtime_rig(
    tmp_path: Path, library: tuple[int, int, int] = (0, 6, 1), **options: Any
) -> AsyncIterator[RuntimeRig]:
    """Neither kubelet nor the runtime has been started."""
    async with (
        open_rig(tmp_path) as rig,
        open_runtime(tmp_path / "nri", library=library, **options) as runtime,
    ):
        yield RuntimeRig(rig, runtime)
