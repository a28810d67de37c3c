"""Which CPUs of the machine are offline: only for showing.

The files are described in the kernel's Documentation/admin-guide/cputopology.rst.
"""

from pathlib import Path

from numa_trio.topology.files import read_regular
from numa_trio.topology.lists import MalformedText, parse_list

_MOST_BYTES = 1 << 16


def read_offline_cpus(sysfs_root: Path) -> frozenset[int] | None:
    """The CPUs that are in the machine and not online; None where the kernel does not tell.

    Of which NUMA node they are, the kernel does not tell while they are offline.
    """
    folder = sysfs_root / "devices/system/cpu"
    # The file `offline` has more: numbers for CPUs that are not there, and may never be.
    present, online = _numbers(folder / "present"), _numbers(folder / "online")
    return None if present is None or online is None else present - online


def _numbers(path: Path) -> frozenset[int] | None:
    """What the file lists; None if it cannot be read, or lists nothing."""
    try:
        return parse_list(read_regular(path, _MOST_BYTES).decode("ascii")) or None
    except (OSError, UnicodeDecodeError, MalformedText):
        return None
