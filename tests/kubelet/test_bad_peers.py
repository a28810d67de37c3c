"""A peer that talks nonsense loses its own connection, and nobody else loses anything."""

import itertools
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpcio_kubelet import DevicePluginOptions, Empty, GrpcioPlugin
from http2_peer import (
    CALL,
    EMPTY_SETTINGS,
    PREFACE,
    client,
    connect,
    frame,
    is_dropped,
    send,
)
from numa_trio.kubelet.rpc.limits import MAX_CONNECTIONS, MAX_RESETS
from numa_trio.kubelet.socket_file import Peer
from served_plugin import ServedPlugin


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPlugin]:
    with ServedPlugin(tmp_path_factory.mktemp("peers") / "numa-1.sock") as plugin:
        yield plugin


@pytest.fixture(scope="module")
def kubelet(served: ServedPlugin) -> Iterator[GrpcioPlugin]:
    """A well-behaved peer, whose stream is open all the while."""
    client = GrpcioPlugin(served.path)
    client.stream = client.open_stream()
    assert len(next(client.stream).devices) == 3
    yield client
    client.channel.close()


def still_well(kubelet: GrpcioPlugin) -> bool:
    """Its stream goes on and its calls are answered."""
    kubelet.call("GetDevicePluginOptions", Empty(), DevicePluginOptions)
    answer = kubelet.allocate(["numa-1-0"])
    return kubelet.stream.is_active() and answer.container_responses[0].envs["NUMA_NODE"] == "1"


def flood_of_streams() -> bytes:
    """More calls at once than the settings allow."""
    peer = client()
    for stream in range(1, 500, 2):
        peer.send_headers(stream, CALL)
    return peer.data_to_send()


def reset_flood() -> bytes:
    """Calls that are reset as soon as they are made."""
    peer = client()
    for stream in range(1, 4 * MAX_RESETS, 2):
        peer.send_headers(stream, CALL)
        peer.reset_stream(stream)
    return peer.data_to_send()


def header_bomb() -> bytes:
    """Small on the wire, huge when unpacked: one long header, then references to it."""
    peer = client()
    peer.send_headers(1, [*CALL, *[("bomb", "x" * 4000)] * 1000])
    return peer.data_to_send()


def header_of_a_mebibyte() -> bytes:
    """One header field, not compressed, in many frames."""
    field = b"\x00\x01x\x7f\x81\xfe\x3f" + b"x" * (1 << 20)
    pieces = [field[start : start + 16_384] for start in range(0, len(field), 16_384)]
    return (
        PREFACE
        + EMPTY_SETTINGS
        + frame(1, 0, 1, pieces[0])
        + b"".join(frame(9, 0, 1, piece) for piece in pieces[1:])
    )


def tiny_frames() -> bytes:
    """A request that comes byte by byte, each in a frame of its own, and never ends."""
    peer = client()
    for stream in range(1, 9, 2):
        peer.send_headers(stream, CALL)
        peer.send_data(stream, b"\0" + struct.pack(">I", 60_000))
        for _ in range(15_000):
            peer.send_data(stream, b"x")
    return peer.data_to_send()


def oversized_frame() -> bytes:
    """A frame above SETTINGS_MAX_FRAME_SIZE."""
    return PREFACE + EMPTY_SETTINGS + frame(0, 0, 1, b"\0" * 20_000)


NONSENSE: dict[str, Callable[[], bytes]] = {
    "no HTTP/2 at all": lambda: b"GET / HTTP/1.1\r\nHost: kubelet\r\n\r\n",
    "unknown frame type": lambda: PREFACE + EMPTY_SETTINGS + frame(0x99, 0, 0, b"?" * 8),
    "non-ASCII header": lambda: (
        PREFACE + EMPTY_SETTINGS + frame(1, 0x04, 1, b"\x00\x03x-\xff\x02\xfe\xff")
    ),
    "broken header compression": lambda: PREFACE + EMPTY_SETTINGS + frame(1, 0x04, 1, b"\xff" * 40),
    "frame on stream 0": lambda: PREFACE + EMPTY_SETTINGS + frame(0, 0, 0, b"data"),
    "window of no bytes": lambda: PREFACE + EMPTY_SETTINGS + frame(8, 0, 0, b"\0\0\0\0"),
    "settings of odd length": lambda: PREFACE + frame(4, 0, 0, b"abc"),
    "continuation of nothing": lambda: PREFACE + EMPTY_SETTINGS + frame(9, 0, 1, b""),
    "oversized frame": oversized_frame,
    "flood of streams": flood_of_streams,
    "RST flood": reset_flood,
    "PING flood": lambda: PREFACE + EMPTY_SETTINGS + frame(6, 0, 0, b"12345678") * 20_000,
    "SETTINGS flood": lambda: PREFACE + EMPTY_SETTINGS * 20_000,
    "PRIORITY flood": lambda: PREFACE + EMPTY_SETTINGS + frame(2, 0, 1, bytes(5)) * 20_000,
    "header bomb": header_bomb,
    "header of 1 MiB": header_of_a_mebibyte,
    "announcement of an oversized frame": lambda: (
        PREFACE + EMPTY_SETTINGS + frame(0, 0, 1, b"\0" * 2_000_000)[:100_000]
    ),
    "tiny DATA frames": tiny_frames,
}


