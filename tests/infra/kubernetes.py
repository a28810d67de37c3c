"""A cluster from a folder of Kubernetes binaries: what its machines get. Pure but for reading.

etcd, containerd, runc and the CNI plugins are Debian's, unless the folder holds newer ones.
"""

import json
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from infra.bed import API_PORT, REGISTRY, BedMachine
from infra.certificates import Authority, Identity
from infra.seed import DEBIAN_UNITS, UNITS, File, Tree, enabled, unit

SERVER_BINARIES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
WORKER_BINARIES = ("kubelet",)
HOST_BINARIES = ("kubectl",)

# Used instead of Debian's where the folder has them: a recent kubelet wants a recent containerd.
OPTIONAL_SERVER_BINARIES = ("etcd",)
OPTIONAL_WORKER_BINARIES = ("containerd", "containerd-shim-runc-v2", "ctr", "runc")

# The name that disk.py gives the image of its pause container.
PAUSE_IMAGE = "numa-trio.test/pause:1"

KUBELET_ROOT = "/var/lib/kubelet"
_PKI = "/etc/kubernetes/pki"
_CONFIGURATION = "/etc/kubernetes"
_BINARIES = "/usr/local/bin"
_SERVICES = "10.96.0"

_EVICTION_MIB = 100
_RESERVED_MIB_PER_NODE = 256


class MissingBinaries(Exception):
    """The folder lacks some; the message names them."""


def require_binaries(folder: Path) -> None:
    """Raise `MissingBinaries` unless all that a cluster needs is there."""
    needed = (*SERVER_BINARIES, *WORKER_BINARIES, *HOST_BINARIES)
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        raise MissingBinaries(f"K8S_BIN_DIR={folder} lacks {', '.join(missing)}")


def binaries(folder: Path, needed: Sequence[str], optional: Sequence[str]) -> Tree:
    """The needed ones, and those of the optional ones that are there."""
    names = [*needed, *(name for name in optional if (folder / name).is_file())]
    return {f"{_BINARIES}/{name}": File(folder / name, mode=0o755) for name in names}


@frozen
class ControlPlane:
    """What the server's programs know themselves and each other by."""

    authority: Identity
    server: Identity
    service_accounts: Identity
    admin: Identity

    @staticmethod
    def issue(authority: Authority, server: BedMachine) -> "ControlPlane":
        """New certificates for a server, which is also reached as the host's own address."""
        names = ["DNS:kubernetes.default.svc", "DNS:localhost", f"DNS:{server.name}"]
        addresses = [f"IP:{server.address}", f"IP:{_SERVICES}.1", "IP:127.0.0.1"]
        return ControlPlane(
            authority=authority.identity,
            server=authority.issue("apiserver", "/CN=kube-apiserver", [*names, *addresses]),
            service_accounts=authority.issue("service-accounts", "/CN=service-accounts"),
            admin=authority.issue("admin", "/O=system:masters/CN=admin"),
        )


def kubeconfig(url: str, authority: Path, client: Identity) -> str:
    """How a client reaches the API server, with its certificates inside."""

    def data(file: Path) -> str:
        return b64encode(file.read_bytes()).decode()

    cluster = {"server": url, "certificate-authority-data": data(authority)}
    user = {
        "client-certificate-data": data(client.certificate),
        "client-key-data": data(client.key),
    }
    name = "numa-trio-bed"
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        }
    )


def server_tree(folder: Path, server: BedMachine, plane: ControlPlane) -> Tree:
    """The control plane; its programs use the administrator's certificate among themselves."""
    local = f"https://127.0.0.1:{API_PORT}"
    admin = kubeconfig(local, plane.authority.certificate, plane.admin)
    options = {
        "kube-apiserver": api_server_options(server),
        "kube-controller-manager": [
            f"--kubeconfig={_CONFIGURATION}/admin.conf",
            f"--root-ca-file={_PKI}/ca.crt",
            f"--service-account-private-key-file={_PKI}/service-accounts.key",
            "--use-service-account-credentials=true",
        ],
        "kube-scheduler": [f"--kubeconfig={_CONFIGURATION}/admin.conf"],
    }
    units = {
        f"{UNITS}/{name}.service": unit(
            name, [f"{_BINARIES}/{name}", *words], after=["etcd.service"]
        )
        for name, words in options.items()
    }
    return {
        **binaries(folder, SERVER_BINARIES, OPTIONAL_SERVER_BINARIES),
        **_replacing_debians(folder, "etcd"),
        **_pki(ca=plane.authority, apiserver=plane.server),
        f"{_PKI}/service-accounts.key": File(plane.service_accounts.key, mode=0o600),
        f"{_PKI}/admin.crt": File(plane.admin.certificate),
        f"{_PKI}/admin.key": File(plane.admin.key, mode=0o600),
        f"{_CONFIGURATION}/admin.conf": File(admin, mode=0o600),
        **units,
        **enabled(*options),
        **enabled("etcd", folder=DEBIAN_UNITS),
    }


