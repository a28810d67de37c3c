"""All that a host shows, read once: what the checks know."""

from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from numa_trio.doctor.evidence.container_runtime import Runtime, read_runtime
from numa_trio.doctor.evidence.distribution import Distribution, detect
from numa_trio.doctor.evidence.host_files import HostFiles
from numa_trio.doctor.evidence.kernel import Kernel, read_kernel
from numa_trio.doctor.evidence.kubelet_config import KubeletConfig, read_config
from numa_trio.doctor.evidence.observations import Observations
from numa_trio.doctor.evidence.processes import KubeletProcess, find_kubelet
from numa_trio.doctor.evidence.seen import Missing
from numa_trio.doctor.evidence.state_files import (
    CpuState,
    MemoryState,
    read_cpu_state,
    read_memory_state,
)
from numa_trio.topology.cores import Cores, read_cores
from numa_trio.topology.machine import Machine
from numa_trio.topology.sysfs import SysfsError, read_machine


@frozen
class Evidence:
    """What was seen of a host; each part on its own, with the reason where it is missing.

    `by_runtime`: the container runtime pins, so that kubelet's static managers need not.
    """

    distribution: Distribution
    process: KubeletProcess | Missing
    config: KubeletConfig
    machine: Machine | Missing
    cores: Cores
    kernel: Kernel
    cpu_state: CpuState | Missing
    memory_state: MemoryState | Missing
    runtime: Runtime | Missing
    observed: Observations
    by_runtime: bool = False


def gather(
    files: HostFiles,
    sysfs: Path,
    observe: Callable[[KubeletConfig], Observations],
    *,
    by_runtime: bool | None = None,
) -> Evidence:
    """Read the host; `observe` tells what only a running host shows.

    Who pins is what the agent says, unless `by_runtime` does.
    """
    process = find_kubelet(files)
    distribution = detect(files, process)
    config = read_config(files, distribution, process)
    machine = _machine(sysfs)
    cpus = frozenset[int]() if isinstance(machine, Missing) else machine.cpus
    observed = observe(config)
    return Evidence(
        distribution,
        process,
        config,
        machine,
        read_cores(sysfs, cpus),
        read_kernel(files),
        read_cpu_state(files, config.root),
        read_memory_state(files, config.root),
        read_runtime(files, distribution),
        observed,
        observed.pins_by_runtime if by_runtime is None else by_runtime,
    )


def _machine(sysfs: Path) -> Machine | Missing:
    try:
        return read_machine(sysfs)
    except SysfsError as problem:
        return Missing(str(problem).replace(str(sysfs), "/sys"))
