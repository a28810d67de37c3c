"""The machines of the cluster bed: their NUMA nodes, addresses and QEMU options. Pure."""

from enum import StrEnum
from pathlib import Path

from attrs import frozen

from infra.qemu import (
    Accelerator,
    NumaLayout,
    Options,
    VirtualNode,
    kernel_options,
    machine_options,
    serial_options,
)

REGISTRY_PORT = 5000
# The registry as the cluster's nodes know it; to the host it is localhost.
REGISTRY = f"registry.local:{REGISTRY_PORT}"
API_PORT = 6443
HOST_API_PORT = 16443

# The machines' own network; QEMU's user-mode network behind the other card leads outside.
NETWORK = "10.77.0"
_MULTICAST = "230.77.0.1:23077"


class Role(StrEnum):
    """What a machine of the bed is for."""

    REGISTRY = "registry"
    SERVER = "server"
    WORKER = "worker"


@frozen
class BedMachine:
    """A machine of the bed; `number` is its place in the network and in the host's ports."""

    name: str
    role: Role
    number: int
    layout: NumaLayout

    @property
    def address(self) -> str:
        """Its address in the machines' own network."""
        return f"{NETWORK}.{10 + self.number}"

    @property
    def pod_network(self) -> str:
        """The first three numbers of the addresses of its pods."""
        return f"10.88.{self.number}"

    @property
    def ssh_port(self) -> int:
        """The port on the host's loopback that leads to its SSH server."""
        return 22000 + self.number

    def mac(self, card: int) -> str:
        """The hardware address of network card 0 (own network) or 1 (outside)."""
        return f"52:54:00:77:{card:02x}:{self.number:02x}"

    @property
    def forwards(self) -> dict[int, int]:
        """Ports on the host's loopback, and those of the machine to which they lead."""
        ports = {self.ssh_port: 22}
        match self.role:
            case Role.REGISTRY:
                ports[REGISTRY_PORT] = REGISTRY_PORT
            case Role.SERVER:
                ports[HOST_API_PORT] = API_PORT
            case Role.WORKER:
                pass
        return ports


def bed_machines(*, memory_only_node: bool) -> list[BedMachine]:
    """A registry, a server, and two workers of two NUMA nodes each.

    `memory_only_node` gives the workers a third node without CPUs, as CXL memory is one.
    """
    nodes, distances = [VirtualNode(2, 1536), VirtualNode(2, 1536)], {(0, 1): 21}
    if memory_only_node:
        nodes.append(VirtualNode(0, 512))
        distances |= {(0, 2): 17, (1, 2): 28}
    worker = NumaLayout(nodes, distances)
    return [
        BedMachine("registry", Role.REGISTRY, 1, NumaLayout([VirtualNode(1, 512)], {})),
        BedMachine("server", Role.SERVER, 2, NumaLayout([VirtualNode(2, 3072)], {})),
        BedMachine("worker-1", Role.WORKER, 3, worker),
        BedMachine("worker-2", Role.WORKER, 4, worker),
    ]


@frozen
class MachineFiles:
    """The files of one running machine, all in a folder of its own."""

    folder: Path

    @property
    def disk(self) -> Path:
        """Its root disk: what differs from the base disk."""
        return self.folder / "disk.qcow2"

    @property
    def seed(self) -> Path:
        """The tar archive that its first process unpacks over the root."""
        return self.folder / "seed.tar"

    @property
    def console(self) -> Path:
        """What kernel and systemd print."""
        return self.folder / "console.log"

    @property
    def process_id(self) -> Path:
        """The id of its QEMU process."""
        return self.folder / "qemu.pid"


def bed_options(
    machine: BedMachine, files: MachineFiles, kernel: Path, initrd: Path, accelerator: Accelerator
) -> Options:
    """A machine that runs in the background with its disk, seed and both networks."""
    forwards = "".join(
        f",hostfwd=tcp:127.0.0.1:{here}-:{there}"
        for here, there in sorted(machine.forwards.items())
    )
    return [
        *machine_options(machine.layout, accelerator),
        *kernel_options(
            kernel, initrd, "root=/dev/vda rw console=ttyS0 net.ifnames=0 init=/seed-init"
        ),
        *serial_options(files.console),
        ("drive", f"file={files.disk},if=virtio,format=qcow2"),
        ("drive", f"file={files.seed},if=virtio,format=raw,readonly=on"),
        ("netdev", f"socket,id=own,mcast={_MULTICAST},localaddr=127.0.0.1"),
        ("device", f"virtio-net-pci,netdev=own,mac={machine.mac(0)}"),
        ("netdev", f"user,id=outside{forwards}"),
        ("device", f"virtio-net-pci,netdev=outside,mac={machine.mac(1)}"),
        ("device", "virtio-rng-pci"),
        ("name", f"numa-trio-{machine.name}"),
        ("pidfile", str(files.process_id)),
        ("daemonize", ""),
    ]
