"""What can go wrong in the fake cluster."""

from enum import StrEnum


class Fault(StrEnum):
    """Something that goes wrong in the cluster."""

    NO_ROLLOUT = "the plugin's pods never get ready"
    NO_ROOM = "the scheduler finds no CPU"
    OTHER_CPUS = "containers get the CPUs of all NUMA nodes"
    NOTHING_REFUSED = "kubelet admits what it has to refuse"
    NO_RESTART = "systemctl says it restarted kubelet, and kubelet lives on"
    LOST_BY_KUBELET_RESTART = "the plugin does not register with the new kubelet"
    LATE_AFTER_KUBELET_RESTART = "the plugin registers after kubelet has looked at running pods"
    LOST_BY_ROLLOUT = "the new pod's stream ends with the old pod"
    FULL_NODE_KILLS = "the scheduler does not see that a NUMA node is full; kubelet refuses pods"
    NOBODY_COMES_IN = "the scheduler does not see that a pod has left"
    WAITS_FOR_OTHER = "pods wait for another resource, of nearly the same name"
    MACHINE_FULL = "the machine's CPUs are taken, whatever the NUMA node has"
    NO_HEALTH = "numa-trio health dies in the plugin's pod"
    RUNTIME_AWAY = "the container runtime has no socket for its plugins"
    RUNTIME_PINS_NO_CPUS = "the container runtime pins no container's CPUs"
    RUNTIME_PINS_NO_MEMORY = "the container runtime pins no container's memory"
    NAMES_IGNORED = "the plugin knows nothing of NUMA_NEAR"
    NO_TOPOLOGY = "numa-trio topology dies in the plugin's pod"
    ROOT_NOT_FOUND = "the plugin does not find the root directory"
    NOWHERE_OFFERED = "a name of nothing has slots"
    NAMES_NOT_REGISTERED = "the plugin registers NUMA nodes, but no name"
    NAMES_ELSEWHERE = "the slots of a name are near another NUMA node than the plugin says"
    NAMES_COUNT_OTHERS = "beside a name other CPUs are counted than those of its NUMA node"
    NAMES_LOST_BY_KUBELET_RESTART = "the plugin registers no name with the new kubelet"
    NAMES_LATE_AFTER_KUBELET_RESTART = "names come after kubelet has looked at running pods"
    NAMES_LOST_BY_ROLLOUT = "the streams of names end with the old pod"
