"""Runs in the virtual machine: the agent beside the kubelet stand-in, on the kernel's own sysfs.

Prints what it sees, one JSON object a line, each with a `fact`. It judges nothing: the tests on
the host do. Where something does not come, the last fact is `waited in vain`.
"""

import json
import os
import platform
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trio
from telling import tell

from numa_trio.kubelet.rpc.loop import open_bridge
from numa_trio.simulator.events import EventKind
from numa_trio.simulator.kubelet import KubeletStandIn, open_kubelet
from numa_trio.simulator.sysfs_tree import read_simulated_machine
from numa_trio.workloads.manifest import load_manifests

DEVICE_PLUGINS = Path("/var/lib/kubelet/device-plugins")
SYS = Path("/sys")
AGENT_LOG = Path("/run/agent.log")

SLOTS = 100
PATIENCE = 180  # seconds; under emulation on a loaded machine a second is long

AGENT_ENVIRONMENT = {
    **os.environ,
    "NUMA_CAPACITY": str(SLOTS),
    "NUMA_TOPOLOGY_INTERVAL": "1",
    "NUMA_LOG_FORMAT": "json",
}


class WaitedInVain(Exception):
    """Something did not come about; the message says what."""


async def wait(kubelet: KubeletStandIn, what: str, holds: Callable[[], bool]) -> None:
    """Wait until it holds, or raise `WaitedInVain` of `what`."""
    with trio.move_on_after(PATIENCE):
        await kubelet.wait_until(holds)
        return
    raise WaitedInVain(what)


async def wait_for_slots(kubelet: KubeletStandIn, **counts: int) -> None:
    """Wait until so many slots of `numa_0` and so on are allocatable."""
    wanted = {_resource(name): count for name, count in counts.items()}

    def holds() -> bool:
        return all(kubelet.allocatable(name) == count for name, count in wanted.items())

    await wait(kubelet, f"allocatable {wanted}", holds)


def _resource(name: str) -> str:
    return f"numa-align/{name.replace('_', '-')}"


def tell_slots(fact: str, kubelet: KubeletStandIn, **details: Any) -> None:
    """Print each resource's slots with the NUMA nodes that they name, and what led to them."""
    devices = kubelet.node.devices
    resources = {
        name: {
            "capacity": kubelet.capacity(name),
            "allocatable": kubelet.allocatable(name),
            "numa_nodes": sorted(
                {n for id_ in devices.healthy(name) for n in devices.place(name, id_)}
            ),
        }
        for name in devices.resources
    }
    counts = Counter(event.kind for event in kubelet.log.events)
    tell(
        fact,
        resources=resources,
        registrations=counts[EventKind.REGISTERED],
        streams=counts[EventKind.WATCHING],
        lists=counts[EventKind.LISTED],
        **details,
    )


def tell_topology() -> None:
    """Print what `numa-trio topology` makes of this kernel."""
    command = [sys.executable, "-m", "numa_trio", "topology", "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    document = json.loads(done.stdout) if done.returncode == 0 else None
    tell("topology", status=done.returncode, document=document, errors=done.stderr)


async def tell_pod(kubelet: KubeletStandIn, numa_node: int) -> None:
    """Print where a pod with one CPU comes to that asks for this NUMA node."""
    limits = {"cpu": 1, "memory": "64Mi", f"numa-align/numa-{numa_node}": 1}
    container = {"name": "app", "image": "none", "resources": {"limits": limits}}
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"on-node-{numa_node}"},
        "spec": {"containers": [container]},
    }
    file = Path(f"/run/pod-{numa_node}.yaml")
    file.write_text(json.dumps(manifest))
    (pod,) = load_manifests([file]).pods
    verdict = await kubelet.admit(pod)
    placements = [
        {
            "cpus": sorted(placement.cpus),
            "environment": dict(placement.environment),
            "devices": {name: list(ids) for name, ids in placement.devices.items()},
        }
        for placement in verdict.placements
    ]
    kubelet.remove(pod)
    tell("pod", numa_node=numa_node, reason=verdict.reason, placements=placements)


def cpus_of(numa_node: int) -> str:
    """The kernel's own words."""
    return (SYS / f"devices/system/node/node{numa_node}/cpulist").read_text()


def switch(cpus: list[int], online: bool) -> None:
    """Take CPUs offline, or back online."""
    for cpu in cpus:
        (SYS / f"devices/system/cpu/cpu{cpu}/online").write_text("1" if online else "0")


@contextmanager
def running_agent() -> Iterator["subprocess.Popen[bytes]"]:
    """The agent as its container runs it, with the directory it finds by itself."""
    with AGENT_LOG.open("wb") as log:
        command = [sys.executable, "-m", "numa_trio", "run"]
        agent = subprocess.Popen(command, env=AGENT_ENVIRONMENT, stdout=log, stderr=log)
        try:
            yield agent
        finally:
            agent.kill()
            agent.wait()


async def observe(node_1_cpus: list[int]) -> None:
    """The whole life of an agent: before kubelet, with it, after it, with CPUs that go and come."""
    machine = read_simulated_machine(SYS, platform.node())
    async with open_bridge(), open_kubelet(DEVICE_PLUGINS, machine) as kubelet:
        with running_agent() as agent:
            await kubelet.start()
            await wait_for_slots(kubelet, numa_0=SLOTS, numa_1=SLOTS)
            tell_slots("registered", kubelet)
            await tell_pod(kubelet, 0)
            await tell_pod(kubelet, 1)

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
        tell("waited in vain", of=[str(problem) for problem in problems.exceptions])
    finally:
        lines = AGENT_LOG.read_text().splitlines() if AGENT_LOG.exists() else []
        for line in lines:
            tell("agent said", line=line)
        tell("ended")


if __name__ == "__main__":
    main()
