"""A peer on a pod-resources socket that does what no gRPC library would."""

import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import trio
from hpack import Encoder

from http2_peer import EMPTY_SETTINGS, frame

PATIENCE = 60.0  # seconds; only a slow machine ever needs more than one

# Frames of HTTP/2, by RFC 9113, and their flags.
DATA, HEADERS, RESET, SETTINGS, PUSH, PING, GOAWAY, WINDOW = 0, 1, 3, 4, 5, 6, 7, 8
END_STREAM, END_HEADERS = 1, 4

_REQUEST = frame(DATA, END_STREAM, 1, bytes(5))  # an empty message


class BadPeer:
    """Accepts one connection, hears a request out if it shall, sends bytes, and waits.

    `hung_up` is set once our side has closed the connection.
    """

    def __init__(self, path: Path, data: bytes, *, listens: bool = True, leaves: bool) -> None:
        self.hung_up = threading.Event()
        self._data = data
        self._listens = listens
        self._leaves = leaves
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        self._server.settimeout(PATIENCE)
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        connection, _ = self._server.accept()
        with connection, suppress(ConnectionResetError, BrokenPipeError):
            connection.settimeout(PATIENCE)
            if self._listens:
                heard = b""
                while _REQUEST not in heard:
                    heard += (more := connection.recv(65536))
                    assert more
            connection.sendall(self._data)
            if self._leaves:
                return
            while connection.recv(65536):
                pass
        self.hung_up.set()

    async def __aenter__(self) -> Self:
        self._thread.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await trio.to_thread.run_sync(self._thread.join, PATIENCE)
        self._server.close()
        assert not self._thread.is_alive()


def headers(*fields: tuple[str, str], flags: int = END_HEADERS) -> bytes:
    """A frame of headers of the one call there is."""
    return frame(HEADERS, flags, 1, Encoder().encode(fields))


def data(content: bytes, flags: int = 0) -> bytes:
    """As many frames as it takes."""
    pieces = [content[start : start + 16_384] for start in range(0, len(content), 16_384)] or [b""]
    return b"".join(frame(DATA, flags if piece is pieces[-1] else 0, 1, piece) for piece in pieces)


def message(content: bytes, *, length: int | None = None, compressed: bool = False) -> bytes:
    """With gRPC's prefix, which may lie."""
    return struct.pack(">?I", compressed, len(content) if length is None else length) + content


STATUS_200 = (":status", "200")
GRPC = ("content-type", "application/grpc")
BEGIN = EMPTY_SETTINGS + headers(STATUS_200, GRPC)
END = headers(("grpc-status", "0"), flags=END_HEADERS | END_STREAM)
