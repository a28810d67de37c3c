"""The component that puts the unit numa-trio-memory-state on servers, and its script."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy.contract import assert_contract, the_container
from deploy.manifests import KUSTOMIZE, OVERLAYS, REPOSITORY, documents, namespace_of
from deploy.memory_host import SCRIPT
from deploy.schemas import NEWEST, OLDEST
from deploy.test_kustomize import assert_sound, one, render_with

Object = dict[str, Any]

COMPONENT = KUSTOMIZE / "components/memory-state"
UNIT = SCRIPT.with_name("numa-trio-memory-state.service")
LINK = f"etc/systemd/system/multi-user.target.wants/{UNIT.name}"
(DAEMONSET,) = documents(COMPONENT / "daemonset.yaml")
POD = DAEMONSET["spec"]["template"]["spec"]
(INSTALL,) = POD["initContainers"]


@pytest.mark.kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_pods_get_the_files_of_the_repository(overlay: str, tmp_path: Path) -> None:
    """Unit, script and installer as they are here, beside an agent that is what it was."""
    plain = one(render_with(tmp_path, overlay, []), "DaemonSet")
    manifests = render_with(tmp_path, overlay, ["memory-state"])
    assert_sound(manifests, OLDEST, NEWEST)
    assert one(manifests, "DaemonSet") == plain
    assert_contract(plain, namespace_of(overlay))
    pod = one(manifests, "DaemonSet", "numa-memory-state")["spec"]["template"]["spec"]
    names = {v["name"]: v["configMap"]["name"] for v in pod["volumes"] if "configMap" in v}
    maps = {m["metadata"]["name"]: m["data"] for m in manifests if m["kind"] == "ConfigMap"}
    assert maps[names["files"]] == {file.name: file.read_text() for file in (SCRIPT, UNIT)}
    assert maps[names["install"]] == {"install": (COMPONENT / "install").read_text()}


@pytest.mark.kubectl
def test_the_pods_have_the_agents_image(tmp_path: Path) -> None:
    """By default, and where a kustomization on top of it names another."""
    image = {
        "name": "registry.local:5000/numa-trio",
        "newName": "registry.example.com/numa",
        "newTag": "7",
    }
    for images in ([], [image]):
        manifests = render_with(tmp_path, "rke2", ["memory-state"], images=images)
        agent = the_container(one(manifests, "DaemonSet"))["image"]
        pod = one(manifests, "DaemonSet", "numa-memory-state")["spec"]["template"]["spec"]
        for container in pod["initContainers"] + pod["containers"]:
            assert container["image"] == agent
    assert agent == "registry.example.com/numa:7"


def test_only_the_init_container_can_write_and_only_there() -> None:
    """Two directories of the host; what stays running sees them read-only."""
    host = {v["name"]: v["hostPath"] for v in POD["volumes"] if "hostPath" in v}
    assert host == {
        "units": {"path": "/etc/systemd/system", "type": "Directory"},
        "script": {"path": "/opt/numa-trio", "type": "DirectoryOrCreate"},
    }
    for container in (INSTALL, the_container(DAEMONSET)):
        mounts = container["volumeMounts"]
        paths = {m["name"]: m["mountPath"] for m in mounts if m["name"] in host}
        assert paths == {name: f"/host{source['path']}" for name, source in host.items()}
        writable = {m["name"] for m in mounts if not m.get("readOnly")}
        assert writable == (set(host) if container is INSTALL else set())


def test_the_pod_has_no_privilege() -> None:
    """What the agent's container has, and no token, no namespace of the host."""
    (agent,) = documents(KUSTOMIZE / "base/daemonset.yaml")
    for container in (INSTALL, the_container(DAEMONSET)):
        assert container["securityContext"] == the_container(agent)["securityContext"]
    assert POD["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}
    assert POD["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & POD.keys()


def test_a_server_is_chosen_by_a_label() -> None:
    """The label of the pages, whatever taints the server has."""
    selector = POD["nodeSelector"]
    assert selector == {"kubernetes.io/os": "linux", "numa-trio/memory-state": "true"}
    assert POD["tolerations"] == [{"operator": "Exists"}]
    readme = (KUSTOMIZE / "README.md").read_text()
    assert "kubectl label node $NODE numa-trio/memory-state=true\n" in readme
    assert "kubectl label node $NODE numa-trio/memory-state-\n" in readme


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A host's directories as the pod has them."""
    for folder in ("etc/systemd/system", "opt/numa-trio"):
        (tmp_path / "host" / folder).mkdir(parents=True)
    return tmp_path / "host"


def install(host: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", COMPONENT / "install", *options, host, SCRIPT.parent],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", **environment},
    )


def content(host: Path) -> dict[str, str]:
    """Every file on the host, and where a link leads."""
    return {
        str(path.relative_to(host)): str(path.readlink()) if path.is_symlink() else path.read_text()
        for path in host.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def assert_nothing_installed(host: Path, why: str, **environment: str) -> None:
    """It says why, leaves the host as it is, and lets the pod stay, not Ready."""
    before = content(host)
    done = install(host, **environment)
    assert done.returncode == 0
    assert done.stdout == f"nothing is installed: {why}\n"
    assert content(host) == before
    assert install(host, "--check").returncode == 1


def test_unit_and_script_are_installed_for_the_next_boot(host: Path) -> None:
    """The unit runs the script where it is put, and is enabled as `systemctl enable` does it."""
    assert install(host, "--check").returncode == 1
    done = install(host)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{UNIT.name} is installed, for the next boot\n"
    unit = f"/etc/systemd/system/{UNIT.name}"
    found = content(host)
    assert found.keys() == {unit[1:], LINK, "opt/numa-trio/memory-state"}
    assert found["opt/numa-trio/memory-state"] == SCRIPT.read_text()
    assert found[LINK] == unit
    assert (host / "opt/numa-trio/memory-state").stat().st_mode & 0o777 == 0o755
    assert (host / unit[1:]).stat().st_mode & 0o777 == 0o644
    (line,) = re.findall(r"^ExecStart=(.*)$", found[unit[1:]], re.MULTILINE)
    assert line == "/bin/sh /opt/numa-trio/memory-state"
    assert found[unit[1:]].replace(line, "/bin/sh /usr/lib/numa-trio/memory-state") == (
        UNIT.read_text()
    )
    assert "WantedBy=multi-user.target" in UNIT.read_text()


def test_what_is_in_place_is_left_and_what_is_not_is_replaced(host: Path) -> None:
    """A pod that starts again changes nothing; a file of another version is seen and replaced."""
    install(host)
    first = content(host)
    assert install(host, "--check").returncode == 0
    assert "is installed already" in install(host).stdout
    for name in first:
        (host / name).unlink()
        if name != LINK:
            (host / name).write_text("older\n")
        assert install(host, "--check").returncode == 1
        assert "is installed, for the next boot" in install(host).stdout
        assert content(host) == first


def test_a_directory_in_memory_is_no_place(host: Path, tmp_path: Path) -> None:
    """The kernel's mount table tells: what is put there is gone when it is needed."""
    table = tmp_path / "mountinfo"
    units = host / "etc/systemd/system"
    line = f"812 790 0:57 /systemd/system {units} rw,relatime shared:9 - {{}} none rw\n"
    table.write_text("790 1 8:1 / / rw - ext4 /dev/sda1 rw\n" + line.format("tmpfs"))
    why = "/etc/systemd/system is in memory on this host, and would be lost at the next boot"
    assert_nothing_installed(host, why, MOUNTINFO=str(table))
    table.write_text(line.format("ext4"))
    assert "is installed, for the next boot" in install(host, MOUNTINFO=str(table)).stdout


def test_a_host_without_systemd_is_no_place(host: Path) -> None:
    """Nothing is made there."""
    (host / "etc/systemd/system").rmdir()
    assert_nothing_installed(host, "the host has no /etc/systemd/system")


def test_a_masked_unit_stays_masked(host: Path) -> None:
    """`systemctl mask` is a link to /dev/null, and the administrator's word."""
    unit = f"etc/systemd/system/{UNIT.name}"
    (host / unit).symlink_to("/dev/null")
    why = f"/{unit} is a link there: the unit is masked, or somebody else's"
    assert_nothing_installed(host, why)


# Nobody, not even root, can make a file in /proc.
@pytest.mark.parametrize(
    ("folder", "why"),
    [
        ("opt/numa-trio", "/opt/numa-trio cannot be written to"),
        ("etc/systemd/system", "/etc/systemd/system cannot be written to"),
    ],
)
def test_a_directory_that_cannot_be_written_to_is_named(host: Path, folder: str, why: str) -> None:
    """Read-only, or refused: the log says which directory."""
    (host / folder).rmdir()
    (host / folder).symlink_to("/proc/self")
    done = install(host)
    assert done.returncode == 0
    assert done.stdout == f"nothing is installed: {why}\n"
    assert not (host / LINK).exists()


def test_removing_names_all_that_is_put_there(host: Path) -> None:
    """The command of the page deletes what the component has made."""
    install(host)
    readme = (KUSTOMIZE / "README.md").read_text()
    (command,) = re.findall(r"kubectl debug node/\$NODE [^`]*?-- rm -f ([^`]*)```", readme)
    removed = {name.removeprefix("/host/") for name in command.replace("\\\n", "").split()}
    assert removed == content(host).keys()


def test_the_component_names_what_the_repository_has() -> None:
    """The ConfigMap of deploy/systemd has the two files that the installer looks for."""
    (kustomization,) = documents(REPOSITORY / "deploy/systemd/kustomization.yaml")
    (generator,) = kustomization["configMapGenerator"]
    assert generator["files"] == [SCRIPT.name, UNIT.name]