@pytest.mark.parametrize("kind", NONSENSE)
def test_nonsense_ends_the_connection_and_nothing_else(
    served: ServedPlugin, kubelet: GrpcioPlugin, kind: str
) -> None:
    """Whatever it is, kubelet's stream and calls on the same socket go on."""
    with connect(served.path) as peer:
        send(peer, NONSENSE[kind]())
        assert is_dropped(peer)
    assert still_well(kubelet)


def test_a_message_of_five_mebibytes_ends_the_connection(
    served: ServedPlugin, kubelet: GrpcioPlugin
) -> None:
    """gRPC's limit of 4 MiB holds for what peers send, too."""
    unsent = b"\0" + struct.pack(">I", 5 << 20) + bytes(5 << 20)
    peer = client()
    peer.send_headers(1, CALL)
    with connect(served.path) as connection:
        received = b"?"
        while unsent and received:
            room = min(peer.local_flow_control_window(1), peer.max_outbound_frame_size)
            if room:
                peer.send_data(1, unsent[:room])
                unsent = unsent[room:]
                send(connection, peer.data_to_send())
            else:
                with suppress(ConnectionResetError):
                    received = b""
                    received = connection.recv(65536)
                peer.receive_data(received)
        assert is_dropped(connection)
    assert still_well(kubelet)


@pytest.mark.parametrize(
    "data", [b"", PREFACE[:10], PREFACE, PREFACE + EMPTY_SETTINGS + b"\0\0\xff\0\0\0\0\0\x01half"]
)
def test_a_peer_that_stops_in_the_middle_keeps_nobody(
    served: ServedPlugin, kubelet: GrpcioPlugin, data: bytes
) -> None:
    """Silence and truncated frames cost others nothing, whether it stays or goes."""
    with connect(served.path) as peer:
        send(peer, data)
        assert still_well(kubelet)
    assert still_well(kubelet)


def test_connections_are_bounded(served: ServedPlugin, kubelet: GrpcioPlugin) -> None:
    """The oldest that calls nothing makes way for the one too many; kubelet's stays."""
    peers = [connect(served.path) for _ in range(MAX_CONNECTIONS + 5)]
    try:
        assert all(is_dropped(peer) for peer in peers[:5])
        send(peers[-1], PREFACE + EMPTY_SETTINGS)
        assert peers[-1].recv(9)[3] == 4  # it is greeted with a SETTINGS frame
        assert still_well(kubelet)
    finally:
        for peer in peers:
            peer.close()


def test_processes_of_other_users_are_refused(
    served: ServedPlugin, kubelet: GrpcioPlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only root and our own user may talk to the plugin, whatever the file's mode."""
    with monkeypatch.context() as pretending:
        pretending.setattr(
            "numa_trio.kubelet.rpc.server.peer_of", lambda _connection: Peer(1, os.geteuid() + 1)
        )
        with connect(served.path) as peer:
            send(peer, PREFACE + EMPTY_SETTINGS)
            assert is_dropped(peer)
    assert still_well(kubelet)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_real_process_of_another_user_is_refused(tmp_path: Path) -> None:
    """As above, with a process of uid 65534 and a socket that its mode would let in."""
    tmp_path.chmod(0o755)
    for parent in itertools.takewhile(lambda path: path != Path("/tmp"), tmp_path.parents):
        parent.chmod(0o755)
    program = (
        "import os, socket, sys\n"
        "os.setuid(int(sys.argv[1]))\n"
        "peer = socket.socket(socket.AF_UNIX); peer.settimeout(60); peer.connect(sys.argv[2])\n"
        "try: print(len(peer.recv(1)))\n"
        "except ConnectionResetError: print(0)"
    )
    with ServedPlugin(tmp_path / "numa-1.sock") as served:
        served.path.chmod(0o666)
        for user, greeted in ((65534, "0\n"), (0, "1\n")):
            command = [sys.executable, "-c", program, str(user), str(served.path)]
            shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            assert shown == greeted


FRAMES = st.builds(
    frame,
    kind=st.integers(0, 12),
    flags=st.integers(0, 255),
    stream=st.integers(0, 9) | st.integers(0, 2**32 - 1),
    payload=st.binary(max_size=64),
)
BYTES = st.one_of(
    st.binary(max_size=256),
    st.builds(lambda tail: PREFACE + tail, st.binary(max_size=256)),
    st.builds(
        lambda frames: PREFACE + EMPTY_SETTINGS + b"".join(frames), st.lists(FRAMES, max_size=8)
    ),
)


@settings(max_examples=300)
@given(data=BYTES)
def test_no_bytes_whatever_hurt_a_good_client(
    served: ServedPlugin, kubelet: GrpcioPlugin, data: bytes
) -> None:
    """Random bytes and random frames: the good client still gets its answer."""
    with connect(served.path) as peer:
        send(peer, data)
    assert still_well(kubelet)


@pytest.mark.slow
@settings(max_examples=20_000)
@given(data=BYTES)
def test_no_bytes_whatever_hurt_a_good_client_in_the_long_run(
    served: ServedPlugin, kubelet: GrpcioPlugin, data: bytes
) -> None:
    """The same with many more inputs, for the slow tier."""
    with connect(served.path) as peer:
        send(peer, data)
    assert still_well(kubelet)
