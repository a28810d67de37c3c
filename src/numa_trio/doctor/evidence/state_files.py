"""The state files of kubelet's CPU Manager and Memory Manager.

Source: pkg/kubelet/cm/cpumanager/state and memorymanager/state of Kubernetes 1.36.
"""

import json
from collections.abc import Mapping

from attrs import field, frozen

from numa_trio.doctor.evidence.host_files import HostFiles
from numa_trio.doctor.evidence.seen import Missing
from numa_trio.plain_text import quoted
from numa_trio.topology.lists import MalformedText, parse_list

_MOST_BYTES = 16 << 20

_CPU_KEYS = ("policyName", "defaultCpuSet", "entries")
_MEMORY_KEYS = ("policyName", "machineState")


@frozen
class CpuState:
    """Which policy wrote it, the CPUs that are shared, and those that containers have."""

    path: str
    policy: str
    shared: frozenset[int] = frozenset()
    exclusive: frozenset[int] = frozenset()


@frozen
class MemoryState:
    """Which policy wrote it, and bytes by NUMA node and kind: in all, and kept from pods."""

    path: str
    policy: str
    totals: Mapping[tuple[int, str], int] = field(factory=dict)
    reserved: Mapping[tuple[int, str], int] = field(factory=dict)
    nodes: frozenset[int] = frozenset()


def read_cpu_state(files: HostFiles, root: str) -> CpuState | Missing:
    """What `cpu_manager_state` says."""
    path = f"{root}/cpu_manager_state"
    value = _read(files, path, _CPU_KEYS)
    if isinstance(value, Missing):
        return value
    try:
        return CpuState(
            path,
            _text(value, "policyName"),
            _cpus(value.get("defaultCpuSet", "")),
            frozenset().union(*_assigned(value.get("entries"))),
        )
    except ValueError as problem:
        return files.failure(path, f"is not what kubelet writes: {problem}")


def read_memory_state(files: HostFiles, root: str) -> MemoryState | Missing:
    """What `memory_manager_state` says."""
    path = f"{root}/memory_manager_state"
    value = _read(files, path, _MEMORY_KEYS)
    if isinstance(value, Missing):
        return value
    try:
        machine = _mapping(value.get("machineState"), "machineState")
        totals, reserved = {}, {}
        for node, state in machine.items():
            if not node.isascii() or not node.isdigit() or len(node) > 5:
                raise ValueError(f"a NUMA node {quoted(node)} in machineState")
            totals[int(node), "memory"] = 0  # of a node without memory
            for kind, sizes in _mapping(_mapping(state, node).get("memoryMap"), node).items():
                amounts = _mapping(sizes, kind)
                totals[int(node), kind] = _bytes(amounts.get("total", 0))
                reserved[int(node), kind] = _bytes(amounts.get("systemReserved", 0))
        nodes = frozenset(map(int, machine))
        return MemoryState(path, _text(value, "policyName"), totals, reserved, nodes)
    except ValueError as problem:
        return files.failure(path, f"is not what kubelet writes: {problem}")


def _read(files: HostFiles, path: str, keys: tuple[str, ...]) -> dict[str, object] | Missing:
    content = files.read(path, _MOST_BYTES)
    if isinstance(content, Missing):
        return content
    try:
        value = json.loads(content)
    except json.JSONDecodeError as problem:
        place = f"line {problem.lineno}, column {problem.colno}"
        return files.failure(path, f"is not JSON: {place}: {problem.msg}")
    except (ValueError, RecursionError):
        return files.failure(path, "is not JSON: line 1, column 1: expected an object in UTF-8")
    if not isinstance(value, dict):
        return files.failure(path, "is not what kubelet writes: line 1, column 1: no object")
    kept = {key: value[key] for key in keys if key in value}
    files.keep(path, json.dumps(kept).encode() + b"\n")
    return value


def _text(value: Mapping[str, object], key: str) -> str:
    text = value.get(key)
    if not isinstance(text, str) or not text:
        raise ValueError(f"no {key}")
    return text


def _mapping(value: object, name: str) -> dict[str, object]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{quoted(name)} is no object")
    return value


def _cpus(text: object) -> frozenset[int]:
    if not isinstance(text, str):
        raise ValueError("a set of CPUs that is no text")
    try:
        return parse_list(text)
    except MalformedText as problem:
        raise ValueError(f"a set of CPUs: {problem}") from None


def _assigned(entries: object) -> list[frozenset[int]]:
    pods = _mapping(entries, "entries")
    return [_cpus(cpus) for pod in pods for cpus in _mapping(pods[pod], "entries").values()]


def _bytes(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 64:
        raise ValueError("a size that is no number of bytes")
    return value
