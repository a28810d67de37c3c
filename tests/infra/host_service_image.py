"""The machine with the host's service: systemd, a stand-in as kubelet.service, and our package."""

import os
import shutil
from pathlib import Path

from infra.image import GUEST, REPOSITORY, Image, python_version
from infra.observing import Observations, observe
from infra.packages import run
from infra.qemu import Accelerator, NumaLayout, VirtualNode, machine_options
from infra.systemd_image import SystemdMachine, with_systemd

LAYOUT = NumaLayout([VirtualNode(2, 384), VirtualNode(2, 384)], {(0, 1): 21})

UNITS = GUEST / "host_service"
SERVICES = ("kubelet.service", "scenario.service")
# Higher than any version of a checkout.
NEWER_VERSION = "999.0.0"


def observe_host_service(image: Image, directory: Path) -> Observations:
    """Build the machine in an empty folder, and let it run its scenario over three boots.

    The kernel lies at the same address at each boot: else its own share of a node's memory differs.
    """
    machine = host_service_machine(image, directory)
    options = machine_options(LAYOUT, Accelerator.TCG, reboots=True)
    return observe("scenario nokaslr", machine.image, directory, options, machine.disk_options)


def host_service_machine(image: Image, directory: Path) -> SystemdMachine:
    """A machine that runs kubelet and, at each boot, its scenario; the agent is to be installed."""
    files = directory / "files"
    lay_out_services(files)
    build_packages(image.wheel, f"python{python_version(image.root)}", files / "packages")
    machine = directory / "machine"
    machine.mkdir()
    return with_systemd(image, files, machine)


def lay_out_services(files: Path) -> None:
    """Both services, started at boot."""
    units = files / "etc/systemd/system"
    wanted = units / "multi-user.target.wants"
    wanted.mkdir(parents=True)
    for name in SERVICES:
        shutil.copy(UNITS / name, units)
        (wanted / name).symlink_to(f"../{name}")


def build_packages(wheel: Path, python: str, directory: Path) -> None:
    """The Debian package of this checkout as old.deb, and the same with a newer version as new.deb.

    Both have bytecode for this Python alone, as the machine has no other.
    """
    directory.mkdir(parents=True)
    pyz = directory / "numa-trio.pyz"
    environment = {**os.environ, "PYTHONS": python}
    run(REPOSITORY / "scripts/build-zipapp", pyz, wheel, environment=environment)
    for name, version in (("old.deb", {}), ("new.deb", {"VERSION": NEWER_VERSION})):
        made = directory / name.removesuffix(".deb")
        run(REPOSITORY / "scripts/build-deb", pyz, made, environment={**environment, **version})
        (package,) = made.glob("*.deb")
        package.rename(directory / name)
    pyz.unlink()
