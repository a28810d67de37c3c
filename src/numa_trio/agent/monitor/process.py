"""What the kernel says of this process (proc(5))."""

import os
import resource
from functools import cache
from math import inf
from pathlib import Path

from attrs import frozen

# proc(5) numbers the fields of /proc/<pid>/stat from 1; what follows the name begins with field 3.
_UTIME, _STIME, _STARTTIME, _VSIZE, _RSS = (number - 3 for number in (14, 15, 22, 23, 24))


@frozen
class ProcessUsage:
    """Times in seconds, memory in bytes; `start_time_unix` is a date."""

    cpu_seconds: float
    start_time_unix: float
    resident_bytes: int
    virtual_bytes: int
    open_fds: int
    max_fds: float

    @classmethod
    def read(cls, proc: Path = Path("/proc")) -> "ProcessUsage | None":
        """What holds now; None if /proc cannot be read, as when descriptors ran out."""
        try:
            stat = (proc / "self/stat").read_bytes()
            boot_time = _boot_time(proc / "stat")
            open_fds = len(os.listdir(proc / "self/fd")) - 1  # noqa: PTH208  the listing has one
        except OSError:
            return None
        fields = stat.rpartition(b")")[2].split()  # the name before it may hold anything
        max_fds, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        ticks_a_second = os.sysconf("SC_CLK_TCK")
        return cls(
            cpu_seconds=(int(fields[_UTIME]) + int(fields[_STIME])) / ticks_a_second,
            start_time_unix=boot_time + int(fields[_STARTTIME]) / ticks_a_second,
            resident_bytes=int(fields[_RSS]) * os.sysconf("SC_PAGE_SIZE"),
            virtual_bytes=int(fields[_VSIZE]),
            open_fds=open_fds,
            max_fds=inf if max_fds == resource.RLIM_INFINITY else max_fds,
        )


@cache  # on a machine with thousands of CPUs the kernel takes its time over this file
def _boot_time(stat: Path) -> int:
    with stat.open("rb") as lines:
        for line in lines:
            if line.startswith(b"btime "):
                return int(line.split()[1])
    raise OSError(f"{stat} has no btime")
