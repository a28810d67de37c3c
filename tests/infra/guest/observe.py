"""Runs in the virtual machine: the agent beside the kubelet stand-in, on the kernel's own sysfs.

Prints what it sees, one JSON object a line, each with a `fact`. It judges nothing: the tests on
the host do. Where something does not come, the last fact is `waited in vain`.
"""

import json
import platform
import signal
import subprocess
import sys

import trio
from kubelet_view import (
    DEVICE_PLUGINS,
    PATIENCE,
    SLOTS,
    SYS,
    WaitedInVain,
    resource_name,
    running_agent,
    tell_agents_log,
    tell_pod,
    tell_slots,
    wait,
)
from telling import tell

from numa_trio.exception_groups import flattened
from numa_trio.kubelet.rpc.loop import open_bridge
from numa_trio.simulator.kubelet import KubeletStandIn, open_kubelet
from numa_trio.simulator.sysfs_tree import read_simulated_machine


async def wait_for_slots(kubelet: KubeletStandIn, **counts: int) -> None:
    """Wait until so many slots of `numa_0` and so on are allocatable."""
    wanted = {resource_name(name.replace("_", "-")): count for name, count in counts.items()}

    def holds() -> bool:
        return all(kubelet.allocatable(name) == count for name, count in wanted.items())

    await wait(kubelet, f"allocatable {wanted}", holds)


def tell_topology() -> None:
    """Print what `numa-trio topology` makes of this kernel."""
    command = [sys.executable, "-m", "numa_trio", "topology", "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    document = json.loads(done.stdout) if done.returncode == 0 else None
    tell("topology", status=done.returncode, document=document, errors=done.stderr)


def cpus_of(numa_node: int) -> str:
    """The kernel's own words."""
    return (SYS / f"devices/system/node/node{numa_node}/cpulist").read_text()


def switch(cpus: list[int], online: bool) -> None:
    """Take CPUs offline, or back online."""
    for cpu in cpus:
        (SYS / f"devices/system/cpu/cpu{cpu}/online").write_text("1" if online else "0")


async def observe(node_1_cpus: list[int]) -> None:
    """The whole life of an agent: before kubelet, with it, after it, with CPUs that go and come."""
    machine = read_simulated_machine(SYS, platform.node())
    async with open_bridge(), open_kubelet(DEVICE_PLUGINS, machine) as kubelet:
        with running_agent({"NUMA_TOPOLOGY_INTERVAL": "1"}) as agent:
            await kubelet.start()
            await wait_for_slots(kubelet, numa_0=SLOTS, numa_1=SLOTS)
            tell_slots("registered", kubelet)
            await tell_pod(kubelet, "numa-0", numa_node=0)
            await tell_pod(kubelet, "numa-1", numa_node=1)

            await kubelet.stop()
            await kubelet.start()
            await wait_for_slots(kubelet, numa_0=SLOTS, numa_1=SLOTS)
            tell_slots("kubelet restarted", kubelet)

            switch(node_1_cpus, online=False)
            await wait_for_slots(kubelet, numa_0=SLOTS, numa_1=0)
            tell_slots("cpus offline", kubelet, cpulist=cpus_of(1))
            switch(node_1_cpus, online=True)
            await wait_for_slots(kubelet, numa_0=SLOTS, numa_1=SLOTS)
            tell_slots("cpus online", kubelet, cpulist=cpus_of(1))

            agent.send_signal(signal.SIGTERM)
            status = await trio.to_thread.run_sync(agent.wait, PATIENCE)
            left = sorted(path.name for path in DEVICE_PLUGINS.glob("numa-*"))
            tell("agent stopped", status=status, sockets=left)


def main() -> None:
    """Observe, and print the agent's log at the end, whatever happened."""
    tell("started", kernel=platform.release(), python=platform.python_version())
    tell_topology()
    node_1_cpus = sorted(
        int(path.name.removeprefix("cpu"))
        for path in (SYS / "devices/system/node/node1").glob("cpu[0-9]*")
    )
    try:
        trio.run(observe, node_1_cpus)
    except* WaitedInVain as problems:
        tell("waited in vain", of=[str(problem) for problem in flattened(problems)])
    finally:
        tell_agents_log()
        tell("ended")


if __name__ == "__main__":
    main()
