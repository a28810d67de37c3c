"""What the test reads in the API's objects and in its pods' output. Pure."""

import json
import re
from collections.abc import Mapping

from attrs import field, frozen

from e2e.kubectl import Json
from numa_trio.topology.lists import format_list, parse_list

# The label of a node whose host runs the plugin: the component host-service.
HOST_SERVICE = "numa-trio/host-service"

# apimachinery pkg/api/resource: how a count is shortened (1000 becomes 1k).
_SUFFIXES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
_COUNT = re.compile(r"([0-9]+)([kMG]?)")


def parse_count(quantity: str) -> int:
    """The number of devices that a quantity like `100` or `1k` means."""
    match = _COUNT.fullmatch(quantity)
    if match is None:
        raise ValueError(f"the quantity {quantity!r}; expected a whole number, as in 100 or 1k")
    return int(match[1]) * _SUFFIXES[match[2]]


@frozen
class ClusterNode:
    """A node of the cluster: its slots by NUMA node, as kubelet reports them.

    `counted_cpus` are those that kubelet could give away, where the plugin counts them. `near_…`
    is the same by name, for what is near something. `host_service`: its label says that the host
    runs the plugin, and the DaemonSet leaves it out.
    """

    name: str
    capacity: Mapping[int, int]
    allocatable: Mapping[int, int]
    counted_cpus: Mapping[int, int] = field(factory=dict)
    near_capacity: Mapping[str, int] = field(factory=dict)
    near_allocatable: Mapping[str, int] = field(factory=dict)
    near_counted_cpus: Mapping[str, int] = field(factory=dict)
    host_service: bool = False


def parse_node(node: Json, domain: str) -> ClusterNode:
    """A Node object; only resources named `<domain>/numa-<N>`, `near-<name>` and `…-cpu` count."""
    capacity = node["status"].get("capacity", {})
    allocatable = node["status"].get("allocatable", {})
    return ClusterNode(
        name=node["metadata"]["name"],
        capacity=_by_node(capacity, domain),
        allocatable=_by_node(allocatable, domain),
        counted_cpus=_by_node(allocatable, domain, "-cpu"),
        near_capacity=_by_name(capacity, domain),
        near_allocatable=_by_name(allocatable, domain),
        near_counted_cpus=_by_name(allocatable, domain, "-cpu"),
        host_service=node["metadata"].get("labels", {}).get(HOST_SERVICE) == "true",
    )


def _by_node(quantities: Mapping[str, str], domain: str, ending: str = "") -> dict[int, int]:
    counts = _counts(quantities, domain, r"numa-([0-9]+)" + ending)
    return {int(node): count for node, count in counts.items()}


def _by_name(quantities: Mapping[str, str], domain: str, ending: str = "") -> dict[str, int]:
    # No name ends so: it is what is counted beside the slots. Nor is near-volume one: it stands for
    # a volume of each pod.
    return _counts(quantities, domain, r"near-(?!volume$)(.+)(?<!-cpu)(?<!-memory)" + ending)


def _counts(quantities: Mapping[str, str], domain: str, pattern: str) -> dict[str, int]:
    name = re.compile(f"{re.escape(domain)}/{pattern}")
    return {
        match[1]: parse_count(quantity)
        for resource, quantity in sorted(quantities.items())
        if (match := name.fullmatch(resource))
    }


@frozen
class KubeletPolicies:
    """The manager policies that kubelet says it runs with (its /configz)."""

    topology: str
    cpu: str
    memory: str

    @property
    def aligns(self) -> bool:
        """Whether pods that cannot have all from one NUMA node are rejected."""
        return self.topology in {"restricted", "single-numa-node"}

    @property
    def pins_cpus(self) -> bool:
        """Whether whole CPUs of Guaranteed pods are exclusive."""
        return self.cpu == "static"

    @property
    def pins_memory(self) -> bool:
        """Whether memory of Guaranteed pods comes from the hinted NUMA node only."""
        return self.memory == "Static"


def parse_policies(configz: Json) -> KubeletPolicies:
    """The answer of a node's /configz; kubelet's defaults for what it leaves out."""
    configuration = configz["kubeletconfig"]
    return KubeletPolicies(
        topology=configuration.get("topologyManagerPolicy", "none"),
        cpu=configuration.get("cpuManagerPolicy", "none"),
        memory=configuration.get("memoryManagerPolicy", "None"),
    )