def api_server_options(server: BedMachine) -> list[str]:
    """The API server's command line."""
    return [
        f"--advertise-address={server.address}",
        f"--secure-port={API_PORT}",
        "--etcd-servers=http://127.0.0.1:2379",
        f"--service-cluster-ip-range={_SERVICES}.0/24",
        f"--client-ca-file={_PKI}/ca.crt",
        f"--tls-cert-file={_PKI}/apiserver.crt",
        f"--tls-private-key-file={_PKI}/apiserver.key",
        f"--kubelet-client-certificate={_PKI}/admin.crt",
        f"--kubelet-client-key={_PKI}/admin.key",
        # Names of nodes resolve to nothing; their addresses do.
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={_PKI}/service-accounts.key",
        f"--service-account-signing-key-file={_PKI}/service-accounts.key",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        # The end-to-end test restarts kubelet from a privileged pod.
        "--allow-privileged=true",
    ]


def worker_tree(folder: Path, worker: BedMachine, server: BedMachine, authority: Authority) -> Tree:
    """containerd, the CNI plugins' configuration, and a kubelet with all managers static."""
    subject = f"/O=system:nodes/CN=system:node:{worker.name}"
    client = authority.issue(worker.name, subject)
    url = f"https://{server.address}:{API_PORT}"
    words = [
        f"{_BINARIES}/kubelet",
        f"--config={_CONFIGURATION}/kubelet.json",
        f"--kubeconfig={_CONFIGURATION}/kubelet.conf",
        f"--node-ip={worker.address}",
    ]
    pause = unit(
        "The image of the pause container",
        ["/usr/bin/env", "ctr", "-n=k8s.io", "images", "import", "/usr/local/share/pause.tar"],
        after=["containerd.service"],
        options=["Type=oneshot", "RemainAfterExit=yes", "Restart=on-failure", "RestartSec=2"],
    )
    return {
        **binaries(folder, WORKER_BINARIES, OPTIONAL_WORKER_BINARIES),
        **_replacing_debians(folder, "containerd"),
        **_pki(ca=authority.identity),
        f"{_CONFIGURATION}/kubelet.conf": File(
            kubeconfig(url, authority.identity.certificate, client), mode=0o600
        ),
        f"{_CONFIGURATION}/kubelet.json": File(json.dumps(kubelet_configuration(worker), indent=2)),
        "/etc/containerd/config.toml": File(CONTAINERD_CONFIGURATION),
        f"/etc/containerd/certs.d/{REGISTRY}/hosts.toml": File(
            f'server = "http://{REGISTRY}"\n[host."http://{REGISTRY}"]\n'
            '  capabilities = ["pull", "resolve"]\n'
        ),
        "/etc/cni/net.d/10-bridge.conflist": File(json.dumps(pod_network(worker), indent=2)),
        "/etc/modules-load.d/kubernetes.conf": File("overlay\nbr_netfilter\n"),
        "/etc/sysctl.d/kubernetes.conf": File("net.ipv4.ip_forward = 1\n"),
        f"{UNITS}/pause-image.service": pause,
        f"{UNITS}/kubelet.service": unit("kubelet", words, after=["pause-image.service"]),
        **enabled("pause-image", "kubelet"),
        **enabled("containerd", folder=DEBIAN_UNITS),
    }


CONTAINERD_CONFIGURATION = f"""\
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "/etc/cni/net.d"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = true
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "/etc/containerd/certs.d"
"""


def kubelet_configuration(worker: BedMachine) -> dict[str, Any]:
    """All managers static, pods on one NUMA node or nowhere; CPU 0 and some memory are kept back.

    The Memory Manager wants what is reserved on the NUMA nodes to be exactly what the system gets
    plus the eviction threshold (Kubernetes: "Control Memory Management Policies on a Node").
    """
    nodes = [number for number, node in enumerate(worker.layout.nodes) if node.cpus]
    reserved_mib = _RESERVED_MIB_PER_NODE * len(nodes)
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "x509": {"clientCAFile": f"{_PKI}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "systemd",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cpuManagerPolicy": "static",
        "memoryManagerPolicy": "Static",
        "topologyManagerPolicy": "single-numa-node",
        "topologyManagerScope": "container",
        "reservedSystemCPUs": "0",
        "systemReserved": {"memory": f"{reserved_mib - _EVICTION_MIB}Mi"},
        "evictionHard": {"memory.available": f"{_EVICTION_MIB}Mi"},
        "reservedMemory": [
            {"numaNode": number, "limits": {"memory": f"{_RESERVED_MIB_PER_NODE}Mi"}}
            for number in nodes
        ],
    }


def pod_network(worker: BedMachine) -> dict[str, Any]:
    """A bridge a worker; the workers have routes to each other's."""
    bridge = {
        "type": "bridge",
        "bridge": "pods",
        "isGateway": True,
        "ipMasq": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": f"{worker.pod_network}.0/24"}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge]}


def _pki(**identities: Identity) -> Tree:
    """Certificates of these names, and the keys of all but the authority."""
    tree: dict[str, File] = {}
    for name, identity in identities.items():
        tree[f"{_PKI}/{name}.crt"] = File(identity.certificate)
        if name != "ca":
            tree[f"{_PKI}/{name}.key"] = File(identity.key, mode=0o600)
    return tree


def _replacing_debians(folder: Path, name: str) -> Tree:
    """Have Debian's service of that name run the folder's program, if there is one."""
    if not (folder / name).is_file():
        return {}
    command = f"[Service]\nExecStart=\nExecStart={_BINARIES}/{name}\n"
    return {f"{UNITS}/{name}.service.d/binary.conf": File(command)}
