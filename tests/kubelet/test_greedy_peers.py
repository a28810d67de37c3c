"""What a valid request may cost: bounded before it is decoded, and bounded for all together."""

import logging
import socket
import struct
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import grpc
import pytest
from h2.events import DataReceived, Event, StreamEnded

from grpcio_kubelet import (
    AllocateRequest,
    AllocateResponse,
    GrpcioPlugin,
    PreferredAllocationRequest,
    PreferredAllocationResponse,
)
from http2_peer import CALL, answer_to, client, connect, headers_of, is_dropped, send
from numa_trio.kubelet.api import v1beta1 as api
from numa_trio.kubelet.rpc import limits
from served_plugin import ServedPlugin

CAPACITY = 5_000


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPlugin]:
    with ServedPlugin(tmp_path_factory.mktemp("greedy") / "numa-1.sock", CAPACITY) as plugin:
        yield plugin


@pytest.fixture(scope="module")
def kubelet(served: ServedPlugin) -> Iterator[GrpcioPlugin]:
    """A well-behaved peer, whose stream is open all the while, and is known as kubelet's."""
    client = GrpcioPlugin(served.path)
    served.register(client)
    client.stream = client.open_stream()
    assert len(next(client.stream).devices) == CAPACITY
    yield client
    client.channel.close()


def still_well(kubelet: GrpcioPlugin) -> bool:
    """Its stream goes on and its calls are answered."""
    answer = kubelet.allocate(["numa-1-0"])
    return kubelet.stream.is_active() and answer.container_responses[0].envs["NUMA_NODE"] == "1"


def framed(message: bytes) -> bytes:
    return struct.pack(">?I", False, len(message)) + message


ONE_SLOT = b"\x0a\x0a\x0a\x08numa-1-0"


def length_delimited(message: bytes) -> bytes:
    """As field 1, with its length in three bytes, as is allowed."""
    size = len(message)
    return bytes([0x0A, size & 127 | 128, size >> 7 & 127 | 128, size >> 14]) + message


COSTLY = {
    "unknown fields": ("Allocate", ONE_SLOT + b"\x78\x01" * 20_000),
    "unknown fields inside": ("Allocate", length_delimited(b"\x78\x01" * 20_000)),
    "a million empty requests": ("Allocate", b"\x0a\x00" * 1_000_000),
    "a hundred thousand empty requests": ("Allocate", b"\x0a\x00" * 100_000),
    "empty requests for advice": ("GetPreferredAllocation", b"\x0a\x00" * 100_000),
    "more devices than there are": ("Allocate", length_delimited(b"\x0a\x08numa-1-0" * 12_000)),
    "more devices to check": ("PreStartContainer", b"\x0a\x08numa-1-0" * 12_000),
    "unknown fields of nothing": ("GetDevicePluginOptions", b"\x78\x01" * 1_000),
}


