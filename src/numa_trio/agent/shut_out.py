"""Notices that the directory of the sockets cannot be written any more, but by a fresh start.

A service manager that lets a service write to one directory mounts this one into a file system that
is read-only for it. Where the directory is removed and made again, as by `kubeadm reset` and
`kubeadm join`, the service sees the new one, but the mount has gone with the old one.
"""

import os
from pathlib import Path

from numa_trio.kubelet.watch import DirectoryWatch


async def shut_out(kubelet_socket: Path, watch: DirectoryWatch) -> None:
    """Return when kubelet is there, but its directory, which could be written, is read-only now.

    One that is read-only from the beginning is no reason to start again: that would not help. Nor
    is one without kubelet's socket, which somebody may be about to remove.
    """
    before = False
    while True:
        change = watch.next_change()
        read_only = _is_read_only(kubelet_socket.parent)
        # Path.exists would raise where the path may not be passed through.
        if before and read_only and os.path.exists(kubelet_socket):  # noqa: ASYNC240, PTH110
            return
        before = before or read_only is False
        await change.wait()


def _is_read_only(directory: Path) -> bool | None:
    """None where it cannot be told, as while there is no such directory."""
    try:
        return bool(os.statvfs(directory).f_flag & os.ST_RDONLY)
    except OSError:
        return None
