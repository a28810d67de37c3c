"""Which CPUs are threads of the same core, and in which socket: only for showing.

The files are described in the kernel's Documentation/admin-guide/cputopology.rst.
"""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

from attrs import field, frozen

from numa_trio.topology.files import read_regular
from numa_trio.topology.lists import MalformedText, parse_list

# Two files for each core: of so many CPUs, 16 ms.
MOST_CPUS = 1024

_MOST_BYTES = 4096
_FOLDER = "devices/system/cpu/cpu{}/topology"

# The second is the name of the same file before Linux 5.3.
_THREADS = ("core_cpus_list", "thread_siblings_list")


@frozen
class Core:
    """The online CPUs that are its threads, ascending; `socket` is None where it is unknown."""

    cpus: tuple[int, ...]
    socket: int | None = None


@frozen
class Cores:
    """What is known of cores; CPUs of which nothing is known are in none."""

    by_cpu: Mapping[int, Core] = field(factory=dict)

    def of(self, cpus: AbstractSet[int]) -> tuple[Core, ...]:
        """The cores of these CPUs, in order of their first; none unless all of them are known."""
        if not cpus <= self.by_cpu.keys():
            return ()
        return tuple(dict.fromkeys(self.by_cpu[cpu] for cpu in sorted(cpus)))

    def sockets(self, cpus: AbstractSet[int]) -> tuple[int, ...]:
        """The sockets of these CPUs, ascending; none unless those of all are known."""
        found = {core.socket for core in self.of(cpus)}
        return (
            tuple(sorted(each for each in found if each is not None)) if None not in found else ()
        )


def read_cores(sysfs_root: Path, cpus: AbstractSet[int], at_most: int = MOST_CPUS) -> Cores:
    """The cores of these CPUs as far as the kernel tells; none if there are more than `at_most`."""
    if len(cpus) > at_most:
        return Cores()
    by_cpu: dict[int, Core] = {}
    for cpu in sorted(cpus):
        if cpu not in by_cpu:
            by_cpu.update(_core_of(sysfs_root / _FOLDER.format(cpu), cpu, cpus))
    return Cores(by_cpu)


def _core_of(folder: Path, cpu: int, online: AbstractSet[int]) -> Iterator[tuple[int, Core]]:
    """The core of a CPU, for each of its threads; nothing if the files do not tell."""
    for name in _THREADS:
        threads = _numbers(folder / name) & online
        if cpu in threads:
            socket = _numbers(folder / "physical_package_id")  # -1, no list, if it has none
            core = Core(tuple(sorted(threads)), min(socket, default=None))
            yield from ((each, core) for each in core.cpus)
            return


def _numbers(path: Path) -> frozenset[int]:
    """What the file lists; nothing if it cannot be read."""
    try:
        return parse_list(read_regular(path, _MOST_BYTES).decode("ascii"))
    except (OSError, UnicodeDecodeError, MalformedText):
        return frozenset()
