"""Hosts of each distribution as folders of a test: right ones, to which a test does one wrong."""

import json
from collections.abc import Mapping
from pathlib import Path

from attrs import evolve, field, frozen

from numa_trio.doctor.evidence.gather import Evidence, gather
from numa_trio.doctor.evidence.host_files import HostFiles
from numa_trio.doctor.evidence.observations import FILE, GivenAway, Observations, decode, encode
from numa_trio.doctor.evidence.readyz import Answer
from numa_trio.doctor.evidence.seen import Missing
from numa_trio.doctor.examine import examine
from numa_trio.doctor.finding import Finding
from sysfs_tree import plant_machine

READY = "ready: kubelet holds the stream of 2 of 2 resources\n"
TOTAL = 4 << 30  # bytes of each of the two nodes
RESERVED = 512 << 20
SECRET = "c2VjcmV0"  # what no capture may hold

KUBELET_YAML = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
# the password is c2VjcmV0
staticPodURLHeader:
  Authorization: [Basic c2VjcmV0]
topologyManagerPolicy: single-numa-node
cpuManagerPolicy: static
memoryManagerPolicy: Static
systemReserved:
  cpu: "1"
  memory: 924Mi
reservedMemory:
  - numaNode: 0
    limits:
      memory: 512Mi
  - numaNode: 1
    limits:
      memory: 512Mi
"""
RANCHER_YAML = """\
server: https://10.0.0.1:9345
token: c2VjcmV0
kubelet-arg:
  - "topology-manager-policy=single-numa-node"
  - "cpu-manager-policy=static"
  - "node-labels=password=c2VjcmV0"
  - "memory-manager-policy=Static"
  - "system-reserved=cpu=1,memory=1Gi"
  - "reserved-memory=0:memory=512Mi;1:memory=512Mi"
"""
RANCHER_DROP_IN = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
evictionHard:
  imagefs.available: 5%
  nodefs.available: 5%
"""
MICROK8S_ARGUMENTS = """\
--kubeconfig=${SNAP_DATA}/credentials/kubelet.config
--root-dir=${SNAP_COMMON}/var/lib/kubelet
--eviction-hard="memory.available<100Mi,nodefs.available<1Gi,imagefs.available<1Gi"
--topology-manager-policy=single-numa-node
--cpu-manager-policy=static
--memory-manager-policy=Static
--system-reserved=cpu=1,memory=924Mi
--reserved-memory=0:memory=512Mi;1:memory=512Mi
"""
RANCHER_FLAGS = (
    "--config-dir=/var/lib/rancher/rke2/agent/etc/kubelet.conf.d",
    "--node-labels=password=c2VjcmV0",
    "--topology-manager-policy=single-numa-node",
    "--cpu-manager-policy=static",
    "--memory-manager-policy=Static",
    "--system-reserved=cpu=1,memory=1Gi",
    "--reserved-memory=0:memory=512Mi;1:memory=512Mi",
)
CONTAINERD = """\
version = 3

[plugins.'io.containerd.cri.v1.images'.registry.configs.'registry.example.com'.auth]
  password = 'c2VjcmV0'
[plugins.'io.containerd.nri.v1.nri']
  socket_path = '/var/run/nri/nri.sock'
  disable = false
"""
CRIO = """\
[crio.image]
global_auth_file = "/c2VjcmV0"
[crio.nri]
enable_nri = true
"""


def command_line(*words: str) -> str:
    return "".join(f"{word}\0" for word in words)


_RKE2 = "/var/lib/rancher/rke2"
_K3S = "/var/lib/rancher/k3s"
_SNAP = "/var/snap/microk8s/current/args"
_K0S_FILE = "/var/lib/k0s/kubelet-config.yaml"

