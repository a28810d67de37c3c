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
