"""A CPU quota as a container's limit sets it: a control group of our own, version 1 or 2."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PERIOD_MICROSECONDS = 100_000
_ROOT = Path("/sys/fs/cgroup")
_NAME = "numa-trio-bench"


class NoQuota(Exception):
    """This machine does not let us set a CPU quota; the message says why."""


@contextmanager
def cpu_quota(cpus: float) -> Iterator[tuple[str, ...]]:
    """A launcher whose command runs in a group limited to so many CPUs; raises `NoQuota`.

    It enters the group before it executes the command, so the quota holds from the first moment.
    """
    group, limit = _group(round(cpus * PERIOD_MICROSECONDS))
    try:
        group.mkdir()
        for name, value in limit.items():
            (group / name).write_text(value)
    except OSError as problem:
        if group.exists():
            group.rmdir()
        raise NoQuota(
            f"no CPU quota without the right to make a control group: {problem}"
        ) from None
    try:
        yield "/bin/sh", "-c", f'echo $$ > {group / "cgroup.procs"} && exec "$@"', "sh"
    finally:
        group.rmdir()


def _group(microseconds: int) -> tuple[Path, dict[str, str]]:
    if (_ROOT / "cgroup.controllers").exists():
        return _ROOT / _NAME, {"cpu.max": f"{microseconds} {PERIOD_MICROSECONDS}"}
    if (_ROOT / "cpu/cpu.cfs_quota_us").exists() or (_ROOT / "cpu/cgroup.procs").exists():
        limit = {
            "cpu.cfs_period_us": str(PERIOD_MICROSECONDS),
            "cpu.cfs_quota_us": str(microseconds),
        }
        return _ROOT / "cpu" / _NAME, limit
    raise NoQuota(f"{_ROOT} has no cpu controller")
