"""Follows kubelet.sock: each life of it is one generation of kubelet."""

import logging
import os
from contextlib import suppress
from pathlib import Path

from numa_trio.kubelet.socket_file import SocketIdentity
from numa_trio.kubelet.watch import DirectoryWatch

log = logging.getLogger(__name__)


class KubeletSocket:
    """The path of kubelet.sock, and which socket stands there now."""

    def __init__(self, path: Path, watch: DirectoryWatch) -> None:
        self.path = path
        self._watch = watch
        self._last_problem: str | None = None

    def generation(self) -> SocketIdentity | None:
        """The present generation; None, with a log line for each new reason, if there is none."""
        try:
            return self._examine()
        except OSError:
            return None

    @property
    def problem(self) -> str | None:
        """Why there is no generation now; None if there is one."""
        try:
            return None if SocketIdentity.at(self.path) else self._absence()
        except OSError as error:
            return self._secrecy(error)

    async def appeared(self) -> SocketIdentity:
        """Return the present generation, as soon as there is one."""
        while True:
            change = self._watch.next_change()
            if generation := self.generation():
                return generation
            await change.wait()

    async def ended(self, generation: SocketIdentity) -> None:
        """Return once the socket at the path is another one, or none.

        A path that cannot be examined, for want of a permission, say, tells nothing of the socket.
        """
        while True:
            change = self._watch.next_change()
            with suppress(OSError):
                if self._examine() != generation:
                    return
            await change.wait()

    def _examine(self) -> SocketIdentity | None:
        """Raises `OSError` if the path cannot be examined."""
        try:
            generation = SocketIdentity.at(self.path)
            self._log_new(None if generation else self._absence())
        except OSError as error:
            self._log_new(self._secrecy(error), logging.WARNING)
            raise
        return generation

    def _log_new(self, problem: str | None, level: int = logging.INFO) -> None:
        if problem and problem != self._last_problem:
            log.log(level, "Waiting for kubelet: %s", problem)
        self._last_problem = problem

    def _secrecy(self, error: OSError) -> str:
        return f"{self.path} cannot be examined: {os.strerror(error.errno or 0)}"

    def _absence(self) -> str:
        if os.path.lexists(self.path):
            return f"{self.path} is not a socket"
        if self.path.parent.is_dir():
            return f"{self.path} does not exist yet"
        return f"the directory {self.path.parent} does not exist yet"
