"""Our own sockets in the device-plugin directory: bound with care, removed when done."""

import itertools
import os
import re
import socket
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self

from attrs import frozen

from numa_trio.kubelet.socket_file import Peer, SocketIdentity, listener_at

# Plain slots: `numa-<N>.sock`, `numa-<N>-<instance>.sock`. Neither names nor instances have a '+',
# so it tells where the longer names of other resources end: `numa-<N>-cpu+<instance>.sock`,
# `numa-near-data+<instance>.sock`.
_OURS = re.compile(
    r"numa-((?P<node>[0-9]+)(-[A-Za-z0-9_.-]+)?"
    r"|(?P<name>([0-9]+|near)-[A-Za-z0-9_.-]+)\+[A-Za-z0-9_.-]*)\.sock"
)
_SLOTS = re.compile(r"numa-[0-9]+")
_NUMBERED = "numa-"
_LONGEST_INSTANCE = 12  # characters, behind a '+'
_BACKLOG = 64
_MODE = 0o600


class SocketInUse(Exception):
    """Another live process listens on the socket that we would bind."""


def socket_name(local_name: str, instance: str) -> str:
    """The file name of a resource's socket.

    `numa-1.sock` or `numa-1-<instance>.sock` for the plain slots of a node, `numa-1-cpu+.sock` or
    `numa-near-data+<instance>.sock` for others. There a long instance, such as a pod's uid, is
    told by a digest: a path has little room for two long names.
    """
    if _SLOTS.fullmatch(local_name):
        return f"{local_name}-{instance}.sock" if instance else f"{local_name}.sock"
    if len(instance) > _LONGEST_INSTANCE:
        instance = sha256(instance.encode()).hexdigest()[:_LONGEST_INSTANCE]
    return f"numa-{local_name.removeprefix(_NUMBERED)}+{instance}.sock"


def resource_of_socket(name: str) -> str | None:
    """The local name of the resource that a socket of this file name serves; None if not ours."""
    match = _OURS.fullmatch(name)
    if match is None:
        return None
    if match["node"]:
        return f"numa-{match['node']}"
    found = match["name"]
    return found if found.startswith("near-") else f"numa-{found}"


def is_plugin_socket_name(name: str) -> bool:
    """Whether a file of this name is a socket of some instance of numa-trio."""
    return _OURS.fullmatch(name) is not None


def plugin_sockets(directory: Path) -> dict[Path, tuple[str, SocketIdentity]]:
    """The sockets of all instances of numa-trio, dead or alive, each with its resource.

    That is the local name, as in `numa-1`.

    Raises `OSError` if the directory cannot be examined.
    """
    found = {}
    for path in directory.iterdir():
        local_name = resource_of_socket(path.name)
        if local_name and (identity := SocketIdentity.at(path)):
            found[path] = local_name, identity
    return found


@frozen
class PluginSocket:
    """A listening socket and the file that leads to it. Closes and removes both when left."""

    path: Path
    listener: socket.socket
    identity: SocketIdentity

    @classmethod
    def bind(cls, path: Path) -> Self:
        """Bind and listen at `path`, with mode 0600.

        A dead socket there is removed. Anything else there that is not a socket is moved aside
        (`<name>.displaced`). Raises `SocketInUse` if a process listens there, `OSError` if the
        directory or the kernel refuses.
        """
        _make_way(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            # bind() gives the file the mode of the socket less the umask: never wider than this.
            os.fchmod(listener.fileno(), _MODE)
            listener.bind(os.fspath(path))
            path.chmod(_MODE)
            listener.listen(_BACKLOG)
            identity = SocketIdentity.at(path)
            if identity is None:
                raise FileNotFoundError(2, "removed while it was being bound", os.fspath(path))
        except BaseException:
            listener.close()
            raise
        return cls(path, listener, identity)

    def in_place(self) -> bool:
        """Whether the file at our path is still this socket.

        Raises `OSError` if the path cannot be examined.
        """
        return SocketIdentity.at(self.path) == self.identity

    def close(self) -> None:
        """Close the socket, and remove its file if that is still ours."""
        self.listener.close()
        with suppress(OSError):
            if self.in_place():
                self.path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _make_way(path: Path) -> None:
    if not os.path.lexists(path):
        return
    if SocketIdentity.at(path) is None:
        path.rename(_free_name(path))
        return
    if listener := _listener(path):
        process = f"process {listener.pid}" if listener.pid else "another process"
        raise SocketInUse(
            f"{process} listens on {path}; end it, or give this instance a NUMA_INSTANCE of its own"
        )
    path.unlink(missing_ok=True)


def _listener(path: Path) -> Peer | None:
    """Who listens at `path`, also where the socket's mode keeps its owner, us, from connecting.

    An agent that is killed between bind() and chmod(), under a umask that masks all, leaves such a
    socket. Raises `OSError` if it is another user's.
    """
    try:
        return listener_at(path)
    except PermissionError:
        # A needless chmod() would be an event, and so a reason to come here again at once.
        if path.stat(follow_symlinks=False).st_mode & _MODE == _MODE:
            raise
        path.chmod(_MODE)
        return listener_at(path)


def _free_name(path: Path) -> Path:
    name = path.with_name(f"{path.name}.displaced")
    numbers = itertools.count(2)
    while os.path.lexists(name):
        name = path.with_name(f"{path.name}.displaced{next(numbers)}")
    return name


def remove_dead_sockets(directory: Path) -> list[str]:
    """Remove the sockets of instances of numa-trio that have ended; returns their names.

    A socket on which a process listens is left alone, whoever that is.
    """
    removed = []
    try:
        found = plugin_sockets(directory)
    except OSError:
        return []
    for path in sorted(found):
        with suppress(OSError):
            if _listener(path) is None:
                path.unlink()
                removed.append(path.name)
    return removed
