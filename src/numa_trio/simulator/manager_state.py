"""What the CPU and the Memory Manager keep on the disk over a restart of kubelet and a reboot."""

from pathlib import Path

from numa_trio.simulator.cpu_state import restore_cpu_state, write_cpu_state
from numa_trio.simulator.memory_state import restore_memory_state, write_memory_state
from numa_trio.simulator.node import Node


def restore_managers(directory: Path, node: Node) -> None:
    """Tell the managers what is whose, of the pods of the node, by the files in the directory.

    Of pods that are gone it is free. Nothing is anybody's where there are no files. Raises
    `KubeletWillNotStart` if a file does not suit the machine.
    """
    node.forget()
    restore_cpu_state(directory, node.cpus, node.pods)
    restore_memory_state(directory, node.memory, node.memory_totals, node.pods)


def write_managers(directory: Path, node: Node) -> None:
    """Write down which CPUs and which memory are whose; raises `OSError`."""
    write_cpu_state(directory, node.cpus)
    write_memory_state(directory, node.memory, node.memory_totals)
