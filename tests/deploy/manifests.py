"""The manifests of deploy/kustomize, read from the repository."""

import re
from pathlib import Path
from typing import Any

import yaml

from deploy.schemas import OLDEST

Object = dict[str, Any]

REPOSITORY = Path(__file__).parents[2]
KUSTOMIZE = REPOSITORY / "deploy/kustomize"

OVERLAYS = ["k0s", "k3s", "kubeadm", "microk8s", "openshift", "rke2", "talos"]
# Where the agents are, if not in kube-system.
OWN_NAMESPACE = {"openshift": "numa-trio"}
# With the first release of Kubernetes that has all the fields and kinds of the component.
COMPONENTS = {
    "admission-policies": "1.30",
    "counting": OLDEST,
    "counting-policy": "1.36",
    "doctor": OLDEST,
    "host-service": OLDEST,
    "host-sys": "1.31",
    "init-container-policy": "1.36",
    "memory-state": OLDEST,
    "monitoring": OLDEST,
    "near": OLDEST,
    "near-file": OLDEST,
    "near-zfs": OLDEST,
    "network-policy": OLDEST,
    "runtime": OLDEST,
    "selinux": OLDEST,
}


def namespace_of(overlay: str) -> str:
    """The namespace of the overlay's DaemonSet."""
    return OWN_NAMESPACE.get(overlay, "kube-system")


def root_directories() -> dict[str, str]:
    """Kubelet's root directory on each distribution: where its state files are, by our table."""
    table = (REPOSITORY / "docs/distributions/README.md").read_text()
    return dict(re.findall(r"^\| \[\w+\]\((\w+)\.md\) \|[^|]*\| `(/[^`]+)`", table, re.MULTILINE))


def documents(path: Path) -> list[Object]:
    """All documents of a YAML file."""
    return list(yaml.safe_load_all(path.read_text()))


def component(file: str) -> list[Object]:
    """The documents of a component's file."""
    return documents(KUSTOMIZE / "components" / file)


(POLICY,) = component("admission-policies/policy.yaml")
(PARAMETERS,) = component("admission-policies/parameters.yaml")
BINDINGS = component("admission-policies/bindings.yaml")
INIT_POLICY, INIT_BINDING = component("init-container-policy/policy.yaml")
COUNTING_POLICY, COUNTING_BINDING = component("counting-policy/policy.yaml")
(COUNTING_PARAMETERS,) = component("counting-policy/parameters.yaml")
