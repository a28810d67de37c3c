"""Runs in a service with the agent's settings: tries what these are to allow and to forbid."""

import ctypes
import errno
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

RESULT = Path("/var/lib/kubelet/device-plugins/probe.json")
_OWN = Path("/var/lib/kubelet/device-plugins/probe.own")
_NEW_MOUNT_NAMESPACE = 0x00020000  # CLONE_NEWNS


def probe() -> dict[str, str]:
    """What comes of each attempt: "done", or the name of the error."""
    attempts: dict[str, Callable[[], object]] = {
        "write to the device-plugin directory": _OWN.touch,
        "write to kubelet's directory": Path("/var/lib/kubelet/written").touch,
        "write to /etc": Path("/etc/written").touch,
        "write to /run": Path("/run/written").touch,
        "write to /sys": lambda: Path("/sys/devices/system/cpu/cpu1/online").write_text("1"),
        "read /sys": Path("/sys/devices/system/node/online").read_text,
        "read the mount table of PID 1": Path("/proc/1/mountinfo").read_text,
        "read the disk": lambda: Path("/dev/vda").open("rb").close(),
        "listen on port 9410": lambda: _listen(9410),
        "listen on port 9411": lambda: _listen(9411),
        "open a packet socket": lambda: _close(socket.AF_PACKET, socket.SOCK_RAW),
        "hear of devices": lambda: _close(socket.AF_NETLINK, socket.SOCK_DGRAM, 15),
        "give a file away": lambda: os.chown(_OWN, 1, 1),
        "make a namespace": _unshare,
    }
    return {name: _outcome(action) for name, action in attempts.items()}


def _outcome(action: Callable[[], object]) -> str:
    try:
        action()
    except OSError as problem:
        return errno.errorcode.get(problem.errno or 0, repr(problem))
    return "done"


def _listen(port: int) -> None:
    """On another address than the agent, which has this port already."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.2", port))


def _close(*kind: int) -> None:
    socket.socket(*kind).close()


def _unshare() -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_MOUNT_NAMESPACE):
        raise OSError(ctypes.get_errno(), "unshare")


if __name__ == "__main__":
    found = probe()
    _OWN.unlink()
    RESULT.write_text(json.dumps(found))
