"""A gRPC peer made by hand, which can do what no gRPC library would."""

import socket
import struct
from contextlib import suppress
from pathlib import Path

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded, TrailersReceived

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
EMPTY_SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
PATIENCE = 60.0  # seconds; only a slow machine ever needs more than one


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame of RFC 9113, section 4.1."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def headers_of(method: str, *more: tuple[str, str]) -> list[tuple[str, str]]:
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", f"/v1beta1.DevicePlugin/{method}"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        *more,
    ]


CALL = headers_of("Allocate")


def client() -> H2Connection:
    made = H2Connection(
        H2Configuration(client_side=True, validate_outbound_headers=False, header_encoding=None)
    )
    made.initiate_connection()
    return made


def connect(path: Path) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(PATIENCE)
    peer.connect(str(path))
    return peer


def send(peer: socket.socket, data: bytes) -> None:
    """Send as much as the other side takes before it hangs up."""
    with suppress(BrokenPipeError, ConnectionResetError):
        peer.sendall(data)


def is_dropped(peer: socket.socket) -> bool:
    """Whether the connection ends; fails after the timeout if it does not."""
    with suppress(ConnectionResetError):
        while peer.recv(65536):
            pass
    return True


def answer_to(
    path: Path, method: str, message: bytes, *more: tuple[str, str]
) -> tuple[dict[bytes, bytes], bytes]:
    """One call with these bytes, prefix and all: headers and trailers, and the data."""
    http2 = client()
    http2.send_headers(1, headers_of(method, *more))
    http2.send_data(1, message, end_stream=True)
    headers: dict[bytes, bytes] = {}
    data = b""
    with connect(path) as peer:
        send(peer, http2.data_to_send())
        events: list[Event] = []
        while not any(isinstance(event, StreamEnded) for event in events):
            received = peer.recv(65536)
            assert received, "dropped"
            events = http2.receive_data(received)
            for event in events:
                if isinstance(event, ResponseReceived | TrailersReceived):
                    headers |= dict(event.headers)
                if isinstance(event, DataReceived):
                    data += event.data
    return headers, data
