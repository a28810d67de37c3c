"""How much kubelet keeps from pods, exactly as it counts it.

Source: pkg/kubelet/cm/node_container_manager_linux.go, pkg/kubelet/eviction/helpers.go and
pkg/kubelet/cm/memorymanager/memory_manager.go of Kubernetes 1.36.
"""

import math
import re
import struct
from collections.abc import Mapping
from fractions import Fraction

from attrs import field, frozen

from numa_trio.doctor.evidence.kubelet_config import EVICTION, MEMORY_SIGNAL, KubeletConfig
from numa_trio.doctor.evidence.seen import Missing
from numa_trio.topology.lists import LARGEST
from numa_trio.workloads.quantity import parse_quantity, shown

_PERCENTAGE = re.compile(r"[0-9]{1,3}(\.[0-9]{1,20})?%")


class Unusable(ValueError):
    """A setting that kubelet does not take: which, what it holds, what is allowed."""


@frozen
class ReservedMemory:
    """A threshold of memory and two reservations, in bytes, which `of_nodes` must add up to.

    `of_nodes` are bytes by NUMA node and kind (`memory`, `hugepages-2Mi`).
    """

    kube: Mapping[str, Fraction] = field(factory=dict)
    system: Mapping[str, Fraction] = field(factory=dict)
    eviction: Fraction = Fraction()
    of_nodes: Mapping[tuple[int, str], Fraction] = field(factory=dict)

    def needed(self, kind: str) -> Fraction:
        """What the nodes together must reserve of a kind."""
        sum_of_both = self.kube.get(kind, Fraction()) + self.system.get(kind, Fraction())
        return sum_of_both + (self.eviction if kind == "memory" else 0)

    def given(self, kind: str) -> Fraction:
        """What the nodes together do reserve of a kind."""
        amounts = (amount for (_, each), amount in self.of_nodes.items() if each == kind)
        return sum(amounts, Fraction())

    @property
    def kinds(self) -> list[str]:
        """The kinds of memory that are reserved anywhere."""
        both = {kind for kind in (*self.kube, *self.system) if _is_memory(kind)}
        return sorted({"memory", *both, *(kind for _, kind in self.of_nodes)})


def read_reserved_memory(config: KubeletConfig, capacity: int | Missing) -> ReservedMemory:
    """The memory that is reserved; `capacity` is that of the machine, in bytes.

    Raises `Unusable`, also where a percentage is set and the capacity is not known.
    """
    return ReservedMemory(
        quantities(config, "kubeReserved"),
        quantities(config, "systemReserved"),
        eviction_threshold(config, capacity),
        _of_nodes(config),
    )


def quantities(config: KubeletConfig, key: str) -> dict[str, Fraction]:
    """The amounts of a map such as systemReserved. Raises `Unusable`."""
    setting = config.settings.get(key)
    if setting is not None and not isinstance(setting.value, dict):
        raise Unusable(f"{key}: found {shown(setting.value)}; expected a map")
    return {name: _quantity(f"{key}.{name}", value) for name, value in config.map(key).items()}


def reserved_cpus(config: KubeletConfig) -> Fraction | str:
    """CPUs that are kept from pods: a number, or the list in reservedSystemCPUs. `Unusable`."""
    listed = config.text("reservedSystemCPUs", "").value
    if listed:
        return str(listed)
    kube = quantities(config, "kubeReserved").get("cpu", Fraction())
    return kube + quantities(config, "systemReserved").get("cpu", Fraction())


def eviction_threshold(config: KubeletConfig, capacity: int | Missing) -> Fraction:
    """The hard threshold for memory in bytes; 0 if there is none. Raises `Unusable`."""
    name = f"{EVICTION}.{MEMORY_SIGNAL}"
    value = config.map(EVICTION).get(MEMORY_SIGNAL)
    if value in (None, "0%", "100%"):
        return Fraction()
    if not isinstance(value, str):
        raise Unusable(f"{name}: found {shown(value)}; expected text in quotes")
    if not value.endswith("%"):
        amount = _quantity(name, value)
        if not amount:
            raise Unusable(f"{name}: found {shown(value)}; expected more than 0, or 0%")
        return amount
    if not _PERCENTAGE.fullmatch(value) or float(value[:-1]) > 100:
        raise Unusable(f"{name}: found {shown(value)}; expected 0% to 100%")
    if isinstance(capacity, Missing):
        raise Unusable(f"{name}: {value} of a memory that is not known: {capacity.reason}")
    # Kubelet keeps the part in 32 bits, and rounds the product down.
    return Fraction(math.floor(float(capacity) * _single(_single(float(value[:-1])) / 100)))


def _single(number: float) -> float:
    """The nearest number of 32 bits."""
    (nearest,) = struct.unpack("f", struct.pack("f", number))
    return float(nearest)


def _of_nodes(config: KubeletConfig) -> dict[tuple[int, str], Fraction]:
    found: dict[tuple[int, str], Fraction] = {}
    setting = config.settings.get("reservedMemory")
    if setting is None:
        return found
    expected = "expected entries of numaNode and limits"
    if not isinstance(setting.value, list):
        raise Unusable(f"reservedMemory: found {shown(setting.value)}; {expected}")
    for number, entry in enumerate(setting.value):
        where = f"reservedMemory[{number}]"
        node = entry.get("numaNode", 0) if isinstance(entry, dict) else None
        limits = entry.get("limits") if isinstance(entry, dict) else None
        if not isinstance(node, int) or isinstance(node, bool) or not isinstance(limits, dict):
            raise Unusable(f"{where}: {expected}")
        if not 0 <= node <= LARGEST:
            raise Unusable(f"{where}: found numaNode {shown(node)}; expected 0 to {LARGEST}")
        for kind, value in limits.items():
            if (node, kind) in found:
                raise Unusable(f"{where}: found {kind} of NUMA node {node} for the second time")
            found[node, kind] = _quantity(f"{where}.limits.{kind}", value, numbers=True)
    return found


def _quantity(name: str, value: object, *, numbers: bool = False) -> Fraction:
    if not isinstance(value, str) and not (numbers and isinstance(value, int)):
        raise Unusable(f"{name}: found {shown(value)}; expected text in quotes")
    try:
        return parse_quantity(value)
    except ValueError as problem:
        raise Unusable(f"{name}: {problem}") from None


def _is_memory(kind: str) -> bool:
    return kind == "memory" or kind.startswith("hugepages-")
