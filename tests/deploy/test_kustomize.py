"""Every overlay and component, rendered by `kubectl kustomize`."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.contract import assert_contract, assert_settings_exist, the_container
from deploy.manifests import (
    COMPONENTS,
    KUSTOMIZE,
    OVERLAYS,
    REPOSITORY,
    namespace_of,
    root_directories,
)
from deploy.schemas import FOREIGN_KINDS, NEWEST, OLDEST, assert_valid
from numa_trio.kubelet.pod_resources import KNOWN_SOCKETS

pytestmark = pytest.mark.kubectl

Object = dict[str, Any]

CLUSTER_SCOPED = {
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "Namespace",
    "SecurityContextConstraints",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}

# The parameters of admission policies: everywhere at the one place that the bindings name.
IN_KUBE_SYSTEM = {"numa-aligned-pods", "numa-counted-pods"}

# Components that mount something, and the volumes' names.
ADDS_MOUNTS = {
    "counting": ["pod-resources"],
    "host-sys": ["sys"],
    "near": ["host-mount-table", "host-dev-disk", "host-sys-class-net", "host-sys-devices"],
    "near-file": ["near"],
    "near-zfs": ["host-udev-data"],
    "runtime": ["nri"],
}


def render(folder: Path) -> list[Object]:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.fail("these tests need kubectl (any release since 1.27) on the PATH")
    result = subprocess.run(
        [kubectl, "kustomize", folder], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return list(yaml.safe_load_all(result.stdout))


def render_with(folder: Path, overlay: str, components: list[str], **more: object) -> list[Object]:
    """A user's own kustomization: an overlay of ours, some components, and changes."""
    ours = Path(os.path.relpath(KUSTOMIZE, folder))
    kustomization = {
        "resources": [f"{ours}/overlays/{overlay}"],
        "components": [f"{ours}/components/{name}" for name in components],
        **more,
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return render(folder)


def one(manifests: list[Object], kind: str, name: str = "numa-resource-plugin") -> Object:
    """The object of that kind and name, which may end in kustomize's hash."""
    (found,) = (
        manifest
        for manifest in manifests
        if manifest["kind"] == kind
        and re.fullmatch(rf"{name}(-scc|-[a-z0-9]{{10}})?", manifest["metadata"]["name"])
    )
    return found


def unmount(daemonset: Object, volume: str) -> tuple[Object, Object]:
    """Take a volume out of the DaemonSet; returns its mount, and where on the host it is or {}."""
    container, pod = the_container(daemonset), daemonset["spec"]["template"]["spec"]
    (mount,) = (each for each in container["volumeMounts"] if each["name"] == volume)
    (source,) = (each for each in pod["volumes"] if each["name"] == volume)
    container["volumeMounts"].remove(mount)
    pod["volumes"].remove(source)
    return mount, source.get("hostPath", {})


def assert_sound(manifests: list[Object], *versions: str) -> None:
    """Valid, complete and in one namespace with the DaemonSet."""
    daemonset = one(manifests, "DaemonSet")
    for manifest in manifests:
        assert manifest["metadata"]["labels"]["app.kubernetes.io/part-of"] == "numa-trio"
        assert manifest["metadata"].get("namespace") == its_namespace(manifest, daemonset)
        if manifest["kind"] not in FOREIGN_KINDS:
            for version in versions:
                assert_valid(manifest, version)
    account = one(manifests, "ServiceAccount")
    pod = daemonset["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == account["metadata"]["name"]
    *_, last = the_container(daemonset)["envFrom"]
    config = one(manifests, "ConfigMap")
    assert last == {"configMapRef": {"name": config["metadata"]["name"]}}
    assert_settings_exist(set(settings(manifests)))
    assert_settings_exist({variable["name"] for variable in the_container(daemonset)["env"]})


def its_namespace(manifest: Object, daemonset: Object) -> str | None:
    """Where the object belongs when the DaemonSet is where it is."""
    if manifest["kind"] in CLUSTER_SCOPED:
        return None
    if manifest["metadata"]["name"] in IN_KUBE_SYSTEM:
        return "kube-system"
    home: str = daemonset["metadata"]["namespace"]
    return home


def settings(manifests: list[Object]) -> dict[str, str]:
    """The variables that the container gets: of two sources for one, the later counts."""
    sources = the_container(one(manifests, "DaemonSet"))["envFrom"]
    maps = {m["metadata"]["name"]: m["data"] for m in manifests if m["kind"] == "ConfigMap"}
    return {
        name: value
        for source in sources
        for name, value in maps[source["configMapRef"]["name"]].items()
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlays_render(overlay: str) -> None:
    """An overlay gives valid manifests, and a DaemonSet that keeps the contract."""
    manifests = render(KUSTOMIZE / "overlays" / overlay)
    assert_sound(manifests, OLDEST, NEWEST)
    assert_contract(one(manifests, "DaemonSet"), namespace_of(overlay))


@pytest.mark.parametrize("component", COMPONENTS)
def test_components_can_be_added(component: str, tmp_path: Path) -> None:
    """A component adds to an overlay what is valid from its first release on."""
    manifests = render_with(tmp_path, "kubeadm", [component])
    assert_sound(manifests, COMPONENTS[component], NEWEST)
    daemonset = one(manifests, "DaemonSet")
    for volume in ADDS_MOUNTS.get(component, []):
        unmount(daemonset, volume)
    assert_contract(daemonset)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_all_components_together(overlay: str, tmp_path: Path) -> None:
    """Every overlay takes all components at once."""
    manifests = render_with(tmp_path, overlay, list(COMPONENTS))
    assert_sound(manifests, COMPONENTS["init-container-policy"], NEWEST)


def test_recommended_labels_are_on_the_pods() -> None:
    """Pods carry the recommended labels; the selector, which can never change, does not."""
    daemonset = one(render(KUSTOMIZE / "base"), "DaemonSet")
    labels = daemonset["spec"]["template"]["metadata"]["labels"]
    assert labels == daemonset["metadata"]["labels"]
    assert labels.keys() == {
        "app",
        "app.kubernetes.io/name",
        "app.kubernetes.io/component",
        "app.kubernetes.io/part-of",
    }


@pytest.mark.parametrize("component", COMPONENTS)
def test_components_follow_the_daemonset_to_its_own_namespace(
    component: str, tmp_path: Path
) -> None:
    """On OpenShift what a component adds is where the agents are, with the names that they use."""
    manifests = render_with(tmp_path, "openshift", [component])
    assert_sound(manifests, COMPONENTS[component], NEWEST)
    assert one(manifests, "DaemonSet")["metadata"]["namespace"] == "numa-trio"
    *first, _ = the_container(one(manifests, "DaemonSet"))["envFrom"]
    for source in first:
        assert one(manifests, "ConfigMap", source["configMapRef"]["name"])


@pytest.mark.parametrize("overlay", ["kubeadm", "openshift"])
def test_changed_capacity_rolls_the_daemonset(overlay: str, tmp_path: Path) -> None:
    """Another capacity is another ConfigMap, so the pods are replaced; its namespace may move."""
    generator = {
        "name": "numa-resource-plugin",
        "namespace": "kube-system",
        "behavior": "merge",
        "literals": ["NUMA_CAPACITY=12"],
    }
    before = render(KUSTOMIZE / "base")
    after = render_with(tmp_path, overlay, [], configMapGenerator=[generator])
    assert_sound(after, OLDEST)
    assert one(after, "ConfigMap")["data"] == {"NUMA_CAPACITY": "12"}
    assert the_container(one(before, "DaemonSet")) != the_container(one(after, "DaemonSet"))


def test_readme_example_renders(tmp_path: Path) -> None:
    """The kustomization that the README shows works, beside a checkout named as it is there."""
    block, *_ = re.findall(r"```yaml\n(.*?)```", (KUSTOMIZE / "README.md").read_text(), re.DOTALL)
    (tmp_path / "numa-trio").symlink_to(KUSTOMIZE.parents[1])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/kustomization.yaml").write_text(block)
    manifests = render(tmp_path / "mine")
    assert_sound(manifests, NEWEST)
    assert one(manifests, "ConfigMap")["data"] == {"NUMA_CAPACITY": "40", "NUMA_LOG_LEVEL": "debug"}
    daemonset = one(manifests, "DaemonSet")
    assert the_container(daemonset)["image"].startswith("registry.example.com/")
    (secret,) = daemonset["spec"]["template"]["spec"]["imagePullSecrets"]
    page = (REPOSITORY / "docs/distributions/README.md").read_text()
    assert f"secret docker-registry {secret['name']} " in page


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_deploy_applies_the_overlay_with_image_and_secret(overlay: str) -> None:
    """What `just deploy` applies is the overlay with another image and the Secret that pulls it."""
    done = subprocess.run(
        [REPOSITORY / "scripts/render-overlay", overlay, "reg.example:5000/x/numa-trio:7", "mine"],
        capture_output=True,
        text=True,
        check=True,
    )
    manifests = list(yaml.safe_load_all(done.stdout))
    assert_sound(manifests, NEWEST)
    daemonset = one(manifests, "DaemonSet")
    assert the_container(daemonset)["image"] == "reg.example:5000/x/numa-trio:7"
    assert daemonset["spec"]["template"]["spec"].pop("imagePullSecrets") == [{"name": "mine"}]
    assert_contract(daemonset, namespace_of(overlay))


def test_image_is_the_users(tmp_path: Path) -> None:
    """The images transformer sets registry and tag by the one name that the image has here."""
    image = {
        "name": "registry.local:5000/numa-trio",
        "newName": "registry.example.com/numa",
        "newTag": "7",
    }
    manifests = render_with(tmp_path, "kubeadm", [], images=[image])
    assert the_container(one(manifests, "DaemonSet"))["image"] == "registry.example.com/numa:7"


def test_selinux_type_is_set(tmp_path: Path) -> None:
    """The component sets the type for device plugins and nothing else."""
    daemonset = one(render_with(tmp_path, "rke2", ["selinux"]), "DaemonSet")
    options = the_container(daemonset)["securityContext"]["seLinuxOptions"]
    assert options == {"type": "container_device_plugin_t"}


def test_host_sys_is_read_only_all_the_way_down(tmp_path: Path) -> None:
    """The component mounts the host's /sys where the agent looks, with what is mounted below it."""
    plain = one(render_with(tmp_path, "kubeadm", []), "DaemonSet")
    daemonset = one(render_with(tmp_path, "kubeadm", ["host-sys"]), "DaemonSet")
    mount, host_path = unmount(daemonset, "sys")
    assert mount == {
        "name": "sys",
        "mountPath": "/sys",
        "readOnly": True,
        "recursiveReadOnly": "IfPossible",
    }
    assert host_path == {"path": "/sys", "type": "Directory"}
    assert daemonset == plain, "without them it is what it was"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_counting_mounts_the_pod_resources_directory_and_nothing_else(
    overlay: str, tmp_path: Path
) -> None:
    """Below kubelet's root directory on the host, read-only, and at the usual place inside."""
    plain = one(render_with(tmp_path, overlay, []), "DaemonSet")
    manifests = render_with(tmp_path, overlay, ["counting"])
    assert_sound(manifests, OLDEST, NEWEST)
    daemonset = one(manifests, "DaemonSet")
    mount, host_path = unmount(daemonset, "pod-resources")
    # The first place where the agent looks, so that nothing has to be set.
    inside = str(KNOWN_SOCKETS[0].parent)
    assert mount == {"name": "pod-resources", "mountPath": inside, "readOnly": True}
    path = f"{root_directories()[overlay]}/pod-resources"
    assert host_path == {"path": path, "type": "Directory"}
    assert f"| Pod resources | `{path}` |" in (
        (REPOSITORY / f"docs/distributions/{overlay}.md").read_text()
    )
    assert_contract(daemonset, namespace_of(overlay))
    the_container(daemonset)["envFrom"].pop(0)
    assert daemonset == plain


def test_what_is_counted_can_be_changed(tmp_path: Path) -> None:
    """The component counts CPUs; settings on top of it add memory, as its comment says."""
    before = settings(render_with(tmp_path, "k0s", ["counting"]))
    assert before == {"NUMA_CAPACITY": "100", "NUMA_COUNTED": "cpu"}
    comment = (KUSTOMIZE / "components/counting/kustomization.yaml").read_text()
    (example,) = re.findall(r"#   (configMapGenerator:\n(?:#     .*\n)+)", comment)
    generators = yaml.safe_load(example.replace("#     ", "  "))
    manifests = render_with(tmp_path, "k0s", ["counting"], **generators)
    assert_sound(manifests, OLDEST)
    assert settings(manifests) == {"NUMA_CAPACITY": "100", "NUMA_COUNTED": "cpu,memory"}


def test_openshift_applies_its_constraints_to_the_namespace() -> None:
    """OpenShift passes over some namespaces by name, and all with a run level; not this one."""
    manifests = render(KUSTOMIZE / "overlays/openshift")
    (namespace,) = (m["metadata"] for m in manifests if m["kind"] == "Namespace")
    assert one(manifests, "DaemonSet")["metadata"]["namespace"] == namespace["name"]
    assert namespace["name"] != "default"
    assert not namespace["name"].startswith(("kube-", "openshift"))
    assert "openshift.io/run-level" not in namespace["labels"]
    assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"
    assert namespace["annotations"]["openshift.io/node-selector"] == ""


def test_openshift_role_names_the_constraints() -> None:
    """The service account may use our constraints, by the name that they have after rendering."""
    manifests = render(KUSTOMIZE / "overlays/openshift")
    constraints = one(manifests, "SecurityContextConstraints")
    role, binding = one(manifests, "Role"), one(manifests, "RoleBinding")
    account = one(manifests, "ServiceAccount")["metadata"]
    assert role["rules"] == [
        {
            "apiGroups": ["security.openshift.io"],
            "resources": ["securitycontextconstraints"],
            "resourceNames": [constraints["metadata"]["name"]],
            "verbs": ["use"],
        }
    ]
    assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) == (
        "Role",
        role["metadata"]["name"],
    )
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
    ]


def test_policies_keep_their_names(tmp_path: Path) -> None:
    """Bindings name the policy and the parameters as they are after rendering."""
    manifests = render_with(tmp_path, "kubeadm", ["admission-policies", "init-container-policy"])
    policy = one(manifests, "ValidatingAdmissionPolicy", "numa-aligned-pods")
    parameters = one(manifests, "ConfigMap", "numa-aligned-pods")
    bindings = [m for m in manifests if m["kind"] == "ValidatingAdmissionPolicyBinding"]
    assert parameters["metadata"]["name"] == "numa-aligned-pods"
    assert {b["spec"]["policyName"] for b in bindings} == {policy["metadata"]["name"]}
    mutating = one(manifests, "MutatingAdmissionPolicy", "numa-init-containers")
    binding = one(manifests, "MutatingAdmissionPolicyBinding", "numa-init-containers")
    assert binding["spec"]["policyName"] == mutating["metadata"]["name"]


def test_counting_policy_keeps_its_names(tmp_path: Path) -> None:
    """Its binding names the policy and the parameters as they are after rendering."""
    manifests = render_with(tmp_path, "kubeadm", ["counting", "counting-policy"])
    name = "numa-counted-pods"
    binding = one(manifests, "MutatingAdmissionPolicyBinding", name)["spec"]
    policy = one(manifests, "MutatingAdmissionPolicy", name)["metadata"]
    parameters = one(manifests, "ConfigMap", name)["metadata"]
    assert binding["policyName"] == policy["name"]
    assert binding["paramRef"]["name"] == parameters["name"] == name
    assert binding["paramRef"]["namespace"] == parameters["namespace"]


def test_network_policy_selects_the_agent(tmp_path: Path) -> None:
    """The policy is about the agent's pods: in on the metrics port, out nowhere."""
    manifests = render_with(tmp_path, "kubeadm", ["network-policy"])
    spec = one(manifests, "NetworkPolicy")["spec"]
    daemonset = one(manifests, "DaemonSet")
    assert spec["podSelector"] == daemonset["spec"]["selector"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec.get("egress", []) == []
    (rule,) = spec["ingress"]
    assert rule["ports"] == [
        {"protocol": "TCP", "port": the_container(daemonset)["ports"][0]["name"]}
    ]
