"""What hangs on which NUMA node of a described machine: disks, network interfaces and GPUs.

    disks:
      nvme0n1: {node: 0, mount: /var/lib/elasticsearch}
      nvme1n1: {node: 1, pci: 0000:81:00.0}             # its address; left out: one that is free
      nvme2n1: {node: -1}                               # the kernel knows no node
      md0: {members: [nvme0n1, nvme1n1], mount: /data}  # RAID, LVM and the like
    interfaces:
      eth2: {node: 1}
      bond0: {members: [eth2, eth3]}
    gpus:
      0000:3b:00.0: {node: 1}

What consists of members stands after them.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from enum import StrEnum
from itertools import count

from attrs import evolve, frozen

from numa_trio.locality.target import parse_target
from numa_trio.workloads.fields import BadFile, Field

UNKNOWN_NODE = -1  # as the kernel writes it

_LARGEST_NODE = 1023
_NAME = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_.]*")
_BUSES = 256  # of a PCI domain


class Kind(StrEnum):
    """The kinds of device, by the keys under which a file has them."""

    DISK = "disks"
    INTERFACE = "interfaces"
    GPU = "gpus"


_LONGEST = {Kind.DISK: 31, Kind.INTERFACE: 15}  # the kernel's DISK_NAME_LEN and IFNAMSIZ
_KEYS = {
    Kind.DISK: ("node", "pci", "mount", "members"),
    Kind.INTERFACE: ("node", "pci", "members"),
    Kind.GPU: ("node",),
}


@frozen
class Attached:
    """A device: hardware on a `node`, at the address `pci`, or one that consists of `members`.

    `node` is `UNKNOWN_NODE` if the kernel knows none. A disk may have a file system at `mount`.
    """

    kind: Kind
    name: str
    node: int = UNKNOWN_NODE
    pci: str = ""
    mount: str | None = None
    members: tuple[str, ...] = ()


def read_wiring(machine: Field, nodes: Collection[int]) -> tuple[Attached, ...]:
    """The devices of a machine that has these nodes; raises `BadFile`."""
    found: list[Attached] = []
    for kind in Kind:
        for name, field in machine.child(kind).items():
            before = [each.name for each in found if each.kind is kind]
            device = _read(kind, name, field, nodes, before)
            _check_alone(device, field, found)
            found.append(device)
    return tuple(with_addresses(found))


def with_addresses(devices: Sequence[Attached]) -> Iterator[Attached]:
    """The devices, hardware without an address on a PCI bus of its own."""
    taken = {each.pci.rpartition(":")[0] for each in devices}
    buses = (f"{n // _BUSES:04x}:{n % _BUSES:02x}" for n in count(1))
    free = (bus for bus in buses if bus not in taken)
    for each in devices:
        yield each if each.pci or each.members else evolve(each, pci=f"{next(free)}:00.0")


def _read(
    kind: Kind, name: str, field: Field, nodes: Collection[int], before: Sequence[str]
) -> Attached:
    pci = _address(field, name) if kind is Kind.GPU else ""
    if kind is not Kind.GPU and (not _NAME.fullmatch(name) or len(name) > _LONGEST[kind]):
        raise BadFile(
            f"{field.where}: expected a name of letters, digits, '-', '_' and '.', at most"
            f" {_LONGEST[kind]}"
        )
    field.child("node")  # refuses what is no mapping
    field.only(*_KEYS[kind])
    mount = _mount(field.child("mount"))
    if field.child("members").value is not None:
        return Attached(kind, name, mount=mount, members=_members(field, before))
    address = field.child("pci")
    if address.value is not None:
        pci = _address(address, address.text() or "")
    return Attached(kind, pci if kind is Kind.GPU else name, _node(field, nodes), pci, mount)


def _node(field: Field, nodes: Collection[int]) -> int:
    node = field.child("node")
    number = node.whole_number(UNKNOWN_NODE, _LARGEST_NODE)
    if number not in {UNKNOWN_NODE, *nodes}:
        ids = ", ".join(map(str, nodes))
        raise node.bad(f"one of the nodes {ids}, or {UNKNOWN_NODE} if the kernel knows none")
    return number


def _members(field: Field, before: Sequence[str]) -> tuple[str, ...]:
    for key in ("node", "pci"):
        if field.child(key).value is not None:
            raise field.child(key).bad("nothing: where there are members, it is they that have one")
    names = tuple(each.text() or "" for each in field.child("members").elements())
    if not names:
        raise field.child("members").bad("names of what it consists of")
    for name, each in zip(names, field.child("members").elements(), strict=True):
        if name not in before:
            raise each.bad("the name of one that stands above it")
    return names


def _mount(field: Field) -> str | None:
    text = field.text()
    if text is None:
        return None
    try:
        target = parse_target(f"mount:{text}")
    except ValueError:
        target = None
    if target is None or target.is_glob:
        raise field.bad("an absolute path without '..' or any of * ? [")
    return target.name


def _address(field: Field, text: str) -> str:
    try:
        target = parse_target(f"pci:{text}")
    except ValueError:
        target = None
    if target is None or target.is_glob:
        raise BadFile(
            f"{field.where}: found {text or 'nothing'}; expected a PCI address such as 0000:81:00.0"
        )
    return target.name


def _check_alone(device: Attached, field: Field, others: Sequence[Attached]) -> None:
    """Refuse two devices at one address, and two disks at one mount point."""
    for other in others:
        if device.pci and device.pci == other.pci:
            raise BadFile(f"{field.where}: {device.pci} is the PCI address of {other.name} too")
        if device.mount and device.mount == other.mount:
            raise BadFile(f"{field.where}.mount: {other.name} is mounted at {device.mount} too")
