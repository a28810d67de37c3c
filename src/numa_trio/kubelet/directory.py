"""Where kubelet's device-plugin directory is."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

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
        if _is_socket(directory / KUBELET_SOCKET):
            return ChosenDirectory(directory, f"detected: it holds {KUBELET_SOCKET}")
    return ChosenDirectory(
        known[0], f"the standard one: no known directory holds {KUBELET_SOCKET} yet"
    )


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)  # noqa: PTH116  its error is the answer
    except OSError:
        return False
