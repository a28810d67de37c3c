"""What kubelet finds in its device-plugin directory when it starts, and its own socket there."""

import os
import socket
import stat
from pathlib import Path

from numa_trio.simulator.checkpoint import BadCheckpoint, restore_checkpoint
from numa_trio.simulator.devices import DeviceManager
from numa_trio.simulator.node import Node


def sockets_in(directory: Path, *, last: str) -> list[Path]:
    """The sockets in the directory, alive or dead, the one of the name `last` at the end."""
    sockets = [path for path in directory.iterdir() if stat.S_ISSOCK(path.lstat().st_mode)]
    return sorted(sockets, key=lambda path: (path.name == last, path.name))


def remembered_devices(directory: Path, node: Node) -> tuple[DeviceManager, BadCheckpoint | None]:
    """What the checkpoint knows of the pods that are still there; nothing if it cannot be read."""
    devices, problem = DeviceManager(node.numa_nodes), None
    try:
        restore_checkpoint(directory, devices)
    except BadCheckpoint as unreadable:
        devices, problem = DeviceManager(node.numa_nodes), unreadable
    for holder in [holder for holder in devices.allocations if holder.pod_uid not in node.pods]:
        del devices.allocations[holder]
    return devices, problem


def listen(path: Path) -> socket.socket:
    """A socket that listens at this path; raises `OSError`."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.bind(os.fspath(path))
        listener.listen()
    except BaseException:
        listener.close()
        raise
    return listener


def listen_anew(path: Path) -> socket.socket:
    """The same, where a dead socket may be at the path."""
    path.unlink(missing_ok=True)
    return listen(path)
