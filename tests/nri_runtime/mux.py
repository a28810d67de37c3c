"""NRI's mux: two logical connections cut into frames on one socket. No I/O.

A frame is the number of the connection, the length of the payload, both big-endian in 32 bits,
and the payload.
"""

import struct
from collections.abc import Callable, Iterable, Iterator

PLUGIN, RUNTIME = 1, 2  # a logical connection, by who is called on it
LONGEST = 4096  # bytes of a payload that the runtime has room for

_HEADER = struct.Struct(">II")

Cut = Callable[[bytes], Iterable[bytes]]


class PayloadTooLong(Exception):
    """A frame holds more than the reader has room for."""


def frame(connection: int, payload: bytes) -> bytes:
    return _HEADER.pack(connection, len(payload)) + payload


def pieces_of(size: int) -> Cut:
    """Cut what is sent into pieces of that many bytes."""

    def cut(data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), size):
            yield data[start : start + size]

    return cut


def buffered(data: bytes) -> Iterator[bytes]:
    """Cut it as a writer with a buffer does: a piece that fills it, and all the rest as another."""
    yield data[:LONGEST]
    if len(data) > LONGEST:
        yield data[LONGEST:]


in_full_frames = pieces_of(LONGEST)


class Demux:
    """Takes the socket's bytes; gives the payloads with the numbers of their connections."""

    def __init__(self, longest: int | None = None) -> None:
        self._longest = longest
        self._received = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Raise `PayloadTooLong` as soon as a header says so."""
        self._received += data
        while len(self._received) >= _HEADER.size:
            connection, length = _HEADER.unpack_from(self._received)
            if self._longest is not None and length > self._longest:
                raise PayloadTooLong(f"{length} bytes, room for {self._longest}")
            end = _HEADER.size + length
            if len(self._received) < end:
                return
            payload = bytes(self._received[_HEADER.size : end])
            del self._received[:end]
            yield connection, payload