@frozen
class PodState:
    """Where a pod has come to. `reason` and `message` say why, where there is something to say."""

    phase: str
    reason: str = ""
    message: str = ""

    @property
    def over(self) -> bool:
        """Whether it will never run again."""
        return self.phase in {"Succeeded", "Failed"}

    def __str__(self) -> str:
        return ": ".join(part for part in (self.phase, self.reason, self.message) if part)


def parse_pod(pod: Json) -> PodState:
    """A Pod object: its own reason, or else that of a waiting container or a false condition."""
    status = pod["status"]
    phase = status.get("phase", "Unknown")
    if status.get("reason"):
        return PodState(phase, status["reason"], status.get("message", ""))
    for container in [
        *status.get("initContainerStatuses", []),
        *status.get("containerStatuses", []),
    ]:
        state = container.get("state", {})
        stopped = state.get("waiting") or state.get("terminated") or {}
        if stopped.get("reason", "Completed") not in {"Completed", "PodInitializing"}:
            return PodState(phase, stopped["reason"], stopped.get("message", ""))
    for condition in status.get("conditions", []):
        if condition.get("status") == "False" and condition.get("message") and phase == "Pending":
            return PodState(phase, condition.get("reason", ""), condition["message"])
    return PodState(phase)


def pod_is_ready(pod: Json) -> bool:
    """Whether a pod runs, is ready, and is not on its way out."""
    return "deletionTimestamp" not in pod["metadata"] and any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in pod["status"].get("conditions", [])
    )


@frozen
class Placement:
    """What a container sees of its placement; None where its output does not tell."""

    cpus: frozenset[int] | None
    memory_nodes: frozenset[int] | None
    numa_node: str | None


def parse_placement(log: str) -> Placement:
    """The output of the probe's command: lines of /proc/self/status, and NUMA_NODE."""

    def field(pattern: str) -> str | None:
        match = re.search(pattern, log, re.MULTILINE)
        return match[1] if match else None

    cpus, memory = field(r"^Cpus_allowed_list:\s*(\S+)$"), field(r"^Mems_allowed_list:\s*(\S+)$")
    return Placement(
        cpus=None if cpus is None else parse_list(cpus),
        memory_nodes=None if memory is None else parse_list(memory),
        numa_node=field(r"^NUMA_NODE=(.*)$"),
    )


def parse_numa_nodes(listing: str) -> dict[int, frozenset[int]]:
    """CPUs by NUMA node out of lines like `node1 2-3`; the list is empty for a node without."""
    return {
        int(match[1]): parse_list(match[2])
        for match in re.finditer(r"^node([0-9]+) ?(\S*)$", listing, re.MULTILINE)
    }


@frozen
class NearName:
    """What the plugin says of a name; `told` is the way to its nodes, or why it is not offered."""

    name: str
    nodes: frozenset[int]
    offered: bool
    told: str

    @property
    def resource(self) -> str:
        """The resource, without its domain."""
        return f"near-{self.name}"


@frozen
class NearReport:
    """What the plugin says of its names. A `problem` says why it says nothing."""

    names: tuple[NearName, ...] = ()
    problem: str | None = None

    @property
    def offered(self) -> tuple[NearName, ...]:
        """The names that are resources."""
        return tuple(name for name in self.names if name.offered)

    def find(self, name: str) -> NearName | None:
        """What it says of this name, if anything."""
        return next((each for each in self.names if each.name == name), None)


def parse_near(document: str) -> NearReport:
    """The output of `numa-trio topology --output json`. Raises `ValueError` if it is no JSON."""
    return NearReport(tuple(map(_near_name, json.loads(document)["near"])))


def _near_name(verdict: Json) -> NearName:
    nodes = frozenset(verdict["nodes"])
    end = f"node {format_list(nodes)}" if nodes else "no known node"
    way = " → ".join([verdict["target"], *verdict["chain"], end])
    return NearName(verdict["name"], nodes, verdict["advertised"], verdict["reason"] or way)
