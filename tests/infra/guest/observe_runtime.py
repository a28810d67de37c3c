"""Runs in the virtual machine: the agent beside containerd, with a client in place of kubelet.

Containers are started with what Allocate says of them and without, and pods pretend; containerd and
the agent are restarted. After each step it prints what the cgroups have. It judges nothing: the
tests on the host do. Where something does not come, the last fact is `waited in vain`.
"""

import platform
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import trio
from containerd import LOG, Containerd, import_image, prepare, wait_for_plugins
from costs import IDLE_SECONDS, creations, resident_kib, wake_ups
from counted import counts, wait_for_count
from cri import Runtime
from kubelet_view import (
    DEVICE_PLUGINS,
    PATIENCE,
    SLOTS,
    SYS,
    WaitedInVain,
    admit_pod,
    resource_name,
    running_agent,
    tell_agents_log,
    wait,
)
from stage import (
    NO_ANNOTATIONS,
    Stage,
    start_before_the_agent,
    start_containers,
    start_pretenders,
    update_containers,
)
from telling import tell

from numa_trio.exception_groups import flattened
from numa_trio.kubelet.rpc.loop import open_bridge
from numa_trio.simulator.kubelet import KubeletStandIn, open_kubelet
from numa_trio.simulator.sysfs_tree import read_simulated_machine

ON = {"NUMA_NRI": "cpus,mems"}
SECOND = {"NUMA_INSTANCE": "b", "NUMA_HTTP_ADDR": ":9411"}
QUIET = {"NUMA_TOPOLOGY_INTERVAL": "3600"}  # what is counted is not of its own making

T = TypeVar("T")


async def in_thread(step: Callable[..., T], *arguments: Any) -> T:
    """The kubelet stand-in goes on meanwhile."""
    return await trio.to_thread.run_sync(step, *arguments)


async def tell_idle(moment: str, process: int) -> None:
    """Print what the agent costs when nothing happens."""
    before = wake_ups(process)
    await trio.sleep(IDLE_SECONDS)
    tell("idle", moment=moment, wake_ups=wake_ups(process) - before, kib=resident_kib(process))


def tell_creations(moment: str, stage: Stage) -> None:
    """Print how long it takes to create containers that hold a device, and ones that do not."""
    for holds, annotations in ((True, stage.given[1]), (False, NO_ANNOTATIONS)):
        seconds = creations(stage.runtime, stage.plain, annotations)
        tell("creations", moment=moment, holds=holds, seconds=seconds)


async def stop(agent: "subprocess.Popen[bytes]") -> None:
    """Have an agent leave, as it leaves in a rolling update."""
    agent.send_signal(signal.SIGTERM)
    tell("agent stopped", status=await in_thread(agent.wait, PATIENCE))


async def observe(kubelet: KubeletStandIn, runtime: Runtime, containerd: Containerd) -> None:
    """Without the agent's part in the runtime, with it, after restarts of both."""
    with running_agent({**QUIET, "NUMA_NRI": "off"}) as agent:
        await wait(kubelet, "slots", lambda: kubelet.allocatable(resource_name("numa-1")) == SLOTS)
        given = [await annotations_given(kubelet, name) for name in ("numa-0", "numa-1")]
        tell("given", annotations=given)
        stage = await in_thread(Stage, runtime, given)
        await in_thread(start_before_the_agent, stage)
        await in_thread(tell_creations, "off", stage)
        await tell_idle("off", agent.pid)
        await stop(agent)
    with running_agent({**QUIET, **ON}) as agent:
        await in_thread(wait_for_plugins, 1)
        await in_thread(wait_for_count, 'containers_total{numa_node="1",outcome="pinned"} 1')
        stage.neighbours.tell("agent came", stage.containers["left behind"].cgroup)
        stage.tell_pages("after", "left behind", "bystander")
        await in_thread(start_containers, stage)
        await in_thread(start_pretenders, stage)
        await in_thread(update_containers, stage)
        tell("counts", lines=await in_thread(counts))
        await in_thread(tell_creations, "on", stage)
        await tell_idle("on", agent.pid)
        await in_thread(restart, containerd, stage)
        await in_thread(stage.start, "after containerd", given[1])
        with running_agent({**QUIET, **ON, **SECOND}) as second:
            await in_thread(wait_for_plugins, 3)
            await in_thread(stage.start, "both agents", given[1])
            await stop(agent)
            await in_thread(stage.start, "second agent", given[1])
            await stop(second)
    await in_thread(stage.neighbours.tell, "agents gone")
    await in_thread(tell_creations, "off", stage)


async def annotations_given(kubelet: KubeletStandIn, local_name: str) -> Mapping[str, str]:
    """What kubelet puts on a container that holds this resource of ours."""
    (placement_there,) = (await admit_pod(kubelet, local_name)).placements
    return dict(placement_there.annotations)


def restart(containerd: Containerd, stage: Stage) -> None:
    """Restart containerd, wait for the agent to join it, and print which containers run on."""
    containerd.stop()
    containerd.start()
    wait_for_plugins(2)
    stage.neighbours.tell("containerd restarted")
    running = stage.runtime.running()
    names = sorted(name for name, each in stage.containers.items() if each.id not in running)
    tell("containerd restarted", running=len(running), gone=names)


async def main() -> None:
    """Observe, and print the agent's log at the end, whatever happened."""
    prepare()
    containerd = Containerd()
    runtime = containerd.start()
    tell("runtime", version=runtime.version(), kernel=platform.release())
    import_image()
    machine = read_simulated_machine(SYS, platform.node())
    async with open_bridge(), open_kubelet(DEVICE_PLUGINS, machine) as kubelet:
        await kubelet.start()
        await observe(kubelet, runtime, containerd)


if __name__ == "__main__":
    try:
        trio.run(main)
        tell("ended")
    except* (WaitedInVain, TimeoutError) as problems:
        tell("waited in vain", of=[str(problem) for problem in flattened(problems)])
    finally:
        tell_agents_log()
        sys.stderr.write(LOG.read_text())
