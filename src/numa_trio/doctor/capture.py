"""A capture: what doctor reads of a host, and no more, as files of the same names.

docs/doctor.md lists them. Each file holds what its reader keeps: of kubelet's settings those that
the checks know, of command lines the flags that they know, at their lines.
"""

import io
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

from numa_trio.doctor.evidence.gather import Evidence
from numa_trio.doctor.evidence.host_files import MOST_BYTES, HostFiles
from numa_trio.doctor.evidence.observations import FILE, encode
from numa_trio.topology.files import read_regular

# Of sysfs, below its root: what topology.sysfs and topology.cores read.
SYSFS = (
    "devices/system/node/online",
    "devices/system/node/possible",
    "devices/system/node/node*/cpulist",
    "devices/system/node/node*/cpumap",
    "devices/system/node/node*/distance",
    "devices/system/node/node*/meminfo",
    "devices/system/node/node*/hugepages/hugepages-*/nr_hugepages",
    "devices/system/node/node*/hugepages/hugepages-*/free_hugepages",
    "devices/system/cpu/online",
    "devices/system/cpu/cpu*/online",
    "devices/system/cpu/cpu*/topology/core_cpus_list",
    "devices/system/cpu/cpu*/topology/thread_siblings_list",
    "devices/system/cpu/cpu*/topology/physical_package_id",
    "kernel/mm/hugepages/hugepages-*/nr_hugepages",
    "kernel/mm/hugepages/hugepages-*/free_hugepages",
)


def write_capture(out: Path, files: HostFiles, sysfs: Path, evidence: Evidence) -> list[str]:
    """Write what was read to `out`, a gzipped tar; gives the names in it. Raises `OSError`."""
    contents = {path.lstrip("/"): content for path, content in files.kept.items()}
    contents |= dict(_of_sysfs(sysfs))
    contents[FILE] = encode(evidence.observed, files.failed)
    folders = {path.lstrip("/") for path in files.present} - contents.keys()
    now = int(time.time())
    with tarfile.open(out, "w:gz") as archive:
        for name in sorted(folders):
            archive.addfile(_entry(name, now, tarfile.DIRTYPE, 0o755))
        for name, content in sorted(contents.items()):
            entry = _entry(name, now, tarfile.REGTYPE, 0o644)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return sorted(contents)


def _entry(name: str, now: int, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.mtime, entry.type, entry.mode = now, kind, mode
    return entry


def _of_sysfs(sysfs: Path) -> Iterator[tuple[str, bytes]]:
    for pattern in SYSFS:
        for path in sysfs.glob(pattern):
            try:
                content = read_regular(path, MOST_BYTES)
            except OSError:  # gone, or an offline CPU's
                continue
            yield f"sys/{path.relative_to(sysfs)}", content
