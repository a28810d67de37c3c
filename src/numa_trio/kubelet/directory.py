"""Where kubelet's device-plugin directory is."""

from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from numa_trio.kubelet.socket_file import SocketIdentity

KUBELET_SOCKET = "kubelet.sock"

# Fixed in kubelet's code, whatever its --root-dir says.
STANDARD_DIRECTORY = Path("/var/lib/kubelet/device-plugins")

# Where distributions that patch or confine kubelet have been seen to keep it.
KNOWN_DIRECTORIES = (
    STANDARD_DIRECTORY,
    Path("/var/lib/rancher/rke2/agent/kubelet/device-plugins"),
    Path("/var/lib/rancher/k3s/agent/kubelet/device-plugins"),
    Path("/var/lib/k0s/kubelet/device-plugins"),
    Path("/var/snap/microk8s/common/var/lib/kubelet/device-plugins"),
)


@frozen
class ChosenDirectory:
    """The directory, and why this one."""

    path: Path
    reason: str


def choose_directory(
    configured: Path | None, known: Sequence[Path] = KNOWN_DIRECTORIES
) -> ChosenDirectory:
    """The configured directory, or the first known one with a kubelet.sock, or the standard one."""
    if configured is not None:
        return ChosenDirectory(configured, "set by NUMA_SOCKET_DIR")
    for directory in known:
        if _holds_kubelet(directory):
            return ChosenDirectory(directory, f"detected: it holds {KUBELET_SOCKET}")
    return ChosenDirectory(
        known[0], f"the standard one: no known directory holds {KUBELET_SOCKET} yet"
    )


def _holds_kubelet(directory: Path) -> bool:
    try:
        return SocketIdentity.at(directory / KUBELET_SOCKET) is not None
    except OSError:
        return False
