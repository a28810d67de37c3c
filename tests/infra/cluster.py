"""`cluster.py up`, `down`: a cluster of virtual machines with several NUMA nodes, on this host.

K8S_BIN_DIR        a folder with kubelet, kube-apiserver, kube-controller-manager,
                   kube-scheduler and kubectl: the cluster is made of these
BED_DISTRIBUTION   without K8S_BIN_DIR: rke2 (default) or k3s, installed from the network
BED_MEMORY_NODE    1: the workers have a third NUMA node, without CPUs
BED_DIR            where disks, keys and logs are (default: ~/.cache/numa-trio/bed)
"""

import argparse
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from attrs import frozen

from infra.bed import (
    HOST_API_PORT,
    REGISTRY,
    REGISTRY_PORT,
    BedMachine,
    MachineFiles,
    Role,
    bed_machines,
    bed_options,
)
from infra.certificates import make_authority
from infra.disk import BaseDisk, base_disk, is_root, machine_disk
from infra.installed import Distribution, install_script, tree
from infra.kubernetes import (
    ControlPlane,
    MissingBinaries,
    kubeconfig,
    require_binaries,
    server_tree,
    worker_tree,
)
from infra.qemu import QEMU, Accelerator, command_line
from infra.seed import Tree, common_tree, registry_tree, write_tar

_PROGRAMS = {
    QEMU: "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "debootstrap": "debootstrap",
    "mke2fs": "e2fsprogs",
    "openssl": "openssl",
    "ssh": "openssh-client",
}

# A machine is up within a minute with KVM, within some minutes without.
_PATIENCE_SECONDS = 1200
_KVM_PATIENCE_SECONDS = 20


class BedFailed(Exception):
    """The bed cannot be made; the message says why, and what to do."""


@frozen
class Choices:
    """What the environment chooses."""

    folder: Path
    binaries: Path | None
    distribution: Distribution
    memory_only_node: bool

    @staticmethod
    def read(environment: Mapping[str, str]) -> "Choices":
        """Raises `BedFailed` naming the variable that cannot be used."""
        distribution = environment.get("BED_DISTRIBUTION", Distribution.RKE2)
        if distribution not in set(Distribution):
            raise BedFailed(f"BED_DISTRIBUTION={distribution}; expected rke2 or k3s")
        memory = environment.get("BED_MEMORY_NODE", "0")
        if memory not in {"0", "1"}:
            raise BedFailed(f"BED_MEMORY_NODE={memory}; expected 0 or 1")
        folder = environment.get("BED_DIR") or Path.home() / ".cache/numa-trio/bed"
        binaries = environment.get("K8S_BIN_DIR")
        return Choices(
            folder=Path(folder).resolve(),
            binaries=Path(binaries).resolve() if binaries else None,
            distribution=Distribution(distribution),
            memory_only_node=memory == "1",
        )


@frozen
class Bed:
    """The machines and their files."""

    choices: Choices

    @property
    def machines(self) -> list[BedMachine]:
        """All of them, the server before the workers."""
        return bed_machines(memory_only_node=self.choices.memory_only_node)

    @property
    def server(self) -> BedMachine:
        """The one with the API server."""
        return next(machine for machine in self.machines if machine.role is Role.SERVER)

    @property
    def run(self) -> Path:
        """What belongs to the running machines."""
        return self.choices.folder / "run"

    @property
    def key(self) -> Path:
        """The key to log in with."""
        return self.run / "ssh-key"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's, for the host."""
        return self.run / "kubeconfig"

    def files(self, machine: BedMachine) -> MachineFiles:
        """The files of one machine."""
        return MachineFiles(self.run / machine.name)

    def ssh(self, machine: BedMachine, script: str) -> list[str]:
        """The words that run a script on a machine."""
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
        options += ["ConnectTimeout=10", "BatchMode=yes"]
        words = ["ssh", "-i", str(self.key), "-p", str(machine.ssh_port)]
        words += [word for option in options for word in ("-o", option)]
        return [*words, "root@127.0.0.1", script]


