"""The CPU Manager's state on the disk: `cpu_manager_state` in kubelet's root directory.

Source: pkg/kubelet/cm/cpumanager (state/checkpoint.go, policy_static.go) of Kubernetes 1.36.
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import NotRequired, TypedDict

from numa_trio.simulator.cpu_policy import CpuManager
from numa_trio.simulator.kubelet_config import CpuManagerPolicy, KubeletWillNotStart
from numa_trio.simulator.state_file import StateFile
from numa_trio.topology.lists import format_list, parse_list

CPU_STATE = "cpu_manager_state"

_Entries = dict[str, dict[str, str]]  # CPUs, by the uid of the pod and the name of the container


class _Content(TypedDict):
    defaultCpuSet: str
    entries: NotRequired[_Entries]


def write_cpu_state(directory: Path, manager: CpuManager) -> None:
    """Write down which CPUs are whose; raises `OSError`."""
    if not manager.static:
        _file(directory, manager).write({"defaultCpuSet": ""})
        return
    entries: _Entries = {}
    for (uid, container), cpus in manager.assignments.items():
        entries.setdefault(uid, {})[container] = format_list(cpus)
    data: dict[str, object] = {"defaultCpuSet": format_list(manager.shared)}
    _file(directory, manager).write(data | ({"entries": entries} if entries else {}))


def restore_cpu_state(directory: Path, manager: CpuManager, uids: Collection[str]) -> None:
    """Tell a manager that knows nothing yet which CPUs these pods have, by their uid.

    Raises `KubeletWillNotStart` if the file is not one of this machine and configuration.
    """
    file = _file(directory, manager)
    text = file.read()
    if text is None or not manager.static:
        return
    with file.restoring():
        content: _Content = json.loads(text)
        shared = parse_list(content["defaultCpuSet"])
        assignments = {
            (uid, container): parse_list(cpus)
            for uid, containers in content.get("entries", {}).items()
            for container, cpus in containers.items()
        }
    _check(manager, shared, [*assignments.values()])
    for (uid, container), cpus in assignments.items():
        if uid in uids:
            manager.assign(uid, container, cpus)


def _check(manager: CpuManager, shared: frozenset[int], exclusive: list[frozenset[int]]) -> None:
    if not manager.reserved <= shared:
        raise _invalid(
            f'not all reserved cpus: "{format_list(manager.reserved)}" are present in'
            f' defaultCpuSet: "{format_list(shared)}"'
        )
    everything = frozenset(cpu.id for cpu in manager.cpus)
    known = shared.union(*exclusive)
    if known != everything:
        raise _invalid(
            f'current set of available CPUs "{format_list(everything)}" doesn\'t match with CPUs in'
            f' state "{format_list(known)}"'
        )


def _invalid(problem: str) -> KubeletWillNotStart:
    return KubeletWillNotStart(f"start cpu manager error: {problem}")


def _file(directory: Path, manager: CpuManager) -> StateFile:
    policy = CpuManagerPolicy.STATIC if manager.static else CpuManagerPolicy.NONE
    return StateFile(directory / CPU_STATE, "CPU", policy)
