"""What cgroups and processes have: CPUs, memory nodes, pages."""

import re
from collections import Counter
from pathlib import Path

from cri import CGROUPS, Container

_CPUSET = ("cpuset.cpus", "cpuset.mems", "cpuset.cpus.effective", "cpuset.mems.effective")
# These change by themselves: what is used, how long, how often, and who is there.
_COUNTERS = re.compile(
    r"(\.stat|\.current|\.peak|\.pressure|\.events(\.local)?|\.numa_stat|\.reclaim|\.kill)$"
    r"|^cgroup\.(procs|threads)$"
)


def placement(container: Container) -> dict[str, str]:
    """A container's sets in its cgroup, and those that the kernel tells its first process."""
    sets = {name: (container.cgroup / name).read_text().strip() for name in _CPUSET}
    status = Path(f"/proc/{container.processes[0]}/status").read_text()
    for name in ("Cpus_allowed_list", "Mems_allowed_list"):
        (sets[name],) = re.findall(rf"^{name}:\s*(\S*)$", status, re.MULTILINE)
    return sets


def anonymous_pages(container: Container) -> dict[str, int]:
    """The anonymous pages of a container's processes on each NUMA node, N0 and so on."""
    pages: Counter[str] = Counter()
    for process in container.processes:
        for line in Path(f"/proc/{process}/numa_maps").read_text().splitlines():
            if " anon=" in line:
                pages.update(
                    {node: int(count) for node, count in re.findall(r" (N\d+)=(\d+)", line)}
                )
    return dict(pages)


def settings() -> dict[str, str]:
    """Every file of every cgroup that holds a setting, with its content."""
    return {
        str(file.relative_to(CGROUPS)): _content(file)
        for file in sorted(CGROUPS.rglob("*"))
        if file.is_file() and not _COUNTERS.search(file.name)
    }


def _content(file: Path) -> str:
    try:
        return file.read_text()
    except OSError as problem:
        return str(problem.errno)
