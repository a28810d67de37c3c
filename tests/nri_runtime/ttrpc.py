"""The messages of ttrpc: how a call and its answer are framed on a logical connection. No I/O.

A header of ten bytes (length of the data, number of the stream, type, flags), then the data.
"""

import struct
from collections.abc import Iterator, Mapping

from attrs import frozen

from nri_runtime.messages import PACKAGE, Metadata, Request, Response

REQUEST, RESPONSE = 1, 2
LONGEST = 4 << 20  # bytes of data that a reader takes

UNKNOWN, INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL = 2, 3, 8, 12, 13

_HEADER = struct.Struct(">IIBB")


@frozen
class Frame:
    """A message as it came. Of one that is too long only `length` is kept."""

    stream: int
    kind: int
    flags: int
    length: int
    data: bytes

    @property
    def too_long(self) -> bool:
        return self.length > LONGEST


def frame(stream: int, kind: int, data: bytes, flags: int = 0) -> bytes:
    return _HEADER.pack(len(data), stream, kind, flags) + data


def request(
    stream: int,
    service: str,
    method: str,
    payload: bytes,
    timeout: float = 0.0,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """A call; `timeout` is the caller's, in seconds."""
    call = Request(
        service=f"{PACKAGE}.{service}",
        method=method,
        payload=payload,
        timeout_nano=int(timeout * 1e9),
        metadata=[Metadata(key=key, value=value) for key, value in (metadata or {}).items()],
    )
    return frame(stream, REQUEST, call.SerializeToString())


def response(stream: int, payload: bytes = b"", code: int = 0, text: str = "") -> bytes:
    """An answer: what was asked for, or with a code the reason why not."""
    answer = Response(payload=payload)
    if code:
        answer.status.code, answer.status.message = code, text
    return frame(stream, RESPONSE, answer.SerializeToString())


class Joiner:
    """Takes the payloads of one logical connection; gives whole messages."""

    def __init__(self) -> None:
        self._received = bytearray()

    def feed(self, payload: bytes) -> Iterator[Frame]:
        self._received += payload
        while len(self._received) >= _HEADER.size:
            length, stream, kind, flags = _HEADER.unpack_from(self._received)
            end = _HEADER.size + length
            if len(self._received) < end:
                return
            data = bytes(self._received[_HEADER.size : end]) if length <= LONGEST else b""
            del self._received[:end]
            yield Frame(stream, kind, flags, length, data)
