"""The component that runs doctor on a node: what it mounts is what doctor needs, and no more."""

import shutil
from pathlib import Path, PurePosixPath

import pytest

from deploy.contract import assert_least_privilege, the_container
from deploy.manifests import KUSTOMIZE, OVERLAYS, namespace_of, root_directories
from deploy.schemas import NEWEST, OLDEST
from deploy.test_kustomize import Object, assert_sound, one, render_with
from doctor_hosts import HOSTS, Host
from numa_trio.cli import build_parser
from numa_trio.doctor.evidence.distribution import detect
from numa_trio.doctor.evidence.host_files import HostFiles
from numa_trio.doctor.evidence.kubelet_config import KubeletConfig, read_config
from numa_trio.doctor.evidence.processes import find_kubelet

pytestmark = pytest.mark.kubectl

NAMES = {name.lower(): name for name in HOSTS}


def doctor_of(overlay: str, folder: Path) -> Object:
    manifests = render_with(folder, overlay, ["doctor"])
    assert_sound(manifests, OLDEST, NEWEST)
    return one(manifests, "DaemonSet", "numa-doctor")


def mounted(daemonset: Object) -> dict[str, Object]:
    """What of the host is mounted, by its path there; each read-only at that path below /host."""
    sources = {v["name"]: v["hostPath"] for v in daemonset["spec"]["template"]["spec"]["volumes"]}
    mounts = the_container(daemonset)["volumeMounts"]
    for mount in mounts:
        path = PurePosixPath(sources[mount["name"]]["path"])
        assert PurePosixPath(mount["mountPath"].replace("//", "/")) == PurePosixPath(f"/host{path}")
        assert mount["readOnly"] is True
    assert len(mounts) == len(sources)
    return {source["path"]: source for source in sources.values()}


def values_of(config: KubeletConfig) -> dict[str, object]:
    return {key: each.value for key, each in config.settings.items() if key != "kind"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_pod_is_least(overlay: str, tmp_path: Path) -> None:
    """Four mounts, no capability, no namespace of the host, and only on nodes with the label."""
    daemonset = doctor_of(overlay, tmp_path)
    paths = mounted(daemonset)
    root = root_directories()[overlay]
    assert len(paths) == 4
    assert paths.keys() >= {"/proc", "/var/lib/kubelet/device-plugins", f"{root}/pod-resources"}
    pod = daemonset["spec"]["template"]["spec"]
    the_container(daemonset)["ports"] = []
    assert_least_privilege(daemonset)
    assert pod["nodeSelector"]["numa-trio/doctor"] == "true"
    assert daemonset["metadata"]["namespace"] == namespace_of(overlay)
    assert pod["serviceAccountName"] == "numa-resource-plugin"


@pytest.mark.parametrize("overlay", [name for name in OVERLAYS if name in NAMES])
def test_what_is_mounted_has_the_settings(overlay: str, tmp_path: Path) -> None:
    """Of a right host of the distribution, the mounts alone show the settings that count."""
    paths = mounted(doctor_of(overlay, tmp_path))
    host = Host.of(tmp_path / "host", NAMES[overlay])
    root = tmp_path / "root"
    for path, source in paths.items():
        inside, there = path.lstrip("/"), host.folder / path.lstrip("/")
        if not there.exists():
            assert path.endswith(("device-plugins", "pod-resources"))
            continue
        assert there.is_dir() == source["type"].startswith("Directory")
        (root / inside).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if there.is_dir() else shutil.copy)(there, root / inside)
    files = HostFiles(root)
    process = find_kubelet(files)
    config = read_config(files, detect(files, process), process)
    whole = host.evidence().config
    assert config.problems == {}
    assert values_of(config) == values_of(whole)
    assert config.root == whole.root


def test_the_command_is_one(tmp_path: Path) -> None:
    """What the shell runs first is a command line that the parser takes."""
    (_, _, line) = the_container(doctor_of("kubeadm", tmp_path))["command"]
    words = line.partition(";")[0].split()
    assert words[0] == "numa-trio"
    assert str(build_parser().parse_args(words[1:]).root) == "/host"


def test_the_agents_are_left_as_they_are(tmp_path: Path) -> None:
    """Their pods are not replaced for it."""
    plain = one(render_with(tmp_path, "rke2", []), "DaemonSet")
    assert one(render_with(tmp_path, "rke2", ["doctor"]), "DaemonSet") == plain


def test_the_page_has_the_commands() -> None:
    """The comment of the component and docs/doctor.md show the same."""
    comment = (KUSTOMIZE / "components/doctor/kustomization.yaml").read_text()
    page = (KUSTOMIZE.parents[1] / "docs/doctor.md").read_text()
    commands = [line[4:] for line in comment.splitlines() if line.startswith("#   kubectl")]
    assert len(commands) == 3
    assert all(command in page for command in commands)
