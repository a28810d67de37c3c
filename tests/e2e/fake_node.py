"""A node of the fake cluster: what its kubelet, and the plugin there, say and do."""

import re
from collections.abc import Mapping, Sequence

from attrs import Factory, define

from e2e.fake_faults import Fault
from e2e.fake_near import FakeNear, Wiring, wired
from e2e.fake_runtime import FakeRuntime
from e2e.kubectl import Json
from e2e.objects import HOST_SERVICE
from e2e.pods import TELL_PINNING
from numa_trio.topology.lists import format_list


@define
class FakeNode:
    """A node of two CPUs a NUMA node; `served` is what the plugin has told its kubelet.

    `served_near` is the same of names. `faults` are the cluster's.
    """

    name: str
    numa_nodes: dict[int, frozenset[int]]
    topology: str = "single-numa-node"
    cpu: str = "static"
    memory: str = "Static"
    plugin_runs: bool = True
    service: str = "kubelet"
    wiring: Wiring = Factory(lambda self: wired(self.numa_nodes), takes_self=True)
    unseen: str | None = None
    kubelet_generation: int = 1
    served: int = 0
    served_near: int = 0
    counts: bool = False
    sees_host: bool = False
    # When a status of kubelet's shows what is served.
    shown_from: float = 0
    setting: str = ""  # NUMA_NEAR
    pins: bool = False  # whether NUMA_NRI is on
    pool: frozenset[int] = frozenset()  # of the static CPU Manager, if not all CPUs are in it
    faults: frozenset[Fault] = frozenset()
    host_service: bool = False

    def __attrs_post_init__(self) -> None:
        if self.host_service:
            self.plugin_runs, self.served = False, 40

    @property
    def near(self) -> FakeNear:
        """What the plugin says of its names."""
        unseen = self.unseen if self.sees_host else "the host's mount table cannot be seen"
        return FakeNear(self.setting, self.wiring, unseen, self.faults)

    @property
    def runtime(self) -> FakeRuntime:
        """The container runtime, as the plugin asks it to pin."""
        return FakeRuntime(self.pins, self.faults)

    def roll(self, settings: Mapping[str, str] | None, now: float, *, again: bool) -> None:
        """The plugin's pod is replaced, with other settings if there are some."""
        if not self.plugin_runs:
            return
        capacity = self.served
        if settings is not None:
            capacity, self.setting = int(settings["NUMA_CAPACITY"]), settings.get("NUMA_NEAR", "")
        self.served = 0 if again and Fault.LOST_BY_ROLLOUT in self.faults else capacity
        lost = Fault.NAMES_NOT_REGISTERED in self.faults or (
            again and Fault.NAMES_LOST_BY_ROLLOUT in self.faults
        )
        self.served_near = 0 if lost else self.served
        self.shown_from = now + 3

    def restart_kubelet(self, now: float) -> None:
        """Kubelet starts anew, and the plugin registers again."""
        if Fault.NO_RESTART not in self.faults:
            self.kubelet_generation += 1
        self.shown_from = now + 5
        if Fault.LOST_BY_KUBELET_RESTART in self.faults:
            self.served = self.served_near = 0
        if Fault.NAMES_LOST_BY_KUBELET_RESTART in self.faults:
            self.served_near = 0

    def configz(self) -> Json:
        """What its kubelet answers."""
        policies = {
            "topologyManagerPolicy": self.topology,
            "cpuManagerPolicy": self.cpu,
            "memoryManagerPolicy": self.memory,
        }
        return {"kubeletconfig": policies}

    def execute(self, script: str) -> str:
        """What a script prints in the plugin's pod."""
        if script.startswith("stat "):
            return f"{self.kubelet_generation}\n"
        if script.startswith("numa-trio topology"):
            return self.near.topology()
        if script == TELL_PINNING:
            return self.runtime.tell()
        return "".join(f"node{id_} {format_list(cpus)}\n" for id_, cpus in self.numa_nodes.items())

    def as_object(self, now: float) -> Json:
        """The Node object."""
        shown = now >= self.shown_from
        slots, counted = self._slots(), self._counted() if self.counts else {}
        usable = {name: count if shown else 0 for name, count in slots.items()}
        total = {name: count or 100 for name, count in slots.items()}
        status = {"capacity": {"cpu": 4, **total}, "allocatable": {"cpu": 3, **usable, **counted}}
        return {
            "metadata": {"name": self.name, "labels": self._labels()},
            "status": {
                kind: {
                    resource if resource == "cpu" else f"numa-align/{resource}": str(count)
                    for resource, count in counts.items()
                }
                for kind, counts in status.items()
            },
        }

    def _labels(self) -> dict[str, str]:
        return {HOST_SERVICE: "true"} if self.host_service else {}

    def _slots(self) -> dict[str, int]:
        by_host = self.host_service and Fault.NO_HOST_SERVICE not in self.faults
        if not (self.plugin_runs or by_host):
            return {}
        slots = {f"numa-{id_}": self.served for id_, cpus in self.numa_nodes.items() if cpus}
        names = [*self.near.nodes(), *(["nowhere"] if Fault.NOWHERE_OFFERED in self.faults else [])]
        if self.pins and self.sees_host:
            names.append("volume")
        return slots | {f"near-{name}": self.served_near for name in names}

    def _counted(self) -> dict[str, int]:
        cpus = {f"numa-{id_}-cpu": len(each) for id_, each in self.numa_nodes.items() if each}
        more = int(Fault.NAMES_COUNT_OTHERS in self.faults)
        return cpus | {
            f"near-{name}-cpu": len(self.numa_nodes[nodes[0]]) + more
            for name, nodes in self.near.nodes().items()
            if len(nodes) == 1
        }

    def admit(self, containers: Sequence[Json]) -> Json:
        """What becomes of a pod: its status, and its log if it runs or has run."""
        asked = [self._asked(container) for container in containers]
        names = any(resource.startswith("near-") for each in asked for resource in each)
        if not self.served or (names and not self.served_near):
            return {"status": failed("UnexpectedAdmissionError")}
        if Fault.NO_ROOM in self.faults:
            condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
            condition["message"] = "0/1 nodes are available: 1 Insufficient cpu."
            return {"status": {"phase": "Pending", "conditions": [condition]}}
        aligned = all(each and self._suiting(each) for each in asked)
        strict = self.topology in {"restricted", "single-numa-node"}
        if strict and not aligned and Fault.NOTHING_REFUSED not in self.faults:
            return {"status": failed("TopologyAffinityError")}
        phase = "Running" if any(each.get("stdin") for each in containers) else "Succeeded"
        resources = containers[-1].get("resources", {})
        guaranteed = resources.get("requests") == resources.get("limits")
        placement = self._placement(asked[-1], guaranteed=guaranteed)
        return {"log": placement, "status": {"phase": phase}}

    def _asked(self, container: Json) -> dict[str, tuple[int, ...]]:
        """The NUMA nodes that the slots of a container have; none if they are not known."""
        near = {f"near-{name}": nodes for name, nodes in self.near.nodes().items()}
        if Fault.NAMES_ELSEWHERE in self.faults:
            near = {
                name: tuple(node for node in self.numa_nodes if node not in nodes)[:1]
                for name, nodes in near.items()
            }
        asked: dict[str, tuple[int, ...]] = {}
        for resource in container.get("resources", {}).get("limits", {}):
            name = resource.removeprefix("numa-align/")
            if match := re.fullmatch(r"numa-(\d+)", name):
                asked[name] = (int(match[1]),)
            elif name in near:
                asked[name] = near[name]
        return asked

    def _suiting(self, asked: Mapping[str, tuple[int, ...]]) -> set[int]:
        """The NUMA nodes that have all that is asked for."""
        suiting = {node for node, cpus in self.numa_nodes.items() if cpus}
        for nodes in asked.values():
            suiting &= {*nodes} or suiting
        return suiting

    def _placement(self, asked: Mapping[str, tuple[int, ...]], *, guaranteed: bool) -> str:
        told = next(iter(asked.values()))
        numa_node = min(self._suiting(asked) or told)
        everywhere = frozenset[int]().union(*self.numa_nodes.values())
        cpus, memory = everywhere, frozenset(self.numa_nodes)
        if self.cpu == "static":
            cpus = self.numa_nodes[numa_node] if guaranteed else self.pool or everywhere
        if self.memory == "Static" and guaranteed:
            memory = frozenset({numa_node})
        if Fault.OTHER_CPUS in self.faults:
            cpus = everywhere
        cpus = self.runtime.narrowed(
            cpus, self.numa_nodes[numa_node], unless=Fault.RUNTIME_PINS_NO_CPUS
        )
        memory = self.runtime.narrowed(
            memory, frozenset({numa_node}), unless=Fault.RUNTIME_PINS_NO_MEMORY
        )
        variable = f"NUMA_NODE={format_list(told)}\n" if told else ""
        return (
            f"Cpus_allowed_list:\t{format_list(cpus)}\n"
            f"Mems_allowed_list:\t{format_list(memory)}\n{variable}"
        )


def failed(reason: str) -> Json:
    """The status of a pod that kubelet has refused."""
    return {"phase": "Failed", "reason": reason, "message": "Pod was rejected"}
