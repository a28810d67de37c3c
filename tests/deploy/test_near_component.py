"""The components by which the agent sees what targets are near, rendered by `kubectl kustomize`."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.contract import assert_contract, the_container
from deploy.manifests import KUSTOMIZE, OVERLAYS, REPOSITORY, documents, namespace_of
from deploy.schemas import NEWEST, OLDEST, assert_valid
from deploy.test_kustomize import assert_sound, one, render, render_with, settings, unmount
from numa_trio.locality.host import COMPONENTS
from numa_trio.locality.target import Kind
from numa_trio.near.source import NearSource
from numa_trio.settings import load_settings

rendered = pytest.mark.kubectl

Object = dict[str, Any]

README = (KUSTOMIZE / "README.md").read_text()
# The volumes, each with what it is of the host.
NEAR = {
    "host-mount-table": {"path": "/proc/1/mountinfo", "type": "File"},
    "host-dev-disk": {"path": "/dev/disk", "type": "DirectoryOrCreate"},
    "host-sys-class-net": {"path": "/sys/class/net", "type": "Directory"},
    "host-sys-devices": {"path": "/sys/devices", "type": "Directory"},
}
ZFS = {"host-udev-data": {"path": "/run/udev/data", "type": "Directory"}}
FILE = {"name": "numa-near", "namespace": "kube-system", "files": ["near.yaml"]}
LABELS = {"options": {"labels": {"app.kubernetes.io/part-of": "numa-trio"}}}


def blocks_of(part: str) -> list[str]:
    """The YAML of the README that follows a text."""
    return re.findall(r"```yaml\n(.*?)```", README[README.index(part) :], re.DOTALL)


def mounted(daemonset: Object) -> dict[str, Object]:
    """What is mounted of the host besides the base's directory, each with its source."""
    pod = daemonset["spec"]["template"]["spec"]
    sources = {v["name"]: v["hostPath"] for v in pod["volumes"] if "hostPath" in v}
    return {name: sources[name] for name in sources if name != "device-plugins"}


@rendered
@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize(
    ("components", "volumes"),
    [(["near"], NEAR), (["near", "near-zfs"], NEAR | ZFS)],
    ids=["near", "near and near-zfs"],
)
def test_parts_of_the_host_are_mounted_read_only_at_their_own_paths(
    overlay: str, components: list[str], volumes: dict[str, Object], tmp_path: Path
) -> None:
    """Each part is below the directory that the setting names, and nothing else changes."""
    plain = one(render_with(tmp_path, overlay, []), "DaemonSet")
    manifests = render_with(tmp_path, overlay, components)
    assert_sound(manifests, OLDEST, NEWEST)
    root = settings(manifests)["NUMA_HOST_ROOT"]
    daemonset = one(manifests, "DaemonSet")
    for name, source in volumes.items():
        mount, host_path = unmount(daemonset, name)
        assert mount == {"name": name, "mountPath": root + source["path"], "readOnly": True}
        assert host_path == source
    assert_contract(daemonset, namespace_of(overlay))
    the_container(daemonset)["envFrom"].pop(0)
    assert daemonset == plain


def test_parts_are_those_that_targets_need() -> None:
    """What docs/near.md says must be visible is mounted, but for the whole `/`."""
    page = (REPOSITORY / "docs/near.md").read_text()
    table = page[page.index("| part of the host | for |") :].split("\n\n", maxsplit=1)[0]
    parts = re.findall(r"^\| (`/.*?) \|", table, re.MULTILINE)
    named = {path for part in parts for path in re.findall(r"`(/[^`]*)`", part)}
    assert named - {"/", "/dev/md"} == {source["path"] for source in (NEAR | ZFS).values()}
    rows = re.findall(r"^\| (`/.*?) \| (`host-.*?) \| [^|]+ \| [^|]+ \|$", README, re.MULTILINE)
    described = {
        volume: path
        for part, volumes in rows
        for path, volume in zip(
            re.findall(r"`(/[^`]*)`", part), re.findall(r"`(host-[^`]*)`", volumes), strict=True
        )
    }
    assert described == {name: source["path"] for name, source in (NEAR | ZFS).items()}
    assert {source["path"]: "near" for source in NEAR.values()} | {
        source["path"]: "near-zfs" for source in ZFS.values()
    } == COMPONENTS


def test_only_what_others_make_anyway_is_ever_made_on_a_host() -> None:
    """Udev makes /dev/disk, and the container runtime /var/run/nri; a folder in /opt is our own.

    /run/udev is not made, for programs take it for a running udev.
    """
    made = [
        volume["hostPath"]["path"]
        for file in (KUSTOMIZE / "components").glob("*/daemonset.yaml")
        for patch in documents(file)
        for volume in patch["spec"]["template"]["spec"].get("volumes", [])
        if volume.get("hostPath", {}).get("type", "").endswith("OrCreate")
    ]
    assert sorted(made) == ["/dev/disk", "/opt/numa-trio", "/var/run/nri"]


@rendered
def test_the_root_can_be_elsewhere(tmp_path: Path) -> None:
    """Settings of the user's win over the component's."""
    generator = {
        "name": "numa-resource-plugin",
        "namespace": "kube-system",
        "behavior": "merge",
        "literals": ["NUMA_HOST_ROOT=/elsewhere"],
    }
    for components in (["near"], ["near", "counting"], ["counting", "near"]):
        manifests = render_with(tmp_path, "k0s", components, configMapGenerator=[generator])
        assert settings(manifests)["NUMA_HOST_ROOT"] == "/elsewhere"


