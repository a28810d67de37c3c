"""QEMU options for devices on PCI buses of their own, each of which tells a NUMA node.

A host bridge of its own (pxb-pcie) has the node, and root ports on it have one device each, as in
QEMU's docs/pcie.txt. Its bus is 0x40 for node 0, 0x80 for node 1, 0xc0 for node 2. The firmware
numbers the ports' buses from there: the second port of node 1 has bus 0x82.
"""

from pathlib import Path

from attrs import frozen

from infra.qemu import Options

_BUSES_OF_A_BRIDGE = 0x40
_MOST_BRIDGES = 3  # there are 256 buses, and the root bus has the first


@frozen
class Port:
    """A root port near a NUMA node; `number` counts those of its bridge from 1."""

    node: int
    number: int

    @property
    def id(self) -> str:
        """Its name in QEMU's options."""
        return f"port{self.node}{self.number}"

    @property
    def address(self) -> str:
        """The PCI address of what is plugged in."""
        return f"0000:{_first_bus(self.node) + self.number:02x}:00.0"


def bridge_options(node: int, ports: int) -> Options:
    """The host bridge of a NUMA node, with so many root ports."""
    if node >= _MOST_BRIDGES:
        raise ValueError(f"a bridge for node {node}; expected at most {_MOST_BRIDGES} bridges")
    bridge = f"bridge{node}"
    bus = _first_bus(node)
    options = [("device", f"pxb-pcie,id={bridge},bus_nr={bus},numa_node={node},bus=pcie.0")]
    for number in range(1, ports + 1):
        port = Port(node, number)
        options.append(
            ("device", f"pcie-root-port,id={port.id},bus={bridge},chassis={bus + number}")
        )
    return options


def storage_options(name: str, file: Path, mib: int) -> Options:
    """The contents of a disk, which stay when the disk is unplugged; the file is made anew."""
    with file.open("wb") as out:
        out.truncate(mib << 20)
    return [("blockdev", f"driver=raw,node-name={name},file.driver=file,file.filename={file}")]


def device_option(kind: str, bus: str, **properties: str) -> tuple[str, str]:
    """A device on a bus: `pcie.0`, or the id of a port."""
    words = [kind, f"bus={bus}", *(f"{key}={value}" for key, value in properties.items())]
    return ("device", ",".join(words))


def _first_bus(node: int) -> int:
    return _BUSES_OF_A_BRIDGE * (node + 1)
