"""Waits until a child process says that it is ready, as systemd does for a unit of Type=notify.

The protocol is that of sd_notify(3): datagrams of lines to the socket that NOTIFY_SOCKET names.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trio
from attrs import frozen

VARIABLE = "NOTIFY_SOCKET"

_LARGEST = 4096  # bytes of a datagram; a status is shorter


@frozen
class Readiness:
    """Where a process says that it is ready; `variables` tell it."""

    path: Path
    _socket: trio.socket.SocketType

    @property
    def variables(self) -> dict[str, str]:
        """The environment that names the socket."""
        return {VARIABLE: str(self.path)}

    async def wait(self) -> None:
        """Return once somebody has said that it is ready."""
        while b"READY=1" not in (await self._socket.recv(_LARGEST)).splitlines():
            pass


@contextmanager
def open_readiness(path: Path) -> Iterator[Readiness]:
    """A socket at this path, where nothing is yet, as long as the context lasts."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with trio.socket.from_stdlib_socket(bound) as listener:
        bound.bind(str(path))
        try:
            yield Readiness(path, listener)
        finally:
            path.unlink(missing_ok=True)