def up(bed: Bed) -> None:
    """Make and start everything; raises `BedFailed`."""
    _require()
    if bed.choices.binaries:
        require_binaries(bed.choices.binaries)
    elif not shutil.which("kubectl"):
        raise BedFailed("no kubectl in PATH; install it, or give K8S_BIN_DIR, which holds one")
    if bed.run.exists():
        raise BedFailed(f"{bed.run} is there already; run `just cluster-down` first")
    base = base_disk(bed.choices.folder)
    bed.run.mkdir()
    _make_key(bed.key)
    trees = _trees(bed)
    accelerator = _accelerator(base)
    for machine in bed.machines:
        _start(bed, machine, trees[machine.name], base, accelerator)
    for machine in bed.machines:
        _say(f"waiting for {machine.name}")
        _await_ssh(bed, machine)
    if not bed.choices.binaries:
        _install(bed)
    _await_nodes(bed)


def _require() -> None:
    missing = [package for program, package in _PROGRAMS.items() if not shutil.which(program)]
    if missing:
        raise BedFailed(f"run: apt-get install {' '.join(missing)}")
    if not is_root():
        raise BedFailed("debootstrap makes the disks, and needs root: run this as root")


def _make_key(key: Path) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
    subprocess.run(command, check=True)


def _trees(bed: Bed) -> dict[str, Tree]:
    """Each machine's files, by its name."""
    public_key = bed.key.with_suffix(".pub").read_text()
    roles = _role_trees(bed)
    return {
        machine.name: {**common_tree(machine, bed.machines, public_key), **roles[machine.name]}
        for machine in bed.machines
    }


def _role_trees(bed: Bed) -> dict[str, Tree]:
    trees: dict[str, Tree] = {}
    token = secrets.token_hex(16)
    folder = bed.choices.binaries
    authority = make_authority(bed.run)
    for machine in bed.machines:
        if machine.role is Role.REGISTRY:
            trees[machine.name] = registry_tree()
        elif not folder:
            trees[machine.name] = tree(bed.choices.distribution, machine, bed.server, token)
        elif machine.role is Role.SERVER:
            plane = ControlPlane.issue(authority, machine)
            trees[machine.name] = server_tree(folder, machine, plane)
            url = f"https://127.0.0.1:{HOST_API_PORT}"
            bed.kubeconfig.write_text(kubeconfig(url, plane.authority.certificate, plane.admin))
        else:
            trees[machine.name] = worker_tree(folder, machine, bed.server, authority)
    return trees


def _accelerator(base: BaseDisk) -> Accelerator:
    """KVM where a kernel really comes to its end with it: a device file alone proves nothing."""
    command = command_line(
        [("accel", "kvm"), ("m", "256M"), ("nodefaults", ""), ("display", "none")],
        [("kernel", str(base.kernel)), ("append", "panic=-1"), ("no-reboot", "")],
    )
    try:
        done = subprocess.run(command, capture_output=True, timeout=_KVM_PATIENCE_SECONDS)
        accelerator = Accelerator.KVM if done.returncode == 0 else Accelerator.TCG
    except subprocess.TimeoutExpired:
        accelerator = Accelerator.TCG
    slow = "" if accelerator is Accelerator.KVM else ": KVM does not work here, this will be slow"
    _say(f"machines run with {accelerator}{slow}")
    return accelerator


