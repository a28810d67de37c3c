"""The settings of kubelet that matter for alignment: their names as flags and in its file.

Source: cmd/kubelet/app/options and the types of kubelet.config.k8s.io/v1beta1.
"""

from enum import Enum

from attrs import frozen

MERGES_EVICTION = "mergeDefaultEvictionSettings"
FAILS_ON_CGROUP_1 = "failCgroupV1"


class Form(Enum):
    """How a setting is written."""

    TEXT = "text"
    MAP = "map"  # a=1,b=2 as a flag
    THRESHOLDS = "thresholds"  # a<1,b<2 as a flag
    MEMORY = "memory"  # 0:memory=1Gi;1:memory=1Gi as a flag, a list in the file
    FLAG_ONLY = "flag"


@frozen
class Known:
    """A setting: its flag, its key in the file (the flag's own name where it has none)."""

    flag: str
    key: str
    form: Form


SETTINGS = (
    Known("topology-manager-policy", "topologyManagerPolicy", Form.TEXT),
    Known("topology-manager-scope", "topologyManagerScope", Form.TEXT),
    Known("topology-manager-policy-options", "topologyManagerPolicyOptions", Form.MAP),
    Known("cpu-manager-policy", "cpuManagerPolicy", Form.TEXT),
    Known("cpu-manager-policy-options", "cpuManagerPolicyOptions", Form.MAP),
    Known("memory-manager-policy", "memoryManagerPolicy", Form.TEXT),
    Known("reserved-memory", "reservedMemory", Form.MEMORY),
    Known("system-reserved", "systemReserved", Form.MAP),
    Known("kube-reserved", "kubeReserved", Form.MAP),
    Known("reserved-cpus", "reservedSystemCPUs", Form.TEXT),
    Known("eviction-hard", "evictionHard", Form.THRESHOLDS),
    Known("fail-cgroupv1", FAILS_ON_CGROUP_1, Form.TEXT),
    Known("config", "config", Form.FLAG_ONLY),
    Known("config-dir", "config-dir", Form.FLAG_ONLY),
    Known("root-dir", "root-dir", Form.FLAG_ONLY),
)
BY_FLAG = {each.flag: each for each in SETTINGS}
BY_KEY = {each.key: each for each in SETTINGS}

# What a capture keeps of a file of kubelet's configuration.
KEPT_KEYS = frozenset(
    {"kind", MERGES_EVICTION, *(s.key for s in SETTINGS if s.form is not Form.FLAG_ONLY)}
)
