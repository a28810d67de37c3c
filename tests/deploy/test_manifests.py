"""The manifests as they lie in the repository, without kustomize."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

import numa_trio
from deploy.contract import assert_contract, assert_settings_exist, the_container
from deploy.manifests import COMPONENTS, KUSTOMIZE, OVERLAYS, documents
from deploy.schemas import FOREIGN_KINDS, NEWEST, OLDEST, assert_valid

Object = dict[str, Any]

BASE = KUSTOMIZE / "base"
DOWNSTREAM = Path(__file__).with_name("downstream-daemonset.yaml")


def resources(folder: Path) -> list[Object]:
    """The complete objects that a kustomization of this folder lists, not its patches."""
    listed = documents(folder / "kustomization.yaml")[0].get("resources", [])
    return [
        document
        for name in listed
        if name.endswith(".yaml")
        for document in documents(folder / name)
    ]


def test_folders_are_known() -> None:
    """Every overlay and component is in the lists that these tests go through."""
    assert sorted(path.name for path in (KUSTOMIZE / "overlays").iterdir()) == OVERLAYS
    assert sorted(path.name for path in (KUSTOMIZE / "components").iterdir()) == list(COMPONENTS)


def test_base_keeps_the_contract() -> None:
    """The DaemonSet has the names, mounts, privileges and cost that others rely on."""
    (daemonset,) = documents(BASE / "daemonset.yaml")
    assert_contract(daemonset)


def test_service_account_has_no_token() -> None:
    """The agent, which never talks to the API server, cannot."""
    (account,) = documents(BASE / "serviceaccount.yaml")
    assert account["automountServiceAccountToken"] is False


def test_base_sets_variables_that_exist() -> None:
    """The variables of the ConfigMap and the DaemonSet are settings, with the default capacity."""
    (kustomization,) = documents(BASE / "kustomization.yaml")
    (daemonset,) = documents(BASE / "daemonset.yaml")
    literals = dict(
        literal.split("=", 1)
        for generator in kustomization["configMapGenerator"]
        for literal in generator["literals"]
    )
    assert_settings_exist(literals.keys() | {e["name"] for e in the_container(daemonset)["env"]})
    assert literals["NUMA_CAPACITY"] == "100"


def test_image_tag_is_the_version() -> None:
    """The base installs the image of its own version."""
    (kustomization,) = documents(BASE / "kustomization.yaml")
    (image,) = kustomization["images"]
    assert image["newTag"] == numa_trio.__version__


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_base_is_valid(version: str) -> None:
    """The base has no field that the oldest or the newest Kubernetes does not know."""
    for manifest in resources(BASE):
        assert_valid(manifest, version)


@pytest.mark.parametrize("component", COMPONENTS)
def test_components_are_valid(component: str) -> None:
    """What a component adds is valid from its first release on."""
    for manifest in resources(KUSTOMIZE / "components" / component):
        if manifest["kind"] not in FOREIGN_KINDS:
            assert_valid(manifest, COMPONENTS[component])
            assert_valid(manifest, NEWEST)


def test_validation_notices_a_typo() -> None:
    """The schemas reach down to the fields of a volume mount."""
    (daemonset,) = documents(BASE / "daemonset.yaml")
    the_container(daemonset)["volumeMounts"][0]["readonly"] = True
    with pytest.raises(kubernetes_validate.ValidationError, match="readonly"):
        assert_valid(daemonset, NEWEST)


def test_downstream_manifest_is_valid() -> None:
    """The manifest of a known user is one that Kubernetes accepts, and sets settings of ours."""
    manifests = documents(DOWNSTREAM)
    for manifest in manifests:
        assert_valid(manifest, OLDEST)
        assert_valid(manifest, NEWEST)
    *_, config, daemonset = manifests
    assert_settings_exist({e["name"] for e in the_container(daemonset)["env"]})
    assert_settings_exist(set(config["data"]))


def test_security_context_constraints_are_least() -> None:
    """OpenShift lets the agent do what its pod asks for, and nothing that it does not."""
    (scc,) = documents(KUSTOMIZE / "overlays/openshift/scc.yaml")
    granted = {key: value for key, value in scc.items() if key.startswith("allow") and value}
    assert granted == {"allowHostDirVolumePlugin": True}
    assert scc["volumes"] == ["hostPath"]
    assert scc["runAsUser"] == {"type": "MustRunAs", "uid": 0}
    assert scc["seLinuxContext"]["type"] == "MustRunAs"
    assert scc["seLinuxContext"]["seLinuxOptions"]["type"] == "container_device_plugin_t"
    assert scc["readOnlyRootFilesystem"] is True
    assert scc["requiredDropCapabilities"] == ["ALL"]
    assert scc["defaultAddCapabilities"] == scc["users"] == scc["groups"] == []
    # The fields without which the API of security.openshift.io/v1 refuses the object.
    assert scc.keys() >= {
        "allowHostDirVolumePlugin",
        "allowHostIPC",
        "allowHostNetwork",
        "allowHostPID",
        "allowHostPorts",
        "allowPrivilegedContainer",
        "allowedCapabilities",
        "defaultAddCapabilities",
        "priority",
        "readOnlyRootFilesystem",
        "requiredDropCapabilities",
        "volumes",
    }


def test_pod_monitor_finds_the_port() -> None:
    """Prometheus scrapes the port that the DaemonSet names, on the pods that it labels."""
    (monitor,) = documents(KUSTOMIZE / "components/monitoring/podmonitor.yaml")
    (daemonset,) = documents(BASE / "daemonset.yaml")
    (port,) = the_container(daemonset)["ports"]
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
    assert monitor["metadata"]["namespace"] == daemonset["metadata"]["namespace"]
    assert monitor["spec"]["selector"] == daemonset["spec"]["selector"]
    assert (endpoint["port"], endpoint["path"]) == (port["name"], "/metrics")
