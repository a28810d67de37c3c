"""Machines of every sort below a directory, for what shows them: real, large and odd ones."""

import os
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import attrs
from rich.console import Console

from host_tree import FIXTURES, HostTree
from numa_trio.commands.topology import Seen, look_at
from numa_trio.commands.topology_text import draw_machine
from numa_trio.settings import load_settings
from numa_trio.simulator.machine_file import load_machine, shipped_machines
from numa_trio.simulator.sysfs_tree import write_sysfs
from numa_trio.simulator.wiring_tree import write_host
from numa_trio.topology.lists import format_list
from sysfs_tree import MACHINES, plant, plant_machine, plant_nodes

# Where thousands of small files are quickly made and gone, if the machine has it.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

SIZES = (1, 2, 8, 16, 64)


@attrs.frozen
class Roots:
    """Where a machine's sysfs is, and the parts of its `/` that can be seen."""

    sysfs: Path
    host: Path | None = None

    @property
    def options(self) -> list[str]:
        """Those of `numa-trio topology`."""
        host = [] if self.host is None else ["--host-root", str(self.host)]
        return ["--sysfs-root", str(self.sysfs), *host]

    def look(self, *near: str) -> Seen:
        """What `numa-trio topology` sees."""
        return look_at(self.sysfs, self.host, near, load_settings({}))


def plant_snapshot(directory: Path, name: str) -> Roots:
    """The machine fixtures/sysfs/`name`.yaml."""
    return Roots(plant_machine(directory, name))


def plant_devices(directory: Path, name: str) -> Roots:
    """The machine fixtures/devices/`name`.yaml, with nodes."""
    tree = HostTree.of_machine(directory, name)
    plant_nodes(
        tree.sysfs,
        {
            "online": "0-1",
            "node0/cpulist": "0-1",
            "node0/distance": "10 21",
            "node1/cpulist": "2-3",
            "node1/distance": "21 10",
        },
    )
    return Roots(tree.sysfs, tree.root)


def plant_shipped(directory: Path, name: str) -> Roots:
    """A machine of the simulator's."""
    machine = load_machine(shipped_machines()[name])
    write_sysfs(directory / "sys", machine)
    write_host(directory / "host", directory / "sys", machine.wiring)
    return Roots(directory / "sys", directory / "host")


def plant_large(directory: Path, name: str) -> Roots:
    """A machine of so many nodes: every CPU of a node far from its next, every distance another."""
    count = int(name.removesuffix("-nodes"))
    files = {"online": format_list(range(count))}
    for node in range(count):
        files[f"node{node}/cpulist"] = format_list(range(node, 16 * count, count))
        files[f"node{node}/distance"] = " ".join(str(10 + (node ^ other)) for other in range(count))
        files[f"node{node}/meminfo"] = (
            f"Node {node} MemTotal: {(node + 1) << 20} kB\nNode {node} MemFree: {node << 19} kB"
        )
    return Roots(plant_nodes(directory, files))


def plant_odd(directory: Path, _name: str) -> Roots:
    """Cores of unlike many threads, offline CPUs, CXL, many disks, and names as nobody has them."""
    tree = HostTree(directory)
    plant_nodes(
        tree.sysfs,
        {
            "online": "0-2",
            "node0/cpulist": "0-3,6-9",
            "node0/distance": "10 21 14",
            "node0/meminfo": "Node 0 MemTotal: 8388608 kB\nNode 0 MemFree: 2097152 kB",
            "node0/hugepages/hugepages-2048kB/nr_hugepages": "1024",
            "node0/hugepages/hugepages-2048kB/free_hugepages": "1000",
            "node1/cpulist": "10",
            "node1/distance": "21 10 24",
            "node1/meminfo": "Node 1 MemTotal: 0 kB\nNode 1 MemFree: 0 kB",
            "node2/cpulist": "",
            "node2/distance": "14 24 10",
            "node2/meminfo": "Node 2 MemTotal: 16777216 kB\nNode 2 MemFree: 16777216 kB",
            "node2/access1/initiators/node0/uevent": "",
            "node2/access1/initiators/read_bandwidth": "64000",
            "node2/access1/initiators/read_latency": "250",
        },
    )
    plant(tree.sysfs / "devices/system/cpu", {"present": "0-12", "online": "0-3,6-10"})
    for threads in ("0,1", "2,3", "6", "7", "8", "9", "10"):
        for cpu in threads.split(","):
            folder = f"devices/system/cpu/cpu{cpu}/topology"
            tree.write(f"{folder}/core_cpus_list", threads)
            tree.write(f"{folder}/physical_package_id", "1" if cpu == "10" else "0")
    tree.write("devices/virtual/memory_tiering/memory_tier22/nodelist", "2")
    region = "devices/platform/ACPI0017:00/root0/decoder0.0/region0/dax_region0/dax0.0"
    tree.write(f"{region}/target_node", "2")
    tree.link("bus/dax/drivers/kmem/dax0.0", region)
    for number in range(14):
        card = tree.card(f"0000:{number:02x}:00.0", node=0)
        tree.disk(f"nvme{number}n1", on=card, number=f"259:{number}")
    for name in ("e\nth\x1b[31m", "網路介面卡一號", "<b>&amp;"):
        tree.interface(name, on=tree.card(f"0000:f{len(name)}:00.0", node=1))
    tree.disk(
        "a-disk-with-a-name-that-is-longer-than-any-line-of-a-box-may-be",
        tree.card("0001:00:00.0", node=1),
    )
    path = "/".join(["/srv", *["a-folder-of-many"] * 6])
    tree.mounts(f"259:3 / {path} ext4 /dev/nvme3n1 rw")
    return Roots(tree.sysfs, tree.root)


def _machines() -> Iterator[tuple[str, Callable[[Path, str], Roots]]]:
    yield from ((path.stem, plant_snapshot) for path in sorted(MACHINES.glob("*.yaml")))
    yield from ((f"{path.stem}*", plant_devices) for path in sorted(FIXTURES.glob("*.yaml")))
    yield from ((name, plant_shipped) for name in shipped_machines())
    yield from ((f"{count}-nodes", plant_large) for count in SIZES)
    yield "odd", plant_odd


EVERY_MACHINE = dict(_machines())


def plant_any(directory: Path, name: str) -> Roots:
    """A machine by its name in `EVERY_MACHINE`."""
    return EVERY_MACHINE[name](directory, name.removesuffix("*"))


@cache
def seen_of(name: str) -> Seen:
    """What `numa-trio topology` sees of a machine by its name in `EVERY_MACHINE`."""
    with tempfile.TemporaryDirectory(prefix="numa-", dir=MEMORY) as directory:
        return plant_any(Path(directory), name).look()


def drawn(seen: Seen, columns: int) -> str:
    """The drawing of a machine in a terminal of so many columns, without colours."""
    console = Console(width=columns, color_system=None, force_terminal=False)
    with console.capture() as capture:
        draw_machine(seen, console, columns)
    return capture.get()