def _start(
    bed: Bed, machine: BedMachine, files_of: Tree, base: BaseDisk, accelerator: Accelerator
) -> None:
    files = bed.files(machine)
    files.folder.mkdir()
    machine_disk(base, files.disk)
    write_tar(files_of, files.seed)
    options = bed_options(machine, files, base.kernel, base.initrd, accelerator)
    try:
        subprocess.run(command_line(options), check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as failed:
        raise BedFailed(f"QEMU does not start {machine.name}: {failed.stderr}") from None


def _await_ssh(bed: Bed, machine: BedMachine) -> None:
    def answers() -> bool:
        return not subprocess.run(bed.ssh(machine, "true"), capture_output=True).returncode

    if not _until(answers):
        console = bed.files(machine).console
        raise BedFailed(f"{machine.name} does not answer; see {console}")


def _install(bed: Bed) -> None:
    """Run the distribution's installer on the server, then on the workers."""
    distribution = bed.choices.distribution
    for machine in bed.machines:
        if machine.role is Role.REGISTRY:
            continue
        _say(f"installing {distribution} on {machine.name}")
        script = install_script(distribution, machine.role)
        if subprocess.run(bed.ssh(machine, script)).returncode:
            raise BedFailed(
                f"no Kubernetes: {distribution} could not be installed on {machine.name} (see"
                " above). Without a network, give K8S_BIN_DIR. The machines and the registry run"
            )
    text = subprocess.run(
        bed.ssh(bed.server, f"cat {distribution.kubeconfig}"),
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    bed.kubeconfig.write_text(text.replace(":6443", f":{HOST_API_PORT}"))


def _await_nodes(bed: Bed) -> None:
    """Wait until both workers are Ready."""
    folder = bed.choices.binaries
    kubectl = str(folder / "kubectl") if folder else "kubectl"
    workers = sum(machine.role is Role.WORKER for machine in bed.machines)
    path = (
        "{range .items[*]}{.metadata.name} {.status.conditions[?(@.type=='Ready')].status}\n{end}"
    )
    command = [kubectl, f"--kubeconfig={bed.kubeconfig}", "get", "nodes", f"-o=jsonpath={path}"]

    def ready() -> bool:
        said = subprocess.run(command, capture_output=True, text=True).stdout
        return (
            sum(line.startswith("worker-") and line.endswith(" True") for line in said.splitlines())
            == workers
        )

    _say("waiting for the workers to be Ready")
    if not _until(ready):
        raise BedFailed(
            f"the workers are not Ready; ask `{' '.join(command[:3])} nodes`, or log in"
        )


def _until(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(2)
    return False


def down(bed: Bed) -> None:
    """Stop the machines and forget all of them but the base disk."""
    for file in sorted(bed.run.glob("*/qemu.pid")):
        process = int(file.read_text())
        if _is_ours(process, file):
            os.kill(process, signal.SIGTERM)
            _say(f"stopped {file.parent.name}")
    shutil.rmtree(bed.run, ignore_errors=True)


def _is_ours(process: int, pid_file: Path) -> bool:
    """Whether the process is still the one that wrote the file: numbers are used again."""
    try:
        return str(pid_file).encode() in Path(f"/proc/{process}/cmdline").read_bytes()
    except FileNotFoundError:
        return False


def _say(text: str) -> None:
    sys.stderr.write(f"bed: {text}\n")


def _explain(bed: Bed) -> None:
    path = f" PATH={bed.choices.binaries}:$PATH" if bed.choices.binaries else ""
    _say(f"the cluster is up. In your shell: export KUBECONFIG={bed.kubeconfig}{path}")
    _say(f"push an image: export REGISTRY=localhost:{REGISTRY_PORT}; just build; just push")
    _say("(buildah and podman want --tls-verify=false after push)")
    _say(f"test it: REGISTRY={REGISTRY} just e2e")
    for machine in bed.machines:
        _say(" ".join(bed.ssh(machine, "")).rstrip() + f"  # {machine.name}")


def main(words: Sequence[str]) -> int:
    """0, or 1 with a message where the bed could not be made."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["up", "down"])
    action = parser.parse_args(words).action
    try:
        bed = Bed(Choices.read(os.environ))
        if action == "down":
            down(bed)
        else:
            up(bed)
            _explain(bed)
    except (BedFailed, MissingBinaries) as problem:
        _say(str(problem))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
