"""A machine whose init is Debian's systemd, on a disk that stays when the machine reboots.

Its root file system is that of the other test machines, with systemd and what packages need to be
installed in it. Its initramfs only mounts the disk. None of it needs root: packages are unpacked
and not configured, and the disk is filled under fakeroot.
"""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from attrs import evolve, frozen

from infra.image import GUEST, Image, pack
from infra.packages import Apt, run, unpack
from infra.qemu import Options

# Besides systemd, what dpkg and the scripts of packages call.
PACKAGES = (
    *("systemd-sysv", "dpkg", "perl-base", "python3", "dash", "coreutils", "mawk"),
    *("diffutils", "findutils", "grep", "sed", "libc-bin", "base-files"),
)
# The disk's driver, in the order of loading. ext4 is in Debian's kernel.
DISK_MODULES = (
    *("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev"),
    *("virtio_pci", "virtio_blk"),
)
DISK_SIZE = "1G"

# No device and no user comes or goes, and nobody logs in: without these it boots in half the time.
MASKED = (
    *("systemd-udevd.service", "systemd-udevd-kernel.socket", "systemd-udevd-control.socket"),
    *("systemd-udev-trigger.service", "systemd-hwdb-update.service", "systemd-logind.service"),
    *("systemd-user-sessions.service", "systemd-journal-flush.service"),
    *("systemd-random-seed.service", "systemd-update-utmp.service", "systemd-binfmt.service"),
    *("systemd-update-utmp-runlevel.service", "systemd-modules-load.service"),
    *("systemd-pstore.service", "systemd-sysusers.service", "systemd-remount-fs.service"),
    *("systemd-tmpfiles-setup-dev.service", "kmod-static-nodes.service", "modprobe@.service"),
    *("dev-hugepages.mount", "dev-mqueue.mount", "sys-fs-fuse-connections.mount"),
    *("sys-kernel-config.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount"),
    *("proc-sys-fs-binfmt_misc.automount", "getty.target", "timers.target"),
    *("lvm2-lvmpolld.socket", "lvm2-monitor.service", "dm-event.socket"),
    *("blk-availability.service", "mdmonitor.service", "e2scrub_reap.service"),
)
ACCOUNTS = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
    "group": "root:x:0:\ntty:x:5:\nutmp:x:43:\nsystemd-journal:x:101:\nnogroup:x:65534:\n",
}


@frozen
class SystemdMachine:
    """What QEMU boots: kernel and initramfs, and the disk with everything else."""

    image: Image
    disk: Path

    @property
    def disk_options(self) -> Options:
        """The disk; QEMU need not wait for the host's, as nobody misses it after the test."""
        return [("drive", f"file={self.disk},if=virtio,format=raw,cache=unsafe")]


def with_systemd(image: Image, files: Path, directory: Path) -> SystemdMachine:
    """A machine that has all of `image`, systemd and `files`; `directory` is empty."""
    root = directory / "root"
    shutil.copytree(image.root, root, symlinks=True)
    added = install_packages(image, root, directory / "packages")
    write_database([*image.packages, *added], root / "var/lib/dpkg")
    configure(root)
    shutil.copytree(files, root, symlinks=True, dirs_exist_ok=True)
    disk = fill_disk(root, directory / "disk.ext4")
    small = lay_out_initramfs(image.root, directory / "small")
    initramfs = pack(small, directory / "initramfs.cpio")
    return SystemdMachine(evolve(image, initramfs=initramfs, root=root), disk)


def install_packages(image: Image, root: Path, directory: Path) -> list[Path]:
    """Unpack the packages that the image lacks."""
    apt = Apt()
    present = {package.name.partition("_")[0] for package in image.packages}
    packages = apt.download([n for n in apt.closure(PACKAGES) if n not in present], directory)
    for package in packages:
        unpack(package, root)
    return packages


def write_database(packages: Iterable[Path], folder: Path) -> None:
    """What dpkg knows of installed packages: names, versions and needs, but not which files."""
    for each in ("info", "updates", "triggers", "parts"):
        (folder / each).mkdir(parents=True, exist_ok=True)
    stanzas = [run("dpkg-deb", "--field", package) for package in packages]
    installed = [each.replace("\n", "\nStatus: install ok installed\n", 1) for each in stanzas]
    (folder / "status").write_text("\n".join(installed))
    (folder / "info/format").write_text("1\n")
    for stanza in stanzas:
        fields = dict(re.findall(r"^(\S+): (.*)$", stanza, re.MULTILINE))
        several = fields.get("Multi-Arch") == "same"
        name = f"{fields['Package']}:{fields['Architecture']}" if several else fields["Package"]
        (folder / f"info/{name}.list").touch()


def configure(root: Path) -> None:
    """What the packages' scripts would have done, as far as it is needed, and a shorter boot."""
    etc, units = root / "etc", root / "etc/systemd/system"
    for name, lines in ACCOUNTS.items():
        (etc / name).write_text(lines)
    (etc / "hostname").write_text("node\n")
    (etc / "hosts").write_text("127.0.0.1 localhost node\n")
    (etc / "machine-id").write_text(f"{1:032x}\n")
    (root / "usr/bin/awk").symlink_to("mawk")
    units.mkdir(parents=True, exist_ok=True)
    (units / "default.target").symlink_to("/lib/systemd/system/multi-user.target")
    for name in MASKED:
        (units / name).unlink(missing_ok=True)
        (units / name).symlink_to("/dev/null")


def fill_disk(root: Path, disk: Path) -> Path:
    """A disk with all that is in `root`, which belongs to root in it."""
    options = ("-q", "-t", "ext4", "-O", "^has_journal", "-d", root)
    run("fakeroot", "mke2fs", *options, disk, DISK_SIZE)
    return disk


def lay_out_initramfs(source: Path, root: Path) -> Path:
    """A root whose init mounts the disk and goes on from there."""
    (modules,) = (source / "lib/modules").iterdir()
    for folder in ("bin", "dev", "modules", "proc", "root"):
        (root / folder).mkdir(parents=True)
    shutil.copy(source / "usr/bin/busybox", root / "bin/busybox")
    for number, name in enumerate(DISK_MODULES):
        (file,) = modules.rglob(f"{name}.ko")
        shutil.copy(file, root / f"modules/{number}-{file.name}")
    shutil.copy(GUEST / "disk-init", root / "init")
    return root
