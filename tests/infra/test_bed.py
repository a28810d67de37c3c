"""The cluster bed's machines, and what each of them gets."""

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import cluster
from infra.bed import BedMachine, MachineFiles, Role, bed_machines, bed_options
from infra.certificates import Authority, make_authority
from infra.cluster import Bed, BedFailed, Choices, down
from infra.container_image import image_archive
from infra.installed import Distribution, install_script, tree
from infra.kubernetes import (
    CONTAINERD_CONFIGURATION,
    HOST_BINARIES,
    PAUSE_IMAGE,
    SERVER_BINARIES,
    WORKER_BINARIES,
    ControlPlane,
    MissingBinaries,
    api_server_options,
    kubelet_configuration,
    pod_network,
    require_binaries,
    server_tree,
    worker_tree,
)
from infra.qemu import Accelerator
from infra.seed import File, Link, Tree, common_tree, registry_tree, unit, write_tar

MACHINES = bed_machines(memory_only_node=False)
REGISTRY, SERVER, WORKER, OTHER_WORKER = MACHINES


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One authority for the tests that only read certificates."""
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def binaries(tmp_path: Path) -> Path:
    """A folder that looks as if it held Kubernetes."""
    folder = tmp_path / "binaries"
    folder.mkdir()
    for name in (*SERVER_BINARIES, *WORKER_BINARIES, *HOST_BINARIES):
        (folder / name).write_text(name)
    return folder


def _text(tree: Tree, path: str) -> str:
    entry = tree[path]
    assert isinstance(entry, File)
    assert isinstance(entry.content, str)
    return entry.content


def test_every_port_and_address_is_used_once() -> None:
    """No two machines meet on the host's ports or in their network."""
    ports = [port for machine in MACHINES for port in machine.forwards]
    cards = [machine.mac(card) for machine in MACHINES for card in (0, 1)]
    addresses = [machine.address for machine in MACHINES]
    for names in (ports, cards, addresses):
        assert len(set(names)) == len(names)


def test_workers_have_two_numa_nodes_and_a_third_without_cpus_if_asked() -> None:
    """The switch adds memory, not CPUs."""
    assert [node.cpus for node in WORKER.layout.nodes] == [2, 2]
    with_memory_node = bed_machines(memory_only_node=True)[2]
    assert [node.cpus for node in with_memory_node.layout.nodes] == [2, 2, 0]


def test_ports_of_the_host_are_open_to_the_host_only(tmp_path: Path) -> None:
    """SSH, registry and API server are forwarded from the loopback address."""
    files = MachineFiles(tmp_path)
    options = bed_options(SERVER, files, Path("k"), Path("i"), Accelerator.TCG)
    (outside,) = (value for name, value in options if value.startswith("user,"))
    forwards = outside.split(",")[2:]
    assert forwards == [
        "hostfwd=tcp:127.0.0.1:16443-:6443",
        f"hostfwd=tcp:127.0.0.1:{SERVER.ssh_port}-:22",
    ]


def test_the_archive_holds_modes_links_and_content(tmp_path: Path) -> None:
    """What is unpacked over the root is what the tree says."""
    (tmp_path / "program").write_bytes(b"\x7fELF")
    entries: Tree = {
        "/etc/secret": File("s", mode=0o600),
        "/usr/local/bin/program": File(tmp_path / "program", mode=0o755),
        "/etc/link": Link("/etc/secret"),
    }
    write_tar(entries, tmp_path / "seed.tar")
    with tarfile.open(tmp_path / "seed.tar") as tar:
        assert tar.getmember("etc/secret").mode == 0o600
        assert tar.getmember("usr/local/bin/program").mode == 0o755
        assert tar.getmember("etc/link").linkname == "/etc/secret"
        program = tar.extractfile("usr/local/bin/program")
        assert program is not None
        assert program.read() == b"\x7fELF"
        assert {member.uid for member in tar} == {0}


