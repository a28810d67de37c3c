"""Runs in the virtual machine with disks and cards near several NUMA nodes: what is near what.

Changes what `wire-near` has made, and after each change prints what each target is near, and which
slots a kubelet is offered by an agent that runs as in a pod. It judges nothing: the tests on the
host do. Where something does not come, the last fact is `waited in vain`.
"""

import json
import platform
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

import trio
from changes import (
    kernel_names,
    mount_again,
    plug_in,
    put_together,
    run,
    start_udev,
    take_apart,
    unplug,
)
from kubelet_view import (
    DEVICE_PLUGINS,
    PATIENCE,
    SLOTS,
    SYS,
    WaitedInVain,
    nodes_of,
    resource_name,
    running_agent,
    tell_agents_log,
    tell_pod,
    tell_slots,
    wait,
)
from look_near import look
from monitor import Monitor
from pod import HOST, within_pod
from telling import tell

from numa_trio.exception_groups import flattened
from numa_trio.kubelet.rpc.loop import open_bridge
from numa_trio.simulator.kubelet import KubeletStandIn, open_kubelet
from numa_trio.simulator.sysfs_tree import read_simulated_machine

# With names in braces that the kernel gives.
WIRED = (
    *("{alpha}", "disk:{alpha}", "/dev/{beta}p3"),
    "/dev/disk/by-id/nvme-QEMU_NVMe_Ctrl_beta-part1",
    "/dev/disk/by-path/pci-0000:41:00.0-nvme-1",
    *("{gamma}", "{shared}", "sda", "vda", "loop0"),
    *("/dev/md0", "/dev/mapper/locked", "/dev/vg-0/data", "/dev/mapper/fast-es"),
    *("0000:82:00.0", "pci:41:00.0", "enp66s0", "net:enp130s0", "enp0s16", "lo"),
    *("bond0", "net:bond0.100", "br0", "storage", "net:enp*s0"),
    *("mount:/data", "/data/shards", "mount:/data/shards", "/var/lib/shards"),
    *("mount:/var/lib/elasticsearch", "/bound", "/merged", "/srv/fast", "/srv/btrfs", "/run"),
    "/dev/disk/by-id/nvme-QEMU_NVMe_Ctrl_*a-part3",
)
CHANGED = (
    *("/dev/disk/by-id/nvme-QEMU_NVMe_Ctrl_beta", "{beta}", "/dev/{beta}p1", "md0", "/dev/fast/es"),
    *("mount:/var/lib/elasticsearch", "mount:/data", "mount:/srv/plain", "/srv/fast", "/srv/btrfs"),
    *("bond0", "br0"),
)

AGENT = {
    "NUMA_NEAR": "data=mount:/srv/plain,disk=/dev/disk/by-id/nvme-QEMU_NVMe_Ctrl_beta,"
    "mirror=/dev/md0,fast=mount:/srv/fast",
    "NUMA_HOST_ROOT": str(HOST),
    "NUMA_TOPOLOGY_INTERVAL": "3600",  # what it notices, the kernel has told it
}


def named(targets: Iterable[str], names: Mapping[str, str]) -> list[str]:
    return [target.format_map(names) for target in targets]


def tell_near(moment: str, targets: Iterable[str], names: Mapping[str, str]) -> None:
    """Print what each target is near now."""
    tell("near", moment=moment, names=names, seen=look(Path("/"), named(targets, names)))


def tell_topology(targets: Iterable[str], names: Mapping[str, str]) -> None:
    """Print what `numa-trio topology` makes of it in a pod."""
    command = [sys.executable, "-m", "numa_trio", "topology", "--output", "json"]
    command += ["--host-root", str(HOST)]
    for number, target in enumerate(named(targets, names)):
        command += ["--near", f"t{number}={target}"]
    tell("topology", document=json.loads(run(*within_pod(), *command)), names=names)


async def wait_for_slots(kubelet: KubeletStandIn, moment: str, **slots: list[int]) -> None:
    """Wait until the slots of `near_data` and so on are near these nodes, or, for [], unhealthy.

    Then print those of all resources.
    """
    wanted = {resource_name(name.replace("_", "-")): nodes for name, nodes in slots.items()}

    def holds() -> bool:
        return all(
            (nodes_of(kubelet, name), kubelet.allocatable(name)) == (nodes, SLOTS if nodes else 0)
            for name, nodes in wanted.items()
        )

    await wait(kubelet, f"{moment}: {wanted}", holds)
    tell_slots("slots", kubelet, moment=moment)


async def observe(names: Mapping[str, str]) -> None:
    """An agent that runs as in a pod, while disks are mounted, unplugged and plugged in."""

    async def change(moment: str, make: Callable[[], None]) -> None:
        await trio.to_thread.run_sync(make)
        tell_near(moment, CHANGED, {**names, **kernel_names()})

    within = within_pod()
    machine = read_simulated_machine(SYS, platform.node())
    async with open_bridge(), open_kubelet(DEVICE_PLUGINS, machine) as kubelet:
        await kubelet.start()
        with running_agent(AGENT, within) as agent:
            nodes = {"numa_0": [0], "numa_1": [1]}
            near = {"near_disk": [1], "near_mirror": [0, 1], "near_fast": [1]}
            await wait_for_slots(kubelet, "wired", **nodes, **near)

            await change("taken apart", take_apart)
            await change("put together", put_together)
            await wait_for_slots(kubelet, "put together", near_data=[1], near_mirror=[0, 1])
            await tell_pod(kubelet, "near-data", moment="put together")

            monitor = Monitor()
            await change("unplugged", partial(unplug, monitor))
            gone = {"near_data": [], "near_disk": [], "near_fast": []}
            await wait_for_slots(kubelet, "unplugged", near_mirror=[0], **gone)

            await change("plugged in", partial(plug_in, monitor))
            await change("mounted again", mount_again)
            moved = {"near_data": [0], "near_disk": [0], "near_fast": [0]}
            await wait_for_slots(kubelet, "mounted again", **moved)
            await tell_pod(kubelet, "near-data", moment="mounted again")

            agent.send_signal(signal.SIGTERM)
            status = await trio.to_thread.run_sync(agent.wait, PATIENCE)
            tell("agent stopped", status=status)


def main() -> None:
    """Observe the machine as it is wired, and after each change."""
    tell("started", kernel=platform.release(), python=platform.python_version())
    start_udev()
    tell("udev settled")
    run("/guest/wire-near")
    names = kernel_names()
    tell_near("wired", WIRED, names)
    tell_topology(WIRED, names)
    try:
        trio.run(observe, names)
    except* WaitedInVain as problems:
        tell("waited in vain", of=[str(problem) for problem in flattened(problems)])
    finally:
        tell_agents_log()
    tell("ended")


if __name__ == "__main__":
    main()
