"""The sysfs of a host, and the parts of its `/` that are mounted for us, as folders of a test."""

import os
from functools import cache
from pathlib import Path
from typing import Self

import yaml
from attrs import frozen

from numa_trio.locality.host import Host
from numa_trio.locality.places import find_places
from numa_trio.locality.result import Outcome, Place, Resolution
from numa_trio.locality.survey import Survey
from numa_trio.locality.target import parse_target
from numa_trio.topology.machine import Machine, NumaNode

# What is below md0 of two-node-vm.
MIRRORED = ("nvme0n1p1+nvme2n1p1", "nvme0n1+nvme2n1", "0000:81:00.0+0000:41:00.0")
FIXTURES = Path(__file__).parent / "fixtures/devices"


def node(number: int, cpus: str = "", **distances: int) -> NumaNode:
    """A node with CPUs such as `01`, and distances such as `to_8=40`."""
    by_node = {int(name.removeprefix("to_")): distance for name, distance in distances.items()}
    return NumaNode(number, frozenset(map(int, cpus)), distances=by_node)


TWO_NODES = Machine((node(0, "01", to_0=10, to_1=21), node(1, "23", to_0=21, to_1=10)))
ONE_NODE = Machine((node(0, "01"),))


@frozen
class HostTree:
    """A host below a directory: `sys`, and `host` with what `NUMA_HOST_ROOT` would show."""

    directory: Path

    @classmethod
    def of_machine(cls, directory: Path, name: str) -> Self:
        """The machine fixtures/devices/`name`.yaml."""
        tree = cls(directory)
        machine = _fixture(name)
        for path, text in machine["files"].items():
            tree.write(path, text)
        for path, target in machine["links"].items():
            link = tree.sysfs / path
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)
            if path.startswith("class/"):  # a device of which no file is in the fixture
                link.resolve().mkdir(parents=True, exist_ok=True)
        if "mountinfo" in machine:
            tree.mount_table(machine["mountinfo"])
        return tree

    @property
    def sysfs(self) -> Path:
        return self.directory / "sys"

    @property
    def root(self) -> Path:
        return self.directory / "host"

    def write(self, path: str, text: str) -> None:
        """A file of sysfs, with the newline that the kernel writes."""
        file = self.sysfs / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    def link(self, path: str, target: str) -> None:
        """A link in sysfs to another of its paths."""
        link = self.sysfs / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(target, Path(path).parent))

    def folder(self, path: str) -> str:
        (self.sysfs / path).mkdir(parents=True, exist_ok=True)
        return path

    def card(self, *addresses: str, node: int | None) -> str:
        """A PCI device below bridges, all of the node; None for a kernel that writes no nodes."""
        domain_and_bus = addresses[0].rpartition(":")[0]
        path = f"devices/pci{domain_and_bus}"
        for address in addresses:
            path = self.folder(f"{path}/{address}")
            if node is not None:
                self.write(f"{path}/numa_node", str(node))
            if not (self.sysfs / f"bus/pci/devices/{address}").is_symlink():
                self.link(f"bus/pci/devices/{address}", path)
        return path

    def disk(self, name: str, on: str | None = None, number: str = "8:0") -> str:
        """A block device on a device, else a virtual one."""
        path = f"{on}/block/{name}" if on else f"devices/virtual/block/{name}"
        self.write(f"{path}/dev", number)
        self.link(f"class/block/{name}", path)
        self.link(f"dev/block/{number}", path)
        if on:
            self.link(f"{path}/device", on)
        return path

    def stacked(self, name: str, *slaves: str, number: str = "9:0") -> str:
        """A block device that consists of others, by their paths in sysfs."""
        path = self.disk(name, number=number)
        for slave in slaves:
            self.link(f"{path}/slaves/{Path(slave).name}", slave)
        return path

    def interface(self, name: str, on: str | None = None, lower: tuple[str, ...] = ()) -> str:
        """A network interface on a device, else a virtual one, maybe upon others."""
        path = self.folder(f"{on}/net/{name}" if on else f"devices/virtual/net/{name}")
        self.link(f"class/net/{name}", path)
        if on:
            self.link(f"{path}/device", on)
        for below in lower:
            self.link(f"{path}/lower_{Path(below).name}", below)
        return path

    def mount_table(self, text: str) -> None:
        """The host's mount table."""
        self.host_file("/proc/1/mountinfo", text)

    def mounts(self, *mounts: str) -> None:
        """A mount table of lines without ids, all upon `/`: `8:1 / /data ext4 /dev/sda1 rw`."""
        lines = []
        for number, mount in enumerate(("0:1 / / rootfs rootfs rw", *mounts), start=1):
            device, root, point, *rest = mount.split(" ")
            lines.append(f"{number} 1 {device} {root} {point} rw - {' '.join(rest)}\n")
        self.mount_table("".join(lines))

    def host_file(self, path: str, text: str = "") -> None:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def host_link(self, path: str, target: str) -> None:
        link = self.root / path.lstrip("/")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)

    def survey(self, machine: Machine = TWO_NODES, *, rooted: bool = True) -> Survey:
        """A look at the host, with or without what is not in sysfs."""
        return Survey(Host(self.sysfs, self.root if rooted else None), machine)

    def places(self, target: str, machine: Machine = TWO_NODES) -> tuple[Place, ...]:
        return find_places(self.survey(machine), parse_target(target))

    def resolve(
        self, target: str, machine: Machine = TWO_NODES, *, rooted: bool = True
    ) -> Resolution:
        """The one place of a target."""
        (place,) = find_places(self.survey(machine, rooted=rooted), parse_target(target))
        return place.resolution


def near(resolution: Resolution) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The nodes and the chain of something that has nodes."""
    assert resolution.outcome is Outcome.NEAR, resolution
    assert resolution.reason is None
    return resolution.nodes, resolution.chain


def unknown(resolution: Resolution) -> str:
    """Why something that is there has no nodes."""
    assert resolution.outcome is Outcome.UNKNOWN, resolution
    assert resolution.nodes == ()
    assert resolution.reason is not None
    return resolution.reason


@cache
def _fixture(name: str) -> dict[str, dict[str, str]]:
    content: dict[str, dict[str, str]] = yaml.safe_load((FIXTURES / f"{name}.yaml").read_text())
    return content
