"""The image of the test machines with a container runtime that speaks NRI, and what it runs.

containerd is of Debian 13: Debian 12's is older than NRI. It runs with the libraries of the image.
"""

import shutil
import sys
from pathlib import Path

from attrs import evolve

from infra.container_image import image_archive
from infra.image import GUEST, Image, compile_bytecode, lay_out, pack, pip_install, python_version
from infra.packages import Apt, apt_of_suite, run, unpack
from requirement_files import pins

CONTAINERD_SUITE = "trixie"
CONTAINERD_PROGRAMS = ("containerd", "containerd-shim-runc-v2", "ctr")
RUNC_PACKAGES = ("runc", "libseccomp2")
# What the client of the runtime's gRPC interface needs besides what the agent has.
CLIENT_PACKAGES = ("grpcio", "protobuf")

# containerd.py in the guest knows it by this name.
CONTAINER_IMAGE = "numa-trio.test/busybox:1"


def with_runtime(image: Image, directory: Path) -> Image:
    """`image` and a container runtime; `directory` is empty.

    An initramfs may be several archives, one after another: the image's own is not made again.
    """
    root = directory / "root"
    lay_out(root)
    lay_out_for_containers(root)
    install_runtime(root, directory)
    install_client(root, python_version(image.root))
    compile_bytecode(image.root, root)
    describe_interface(root / "guest")
    busybox = (image.root / "usr/bin/busybox").read_bytes()
    archive = image_archive(
        CONTAINER_IMAGE, {"bin/busybox": busybox}, ["/bin/busybox", "sleep", "2147483647"]
    )
    (root / "guest/busybox.tar").write_bytes(archive)
    addition = pack(root, directory / "runtime.cpio")
    initramfs = directory / "initramfs.cpio"
    with initramfs.open("wb") as out:
        for part in (image.initramfs, addition):
            with part.open("rb") as source:
                shutil.copyfileobj(source, out)
    return evolve(image, initramfs=initramfs, root=root)


def lay_out_for_containers(root: Path) -> None:
    """What containerd gives to containers on the host's network, and where NRI's socket is."""
    (root / "etc").mkdir()
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (root / "etc/resolv.conf").touch()
    (root / "var/run").symlink_to("/run")


def install_runtime(root: Path, directory: Path) -> None:
    """containerd's programs, and runc of this machine's suite."""
    newer = apt_of_suite(CONTAINERD_SUITE, directory / "apt")
    (package,) = newer.download(["containerd"], directory / "containerd")
    unpacked = directory / "unpacked"
    unpacked.mkdir()
    unpack(package, unpacked)
    for program in CONTAINERD_PROGRAMS:
        shutil.move(unpacked / "usr/bin" / program, root / "usr/bin" / program)
    for other in Apt().download(RUNC_PACKAGES, directory / "runc"):
        unpack(other, root)


def install_client(root: Path, python: str) -> None:
    """The client's packages for the guest's Python, in the versions that the tests have."""
    wanted = [pin for pin in pins("dev") if pin.name in CLIENT_PACKAGES]
    lines = [
        " ".join([f"{pin.name}=={pin.version}", *(f"--hash={each}" for each in pin.hashes)])
        for pin in wanted
    ]
    requirements = root.parent / "client.txt"
    requirements.write_text("\n".join(lines))
    pip_install(root, python, "--require-hashes", "-r", requirements)


def describe_interface(guest: Path) -> None:
    """Compile the interface's messages, so that the guest needs no compiler."""
    guest.mkdir()
    compiler = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={GUEST}"]
    run(*compiler, f"--descriptor_set_out={guest / 'cri.descriptors'}", GUEST / "cri.proto")
