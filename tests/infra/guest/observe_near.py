"""Runs in the virtual machine with disks and cards near several NUMA nodes: what is near what.

Changes what `wire-near` has made, and after each change prints what each target is near, as
`telling.py` does. It judges nothing: the tests on the host do.
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from look_near import look
from telling import tell

POD_HOST = Path("/host")  # where a container sees parts of the host
DISKS = {
    serial: Path(f"/dev/disk/by-id/nvme-QEMU_NVMe_Ctrl_{serial}")
    for serial in ("alpha", "beta", "gamma", "shared")
}
MAPPED = {"locked": "locked", "data": "vg--0-data", "fast": "fast-es"}
ALPHA, BETA = DISKS["alpha"], DISKS["beta"]
FREE_PORT = "port05"

# With names in braces that the kernel gives.
WIRED = (
    *("{alpha}", "disk:{alpha}", "/dev/{beta}p3"),
    "/dev/disk/by-id/nvme-QEMU_NVMe_Ctrl_beta-part1",
    "/dev/disk/by-path/pci-0000:41:00.0-nvme-1",
    *("{gamma}", "{shared}", "sda", "vda", "loop0"),
    *("/dev/md0", "/dev/mapper/locked", "/dev/vg-0/data", "/dev/mapper/fast-es"),
    *("0000:82:00.0", "pci:41:00.0", "enp66s0", "net:enp130s0", "enp0s16", "lo"),
    *("bond0", "net:bond0.100", "br0", "storage", "net:enp*s0"),
    *("mount:/data", "/data/shards", "mount:/data/shards", "/var/lib/shards"),
    *("mount:/var/lib/elasticsearch", "/bound", "/merged", "/srv/fast", "/srv/btrfs", "/run"),
    "/dev/disk/by-id/nvme-QEMU_NVMe_Ctrl_*a-part3",
)
CHANGED = (
    *("/dev/disk/by-id/nvme-QEMU_NVMe_Ctrl_beta", "{beta}", "/dev/{beta}p1", "md0", "/dev/fast/es"),
    *("mount:/var/lib/elasticsearch", "mount:/data", "mount:/srv/plain", "/srv/fast", "/srv/btrfs"),
    *("bond0", "br0"),
)
PATIENCE = 180  # seconds; under emulation on a loaded machine a second is long

ENVIRONMENT = {**os.environ, "MDADM_NO_UDEV": "1"}


class Machine:
    """The machine's own controls: QEMU's monitor protocol, at the other end of a virtual port."""

    def __init__(self) -> None:
        self._port = Path("/dev/virtio-ports/qmp").open("r+b", buffering=0)  # noqa: SIM115
        self._lines = iter(self._port.readline, b"")
        assert b"QMP" in next(self._lines)
        self.execute("qmp_capabilities")

    def execute(self, command: str, **arguments: str) -> None:
        """Have a command executed. Raises `RuntimeError` with what QEMU says against it."""
        self._port.write(json.dumps({"execute": command, "arguments": arguments}).encode())
        answer = self._next("return", "error")
        if "error" in answer:
            raise RuntimeError(f"{command}: {answer}")

    def wait_until_deleted(self, *devices: str) -> None:
        """Wait until QEMU has let go of devices that the kernel was told to let go of."""
        left = set(devices)
        while left:
            event = self._next("event")
            if event["event"] == "DEVICE_DELETED":
                left.discard(event["data"].get("device"))

    def _next(self, *kinds: str) -> dict[str, Any]:
        for line in self._lines:
            message: dict[str, Any] = json.loads(line)
            if any(kind in message for kind in kinds):
                return message
        raise RuntimeError("QEMU's monitor is closed")


def run(*command: str | Path) -> str:
    """The standard output of a command; what it says besides goes to the console."""
    return subprocess.run(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def settle() -> None:
    """Wait until udev has seen what the kernel told it."""
    run("udevadm", "settle", f"--timeout={PATIENCE}")


def start_udev() -> None:
    """Have udev load drivers and make links, as any server does."""
    run("/lib/systemd/systemd-udevd", "--daemon")
    for kind in ("subsystems", "devices"):
        run("udevadm", "trigger", f"--type={kind}", "--action=add")
    settle()


def kernel_names() -> dict[str, str]:
    """How the kernel calls what exists of this, which depends on what it found first."""
    links = {**DISKS, **{name: Path("/dev/mapper", mapped) for name, mapped in MAPPED.items()}}
    return {name: link.resolve().name for name, link in links.items() if link.exists()}


def named(targets: Iterable[str], names: Mapping[str, str]) -> list[str]:
    return [target.format_map(names) for target in targets]


def tell_near(moment: str, targets: Iterable[str], names: Mapping[str, str]) -> None:
    """Print what each target is near now."""
    tell("near", moment=moment, names=names, seen=look(Path("/"), named(targets, names)))


def tell_near_in_a_pod(targets: Iterable[str], names: Mapping[str, str]) -> None:
    """Print the same as a container sees it: a network and a /sys of its own, parts of the host."""
    for folder in ("dev", "run/udev", "sys/class/net", "sys/devices"):
        (POD_HOST / folder).mkdir(parents=True)
        run("mount", "-o", "bind", Path("/", folder), POD_HOST / folder)
    table = POD_HOST / "proc/1/mountinfo"
    table.parent.mkdir(parents=True)
    table.touch()
    run("mount", "-o", "bind", "/proc/1/mountinfo", table)
    command = f'mount -t sysfs sysfs /sys && exec {sys.executable} /look_near.py {POD_HOST} "$@"'
    said = run("unshare", "--net", "--mount", "sh", "-c", command, "sh", *named(targets, names))
    tell("near", moment="in a pod", names=names, seen=json.loads(said))


def take_apart() -> None:
    """Take a member out of the array and one out of the bond, and unmount a disk."""
    run("mdadm", "/dev/md0", "--fail", f"{BETA}-part1")
    run("mdadm", "/dev/md0", "--remove", f"{BETA}-part1")
    run("ip", "link", "set", "enp130s0", "nomaster")
    run("losetup", "-d", "/dev/loop0")
    run("umount", "/data")
    settle()


def put_together() -> None:
    """Give the array its member back, and mount the other disk."""
    run("mdadm", "/dev/md0", "--add", f"{BETA}-part1")
    run("mount", f"{ALPHA}-part3", "/data")
    run("mount", f"{BETA}-part3", "/srv/plain")
    settle()


def unplug(machine: Machine) -> None:
    """Pull out disks in use: one of the array, of a volume and of a mount, one of the btrfs."""
    machine.execute("device_del", id="beta")
    machine.execute("device_del", id="adapter")
    run("udevadm", "wait", f"--timeout={PATIENCE}", "--removed", BETA, "/dev/sda")
    machine.wait_until_deleted("beta", "adapter")
    settle()


def plug_in(machine: Machine) -> None:
    """Put it into a free port near the other node."""
    disk = {"driver": "nvme", "id": "moved", "drive": "beta", "serial": "beta"}
    machine.execute("device_add", **disk, bus=FREE_PORT)
    run("udevadm", "wait", f"--timeout={PATIENCE}", f"{BETA}-part2")
    settle()


def mount_again() -> None:
    """Let go of what was on the disk that had gone, and mount it from the disk that came."""
    run("umount", "/srv/fast", "/srv/plain")
    run("dmsetup", "remove", "--retry", "fast-es")
    run("vgchange", "--quiet", "--activate", "y", "fast")
    run("mount", "/dev/fast/es", "/srv/fast")
    run("mount", f"{BETA}-part3", "/srv/plain")
    settle()


def main() -> None:
    """Observe the machine as it is wired, and after each change."""
    tell("started", kernel=platform.release(), python=platform.python_version())
    start_udev()
    tell("udev settled")
    run("/wire-near")
    names = kernel_names()
    tell_near("wired", WIRED, names)
    tell_near_in_a_pod(WIRED, names)

    take_apart()
    tell_near("taken apart", CHANGED, names)
    put_together()
    tell_near("put together", CHANGED, names)

    machine = Machine()
    unplug(machine)
    tell_near("unplugged", CHANGED, names)
    plug_in(machine)
    tell_near("plugged in", CHANGED, {**names, **kernel_names()})
    mount_again()
    tell_near("mounted again", CHANGED, {**names, **kernel_names()})
    tell("ended")


if __name__ == "__main__":
    main()
