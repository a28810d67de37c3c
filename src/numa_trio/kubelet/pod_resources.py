"""Where the socket of kubelet's pod-resources API is."""

from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from numa_trio.kubelet.directory import KNOWN_DIRECTORIES, KUBELET_SOCKET
from numa_trio.kubelet.socket_file import SocketIdentity, listener_at

# Unlike the device-plugin directory, this one follows kubelet's --root-dir.
KNOWN_SOCKETS = tuple(
    directory.with_name("pod-resources") / KUBELET_SOCKET for directory in KNOWN_DIRECTORIES
)


@frozen
class ChosenSocket:
    """The socket, and why this one."""

    path: Path
    reason: str


def choose_pod_resources_socket(
    configured: Path | None, known: Sequence[Path] = KNOWN_SOCKETS
) -> ChosenSocket:
    """The configured socket, or the first known one that is alive, or is there, or the standard.

    A dead one may be left of a distribution that the node had before. Does not block.
    """
    if configured is not None:
        return ChosenSocket(configured, "set by NUMA_POD_RESOURCES_SOCKET")
    there = [path for path in known if _is_socket(path)]
    for path in there:
        if _is_alive(path):
            return ChosenSocket(path, "detected: kubelet listens there")
    if there:
        return ChosenSocket(there[0], "detected: a socket is there, though nobody listens")
    return ChosenSocket(known[0], "the standard one: no known one is there yet")


def _is_socket(path: Path) -> bool:
    try:
        return SocketIdentity.at(path) is not None
    except OSError:
        return False


def _is_alive(path: Path) -> bool:
    try:
        return listener_at(path) is not None
    except OSError:
        return False
