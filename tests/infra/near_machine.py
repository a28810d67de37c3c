"""The machine of test_near_kernel.py: disks and network cards near each of its NUMA nodes."""

from pathlib import Path

from infra.qemu import NumaLayout, Options, VirtualNode
from infra.wiring import Port, bridge_options, device_option, storage_options

LAYOUT = NumaLayout(
    nodes=[VirtualNode(2, 512), VirtualNode(2, 512), VirtualNode(0, 256)],
    distances={(0, 1): 21, (0, 2): 17, (1, 2): 28},
)

ALPHA, BETA, GAMMA = Port(0, 1), Port(1, 1), Port(2, 1)
CARD_0, CARD_1 = Port(0, 2), Port(1, 2)
VIRTIO, SCSI = Port(0, 3), Port(1, 3)
SHARED_0, SHARED_1 = Port(0, 4), Port(1, 4)
FREE = Port(0, 5)

_PORTS = {0: 5, 1: 4, 2: 1}
_DISKS_MIB = {"alpha": 256, "beta": 256, "gamma": 64, "shared": 64, "scsi": 128, "virtio": 128}
_CARDS = (CARD_0.id, CARD_1.id, "pcie.0,addr=0x10")


def near_machine(folder: Path) -> Options:
    """Its devices, with the disks' contents in `folder`."""
    return [
        *(option for node, ports in _PORTS.items() for option in bridge_options(node, ports)),
        *(
            option
            for name, mib in _DISKS_MIB.items()
            for option in storage_options(name, folder / f"{name}.raw", mib)
        ),
        *_disks(),
        *_cards(),
        *_control(folder / "qmp"),
    ]


def _disks() -> Options:
    return [
        _disk("nvme", ALPHA.id, "alpha"),
        _disk("nvme", BETA.id, "beta"),
        _disk("nvme", GAMMA.id, "gamma"),
        _disk("virtio-blk-pci", VIRTIO.id, "virtio"),
        device_option("virtio-scsi-pci", SCSI.id, id="adapter"),
        _disk("scsi-hd", "adapter.0", "scsi"),
        ("device", "nvme-subsys,id=both,nqn=both"),
        device_option("nvme", SHARED_0.id, id="path0", serial="shared", subsys="both"),
        device_option("nvme", SHARED_1.id, id="path1", serial="shared", subsys="both"),
        device_option("nvme-ns", "path0", drive="shared", nsid="1", shared="on"),
    ]


def _disk(kind: str, bus: str, name: str) -> tuple[str, str]:
    return device_option(kind, bus, id=name, drive=name, serial=name)


def _cards() -> Options:
    """A card near each node with CPUs, and one on the root bus, which tells no node."""
    options = []
    for number, bus in enumerate(_CARDS):
        options += [
            ("netdev", f"hubport,hubid=0,id=net{number}"),
            device_option("virtio-net-pci", bus, netdev=f"net{number}"),
        ]
    return options


def _control(socket: Path) -> Options:
    """QEMU's monitor, which the guest has at the other end of a virtual serial port."""
    return [
        ("chardev", f"socket,id=control,path={socket},server=on,wait=off"),
        ("qmp", f"unix:{socket}"),
        ("device", "virtio-serial-pci,bus=pcie.0"),
        ("device", "virtserialport,chardev=control,name=qmp"),
    ]
