"""Hears from the kernel that devices come, go or change, on a netlink socket.

It is one of NETLINK_KOBJECT_UEVENT. The kernel sends a message for each device to the initial
network namespace and to those of all containers without a user namespace of their own; of network
interfaces only to their own one. A socket for its first group needs no capability.
"""

import errno
import logging
import socket
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NoReturn

import trio

log = logging.getLogger(__name__)

_NETLINK_KOBJECT_UEVENT = 15  # linux/netlink.h
_KERNELS_OWN = 1  # the group of its messages; udev's, which repeat them, are in another
_LONGEST = 8192  # bytes; the kernel makes none of more than 2048 and its head

# So many messages are read in each period, in seconds, which takes one hundredth of a CPU. If more
# come than the kernel keeps, it says so, and that is a reason to look as well.
_AT_ONCE = 100
_PERIOD = 0.1

_SUBSYSTEMS = frozenset(
    {b"block", b"net", b"pci", b"nvme", b"nvme-subsystem", b"infiniband", b"dax", b"nd", b"memory"}
)


async def follow_uevents(changed: Callable[[], None]) -> NoReturn:
    """Call `changed` when there were events of disks, cards or interfaces, until cancelled.

    Where the kernel or the container does not allow such a socket, nothing is ever told.
    """
    try:
        await _follow(changed)
    except OSError as problem:
        log.debug("Cannot hear of devices that come and go", exc_info=problem)
    await trio.sleep_forever()


async def _follow(changed: Callable[[], None]) -> NoReturn:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_KOBJECT_UEVENT) as receiver:
        receiver.setblocking(False)
        receiver.bind((0, _KERNELS_OWN))
        while True:
            await trio.lowlevel.wait_readable(receiver)
            messages = list(islice(_messages(receiver), _AT_ONCE))
            if any(map(_is_relevant, messages)):
                changed()
            await trio.sleep(_PERIOD)


def _messages(receiver: socket.socket) -> Iterator[bytes | None]:
    """The messages of the kernel's that are there; None where some were lost."""
    while True:
        try:
            message, (sender, _groups) = receiver.recvfrom(_LONGEST)
        except BlockingIOError:
            return
        except OSError as problem:
            if problem.errno != errno.ENOBUFS:
                raise
            yield None
        else:
            yield message if sender == 0 else b""


def _is_relevant(message: bytes | None) -> bool:
    return message is None or subsystem_of(message) in _SUBSYSTEMS


def subsystem_of(message: bytes) -> bytes | None:
    """The SUBSYSTEM of a message of the kernel's: `add@/devices/…`, then `KEY=value`, by NULs."""
    for variable in message.split(b"\0")[1:]:
        key, equals, value = variable.partition(b"=")
        if key == b"SUBSYSTEM" and equals:
            return value
    return None
