"""Block devices: the disk that a name means.

Device-mapper's names are in sysfs, so that these need no look at the host's /dev.
"""

import os
import posixpath
import stat
from pathlib import Path

from numa_trio.locality.files import (
    follow_links,
    is_folder,
    names_in,
    read_text,
    real_folder,
)
from numa_trio.locality.survey import Survey
from numa_trio.locality.target import Kind
from numa_trio.locality.things import DeadEnd, Device, absent, unseen

_DEV = "/dev/"


def find_disk(survey: Survey, name: str) -> Device | DeadEnd:
    """The block device of a kernel name (`nvme0n1`) or a path below /dev. Raises `Unreadable`."""
    if not name.startswith(_DEV):
        return by_kernel_name(survey, name) or no_disk(survey, name)
    return _by_path(survey, name) or _not_seen(survey, name)


def by_kernel_name(survey: Survey, name: str) -> Device | None:
    """The block device with this name in sysfs."""
    # sysfs has no folder cciss/c0d0: the kernel writes a slash as an exclamation mark.
    return device_at(survey.host.sysfs / "class/block" / name.replace("/", "!"))


def by_number(survey: Survey, number: str) -> Device | None:
    """The block device `major:minor`."""
    return device_at(survey.host.sysfs / "dev/block" / number)


def device_at(path: Path) -> Device | None:
    """The block device whose folder, or a link to it, is at a path."""
    folder = real_folder(path)
    return None if folder is None else Device(folder.name.replace("!", "/"), folder, Kind.DISK)


def _by_path(survey: Survey, path: str) -> Device | None:
    root = survey.host.root
    real = path if root is None else follow_links(root, path, lambda _: True)
    if not real.startswith(_DEV):
        return None
    name = real.removeprefix(_DEV)
    return by_kernel_name(survey, name) or _mapped(survey, name) or _by_node(survey, real)


def _mapped(survey: Survey, name: str) -> Device | None:
    """The device-mapper device of `mapper/<name>` or, for LVM, `<volume group>/<volume>`."""
    folder, slash, rest = name.rpartition("/")
    if not slash or "/" in folder:
        return None
    # lvm2 doubles the hyphens within the two names and joins them by one.
    wanted = rest if folder == "mapper" else f"{_doubled(folder)}-{_doubled(rest)}"
    for mapped, device in mapped_names(survey).items():
        if mapped == wanted and (folder == "mapper" or _is_volume(device)):
            return by_kernel_name(survey, device.name)
    return None


def mapped_names(survey: Survey) -> dict[str, Path]:
    """The names of device-mapper's devices, with their folders in sysfs."""
    found = {}
    blocks = survey.host.sysfs / "class/block"
    for name in names_in(blocks):
        if name.startswith("dm-"):
            mapped = read_text(blocks / name / "dm/name")
            if mapped:
                found[mapped] = blocks / name
    return found


def _doubled(name: str) -> str:
    return name.replace("-", "--")


def _is_volume(folder: Path) -> bool:
    return (read_text(folder / "dm/uuid") or "").startswith("LVM-")


def _by_node(survey: Survey, path: str) -> Device | None:
    """The device of a device file that is not named as in sysfs."""
    seen = survey.host.inside(path)
    try:
        status = None if seen is None else seen.stat()
    except OSError:
        return None
    if status is None or not stat.S_ISBLK(status.st_mode):
        return None
    return by_number(survey, f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}")


def no_disk(survey: Survey, name: str) -> DeadEnd:
    """Why there is no block device of that name: it is not there, or none can be seen."""
    blocks = survey.host.sysfs / "class/block"
    if not is_folder(blocks):
        return unseen(f"{blocks}: there is no such folder, so no block device can be seen")
    return absent(f"there is no block device {name}")


def _not_seen(survey: Survey, path: str) -> DeadEnd:
    """Why nothing is found by a path: it is not there, or links are not visible."""
    folder = posixpath.dirname(path)
    if folder == _DEV.rstrip("/") or folder == "/dev/mapper" or survey.host.shows_device(path):
        return no_disk(survey, path)
    top = "/".join(path.split("/")[:3])
    return unseen(survey.host.how_to_see(top, f"what {path} links to"))
