"""The kernel and the initramfs of the test machines, from Debian packages and the built wheel.

Nothing here needs root: packages are downloaded by apt, unpacked and not configured. An initramfs
needs no driver modules to boot; those in it are for what a machine makes of its devices.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from infra.modules import install_modules
from infra.packages import Apt, CannotBuild, run, unpack
from infra.qemu import QEMU

REPOSITORY = Path(__file__).parents[2]
GUEST = Path(__file__).parent / "guest"
COMPONENT_NEAR = REPOSITORY / "deploy/kustomize/components/near/daemonset.yaml"

KERNEL_PACKAGE = "linux-image-cloud-amd64"
# libstdc++ is for greenlet, which trio-asyncio imports.
PYTHON_PACKAGES = ("busybox-static", "python3-minimal", "libpython3-stdlib", "libstdc++6")
# What loads drivers, and makes links in /dev, bonds of cards, and arrays and volumes of disks.
STORAGE_PACKAGES = ("fdisk", "mdadm", "lvm2", "e2fsprogs", "btrfs-progs")
DEVICE_PACKAGES = ("kmod", "udev", "iproute2", *STORAGE_PACKAGES)

# Packages of scripts that run when a package is configured, which none is here.
FOR_CONFIGURATION = ("adduser", "debconf", "libperl", "passwd", "perl", "usrmerge")

# Read by nobody in the guest; without them the kernel unpacks a third less.
UNUSED_FOLDERS = (
    *("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/lintian"),
    "usr/lib/udev/hwdb.d",
)

# What a wheel of compiled code may be built for to run on bookworm's glibc 2.36.
WHEEL_PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64")


@frozen
class Image:
    """What QEMU boots, and the root file system that the initramfs was packed from.

    `packages` are those of Debian that were unpacked into the root, `wheel` is this repository's.
    """

    kernel: Path
    initramfs: Path
    root: Path
    packages: Sequence[Path]
    wheel: Path


def build(directory: Path) -> Image:
    """Build kernel and initramfs in `directory`, an empty one."""
    require_programs()
    packages, root = directory / "packages", directory / "root"
    packages.mkdir()
    apt = Apt()
    kernel, modules = unpack_kernel(
        apt.download([kernel_package()], packages / "kernel")[0], directory / "kernel"
    )
    lay_out(root)
    names = apt.closure((*PYTHON_PACKAGES, *DEVICE_PACKAGES))
    wanted = [name for name in names if not name.startswith(FOR_CONFIGURATION)]
    unpacked = apt.download(wanted, packages / "root")
    for package in unpacked:
        unpack(package, root)
    install_modules(modules, root)
    for folder in UNUSED_FOLDERS:
        shutil.rmtree(root / folder, ignore_errors=True)
    wheel = build_wheel(directory / "wheel")
    install_wheel(wheel, root)
    compile_bytecode(root, root)
    lay_out_guest(root)
    return Image(kernel, pack(root, directory / "initramfs.cpio"), root, unpacked, wheel)


def require_programs() -> None:
    """Raise `CannotBuild` naming the programs that this machine lacks."""
    programs = (
        *(QEMU, "apt-get", "apt-cache", "dpkg-deb", "tar", "cpio", "depmod"),
        *("fakeroot", "mke2fs"),
    )
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        raise CannotBuild(
            f"not found: {', '.join(missing)}. The virtual machine is built on Debian:"
            " run tests/infra/install-prerequisites.sh as root"
        )


def kernel_package() -> str:
    """The package that holds the kernel which Debian's metapackage depends on now."""
    found = re.search(r"Depends: (linux-image-\S+)", run("apt-cache", "depends", KERNEL_PACKAGE))
    if not found:
        raise CannotBuild(f"apt-cache names no kernel that {KERNEL_PACKAGE} depends on")
    return found[1]


def unpack_kernel(package: Path, directory: Path) -> tuple[Path, Path]:
    """The kernel's file and the folder of its modules, out of their package."""
    directory.mkdir()
    unpack(package, directory)
    (kernel,) = (directory / "boot").glob("vmlinuz-*")
    (modules,) = directory.glob("**/lib/modules/*")
    return kernel, modules


def lay_out(root: Path) -> None:
    """Mount points, and the links of a merged /usr."""
    for folder in ("dev", "proc", "sys", "run", "tmp", "var/lib/kubelet"):
        (root / folder).mkdir(parents=True)
    for folder in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / folder).mkdir(parents=True)
        (root / folder).symlink_to(f"usr/{folder}")


def python_version(root: Path) -> str:
    """The version of the root's Python, as in 3.11."""
    return str((root / "usr/bin/python3").readlink()).removeprefix("python")


def build_wheel(directory: Path) -> Path:
    """This repository's wheel."""
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", directory, cwd=REPOSITORY)
    (wheel,) = directory.glob("*.whl")
    return wheel


def install_wheel(wheel: Path, root: Path) -> None:
    """Install the wheel and what the image pins beside it, for the root's Python."""
    python = python_version(root)
    pip_install(root, python, "--require-hashes", "-r", REPOSITORY / "requirements/run.txt")
    pip_install(root, python, wheel)


def pip_install(root: Path, python: str, *what: str | Path) -> None:
    """Install wheels into a root whose Python has this version."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--target", str(root / "usr/lib/python3/dist-packages"), "--no-deps"]
    command += ["--implementation", "cp", "--python-version", python]
    command += [word for platform in WHEEL_PLATFORMS for word in ("--platform", platform)]
    run(*command, "--only-binary", ":all:", *what)


def lay_out_guest(root: Path) -> None:
    """What runs in the guest, with the manifest whose mounts it repeats."""
    shutil.copytree(GUEST, root / "guest", dirs_exist_ok=True)
    shutil.copy(GUEST / "init", root / "init")
    shutil.copy(COMPONENT_NEAR, root / "guest/near.yaml")


def compile_bytecode(base: Path, root: Path) -> None:
    """Compile the modules in `root` with the Python of `base`: under emulation it takes minutes."""
    library = base / "usr/lib"
    python = f"python{python_version(base)}"
    (loader,) = (base / "usr/lib64").glob("ld-linux-x86-64.so.2")
    folders = [root / "usr/lib" / name for name in (python, "python3/dist-packages")]
    run(
        "env",
        f"PYTHONHOME={base / 'usr'}",
        loader,
        "--library-path",
        library / "x86_64-linux-gnu",
        base / "usr/bin" / python,
        *("-S", "-m", "compileall", "-q", "-j0", "-s", root, "-p", "/"),
        *(folder for folder in folders if folder.exists()),
    )


def pack(root: Path, archive: Path) -> Path:
    """The root as an initramfs, owned by root; not compressed: QEMU loads it in no time."""
    names = "\n".join(sorted(str(path.relative_to(root)) for path in root.rglob("*")))
    with archive.open("wb") as out:
        subprocess.run(
            ["cpio", "--quiet", "--create", "--format=newc", "--owner=0:0"],
            cwd=root,
            input=names.encode(),
            stdout=out,
            check=True,
        )
    return archive
