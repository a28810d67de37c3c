"""What makes one machine of the bed differ from another: files laid over a common root."""

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from attrs import frozen

from infra.bed import REGISTRY_PORT, BedMachine, Role


@frozen
class File:
    """A file with its content, or that of a file of the host."""

    content: str | bytes | Path
    mode: int = 0o644


@frozen
class Link:
    """A symbolic link."""

    target: str


# Entries by absolute path.
Tree: TypeAlias = Mapping[str, File | Link]


def write_tar(tree: Tree, archive: Path) -> None:
    """The tree as an archive of root's files; folders come into being as needed."""
    with tarfile.open(archive, "w") as tar:
        for path, entry in sorted(tree.items()):
            member = tarfile.TarInfo(path.lstrip("/"))
            match entry:
                case Link():
                    member.type, member.linkname = tarfile.SYMTYPE, entry.target
                    tar.addfile(member)
                case File():
                    content = _bytes(entry.content)
                    member.size, member.mode = len(content), entry.mode
                    tar.addfile(member, io.BytesIO(content))


def _bytes(content: str | bytes | Path) -> bytes:
    match content:
        case str():
            return content.encode()
        case bytes():
            return content
        case Path():
            return content.read_bytes()


def unit(
    description: str,
    command: Sequence[str],
    *,
    after: Sequence[str] = (),
    options: Sequence[str] = ("Restart=always", "RestartSec=2"),
) -> File:
    """A systemd service that `command` is; one word of it a line."""
    lines = [
        "[Unit]",
        f"Description={description}",
        *(f"Wants={other}\nAfter={other}" for other in after),
        "StartLimitIntervalSec=0",
        "[Service]",
        *options,
        "ExecStart=" + " \\\n  ".join(command),
        "",
    ]
    return File("\n".join(lines))


UNITS = "/etc/systemd/system"
DEBIAN_UNITS = "/usr/lib/systemd/system"


def enabled(*names: str, folder: str = UNITS) -> dict[str, Link]:
    """Links that have systemd start the services of these names."""
    wants = f"{UNITS}/multi-user.target.wants"
    return {f"{wants}/{name}.service": Link(f"{folder}/{name}.service") for name in names}


def common_tree(machine: BedMachine, machines: Sequence[BedMachine], ssh_key: str) -> Tree:
    """Name, network, the others' names, and who may log in."""
    hosts = ["127.0.0.1 localhost"] + [
        f"{each.address} {each.name}" + (" registry.local" if each.role is Role.REGISTRY else "")
        for each in machines
    ]
    routes = [
        f"[Route]\nDestination={each.pod_network}.0/24\nGateway={each.address}\n"
        for each in machines
        if each.role is Role.WORKER and each != machine
    ]
    own = f"[Match]\nMACAddress={machine.mac(0)}\n[Network]\nAddress={machine.address}/24\n"
    outside = f"[Match]\nMACAddress={machine.mac(1)}\n[Network]\nDHCP=ipv4\n"
    return {
        "/etc/hostname": File(f"{machine.name}\n"),
        "/etc/hosts": File("\n".join(hosts) + "\n"),
        "/etc/systemd/network/10-own.network": File(own + "".join(routes)),
        "/etc/systemd/network/20-outside.network": File(outside),
        "/root/.ssh/authorized_keys": File(ssh_key, mode=0o600),
    }


def registry_tree() -> Tree:
    """A registry that anybody on the network may push to."""
    configuration = (
        "version: 0.1\n"
        "storage:\n  filesystem:\n    rootdirectory: /var/lib/docker-registry\n"
        f"http:\n  addr: :{REGISTRY_PORT}\n"
    )
    return {
        "/etc/docker/registry/config.yml": File(configuration),
        **enabled("docker-registry", folder=DEBIAN_UNITS),
    }
