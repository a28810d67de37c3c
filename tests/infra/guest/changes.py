"""What happens to the disks and mounts of `wire-near` while they are observed."""

import os
import subprocess
from pathlib import Path

from monitor import Monitor

DISKS = {
    serial: Path(f"/dev/disk/by-id/nvme-QEMU_NVMe_Ctrl_{serial}")
    for serial in ("alpha", "beta", "gamma", "shared")
}
MAPPED = {"locked": "locked", "data": "vg--0-data", "fast": "fast-es"}
ALPHA, BETA = DISKS["alpha"], DISKS["beta"]
FREE_PORT = "port05"

PATIENCE = 180  # seconds; under emulation on a loaded machine a second is long
ENVIRONMENT = {**os.environ, "MDADM_NO_UDEV": "1"}


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


def unplug(monitor: Monitor) -> None:
    """Pull out disks in use: one of the array, of a volume and of a mount, one of the btrfs."""
    monitor.execute("device_del", id="beta")
    monitor.execute("device_del", id="adapter")
    run("udevadm", "wait", f"--timeout={PATIENCE}", "--removed", BETA, "/dev/sda")
    monitor.wait_until_deleted("beta", "adapter")
    settle()


def plug_in(monitor: Monitor) -> None:
    """Put it into a free port near the other node."""
    disk = {"driver": "nvme", "id": "moved", "drive": "beta", "serial": "beta"}
    monitor.execute("device_add", **disk, bus=FREE_PORT)
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
