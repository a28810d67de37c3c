"""What `numa-trio topology` says of the machine in topology.yaml, as text and as a picture.

A machine file says what a machine has. What programs use of it, and what the kernel tells of CXL
memory, is added here.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from attrs import evolve

from numa_trio.simulator.machine_file import load_machine
from numa_trio.simulator.sysfs_tree import write_sysfs
from numa_trio.simulator.wiring_tree import write_host
from numa_trio.topology.machine import NumaNode

_FILE = Path(__file__).with_suffix(".yaml")
_GIB = 1 << 30
_FREE = {0: 41 * _GIB, 1: 96 * _GIB, 2: 230 * _GIB}
_FREE_HUGE_PAGES = 20
_COLUMNS = 80
_DAX = "devices/platform/ACPI0017:00/root0/decoder0.0/region0/dax_region0/dax0.0"
_CXL = {
    f"{_DAX}/target_node": "2",
    "devices/virtual/memory_tiering/memory_tier4/nodelist": "0-1",
    "devices/virtual/memory_tiering/memory_tier22/nodelist": "2",
    "devices/system/node/node2/access1/initiators/node0/uevent": "",
    "devices/system/node/node2/access1/initiators/read_bandwidth": "64000",
    "devices/system/node/node2/access1/initiators/read_latency": "250",
}


def show_topology(output: str) -> str:
    """What the command prints in 80 columns, or with another `--output`."""
    with tempfile.TemporaryDirectory() as directory:
        sysfs, host = Path(directory, "sys"), Path(directory, "host")
        _write(sysfs, host)
        roots = ["--sysfs-root", str(sysfs), "--host-root", str(host)]
        command = [sys.executable, "-m", "numa_trio", "topology", "--output", output, *roots]
        kept = {name: text for name, text in os.environ.items() if not name.startswith("NUMA_")}
        variables = {**kept, "COLUMNS": str(_COLUMNS), "PYTHONIOENCODING": "utf-8"}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=variables)
    return done.stdout


def _write(sysfs: Path, host: Path) -> None:
    described = load_machine(_FILE)
    nodes = tuple(map(_in_use, described.machine.nodes))
    write_sysfs(sysfs, evolve(described, machine=evolve(described.machine, nodes=nodes)))
    write_host(host, sysfs, described.wiring)
    for path, text in _CXL.items():
        file = sysfs / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
    drivers = sysfs / "bus/dax/drivers/kmem"
    drivers.mkdir(parents=True)
    (drivers / "dax0.0").symlink_to(sysfs / _DAX)


def _in_use(node: NumaNode) -> NumaNode:
    pages = tuple(evolve(each, free=min(each.free, _FREE_HUGE_PAGES)) for each in node.huge_pages)
    return evolve(node, memory_free_bytes=_FREE[node.id], huge_pages=pages)