# Of each distribution: where kubelet keeps its state, and the files that are its own.
HOSTS: dict[str, tuple[str, dict[str, str]]] = {
    "kubeadm": (
        "/var/lib/kubelet",
        {
            "/proc/812/cmdline": command_line(
                "/usr/bin/kubelet",
                "--kubeconfig=/etc/kubernetes/kubelet.conf",
                "--config=/var/lib/kubelet/config.yaml",
            ),
            "/var/lib/kubelet/config.yaml": KUBELET_YAML,
            "/var/lib/kubelet/kubeadm-flags.env": 'KUBELET_KUBEADM_ARGS="--node-ip=10.0.0.2"\n',
            "/etc/containerd/config.toml": CONTAINERD,
        },
    ),
    "RKE2": (
        "/var/lib/kubelet",
        {
            "/proc/2000/cmdline": command_line("/usr/local/bin/rke2", "agent"),
            "/proc/2057/cmdline": command_line(
                f"{_RKE2}/data/v1.34.4-rke2r1/bin/kubelet", *RANCHER_FLAGS
            ),
            "/etc/rancher/rke2/config.yaml": RANCHER_YAML,
            f"{_RKE2}/agent/etc/kubelet.conf.d/00-rke2-defaults.conf": RANCHER_DROP_IN,
            f"{_RKE2}/agent/etc/containerd/config.toml": CONTAINERD,
        },
    ),
    "k3s": (
        "/var/lib/kubelet",
        {
            "/proc/901/cmdline": "/usr/local/bin/k3s agent --token c2VjcmV0",
            "/etc/rancher/k3s/config.yaml": RANCHER_YAML,
            f"{_K3S}/agent/etc/kubelet.conf.d/00-k3s-defaults.conf": RANCHER_DROP_IN,
            f"{_K3S}/agent/etc/containerd/config.toml": CONTAINERD,
        },
    ),
    "k0s": (
        "/var/lib/k0s/kubelet",
        {
            "/proc/700/cmdline": command_line("/usr/local/bin/k0s", "worker", "--token=c2VjcmV0"),
            "/proc/777/cmdline": command_line(
                "/var/lib/k0s/bin/kubelet",
                "--root-dir=/var/lib/k0s/kubelet",
                f"--config={_K0S_FILE}",
            ),
            _K0S_FILE: KUBELET_YAML,
            "/etc/k0s/containerd.toml": 'version = 2\nimports = ["/etc/k0s/containerd.d/*.toml"]\n',
            "/etc/k0s/containerd.d/nri.toml": CONTAINERD,
        },
    ),
    "MicroK8s": (
        "/var/snap/microk8s/common/var/lib/kubelet",
        {
            "/proc/650/cmdline": command_line("/snap/microk8s/7229/kubelite", "--start-etcd"),
            f"{_SNAP}/kubelet": MICROK8S_ARGUMENTS,
            f"{_SNAP}/containerd.toml": CONTAINERD,
        },
    ),
    "OpenShift": (
        "/var/lib/kubelet",
        {
            "/proc/333/cmdline": command_line(
                "/usr/bin/kubelet",
                "--config=/etc/kubernetes/kubelet.conf",
                "--cloud-provider=",
            ),
            "/etc/machine-config-daemon/currentconfig": "{}",
            "/etc/kubernetes/kubelet.conf": KUBELET_YAML,
            "/etc/crio/crio.conf.d/00-default": CRIO,
        },
    ),
}
HOSTS["Talos"] = (
    "/var/lib/kubelet",
    {
        "/proc/1900/cmdline": command_line(
            "/usr/local/bin/kubelet", "--config=/etc/kubernetes/kubelet.yaml"
        ),
        "/etc/kubernetes/kubelet.yaml": KUBELET_YAML,
        "/etc/containerd/config.toml": CONTAINERD,
    },
)


def cpu_state(policy: str = "static", shared: str = "0-1,3-7", **containers: str) -> str:
    entries = {"5d1f": containers or {"app": "2"}} if policy == "static" else {}
    return json.dumps(
        {"policyName": policy, "defaultCpuSet": shared, "entries": entries, "checksum": 1}
    )


def memory_state(
    policy: str = "Static", *, total: int = TOTAL, reserved: int = RESERVED, huge: int = 1 << 30
) -> str:
    def of(size: int, kept: int) -> dict[str, int]:
        free = size - kept
        return {"total": size, "systemReserved": kept, "allocatable": free, "reserved": 0}

    maps = {
        "0": {
            "memory": of(total, reserved),
            "hugepages-2Mi": of(huge, 0),
            "hugepages-1Gi": of(2 << 30, 0),
        },
        "1": {"memory": of(TOTAL, RESERVED), "hugepages-2Mi": of(0, 0)},
    }
    machine = {
        node: {"numberOfAssignments": 0, "memoryMap": kinds, "cells": [int(node)]}
        for node, kinds in maps.items()
    }
    state = machine if policy == "Static" else None
    return json.dumps({"policyName": policy, "machineState": state, "checksum": 1})


