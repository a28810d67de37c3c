"""The agent as a child process, for tests from outside."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from capabilities import confine_to, forsake_capabilities, own_mounts

PATIENCE = 60.0  # seconds; only a slow machine ever needs more than one


def prompt_end() -> float:
    """The seconds in which the agent must end after a signal: 2, if the machine has time for it."""
    busy = os.getloadavg()[0] > (os.cpu_count() or 1)
    return PATIENCE if busy else 2.0


class AgentProcess:
    """`numa-trio run` on a socket directory; leave the context to kill it.

    If it is not `capable` it has no Linux capability, as in the shipped manifests. If it is
    `confined` it can write to the directory only, as under the shipped unit. `program` is what runs
    it, if not the package of this Python.
    """

    def __init__(
        self,
        socket_dir: Path,
        *,
        capable: bool = True,
        confined: bool = False,
        program: Sequence[str] = (sys.executable, "-m", "numa_trio"),
        **settings: str,
    ) -> None:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("NUMA_")
        }
        environment |= {"NUMA_SOCKET_DIR": str(socket_dir), "NUMA_HTTP_ADDR": "", **settings}

        def before_exec() -> None:
            if confined and own_mounts():
                confine_to(socket_dir)
            if not capable:
                forsake_capabilities()

        self.log: list[dict[str, Any]] = []
        self._logged = threading.Condition()
        self.process = subprocess.Popen(
            [*program, "run"],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=before_exec,
        )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._logged:
                try:
                    self.log.append(json.loads(line))
                except json.JSONDecodeError:
                    self.log.append({"message": line.rstrip("\n")})
                self._logged.notify_all()

    def messages(self) -> list[str]:
        return [entry["message"] for entry in self.log]

    def wait_for_log(self, text: str) -> dict[str, Any]:
        """The first line of the log that contains `text`."""

        def found() -> dict[str, Any] | None:
            return next((entry for entry in self.log if text in entry["message"]), None)

        with self._logged:
            entry = self._logged.wait_for(found, timeout=PATIENCE)
        assert entry, f"no {text!r} in the log within {PATIENCE:g} s: {self.messages()}"
        return entry

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def terminate(self, number: int = signal.SIGTERM) -> int:
        """Its exit status, once it has ended after the signal."""
        self.process.send_signal(number)
        status = self.process.wait(timeout=PATIENCE)
        self._reader.join(timeout=PATIENCE)
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=PATIENCE)
        self._reader.join(timeout=PATIENCE)
        assert self.process.stderr is not None
        self.process.stderr.close()