def test_a_worker_has_a_route_to_the_other_workers_pods_only() -> None:
    """Its own pods are behind its own bridge."""
    network = _text(common_tree(WORKER, MACHINES, "key"), "/etc/systemd/network/10-own.network")
    assert f"Destination={OTHER_WORKER.pod_network}.0/24\nGateway={OTHER_WORKER.address}" in network
    assert WORKER.pod_network not in network


def test_every_machine_knows_the_registry_by_its_name() -> None:
    """registry.local is the registry's address."""
    hosts = _text(common_tree(SERVER, MACHINES, "key"), "/etc/hosts")
    assert f"{REGISTRY.address} registry registry.local" in hosts.splitlines()


def test_the_registry_asks_nobody_for_a_password() -> None:
    """Debian's own configuration would."""
    configuration = yaml.safe_load(_text(registry_tree(), "/etc/docker/registry/config.yml"))
    assert "auth" not in configuration
    assert configuration["http"]["addr"] == ":5000"


def test_a_service_runs_its_command() -> None:
    """systemd joins the lines of a command."""
    content = unit("what", ["/bin/a", "--b", "--c"], after=["d.service"]).content
    assert isinstance(content, str)
    assert "ExecStart=/bin/a \\\n  --b \\\n  --c\n" in content
    assert "Wants=d.service\nAfter=d.service" in content


def _mebibytes(quantity: str) -> int:
    assert quantity.endswith("Mi")
    return int(quantity.removesuffix("Mi"))


@pytest.mark.parametrize("memory_only_node", [False, True])
def test_reserved_memory_is_what_the_memory_manager_wants(memory_only_node: bool) -> None:
    """Over all nodes it is system-reserved plus the hard eviction threshold, exactly."""
    worker = bed_machines(memory_only_node=memory_only_node)[2]
    configuration = kubelet_configuration(worker)
    nodes = configuration["reservedMemory"]
    assert [node["numaNode"] for node in nodes] == [0, 1]
    assert sum(_mebibytes(node["limits"]["memory"]) for node in nodes) == _mebibytes(
        configuration["systemReserved"]["memory"]
    ) + _mebibytes(configuration["evictionHard"]["memory.available"])


def test_all_of_kubelets_managers_are_static() -> None:
    """Or there would be nothing to test in the cluster."""
    configuration = kubelet_configuration(WORKER)
    assert configuration["cpuManagerPolicy"] == "static"
    assert configuration["memoryManagerPolicy"] == "Static"
    assert configuration["topologyManagerPolicy"] == "single-numa-node"
    assert configuration["reservedSystemCPUs"] == "0"


@pytest.mark.slow  # needs the openssl program
def test_certificates_hold_for_whom_they_are(authority: Authority) -> None:
    """openssl accepts the API server's for each name and address by which it is called."""
    plane = ControlPlane.issue(authority, SERVER)
    for check in (
        ["-verify_ip", "127.0.0.1"],
        ["-verify_ip", SERVER.address],
        ["-verify_hostname", "kubernetes.default.svc"],
    ):
        _verify(authority, plane.server.certificate, *check)
    with pytest.raises(subprocess.CalledProcessError):
        _verify(authority, plane.server.certificate, "-verify_ip", "192.0.2.1")


