"""A sysfs tree of a machine with so many NUMA nodes, for plugins that are told to look there."""

from pathlib import Path

CPUS_PER_NODE = 8
MEMORY_KIB_PER_NODE = 16 * 1024 * 1024


def write_sysfs(root: Path, nodes: int) -> None:
    """Write what a kernel tells of `nodes` equal NUMA nodes with CPUs and memory below `root`."""
    online = f"0-{nodes - 1}\n" if nodes > 1 else "0\n"
    cpus = root / "devices/system/cpu"
    cpus.mkdir(parents=True)
    (cpus / "online").write_text(f"0-{nodes * CPUS_PER_NODE - 1}\n")
    every = root / "devices/system/node"
    every.mkdir()
    for name in ("online", "possible", "has_cpu", "has_memory", "has_normal_memory"):
        (every / name).write_text(online)
    for node in range(nodes):
        directory = every / f"node{node}"
        directory.mkdir()
        first = node * CPUS_PER_NODE
        (directory / "cpulist").write_text(f"{first}-{first + CPUS_PER_NODE - 1}\n")
        distances = ("10" if other == node else "21" for other in range(nodes))
        (directory / "distance").write_text(" ".join(distances) + "\n")
        (directory / "meminfo").write_text(
            f"Node {node} MemTotal:       {MEMORY_KIB_PER_NODE} kB\n"
            f"Node {node} MemFree:        {MEMORY_KIB_PER_NODE // 2} kB\n"
            f"Node {node} MemUsed:        {MEMORY_KIB_PER_NODE // 2} kB\n"
        )
