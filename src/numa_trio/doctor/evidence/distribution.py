"""Which Kubernetes distribution a host has, and where that keeps kubelet's settings and files.

The places are those of docs/distributions.
"""

from enum import StrEnum

from attrs import frozen

from numa_trio.doctor.evidence.host_files import HostFiles
from numa_trio.doctor.evidence.processes import KubeletProcess
from numa_trio.doctor.evidence.seen import Missing


class Name(StrEnum):
    """The distributions, each with a place of its own for kubelet's settings."""

    KUBEADM = "kubeadm"
    RKE2 = "RKE2"
    K3S = "k3s"
    K0S = "k0s"
    MICROK8S = "MicroK8s"
    OPENSHIFT = "OpenShift"
    TALOS = "Talos"
    PLAIN = "plain"


@frozen
class Distribution:
    """A distribution: where kubelet's file, drop-ins and root directory are by default.

    `edit` is what a person edits; `stop` and `start` are kubelet's commands. `then` is how kubelet
    takes up a setting where it is not by these.
    """

    name: Name
    edit: str
    stop: str
    start: str
    files: tuple[str, ...] = ()
    drop_ins: str | None = None
    root: str = "/var/lib/kubelet"
    then: str = ""

    @property
    def writes_flags(self) -> bool:
        """Whether settings are written as flags, not as keys of kubelet's file."""
        return self.name in {Name.RKE2, Name.K3S, Name.MICROK8S}


_RANCHER_DROP_INS = "/var/lib/rancher/{}/agent/etc/kubelet.conf.d"
_KUBEADM_FILE = "/var/lib/kubelet/config.yaml"
_TALOS_FILE = "/etc/kubernetes/kubelet.yaml"

DISTRIBUTIONS = {
    Name.MICROK8S: Distribution(
        Name.MICROK8S,
        edit="/var/snap/microk8s/current/args/kubelet",
        stop="snap stop microk8s.daemon-kubelite",
        start="snap start microk8s.daemon-kubelite",
        root="/var/snap/microk8s/common/var/lib/kubelet",
    ),
    Name.RKE2: Distribution(
        Name.RKE2,
        edit="/etc/rancher/rke2/config.yaml",
        stop="systemctl stop rke2-agent",
        start="systemctl start rke2-agent",
        drop_ins=_RANCHER_DROP_INS.format("rke2"),
    ),
    Name.K3S: Distribution(
        Name.K3S,
        edit="/etc/rancher/k3s/config.yaml",
        stop="systemctl stop k3s-agent",
        start="systemctl start k3s-agent",
        drop_ins=_RANCHER_DROP_INS.format("k3s"),
    ),
    Name.K0S: Distribution(
        Name.K0S,
        edit="the worker profile in the controllers' k0s.yaml (spec.workerProfiles[].values)",
        stop="k0s stop",
        start="k0s start",
        files=("/run/k0s/kubelet/config.yaml", "/var/lib/k0s/kubelet-config.yaml"),
        root="/var/lib/k0s/kubelet",
    ),
    Name.OPENSHIFT: Distribution(
        Name.OPENSHIFT,
        edit="the KubeletConfig object of the pool (spec.kubeletConfig)",
        stop="systemctl stop kubelet",
        start="systemctl start kubelet",
        files=("/etc/kubernetes/kubelet.conf",),
        drop_ins="/etc/openshift/kubelet.conf.d",
        then="Apply the object: the Machine Config Operator reboots the machines.",
    ),
    Name.TALOS: Distribution(
        Name.TALOS,
        edit="machine.kubelet.extraConfig of the machine configuration",
        stop="",  # it stops kubelet by itself
        start="talosctl -n $IP service kubelet restart",
        files=(_TALOS_FILE,),
        then="docs/distributions/talos.md has the steps: Talos restarts kubelet by itself.",
    ),
    Name.KUBEADM: Distribution(
        Name.KUBEADM,
        edit=_KUBEADM_FILE,
        stop="systemctl stop kubelet",
        start="systemctl start kubelet",
        files=(_KUBEADM_FILE,),
    ),
    Name.PLAIN: Distribution(
        Name.PLAIN,
        edit="kubelet's configuration file (--config)",
        stop="systemctl stop kubelet",
        start="systemctl start kubelet",
        files=(_KUBEADM_FILE, "/etc/kubernetes/kubelet/config.json"),
    ),
}

# What is on the host of each, the surest first; leftovers of another may be there too.
_SIGNS = (
    ("/var/snap/microk8s/current/args/kubelet", Name.MICROK8S),
    ("/var/lib/rancher/rke2/agent", Name.RKE2),
    ("/etc/rancher/rke2", Name.RKE2),
    ("/var/lib/rancher/k3s/agent", Name.K3S),
    ("/etc/rancher/k3s", Name.K3S),
    ("/var/lib/k0s", Name.K0S),
    ("/etc/machine-config-daemon", Name.OPENSHIFT),
    ("/etc/ignition-machine-config-encapsulated.json.bak", Name.OPENSHIFT),
    (_TALOS_FILE, Name.TALOS),
    ("/var/lib/kubelet/kubeadm-flags.env", Name.KUBEADM),
    ("/etc/kubernetes/bootstrap-kubelet.conf", Name.KUBEADM),
    (_KUBEADM_FILE, Name.KUBEADM),
)

_PROGRAMS = {
    "kubelite": Name.MICROK8S,
    "k3s": Name.K3S,
    "k3s-agent": Name.K3S,
    "k3s-server": Name.K3S,
    "rke2": Name.RKE2,
    "k0s": Name.K0S,
}


def detect(files: HostFiles, process: KubeletProcess | Missing) -> Distribution:
    """The distribution by the kubelet that runs, else by what is on the host."""
    if isinstance(process, KubeletProcess) and (running := _of_process(process)):
        return DISTRIBUTIONS[running]
    for path, name in _SIGNS:
        if files.exists(path):
            return DISTRIBUTIONS[name]
    return DISTRIBUTIONS[Name.PLAIN]


def _of_process(process: KubeletProcess) -> Name | None:
    if process.name in _PROGRAMS:
        return _PROGRAMS[process.name]
    told = " ".join([process.program, *process.words])
    for part, name in (("/rancher/rke2/", Name.RKE2), ("/k0s/", Name.K0S)):
        if part in told:
            return name
    return None
