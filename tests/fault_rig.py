"""The agent and the kubelet stand-in in one process, so that faults can be had in virtual time.

Sockets, inotify and gRPC are real; only the clock is not. Both sides run in one loop, so that the
clock jumps only when neither has anything left to do.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from attrs import define, field

from numa_trio.agent.looking import Found, Looker
from numa_trio.agent.service import Agent
from numa_trio.agent.service_manager import ServiceManager
from numa_trio.agent.status import Phase
from numa_trio.kubelet.plugin_socket import PluginSocket
from numa_trio.kubelet.rpc.loop import open_bridge
from numa_trio.settings import load_settings
from numa_trio.simulator.kubelet import KubeletStandIn, open_kubelet
from numa_trio.simulator.kubelet_config import KubeletConfig
from numa_trio.simulator.sysfs_tree import write_sysfs
from numa_trio.topology.machine import Machine
from simulated import machine

AT_ONCE = 0.2  # seconds: less than any backoff but the first few
MACHINE = machine((0, 1), (2, 3))
_DEFAULTS = KubeletConfig()
RESOURCES = ("numa-align/numa-0", "numa-align/numa-1")


@define(eq=False)
class RunningAgent:
    """An agent in a task of its own."""

    agent: Agent
    running: trio.CancelScope
    ended: trio.Event

    def phases(self) -> set[Phase]:
        """Those of its resources."""
        return {one.status.phase for one in self.agent.resources}

    async def stop(self) -> None:
        """End it as SIGTERM does."""
        self.running.cancel()
        await self.ended.wait()

    async def kill(self) -> None:
        """End it as SIGKILL does: its sockets stay behind, dead."""
        with pytest.MonkeyPatch.context() as killing:
            killing.setattr(PluginSocket, "close", lambda bound: bound.listener.close())
            await self.stop()


@define(eq=False)
class Rig:
    """One node of a cluster: a machine with two NUMA nodes, kubelet, and agents."""

    directory: Path
    sysfs: Path
    kubelet: KubeletStandIn
    nursery: trio.Nursery
    agents: list[RunningAgent] = field(factory=list)

    async def start_agent(
        self,
        *,
        in_thread: bool = False,
        manager: ServiceManager | None = None,
        **settings: str,
    ) -> RunningAgent:
        """Start an agent; it need not be registered when this returns.

        It looks at the host as soon as it would, or `in_thread`, for which no virtual clock waits.
        """
        variables = {
            "NUMA_SOCKET_DIR": str(self.directory),
            "NUMA_SYSFS_ROOT": str(self.sysfs),
            "NUMA_HTTP_ADDR": "",
            "NUMA_CAPACITY": "4",
            **settings,
        }
        agent = Agent(load_settings(variables), manager)
        if agent.nearness and not in_thread:
            agent.nearness.look = _in_this_thread(agent.nearness.look)
        started = RunningAgent(agent, trio.CancelScope(), trio.Event())
        self.agents.append(started)
        self.nursery.start_soon(self._run, started)
        return started

    async def _run(self, started: RunningAgent) -> None:
        with started.running:
            await started.agent.run()
        started.ended.set()

    def allocatable(self) -> dict[str, int]:
        return {resource: self.kubelet.allocatable(resource) for resource in RESOURCES}

    async def everything_allocatable(self, within: float) -> float:
        """The seconds until kubelet has every slot of every node; fails after `within`."""
        began = trio.current_time()
        with trio.fail_after(within):
            for resource in RESOURCES:
                await self.kubelet.wait_allocatable(resource, 4)
        return trio.current_time() - began

    async def settle(self) -> None:
        """Start kubelet and an agent, and let them run for an hour."""
        await self.kubelet.start()
        await self.start_agent()
        await self.everything_allocatable(within=AT_ONCE)
        await trio.sleep(3600)

    async def restart_kubelet(self, *, wipe: bool = True) -> None:
        await self.kubelet.stop()
        await self.kubelet.start(wipe=wipe)


def _in_this_thread(look: object) -> Callable[[Machine], Awaitable[Found]]:
    assert isinstance(look, Looker)
    looker = look

    async def look_at_once(machine: Machine) -> Found:
        await trio.lowlevel.checkpoint()
        return looker.look(machine)

    return look_at_once


@asynccontextmanager
async def open_rig(
    tmp_path: Path,
    *,
    disconnect_trap: bool = True,
    directory: Path | None = None,
    pod_resources: Path | None = None,
    config: KubeletConfig = _DEFAULTS,
) -> AsyncIterator[Rig]:
    directory = directory or tmp_path / "device-plugins"
    directory.mkdir(parents=True)
    sysfs = tmp_path / "sys"
    write_sysfs(sysfs, MACHINE)
    async with (
        open_bridge(),
        open_kubelet(
            directory,
            MACHINE,
            config,
            disconnect_trap=disconnect_trap,
            pod_resources=pod_resources,
        ) as kubelet,
        trio.open_nursery() as nursery,
    ):
        yield Rig(directory, sysfs, kubelet, nursery)
        nursery.cancel_scope.cancel()
