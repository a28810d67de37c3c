"""The Memory Manager's state on the disk: `memory_manager_state` in kubelet's root directory.

Kubelet does not start if what the file says of the machine differs by a byte from what it finds.
Source: pkg/kubelet/cm/memorymanager (state/, policy_static.go) of Kubernetes 1.36.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import NotRequired, TypedDict

from numa_trio.simulator.kubelet_config import KubeletWillNotStart, MemoryManagerPolicy
from numa_trio.simulator.memory import Assignment, MemoryManager
from numa_trio.simulator.state_file import StateFile

MEMORY_STATE = "memory_manager_state"

# Of each resource of each NUMA node, in bytes and by their names in the file.
Totals = Mapping[int, Mapping[str, int]]

_FIXED = ("total", "systemReserved", "allocatable")
_USED = ("free", "reserved")


class _NodeState(TypedDict):
    numberOfAssignments: int
    memoryMap: dict[str, dict[str, int]]
    cells: list[int]


class _Block(TypedDict):
    numaAffinity: list[int]
    type: str
    size: int


_MachineState = dict[str, _NodeState]
_Entries = dict[str, dict[str, list[_Block]]]  # by the uid of the pod and the name of the container


class _Content(TypedDict):
    machineState: _MachineState
    entries: NotRequired[_Entries]


def write_memory_state(directory: Path, manager: MemoryManager, totals: Totals) -> None:
    """Write down what each NUMA node has, and whose it is; raises `OSError`."""
    entries: _Entries = {}
    for (uid, container), blocks in manager.assignments.items():
        entries.setdefault(uid, {})[container] = [
            {"numaAffinity": sorted(nodes), "type": name, "size": int(size)}
            for name, nodes, size in blocks
        ]
    machine = _machine_state(manager, totals) if manager.static else {}
    data: dict[str, object] = {"machineState": machine}
    _file(directory, manager).write(data | ({"entries": entries} if entries else {}))


def restore_memory_state(
    directory: Path, manager: MemoryManager, totals: Totals, uids: Collection[str]
) -> None:
    """Tell a manager that knows nothing yet which memory these pods have, by their uid.

    Raises `KubeletWillNotStart` if the file is not one of this machine and configuration.
    """
    file = _file(directory, manager)
    text = file.read()
    if text is None or not manager.static:
        return
    with file.restoring():
        content: _Content = json.loads(text)
        written = content["machineState"]
        for uid, containers in content.get("entries", {}).items():
            for container, blocks in containers.items():
                manager.assign(uid, container, map(_assignment, blocks))
        real = _machine_state(manager, totals)
        found = list(_differences(written, real)) if written else []
    if found:
        raise KubeletWillNotStart(
            "start memory manager error: [memorymanager] the expected machine state is different"
            f" from the real one ({'; '.join(found)}); move {file.path} aside"
        )
    for number, node in written.items():
        manager.nodes[int(number)].restore(
            frozenset(node["cells"]),
            node["numberOfAssignments"],
            {name: table["reserved"] for name, table in node["memoryMap"].items()},
        )
    for uid, container in [each for each in manager.assignments if each[0] not in uids]:
        manager.remove(uid, container)


def _assignment(block: _Block) -> Assignment:
    return block["type"], frozenset(block["numaAffinity"]), Fraction(block["size"])


def _machine_state(manager: MemoryManager, totals: Totals) -> _MachineState:
    return {
        str(node.id): {
            "numberOfAssignments": node.assignments,
            "memoryMap": {
                name: _table(totals[node.id], name, int(allocatable), int(node.free(name)))
                for name, allocatable in sorted(node.allocatable.items())
            },
            "cells": sorted(node.group),
        }
        for node in manager.nodes.values()
    }


def _table(totals: Mapping[str, int], name: str, allocatable: int, free: int) -> dict[str, int]:
    total = totals[name]
    pages = sum(size for each, size in totals.items() if each != name) if name == "memory" else 0
    return {
        "total": total,
        "systemReserved": max(0, total - pages - allocatable),
        "allocatable": allocatable,
        "reserved": allocatable - free,
        "free": free,
    }


def _differences(written: _MachineState, real: _MachineState) -> Iterator[str]:
    """In what the states differ, as `areMachineStatesEqual` looks at them: sums for each group."""
    if written.keys() != real.keys():
        yield f"NUMA nodes {', '.join(written)}, found {', '.join(real)}"
        return
    for number, node in written.items():
        other = real[number]
        if node["numberOfAssignments"] != other["numberOfAssignments"]:
            yield f"node {number}: another number of assignments"
        if sorted(node["cells"]) != sorted(other["cells"]):
            yield f"node {number}: another group of nodes"
        if node["memoryMap"].keys() != other["memoryMap"].keys():
            yield f"node {number}: other sizes of huge pages"
            continue
        for name, table in node["memoryMap"].items():
            for what in _FIXED:
                before, now = table[what], other["memoryMap"][name][what]
                if before != now:
                    yield f"node {number}: {name}: {what} is {before} in the file, {now} here"
            for what in _USED:
                sums = [
                    sum(each[str(cell)]["memoryMap"][name][what] for cell in node["cells"])
                    for each in (written, real)
                ]
                if sums[0] != sums[1]:
                    yield f"node {number}: {name}: {what} is {sums[0]} in the file, {sums[1]} here"


def _file(directory: Path, manager: MemoryManager) -> StateFile:
    policy = MemoryManagerPolicy.STATIC if manager.static else MemoryManagerPolicy.NONE
    return StateFile(directory / MEMORY_STATE, "memory", policy)