@pytest.mark.slow  # needs the openssl program
def test_a_nodes_certificate_names_the_node(authority: Authority, binaries: Path) -> None:
    """The node authorizer knows kubelet by group and name."""
    worker_tree(binaries, WORKER, SERVER, authority)
    certificate = authority.folder / f"{WORKER.name}.crt"
    _verify(authority, certificate, "-purpose", "sslclient")
    said = subprocess.run(
        ["openssl", "x509", "-noout", "-subject", "-nameopt", "RFC2253", "-in", certificate],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert said.strip() == "subject=CN=system:node:worker-1,O=system:nodes"


def _verify(authority: Authority, certificate: Path, *checks: str) -> None:
    command = ["openssl", "verify", "-x509_strict", "-CAfile", str(authority.identity.certificate)]
    subprocess.run([*command, *checks, str(certificate)], check=True, capture_output=True)


def _files_named_in(words: list[str]) -> set[str]:
    return {word.partition("=")[2] for word in words if "=/etc/" in word}


@pytest.mark.slow  # needs the openssl program
def test_the_server_has_every_file_that_its_programs_are_told_of(
    authority: Authority, binaries: Path
) -> None:
    """Every path in a command line is a file of the machine."""
    files = server_tree(binaries, SERVER, ControlPlane.issue(authority, SERVER))
    named = _files_named_in(api_server_options(SERVER))
    for name in SERVER_BINARIES:
        service = _text(files, f"/etc/systemd/system/{name}.service")
        named |= _files_named_in(service.replace("\\", "").split())
    assert named
    assert named <= set(files)


@pytest.mark.slow  # needs the openssl program
def test_the_worker_has_every_file_that_kubelet_is_told_of(
    authority: Authority, binaries: Path
) -> None:
    """Command line and configuration."""
    files = worker_tree(binaries, WORKER, SERVER, authority)
    service = _text(files, "/etc/systemd/system/kubelet.service")
    named = _files_named_in(service.replace("\\", "").split())
    configuration = json.loads(_text(files, "/etc/kubernetes/kubelet.json"))
    named.add(configuration["authentication"]["x509"]["clientCAFile"])
    assert len(named) == 3
    assert named <= set(files)


@pytest.mark.slow  # needs the openssl program
def test_secrets_are_roots_alone(authority: Authority, binaries: Path) -> None:
    """Keys, and what has keys in it."""
    files: dict[str, File | Link] = {
        **server_tree(binaries, SERVER, ControlPlane.issue(authority, SERVER)),
        **worker_tree(binaries, WORKER, SERVER, authority),
    }
    secret = {path: entry for path, entry in files.items() if path.endswith((".key", ".conf"))}
    keys = [entry for path, entry in secret.items() if path.startswith("/etc/kubernetes/")]
    assert len(keys) == 5
    assert all(isinstance(entry, File) and entry.mode == 0o600 for entry in keys)


@pytest.mark.slow  # needs the openssl program
def test_a_newer_containerd_of_the_folder_replaces_debians(
    authority: Authority, binaries: Path
) -> None:
    """Debian's unit stays, and starts the folder's program."""
    override = "/etc/systemd/system/containerd.service.d/binary.conf"
    assert override not in worker_tree(binaries, WORKER, SERVER, authority)
    (binaries / "containerd").write_text("newer")
    files = worker_tree(binaries, WORKER, SERVER, authority)
    assert "ExecStart=\nExecStart=/usr/local/bin/containerd\n" in _text(files, override)
    assert "/usr/local/bin/containerd" in files


def test_missing_binaries_are_named(binaries: Path) -> None:
    """All of them at once."""
    (binaries / "kubelet").unlink()
    (binaries / "kubectl").unlink()
    with pytest.raises(MissingBinaries, match="lacks kubelet, kubectl"):
        require_binaries(binaries)


def test_pods_of_two_workers_have_different_networks() -> None:
    """Or their addresses would clash."""

    def subnet(worker: BedMachine) -> Any:
        return pod_network(worker)["plugins"][0]["ipam"]["ranges"][0][0]["subnet"]

    assert subnet(WORKER) != subnet(OTHER_WORKER)


def test_containerds_configuration_is_toml() -> None:
    """And the pause image is the one that the disk has."""
    plugins = tomllib.loads(CONTAINERD_CONFIGURATION)["plugins"]["io.containerd.grpc.v1.cri"]
    assert plugins["sandbox_image"] == PAUSE_IMAGE
    assert plugins["containerd"]["runtimes"]["runc"]["options"]["SystemdCgroup"] is True


def test_the_pause_images_layers_are_those_of_its_configuration() -> None:
    """As `docker save` writes them: containerd checks the digest."""
    with tarfile.open(
        fileobj=io.BytesIO(image_archive("x:1", {"pause": b"program"}, ["/pause"]))
    ) as tar:
        content = {name: _member(tar, name) for name in tar.getnames()}
    (image,) = json.loads(content["manifest.json"])
    (layer,) = image["Layers"]
    configuration = json.loads(content[image["Config"]])
    digest = f"sha256:{hashlib.sha256(content[layer]).hexdigest()}"
    assert configuration["rootfs"]["diff_ids"] == [digest]
    with tarfile.open(fileobj=io.BytesIO(content[layer])) as root:
        assert _member(root, "pause") == b"program"
        assert root.getmember("pause").mode == 0o755


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None
    return file.read()


@pytest.mark.parametrize("distribution", list(Distribution))
def test_installed_workers_join_the_server_with_static_managers(
    distribution: Distribution,
) -> None:
    """The configuration is YAML, and no memory is reserved that is not the system's."""
    files = tree(distribution, WORKER, SERVER, "token")
    configuration = yaml.safe_load(_text(files, f"/etc/rancher/{distribution}/config.yaml"))
    assert configuration["server"] == f"https://{SERVER.address}:{distribution.join_port}"
    options = dict(option.split("=", 1) for option in configuration["kubelet-arg"])
    assert options["cpu-manager-policy"] == "static"
    reserved = [part.partition("memory=")[2] for part in options["reserved-memory"].split(";")]
    system = options["system-reserved"].removeprefix("memory=")
    assert sum(map(_mebibytes, reserved)) == _mebibytes(system)


@pytest.mark.parametrize("distribution", list(Distribution))
def test_pods_of_installed_clusters_talk_over_the_machines_own_network(
    distribution: Distribution,
) -> None:
    """Behind the other card every machine has the same address."""
    files = tree(distribution, SERVER, SERVER, "token")
    assert "eth0" in "".join(_text(files, path) for path in files)


def test_an_installer_that_cannot_be_fetched_says_so(tmp_path: Path) -> None:
    """And does not go on."""
    curl = tmp_path / "curl"
    curl.write_text("#!/bin/sh\nexit 6\n")
    curl.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", "-c", install_script(Distribution.RKE2, Role.SERVER)],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 7
    assert "no network in server: cannot fetch https://get.rke2.io" in done.stderr


@pytest.mark.parametrize(
    ("variable", "value"), [("BED_DISTRIBUTION", "kubeadm"), ("BED_MEMORY_NODE", "yes")]
)
def test_choices_that_cannot_be_used_are_named(variable: str, value: str) -> None:
    """With the variable, its value and what is expected."""
    with pytest.raises(BedFailed, match=f"{variable}={value}; expected"):
        Choices.read({variable: value})


def test_down_leaves_processes_alone_that_are_not_the_beds(tmp_path: Path) -> None:
    """A process id of a machine that ended long ago may be somebody else's now."""
    bed = Bed(Choices.read({"BED_DIR": str(tmp_path)}))
    folder = bed.files(WORKER).folder
    folder.mkdir(parents=True)
    bed.files(WORKER).process_id.write_text(f"{os.getpid()}\n")
    down(bed)
    assert not bed.run.exists()


def test_down_stops_the_beds_processes(tmp_path: Path) -> None:
    """QEMU has the name of its process file in its command line."""
    bed = Bed(Choices.read({"BED_DIR": str(tmp_path)}))
    files = bed.files(WORKER)
    files.folder.mkdir(parents=True)
    script = "echo runs; while :; do sleep 1; done"
    with subprocess.Popen(
        ["/bin/sh", "-c", script, "qemu", "-pidfile", files.process_id], stdout=subprocess.PIPE
    ) as machine:
        assert machine.stdout is not None
        assert machine.stdout.readline() == b"runs\n"
        files.process_id.write_text(f"{machine.pid}\n")
        try:
            down(bed)
            assert machine.wait(30) == -signal.SIGTERM
        finally:
            machine.kill()


def test_programs_that_are_missing_are_named_by_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the words that apt-get wants."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(BedFailed, match="apt-get install qemu-system-x86 qemu-utils debootstrap"):
        cluster.up(Bed(Choices.read({})))
