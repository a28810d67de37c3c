"""Socket files: which socket stands at a path, and whether anybody listens on it."""

import errno
import os
import socket
import stat
import struct
import time
from pathlib import Path
from typing import Self

from attrs import frozen

_PEER_CREDENTIALS = struct.Struct("3i")  # struct ucred of unix(7): pid, uid, gid


@frozen
class SocketIdentity:
    """One life of a socket file.

    File systems use the inode number of a deleted file again at once, so that device and inode
    do not suffice: the time of creation tells two such sockets apart.
    """

    device: int
    inode: int
    created_ns: int

    @classmethod
    def at(cls, path: Path) -> Self | None:
        """The socket at `path`; None if there is none or it is something else.

        Raises `OSError` if the path cannot be examined.
        """
        try:
            status = os.stat(path, follow_symlinks=False)  # noqa: PTH116  cheaper than Path.stat
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISSOCK(status.st_mode):
            return None
        return cls(status.st_dev, status.st_ino, status.st_mtime_ns)

    def age(self) -> float:
        """Seconds since its creation, as far as the wall clock can be trusted."""
        return max(0.0, (time.time_ns() - self.created_ns) / 1e9)


@frozen
class Peer:
    """The process at the other end of a Unix socket, as of its connect or listen call."""

    pid: int
    uid: int


def peer_of(connection: socket.socket) -> Peer:
    """Who is at the other end (SO_PEERCRED of unix(7))."""
    credentials = connection.getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size
    )
    pid, uid, _gid = _PEER_CREDENTIALS.unpack(credentials)
    return Peer(pid, uid)


def listener_at(path: Path) -> Peer | None:
    """The process that listens on the socket at `path`; None if nobody does.

    Raises `OSError` if that cannot be found out.
    """
    try:
        connection = connect_to_listener(path)
    except BlockingIOError:  # its queue is full: somebody listens, though slowly
        return Peer(pid=0, uid=0)
    except OSError as problem:
        if problem.errno == errno.EPROTOTYPE:  # a datagram socket: not ours, but in use
            return Peer(pid=0, uid=0)
        raise
    if connection is None:
        return None
    with connection:
        return peer_of(connection)


def connect_to_listener(path: Path) -> socket.socket | None:
    """A connection, without blocking, to whoever listens at `path`; None if nobody does.

    Raises `BlockingIOError` if the listener's queue is full, and `OSError` if that cannot be found
    out.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        connection.connect(os.fspath(path))
    except (ConnectionRefusedError, FileNotFoundError):
        connection.close()
        return None
    except BaseException:
        connection.close()
        raise
    return connection
