"""What /proc tells of this process."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from numa_trio.agent.monitor.process import ProcessUsage


def test_tells_of_this_process() -> None:
    """Each figure agrees with what the process knows of itself by other ways."""
    before = time.process_time()
    usage = ProcessUsage.read()
    assert usage is not None
    assert before - 0.05 <= usage.cpu_seconds <= time.process_time() + 0.05
    assert usage.resident_bytes <= usage.virtual_bytes
    assert usage.resident_bytes == pytest.approx(
        int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize(), rel=0.05
    )
    assert usage.max_fds == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_tells_when_a_process_started() -> None:
    """Between the moments before and after it was started and told; the kernel cuts to a second."""
    program = (
        "from numa_trio.agent.monitor.process import ProcessUsage;"
        "print(ProcessUsage.read().start_time_unix)"
    )
    before = time.time()
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert before - 1.1 <= float(told.stdout) <= time.time()


def test_counts_a_descriptor_more() -> None:
    """The reading itself is not counted."""
    before = ProcessUsage.read()
    with Path("/dev/null").open():
        during = ProcessUsage.read()
    assert before is not None
    assert during is not None
    assert during.open_fds == before.open_fds + 1
    assert before.open_fds == len(list(Path("/proc/self/fd").iterdir())) - 1


def test_a_name_with_blanks_and_parentheses_is_skipped(tmp_path: Path) -> None:
    """The second field of /proc/self/stat may hold anything."""
    (tmp_path / "self/fd").mkdir(parents=True)
    (tmp_path / "self/fd/0").touch()
    (tmp_path / "stat").write_text("cpu 1 2 3\nbtime 1767322955\nprocesses 5\n")
    numbers = [0] * 50
    numbers[14 - 3], numbers[15 - 3], numbers[22 - 3] = 100, 50, 1000
    numbers[23 - 3], numbers[24 - 3] = 9999, 2
    fields = " ".join(map(str, numbers[1:]))
    (tmp_path / "self/stat").write_text(f"1 (numa) trio) (x) S {fields}\n")
    usage = ProcessUsage.read(tmp_path)
    assert usage is not None
    ticks = os.sysconf("SC_CLK_TCK")
    assert usage.cpu_seconds == pytest.approx(150 / ticks)
    assert usage.start_time_unix == pytest.approx(1767322955 + 1000 / ticks)
    assert usage.virtual_bytes == 9999
    assert usage.resident_bytes == 2 * resource.getpagesize()
    assert usage.open_fds == 0


def test_without_proc_there_is_nothing_to_tell(tmp_path: Path) -> None:
    """A /proc that cannot be read is not an error."""
    assert ProcessUsage.read(tmp_path) is None


def test_a_stat_without_boot_time_is_not_an_error(tmp_path: Path) -> None:
    """Some sandboxes write /proc/stat in part."""
    (tmp_path / "self/fd").mkdir(parents=True)
    (tmp_path / "self/stat").write_text("1 (x) S 0\n")
    (tmp_path / "stat").write_text("cpu 1 2 3\n")
    assert ProcessUsage.read(tmp_path) is None