OBSERVED = Observations(
    kubelet=True,
    mode=0o750,
    sockets=("numa-0-a.sock", "numa-1-a.sock"),
    agent=Answer(200, READY),
    allocatable=GivenAway(frozenset(range(1, 8)), frozenset({0, 1})),
)

KERNEL = {
    "/sys/devices/system/cpu/present": "0-7\n",
    "/sys/devices/system/cpu/online": "0-7\n",
    "/sys/devices/system/cpu/isolated": "\n",
    "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu memory\n",
    "/proc/cmdline": "BOOT_IMAGE=/vmlinuz root=/dev/sda1 password=c2VjcmV0 quiet\n",
    "/proc/meminfo": "MemTotal:        8165000 kB\nMemFree:         1000000 kB\n",
    "/proc/sys/kernel/numa_balancing": "0\n",
    "/proc/sys/fs/inotify/max_user_instances": "128\n",
    "/proc/sys/fs/inotify/max_user_watches": "65536\n",
}


@frozen(eq=False)
class Host:
    """The `/` of a host in a folder, and what would be seen if it ran."""

    folder: Path
    state: str
    observed: Observations = OBSERVED
    unreadable: Mapping[str, str] = field(factory=dict)
    _before: dict[Path, bytes | None] = field(factory=dict, repr=False)

    @classmethod
    def of(cls, folder: Path, distribution: str, machine: str = "two-sockets") -> "Host":
        state, files = HOSTS[distribution]
        host = cls(folder, state)
        plant_machine(folder / "sys", machine)
        for core in range(2):  # of four threads
            topology = f"/sys/devices/system/cpu/cpu{core * 4}/topology"
            host.write(f"{topology}/core_cpus_list", f"{core * 4}-{core * 4 + 3}")
            host.write(f"{topology}/physical_package_id", str(core))
        for path, text in (KERNEL | files).items():
            host.write(path, text)
        host.write(f"{state}/cpu_manager_state", cpu_state())
        host.write(f"{state}/memory_manager_state", memory_state())
        host._before.clear()
        return host

    def undo(self) -> None:
        """Make it right again: that is faster than a new one for each test."""
        for file, content in self._before.items():
            if content is None:
                file.unlink(missing_ok=True)
            else:
                file.write_bytes(content)
        self._before.clear()

    def _file(self, path: str) -> Path:
        file = self.folder / path.lstrip("/")
        self._before.setdefault(file, file.read_bytes() if file.is_file() else None)
        return file

    def write(self, path: str, content: str | bytes) -> None:
        file = self._file(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())

    def change(self, path: str, old: str, new: str) -> None:
        file = self._file(path)
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def remove(self, path: str) -> None:
        self._file(path).unlink()

    def seen(self, **observed: object) -> "Host":
        return evolve(self, observed=evolve(self.observed, **observed))

    def as_captured(self) -> Path:
        """The folder, with what would be observed in the file of a capture."""
        self.write(FILE, encode(self.observed, self.unreadable))
        return self.folder

    def files(self) -> HostFiles:
        return HostFiles(self.folder, dict(self.unreadable))

    def evidence(self) -> Evidence:
        return gather(self.files(), self.folder / "sys", lambda _: self.observed)

    def finding(self, code: str) -> Finding:
        (found,) = (each for each in self.findings() if each.check.code == code)
        return found

    def findings(self) -> tuple[Finding, ...]:
        return examine(self.evidence())


def look_at(root: Path) -> tuple[Finding, ...]:
    """The findings on a capture that is unpacked."""
    seen, unreadable = decode((root / FILE).read_bytes())
    return examine(gather(HostFiles(root, unreadable), root / "sys", lambda _: seen))


NOBODY = Missing("nobody was asked")
