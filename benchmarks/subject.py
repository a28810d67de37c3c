"""A device plugin under test: how it is started, and what the kernel says of its process."""

import ctypes
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

_EXIT_SECONDS = 10
_libc = ctypes.CDLL(None, use_errno=True)


@frozen
class Subject:
    """A plugin by its command line; `name` is what the results call it."""

    name: str
    command: tuple[str, ...]

    @contextmanager
    def running(
        self, environment: Mapping[str, str], log: Path, launcher: tuple[str, ...] = ()
    ) -> Iterator["Process"]:
        """The plugin as a process that ends with the block.

        `launcher` is a command that executes the plugin's in its own place. Raises
        CalledProcessError if the plugin does not exit with 0 on SIGTERM.
        """
        command = (*launcher, *self.command)
        with log.open("w") as output:
            child = subprocess.Popen(
                command,
                env={"PATH": os.environ["PATH"], **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield Process(child.pid)
            child.send_signal(signal.SIGTERM)
            status = child.wait(_EXIT_SECONDS)
        finally:
            child.kill()
            child.wait()
        if status != 0:
            raise subprocess.CalledProcessError(status, command, log.read_text())


@frozen
class Memory:
    """Bytes of memory: resident, proportional (shared pages divided), and the highest resident."""

    resident: int
    proportional: int
    peak: int


@frozen
class Process:
    """A running process of Linux, all its threads together."""

    pid: int

    def cpu_seconds(self) -> float:
        """CPU time so far, to the nanosecond (clock_getcpuclockid(3))."""
        clock = ctypes.c_int()
        error = _libc.clock_getcpuclockid(self.pid, ctypes.byref(clock))
        if error:
            raise OSError(error, f"clock_getcpuclockid of process {self.pid}")
        return time.clock_gettime(clock.value)

    def cpu_ticks(self) -> int:
        """CPU time so far in the kernel's ticks, hundredths of a second (proc(5), stat)."""
        after_name = self._read("stat").rpartition(")")[2].split()
        return int(after_name[11]) + int(after_name[12])

    def voluntary_switches(self) -> int:
        """How often a thread has gone to sleep so far; threads that ended don't count."""
        threads = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(
            _field((thread / "status").read_text(), "voluntary_ctxt_switches") for thread in threads
        )

    def memory(self) -> Memory:
        """What it holds now."""
        rollup = self._read("smaps_rollup")
        return Memory(
            resident=_field(rollup, "Rss") * 1024,
            proportional=_field(rollup, "Pss") * 1024,
            peak=_field(self._read("status"), "VmHWM") * 1024,
        )

    def _read(self, name: str) -> str:
        return Path(f"/proc/{self.pid}/{name}").read_text()


def _field(text: str, name: str) -> int:
    match = re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE)
    if match is None:
        raise ValueError(f"no {name} in {text!r}")
    return int(match[1])
