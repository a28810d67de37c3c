"""The NUMA node of a device: its own, or else that of the device it hangs on.

The file is described in the kernel's Documentation/ABI/testing/sysfs-bus-pci; -1 means unknown.
"""

import re
from pathlib import Path

from numa_trio.locality.files import Unreadable, real_folder
from numa_trio.locality.result import Told
from numa_trio.locality.survey import Survey
from numa_trio.locality.target import is_address
from numa_trio.locality.things import DeadEnd
from numa_trio.plain_text import quoted

_NODE = re.compile(r"-?[0-9]{1,9}")


def node_of(survey: Survey, folder: Path) -> Told | DeadEnd:
    """Who tells the node of the device in `folder` of sysfs, a real one; or why nobody does."""
    silent, problems = [], []
    for here in _upwards(folder):
        try:
            node = _own(survey, here)
            if node is None:
                continue
            if node < 0:
                node = _of_physical_function(survey, here)
        except Unreadable as problem:
            problems.append(str(problem))
            continue
        if node >= 0:
            return Told(_best_name(survey, here, node), node)
        silent.append(here.name)
    if problems:
        return DeadEnd(problems[0])
    if silent:
        device = next(filter(is_address, silent), silent[0])
        return DeadEnd(f"the kernel knows no node of {device} (numa_node is -1)")
    if is_virtual(folder):
        return DeadEnd(f"{folder.name} is virtual, with no hardware below that tells a node")
    return DeadEnd(f"neither {folder.name} nor what it hangs on has a numa_node")


def is_virtual(folder: Path) -> bool:
    """Whether sysfs shows it as a device without hardware."""
    return "virtual" in folder.parts[:-1] and "devices" in folder.parts


def _upwards(folder: Path) -> list[Path]:
    """The folder and those above it, up to `devices` of sysfs."""
    folders = [folder, *folder.parents]
    ends = [place for place, here in enumerate(folders) if here.name == "devices"]
    return folders[: ends[0]] if ends else folders[:1]


def _own(survey: Survey, folder: Path) -> int | None:
    text = survey.numa_node(folder)
    if text is None:
        return None
    if not _NODE.fullmatch(text):
        raise Unreadable(folder / "numa_node", f"held {quoted(text)}, expected a node's number")
    return int(text)


def _of_physical_function(survey: Survey, folder: Path) -> int:
    """The node of the card of which this is a virtual function; -1 if unknown."""
    card = real_folder(folder / "physfn")
    own = None if card is None else _own(survey, card)
    return -1 if own is None else own


def _best_name(survey: Survey, folder: Path, node: int) -> str:
    """The PCI device there or above with the same node: people know it better than `nvme0`."""
    for here in _upwards(folder):
        if is_address(here.name):
            try:
                return here.name if _own(survey, here) in (node, None, -1) else folder.name
            except Unreadable:
                break
    return folder.name
