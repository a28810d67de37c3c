"""What the kernel says of CPUs, memory and limits that alignment depends on."""

import re

from attrs import frozen

from numa_trio.doctor.evidence.host_files import HostFiles
from numa_trio.doctor.evidence.seen import Missing
from numa_trio.topology.lists import MalformedText, parse_list
from numa_trio.topology.sizes import KIB

CPUS = "/sys/devices/system/cpu"
COMMAND_LINE = "/proc/cmdline"
BALANCING = "/proc/sys/kernel/numa_balancing"
INOTIFY = "/proc/sys/fs/inotify"
ENFORCE = "/sys/fs/selinux/enforce"
_SELINUX_CONFIG = "/etc/selinux/config"
_CGROUP2 = "/sys/fs/cgroup/cgroup.controllers"
_CGROUP1 = "/sys/fs/cgroup/cpuset"

# Words of the command line that matter; a capture keeps no others.
_WORDS = ("isolcpus", "nohz_full", "numa", "numa_balancing", "systemd.unified_cgroup_hierarchy")


@frozen
class Kernel:
    """Memory is in bytes; lists are of CPUs; limits are counts. `selinux` is enforcing or not."""

    memory: int | Missing
    present: frozenset[int] | Missing
    online: frozenset[int] | Missing
    isolated: frozenset[int] | Missing
    arguments: tuple[str, ...] | Missing
    balancing: int | Missing
    inotify_instances: int | Missing
    inotify_watches: int | Missing
    cgroup_version: int | Missing
    selinux: bool | Missing

    def argument(self, name: str) -> str:
        """The last argument of that name on the kernel's command line, without the name."""
        words = () if isinstance(self.arguments, Missing) else self.arguments
        found = (w.partition("=")[2] for w in reversed(words) if w.partition("=")[0] == name)
        return next(found, "")


def read_kernel(files: HostFiles) -> Kernel:
    """All of it, each part on its own."""
    return Kernel(
        memory=_memory(files),
        present=_list(files, f"{CPUS}/present"),
        online=_list(files, f"{CPUS}/online"),
        isolated=_list(files, f"{CPUS}/isolated"),
        arguments=_arguments(files),
        balancing=_number(files, BALANCING),
        inotify_instances=_number(files, f"{INOTIFY}/max_user_instances"),
        inotify_watches=_number(files, f"{INOTIFY}/max_user_watches"),
        cgroup_version=_cgroup_version(files),
        selinux=_selinux(files),
    )


def _memory(files: HostFiles) -> int | Missing:
    path = "/proc/meminfo"
    content = files.read(path)
    if isinstance(content, Missing):
        return content
    line = re.search(rb"^MemTotal:[ \t]*([0-9]{1,16}) kB$", content, re.MULTILINE)
    if line is None:
        return files.failure(path, "has no line like 'MemTotal: 16384 kB'")
    files.keep(path, line[0] + b"\n")
    return int(line[1]) * KIB


def _list(files: HostFiles, path: str) -> frozenset[int] | Missing:
    text = files.word(path)
    if isinstance(text, Missing):
        return text
    try:
        return parse_list(text)
    except MalformedText as problem:
        return Missing(str(problem))


def _number(files: HostFiles, path: str) -> int | Missing:
    text = files.word(path)
    if isinstance(text, Missing):
        return text
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else Missing("expected a number")


def _arguments(files: HostFiles) -> tuple[str, ...] | Missing:
    content = files.read(COMMAND_LINE, 64 << 10)
    if isinstance(content, Missing):
        return content
    words = content.decode("utf-8", "replace").split()
    kept = tuple(word for word in words if word.partition("=")[0] in _WORDS)
    files.keep(COMMAND_LINE, (" ".join(kept) + "\n").encode())
    return kept


def _cgroup_version(files: HostFiles) -> int | Missing:
    if files.exists(_CGROUP2):
        return 2
    return 1 if files.exists(_CGROUP1) else Missing("/sys/fs/cgroup shows neither version")


def _selinux(files: HostFiles) -> bool | Missing:
    enforce = _number(files, ENFORCE)
    if not isinstance(enforce, Missing):
        return enforce == 1
    content = files.read(_SELINUX_CONFIG)
    if isinstance(content, Missing):
        return content
    mode = re.search(rb"^SELINUX=(\w{1,20})[ \t]*$", content, re.MULTILINE)
    if mode is None:
        return Missing(f"{_SELINUX_CONFIG} has no line SELINUX=…")
    files.keep(_SELINUX_CONFIG, mode[0].strip() + b"\n")
    return mode[1] == b"enforcing"
