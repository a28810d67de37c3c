"""What cgroups and processes have: CPUs, memory nodes, pages, and settings that nobody changed."""

import re
from collections import Counter
from pathlib import Path

from cri import CGROUPS, Container
from telling import tell

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
    """The anonymous pages of a container's processes on each NUMA node: N0, N1 and so on."""
    pages: Counter[str] = Counter()
    for process in container.processes:
        for line in Path(f"/proc/{process}/numa_maps").read_text().splitlines():
            if " anon=" in line and " file=" not in line:
                for node, count in re.findall(r" (N\d+)=(\d+)", line):
                    pages[node] += int(count)
    return dict(pages)


class Neighbours:
    """The cgroups of all others: whatever is done to a container, they stay as they are."""

    def __init__(self) -> None:
        self._before = _settings()

    def tell(self, moment: str, *own: Path) -> None:
        """Print what changed since the last time outside of these cgroups."""
        now = _settings()
        before = {
            path: content
            for path, content in self._before.items()
            if not any(path.is_relative_to(cgroup) for cgroup in own)
        }
        changed = {
            str(path): [content, now.get(path)]
            for path, content in before.items()
            if content != now.get(path)
        }
        self._before = now
        tell("neighbours", moment=moment, files=len(before), changed=changed)


def _settings() -> dict[Path, str]:
    """Every file of every cgroup that holds a setting, with its content."""
    return {
        file: _content(file)
        for file in CGROUPS.rglob("*")
        if file.is_file() and not _COUNTERS.search(file.name)
    }


def _content(file: Path) -> str:
    try:
        return file.read_text()
    except OSError as problem:  # some can only be written
        return f"errno {problem.errno}"
