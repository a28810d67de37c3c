"""Hears from the kernel that devices come, go or change, on a netlink socket.

It is one of NETLINK_KOBJECT_UEVENT. The kernel sends a message for each device to the initial
network namespace and to those of all containers without a user namespace of their own; of network
interfaces only to their own one. A socket for its first group needs no capability.
"""

import errno
import logging
import socket
from collections.abc import Callable
from typing import NoReturn

import trio

log = logging.getLogger(__name__)

_NETLINK_KOBJECT_UEVENT = 15  # linux/netlink.h
_KERNELS_OWN = 1  # the group of its messages; udev's, which repeat them, are in another
_LONGEST = 8192  # bytes; the kernel makes none of more than 2048 and its head

_SUBSYSTEMS = frozenset(
    {b"block", b"net", b"pci", b"nvme", b"nvme-subsystem", b"infiniband", b"dax", b"nd", b"memory"}
)


async def follow_uevents(changed: Callable[[], None]) -> NoReturn:
    """Call `changed` for each event of a disk, card or interface, until cancelled.

    Where the kernel or the container does not allow such a socket, nothing is ever told.
    """
    try:
        await _follow(changed)
    except OSError as problem:
        log.debug("Cannot hear of devices that come and go", exc_info=problem)
    await trio.sleep_forever()


async def _follow(changed: Callable[[], None]) -> NoReturn:
    with trio.socket.socket(
        socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_KOBJECT_UEVENT
    ) as receiver:
        await receiver.bind((0, _KERNELS_OWN))
        while True:
            if await _is_relevant(receiver):
                changed()


async def _is_relevant(receiver: trio.socket.SocketType) -> bool:
    try:
        message, (sender, _groups) = await receiver.recvfrom(_LONGEST)
    except OSError as problem:
        if problem.errno == errno.ENOBUFS:  # more came than fits: anything may have changed
            return True
        raise
    return sender == 0 and subsystem_of(message) in _SUBSYSTEMS


def subsystem_of(message: bytes) -> bytes | None:
    """The SUBSYSTEM of a message of the kernel's: `add@/devices/…`, then `KEY=value`, by NULs."""
    for variable in message.split(b"\0")[1:]:
        key, equals, value = variable.partition(b"=")
        if key == b"SUBSYSTEM" and equals:
            return value
    return None
