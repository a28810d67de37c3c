"""The disks of the cluster bed: one base made by debootstrap, and what each machine adds to it."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

from attrs import frozen

from infra.container_image import image_archive
from infra.kubernetes import PAUSE_IMAGE

GUEST = Path(__file__).parent / "guest"

# Debian 13 has a containerd (1.7) and an etcd (3.5) that a Kubernetes of today can use.
SUITE = "trixie"
PACKAGES = (
    "systemd-sysv",
    "systemd-resolved",
    "dbus",
    "udev",
    "linux-image-amd64",
    "initramfs-tools",
    "zstd",
    "kmod",
    "iproute2",
    "iptables",
    "conntrack",
    "ethtool",
    "ca-certificates",
    "curl",
    "openssh-server",
    "etcd-server",
    "docker-registry",
    "containerd",
    "runc",
    "containernetworking-plugins",
    "catatonit",
)
_DISK_SIZE = "16G"


@frozen
class BaseDisk:
    """The disk that all machines start from, with its kernel."""

    folder: Path

    @property
    def disk(self) -> Path:
        """The root file system; never written to once it is made."""
        return self.folder / "base.ext4"

    @property
    def kernel(self) -> Path:
        """Debian's kernel."""
        return self.folder / "vmlinuz"

    @property
    def initrd(self) -> Path:
        """Debian's initramfs, with the drivers of the disks."""
        return self.folder / "initrd"


def base_disk(cache: Path) -> BaseDisk:
    """The base disk, made as root where the cache does not hold one of this recipe."""
    recipe = json.dumps([SUITE, PACKAGES, _DISK_SIZE, (GUEST / "seed-init").read_text()])
    base = BaseDisk(cache / hashlib.sha256(recipe.encode()).hexdigest()[:12])
    if not base.initrd.exists():
        base.folder.mkdir(parents=True, exist_ok=True)
        _make(base)
    return base


def _make(base: BaseDisk) -> None:
    root = base.folder / "root"
    shutil.rmtree(root, ignore_errors=True)
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE]
    subprocess.run([*command, root], check=True)
    _prepare(root)
    subprocess.run(
        ["mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", root, base.disk, _DISK_SIZE], check=True
    )
    (kernel,), (initrd,) = (root / "boot").glob("vmlinuz-*"), (root / "boot").glob("initrd.img-*")
    shutil.copy(kernel, base.kernel)
    shutil.copy(initrd, base.initrd)  # last: it is what says that the disk is complete
    shutil.rmtree(root)


def _prepare(root: Path) -> None:
    """What every machine has, besides Debian's packages; their services wait for the seed."""
    shutil.copy(GUEST / "seed-init", root / "seed-init")
    pause = (root / "usr/bin/catatonit").read_bytes()
    archive = image_archive(PAUSE_IMAGE, {"pause": pause}, ["/pause", "-P"])
    (root / "usr/local/share/pause.tar").write_bytes(archive)
    systemctl = ("chroot", root, "systemctl")
    waiting, always = ("docker-registry", "etcd", "containerd"), ("systemd-networkd", "ssh")
    subprocess.run([*systemctl, "disable", *waiting], check=True)
    subprocess.run([*systemctl, "enable", *always], check=True)


def machine_disk(base: BaseDisk, disk: Path) -> None:
    """A disk that holds only what differs from the base."""
    kind = ("-q", "-f", "qcow2", "-F", "raw", "-b")
    subprocess.run(["qemu-img", "create", *kind, base.disk, disk], check=True)


def is_root() -> bool:
    """Whether debootstrap can be run."""
    return os.geteuid() == 0