@pytest.mark.parametrize("kind", COSTLY)
def test_a_costly_request_is_refused_before_it_is_decoded(
    served: ServedPlugin, kubelet: GrpcioPlugin, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets RESOURCE_EXHAUSTED, no message is made of it, and kubelet does not wait."""
    decoded = []
    for message in (
        api.AllocateRequest,
        api.PreferredAllocationRequest,
        api.PreStartContainerRequest,
        api.Empty,
    ):
        monkeypatch.setattr(message, "FromString", decoded.append)
    method, request = COSTLY[kind]
    channel = grpc.insecure_channel(f"unix:{served.path}")
    with channel, pytest.raises(grpc.RpcError) as refusal:
        channel.unary_unary(f"/v1beta1.DevicePlugin/{method}")(request, timeout=60)
    assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "Request" in refusal.value.details() or "Empty" in refusal.value.details()
    assert not decoded
    monkeypatch.undo()
    assert still_well(kubelet)


def test_requests_for_every_device_are_answered(kubelet: GrpcioPlugin) -> None:
    """The bounds are above what kubelet may ask: all slots for one container."""
    ids = [f"numa-1-{number}" for number in range(CAPACITY)]
    assert len(kubelet.allocate(ids).container_responses) == 1
    request = PreferredAllocationRequest(
        container_requests=[
            {
                "available_deviceIDs": ids,
                "must_include_deviceIDs": ids[:900],
                "allocation_size": CAPACITY,
            }
        ]
    )
    answer = kubelet.call("GetPreferredAllocation", request, PreferredAllocationResponse)
    assert len(answer.container_responses[0].deviceIDs) == CAPACITY


def test_requests_that_never_end_are_bounded_in_all(
    served: ServedPlugin, kubelet: GrpcioPlugin
) -> None:
    """Each within the limits, on several connections: whoever has most of them goes."""
    body = framed(bytes(180_000))[:-1]
    with ExitStack() as stack:
        peers = []
        for _ in range(3):
            http2, peer = client(), stack.enter_context(connect(served.path))
            peers.append(peer)
            for stream in range(1, 2 * limits.MAX_CALLS_OF_CONNECTION - 20, 2):
                unsent = body
                http2.send_headers(stream, CALL)
                while unsent and peer.fileno() >= 0:
                    room = min(
                        http2.local_flow_control_window(stream), http2.max_outbound_frame_size
                    )
                    if room:
                        http2.send_data(stream, unsent[:room])
                        unsent = unsent[room:]
                        send(peer, http2.data_to_send())
                    elif not receive(peer, http2):
                        peer.close()
        assert any_dropped(peers)
        held = sum(one.unanswered_bytes for one in served.connections)
        assert held <= limits.MAX_UNANSWERED_BYTES
        assert still_well(kubelet)


def any_dropped(peers: list[socket.socket]) -> bool:
    """Whether one of the connections ends; fails after the timeout if none does."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for peer in peers:
            if peer.fileno() < 0:
                return True
            peer.settimeout(0.01)
            with suppress(TimeoutError, ConnectionResetError):
                while peer.recv(65536):
                    pass
                return True
    return False


def receive(peer: object, http2: object) -> bool:
    try:
        data = peer.recv(65536)  # type: ignore[attr-defined]
    except ConnectionResetError:
        return False
    http2.receive_data(data)  # type: ignore[attr-defined]
    return bool(data)


def test_open_calls_are_bounded_in_all(served: ServedPlugin, kubelet: GrpcioPlugin) -> None:
    """Many connections with few calls each: whoever has most of them goes, never kubelet."""
    with ExitStack() as stack:
        peers = [stack.enter_context(connect(served.path)) for _ in range(12)]
        for peer in peers:
            http2 = client()
            for stream in range(1, 2 * limits.MAX_CALLS_OF_CONNECTION, 2):
                http2.send_headers(stream, CALL)
            send(peer, http2.data_to_send())
        assert is_dropped(peers[0])
        assert still_well(kubelet)
        assert sum(one.open_calls for one in served.connections) <= limits.MAX_CALLS


def test_a_peer_that_never_reads_its_answers_is_dropped(
    served: ServedPlugin, kubelet: GrpcioPlugin
) -> None:
    """What waits to be sent to it is bounded."""
    http2 = client()
    with connect(served.path) as peer:
        for stream in range(1, 30_000, 2):
            http2.send_headers(stream, headers_of("NoSuchMethod"), end_stream=True)
            if stream % 200 == 199:
                http2.streams.clear()
                send(peer, http2.data_to_send())
        send(peer, http2.data_to_send())
        assert is_dropped(peer)
    assert still_well(kubelet)


def test_pings_that_measure_the_connection_are_no_flood(served: ServedPlugin) -> None:
    """Kubelet's gRPC library sends one for each answer and each piece of a list."""
    http2 = client()
    with connect(served.path) as peer:
        for stream in range(1, 3 * limits.MAX_CONTROL_FRAMES, 2):
            http2.send_headers(stream, CALL)
            http2.send_data(stream, framed(ONE_SLOT), end_stream=True)
            http2.ping(b"measured")
            send(peer, http2.data_to_send())
            events: list[Event] = []
            while not any(isinstance(event, StreamEnded) for event in events):
                received = peer.recv(65536)
                assert received, "dropped"
                events = http2.receive_data(received)
                for event in events:
                    if isinstance(event, DataReceived):
                        http2.acknowledge_received_data(event.flow_controlled_length, stream)


def test_streams_that_nobody_reads_share_one_list(
    served: ServedPlugin, kubelet: GrpcioPlugin
) -> None:
    """With windows of no bytes: only what kubelet's stream needs too is in memory."""
    http2 = client()
    http2.update_settings({4: 0})
    for stream in range(1, 2 * limits.MAX_CALLS_OF_CONNECTION, 2):
        http2.send_headers(stream, headers_of("ListAndWatch"))
        http2.send_data(stream, framed(b""), end_stream=True)
    with connect(served.path) as peer:
        tracemalloc.start()
        try:
            send(peer, http2.data_to_send())
            served.wait_until(lambda: served.server.other_streams == limits.MAX_CALLS_OF_CONNECTION)
            assert still_well(kubelet)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < limits.MAX_CALLS_OF_CONNECTION * 20 * CAPACITY  # half a list for each


def test_kubelet_finds_room_among_strangers_that_hold_streams(
    served: ServedPlugin, kubelet: GrpcioPlugin
) -> None:
    """The oldest of them makes way, if no other connection is without a call."""
    http2 = client()
    http2.send_headers(1, headers_of("ListAndWatch"))
    http2.send_data(1, framed(b""), end_stream=True)
    greeting = http2.data_to_send()
    with ExitStack() as stack:
        peers = [
            stack.enter_context(connect(served.path)) for _ in range(limits.MAX_CONNECTIONS - 1)
        ]
        for peer in peers:
            send(peer, greeting)
        served.wait_until(lambda: served.server.other_streams == len(peers))
        channel = grpc.insecure_channel(
            f"unix:{served.path}", options=[("grpc.use_local_subchannel_pool", 1)]
        )
        with channel:
            answer = channel.unary_unary(
                "/v1beta1.DevicePlugin/Allocate",
                request_serializer=AllocateRequest.SerializeToString,
                response_deserializer=AllocateResponse.FromString,
            )(AllocateRequest(container_requests=[{"devices_ids": ["numa-1-1"]}]), timeout=60)
        assert answer.container_responses[0].envs["NUMA_NODE"] == "1"
        assert is_dropped(peers[0])
        assert still_well(kubelet)


def test_gzip_is_refused_with_what_is_understood(
    served: ServedPlugin, kubelet: GrpcioPlugin
) -> None:
    """By its header, or only by the flag of the message: UNIMPLEMENTED, and why."""
    flagged = struct.pack(">?I", True, 3) + b"\x1f\x8b\x08"
    for headers, _ in (
        answer_to(served.path, "Allocate", flagged, ("grpc-encoding", "gzip")),
        answer_to(served.path, "Allocate", framed(ONE_SLOT), ("grpc-encoding", "gzip")),
        answer_to(served.path, "Allocate", flagged),
    ):
        assert headers[b"grpc-status"] == b"12"
        assert headers[b"grpc-accept-encoding"] == b"identity"
        assert b"compressed" in headers[b"grpc-message"]
    channel = grpc.insecure_channel(f"unix:{served.path}", compression=grpc.Compression.Gzip)
    with channel, pytest.raises(grpc.RpcError) as refusal:
        channel.unary_unary("/v1beta1.DevicePlugin/Allocate")(b"\x0a\x0c\x0a\x08" * 500, timeout=60)
    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert still_well(kubelet)


@pytest.mark.parametrize("timeout", ["0n", "0S", "99999999H", "9" * 400 + "H", "soon", ""])
def test_deadlines_are_left_to_the_caller(served: ServedPlugin, timeout: str) -> None:
    """None keeps a timer here, or ends in a defect: the call is answered."""
    headers, data = answer_to(served.path, "Allocate", framed(ONE_SLOT), ("grpc-timeout", timeout))
    assert headers[b"grpc-status"] == b"0"
    assert b"NUMA_NODE" in data


NONSENSE = {
    "no message": b"",
    "half a prefix": b"\0\0",
    "half a message": framed(ONE_SLOT)[:-3],
    "a field longer than its message": framed(b"\x0a\x50numa"),
    "a number without an end": framed(b"\xff" * 20),
    "a group": framed(b"\x0b\x0c"),
    "a number for a message": framed(b"\x08\x01"),
    "text that is not UTF-8": framed(b"\x0a\x04\x0a\x02\xff\xfe"),
}


@pytest.mark.parametrize("kind", NONSENSE)
def test_nonsense_in_a_call_is_an_invalid_argument(
    served: ServedPlugin,
    kubelet: GrpcioPlugin,
    kind: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The peer is told, its connection goes on, and the log has no traceback of ours."""
    headers, _ = answer_to(served.path, "Allocate", NONSENSE[kind])
    assert headers[b"grpc-status"] == b"3"
    assert b"AllocateRequest" in headers[b"grpc-message"]
    assert not [record for record in caplog.records if record.exc_info]
    assert still_well(kubelet)


def test_bad_peers_are_logged_once_a_minute(
    served: ServedPlugin, kubelet: GrpcioPlugin, caplog: pytest.LogCaptureFixture
) -> None:
    """However many there are; and without a traceback."""
    with caplog.at_level(logging.DEBUG, logger="numa_trio"):
        for _ in range(100):
            with connect(served.path) as peer:
                send(peer, b"GET / HTTP/1.1\r\nHost: kubelet\r\n\r\n")
                assert is_dropped(peer)
            answer_to(served.path, "Allocate", framed(b"\x0a\x50numa"))
    lines = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(lines) <= 2
    assert not [record for record in caplog.records if record.exc_info]
