"""Kernel modules of the test machine: the drivers that it needs, with what these depend on."""

import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

WANTED = (
    *("virtio_pci", "virtio_net", "virtio_blk", "virtio_scsi", "sd_mod", "virtio_console"),
    *("raid1", "dm-mod", "dm-crypt", "xts", "ecb", "loop"),
    *("overlay", "btrfs"),
    *("bonding", "8021q", "bridge", "veth"),
)


def install_modules(modules: Path, root: Path) -> None:
    """Copy the wanted modules of a kernel's folder into `root`, for its modprobe."""
    release = modules.name
    subprocess.run(["depmod", "--basedir", modules.parents[2], release], check=True)
    target = root / "lib/modules" / release
    target.mkdir(parents=True)
    for index in modules.glob("modules.*"):
        shutil.copy(index, target)
    depends = parse_depends((modules / "modules.dep").read_text())
    for file in with_dependencies(depends, WANTED):
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(modules / file, target / file)


def parse_depends(text: str) -> dict[str, list[str]]:
    """The files that each file of modules.dep needs, at any depth."""
    lines = (line.partition(":") for line in text.splitlines())
    return {file: needed.split() for file, _, needed in lines}


def with_dependencies(depends: Mapping[str, list[str]], names: Iterable[str]) -> list[str]:
    """The files of these modules and of all that they need. Raises `KeyError` for one unknown."""
    files = {PurePosixPath(file).name.partition(".")[0].replace("_", "-"): file for file in depends}
    wanted = [files[name.replace("_", "-")] for name in names]
    return sorted({each for file in wanted for each in (file, *depends[file])})