@rendered
def test_readme_example_sets_targets_and_leaves_a_part_out(tmp_path: Path) -> None:
    """The kustomization that the README shows has its targets, and no /dev/disk."""
    (tmp_path / "numa-trio").symlink_to(REPOSITORY)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/kustomization.yaml").write_text(blocks_of("## The component `near`")[0])
    manifests = render(tmp_path / "mine")
    assert_sound(manifests, OLDEST, NEWEST)
    assert settings(manifests) == {
        "NUMA_CAPACITY": "100",
        "NUMA_HOST_ROOT": "/host",
        "NUMA_NEAR": "data=mount:/var/lib/elasticsearch,fabric=net:eth2",
    }
    left = {name: source for name, source in NEAR.items() if name != "host-dev-disk"}
    assert mounted(one(manifests, "DaemonSet")) == left


@rendered
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_targets_come_from_a_file(overlay: str, tmp_path: Path) -> None:
    """The user's ConfigMap is mounted, where the setting says, and a change replaces the pods."""
    names = []
    file = FILE | LABELS | {"namespace": namespace_of(overlay)}
    for content in ("data: /var/lib/elasticsearch\n", "data: /srv\n"):
        (tmp_path / "near.yaml").write_text(content)
        manifests = render_with(tmp_path, overlay, ["near", "near-file"], configMapGenerator=[file])
        assert_sound(manifests, OLDEST, NEWEST)
        config = one(manifests, "ConfigMap", "numa-near")
        pod = one(manifests, "DaemonSet")["spec"]["template"]["spec"]
        (name,) = (v["configMap"]["name"] for v in pod["volumes"] if "configMap" in v)
        assert name == config["metadata"]["name"]
        names.append(name)
        (mount,) = (m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "near")
        assert mount["readOnly"] is True
        (key,) = config["data"]
        assert settings(manifests)["NUMA_NEAR_FILE"] == f"{mount['mountPath']}/{key}"
    assert names[0] != names[1]


def test_agent_understands_what_the_readme_shows(tmp_path: Path) -> None:
    """The names of the setting and of the file, in a ConfigMap as kubelet mounts it."""
    (setting,) = re.findall(r"- NUMA_NEAR=(\S+)", blocks_of("## The component `near`")[0])
    names = NearSource(load_settings({"NUMA_NEAR": setting}).near).names()
    assert [(each.name, each.target.kind) for each in names.names] == [
        ("data", Kind.MOUNT),
        ("fabric", Kind.NET),
    ]
    file, generator = blocks_of("**A long list.**")[:2]
    assert yaml.safe_load(generator) == {"configMapGenerator": [FILE]}
    (tmp_path / "..2026_01_01").mkdir()
    (tmp_path / "..2026_01_01/near.yaml").write_text(file)
    (tmp_path / "..data").symlink_to("..2026_01_01")
    (tmp_path / "near.yaml").symlink_to("..data/near.yaml")
    path = str(tmp_path / "near.yaml")
    in_file = NearSource("", load_settings({"NUMA_NEAR_FILE": path}).near_file).names()
    assert [each.name for each in in_file.names] == ["data", "fabric", "fast"]
    assert names.problems == in_file.problems == ()


def test_comments_show_working_generators() -> None:
    """The generators in the components' comments are what the README shows."""
    texts = [
        (KUSTOMIZE / "components" / name / "kustomization.yaml").read_text()
        for name in ("near", "near-file")
    ]
    shown = [re.findall(r"#   (configMapGenerator:\n(?:#     .*\n)+)", text) for text in texts]
    (settings_of,), (file,) = shown
    assert yaml.safe_load(file.replace("#     ", "  ")) == {"configMapGenerator": [FILE]}
    (generator,) = yaml.safe_load(settings_of.replace("#     ", "  "))["configMapGenerator"]
    example = yaml.safe_load(blocks_of("## The component `near`")[0])
    assert [generator] == example["configMapGenerator"]


@rendered
@pytest.mark.parametrize(
    ("components", "allowed"),
    [(["near", "near-zfs"], ["hostPath"]), (["near", "near-file"], ["hostPath", "configMap"])],
    ids=["parts of the host", "a file"],
)
def test_openshift_allows_the_volumes(
    components: list[str], allowed: list[str], tmp_path: Path
) -> None:
    """The constraints allow the kinds of volume that the pod has, and no others."""
    manifests = render_with(tmp_path, "openshift", components)
    assert one(manifests, "SecurityContextConstraints")["volumes"] == allowed
    pod = one(manifests, "DaemonSet")["spec"]["template"]["spec"]
    assert {kind for volume in pod["volumes"] for kind in volume if kind != "name"} == set(allowed)


@rendered
def test_schemas_know_the_volume_of_a_config_map(tmp_path: Path) -> None:
    """Without the user's ConfigMap the manifests are valid; kubelet then waits for it."""
    daemonset = one(render_with(tmp_path, "kubeadm", ["near-file"]), "DaemonSet")
    assert_valid(daemonset, OLDEST)
    volume = daemonset["spec"]["template"]["spec"]["volumes"][0]
    assert volume == {"name": "near", "configMap": {"name": "numa-near"}}
