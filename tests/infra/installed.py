"""A cluster from the network: RKE2 or k3s by their official installers. Pure.

Both take the same options for kubelet and the same file for registries.
"""

from enum import StrEnum

from infra.bed import REGISTRY, BedMachine, Role
from infra.seed import File, Tree

# Both distributions set evictionHard without a memory threshold: what is reserved for the system
# is all of the memory that is reserved on the NUMA nodes.
_KUBELET_OPTIONS = (
    "topology-manager-policy=single-numa-node",
    "cpu-manager-policy=static",
    "memory-manager-policy=Static",
    "reserved-cpus=0",
    "system-reserved=memory=512Mi",
    "reserved-memory=0:memory=256Mi;1:memory=256Mi",
)


_CANAL = """\
apiVersion: helm.cattle.io/v1
kind: HelmChartConfig
metadata:
  name: rke2-canal
  namespace: kube-system
spec:
  valuesContent: |-
    flannel:
      iface: eth0
"""


class Distribution(StrEnum):
    """Who makes the cluster."""

    RKE2 = "rke2"
    K3S = "k3s"

    @property
    def installer(self) -> str:
        """Where its installer is."""
        return f"https://get.{self}.io"

    @property
    def join_port(self) -> int:
        """Where machines join: k3s' API server, RKE2's supervisor."""
        return 9345 if self is Distribution.RKE2 else 6443

    def service(self, role: Role) -> str:
        """The systemd service of a server or a worker."""
        if self is Distribution.RKE2:
            return "rke2-server" if role is Role.SERVER else "rke2-agent"
        return "k3s" if role is Role.SERVER else "k3s-agent"

    @property
    def kubeconfig(self) -> str:
        """The administrator's, on the server; it says 127.0.0.1:6443."""
        return f"/etc/rancher/{self}/{self}.yaml"


def tree(distribution: Distribution, machine: BedMachine, server: BedMachine, token: str) -> Tree:
    """The configuration that the installer finds."""
    lines = [f"token: {token}", f"node-ip: {machine.address}"]
    if machine.role is Role.WORKER:
        lines += [f"server: https://{server.address}:{distribution.join_port}", "kubelet-arg:"]
        lines += [f'  - "{option}"' for option in _KUBELET_OPTIONS]
    else:
        lines += [f"tls-san: [127.0.0.1, {server.address}]"]
    files: dict[str, File] = {}
    # Flannel would take the card of the default route, which leads outside and has the same
    # address on every machine.
    if distribution is Distribution.K3S:
        lines += ["flannel-iface: eth0"]
    elif machine.role is Role.SERVER:
        files["/var/lib/rancher/rke2/server/manifests/rke2-canal-config.yaml"] = File(_CANAL)
    registries = f'mirrors:\n  "{REGISTRY}":\n    endpoint: ["http://{REGISTRY}"]\n'
    folder = f"/etc/rancher/{distribution}"
    return {
        **files,
        f"{folder}/config.yaml": File("\n".join(lines) + "\n", mode=0o600),
        f"{folder}/registries.yaml": File(registries),
    }


def install_script(distribution: Distribution, role: Role) -> str:
    """What a machine runs to become a server or a worker; status 7 where there is no network."""
    installer = distribution.installer
    variables = {
        Distribution.RKE2: f"INSTALL_RKE2_TYPE={'server' if role is Role.SERVER else 'agent'}",
        Distribution.K3S: f"INSTALL_K3S_EXEC={'server' if role is Role.SERVER else 'agent'}",
    }
    return (
        f"set -e; curl -sSfL --retry 3 -o /root/install {installer}"
        f" || {{ echo 'no network in {role}: cannot fetch {installer}' >&2; exit 7; }};"
        f" {variables[distribution]} sh /root/install;"
        f" systemctl enable --now {distribution.service(role)}"
    )
