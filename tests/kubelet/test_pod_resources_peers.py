"""Kubelet's pod-resources API is asked where its socket is; whatever answers, we go on."""

import logging
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from grpcio_pod_resources import GrpcioPodResources
from http2_peer import EMPTY_SETTINGS, frame
from numa_trio.kubelet.errors import PodResourcesUnavailable
from numa_trio.kubelet.pod_resources import KNOWN_SOCKETS, choose_pod_resources_socket
from numa_trio.kubelet.rpc import pod_resources_client
from numa_trio.kubelet.rpc.limits import MAX_ANSWER_BYTES
from numa_trio.kubelet.rpc.loop import open_bridge
from numa_trio.kubelet.rpc.pod_resources_client import DEADLINE, connect_pod_resources
from numa_trio.plugin.holdings import Allocatable
from pod_resources_peers import (
    BEGIN,
    END,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    GRPC,
    PING,
    PUSH,
    RESET,
    SETTINGS,
    STATUS_200,
    WINDOW,
    BadPeer,
    data,
    headers,
    message,
)

# --- where the socket is


def test_the_socket_is_below_the_root_directories_of_the_distributions() -> None:
    """Of k0s and MicroK8s, which have one of their own, and of those with the standard one."""
    assert KNOWN_SOCKETS[0] == Path("/var/lib/kubelet/pod-resources/kubelet.sock")
    assert Path("/var/lib/k0s/kubelet/pod-resources/kubelet.sock") in KNOWN_SOCKETS
    microk8s = "/var/snap/microk8s/common/var/lib/kubelet/pod-resources/kubelet.sock"
    assert Path(microk8s) in KNOWN_SOCKETS


def test_chooses_a_living_socket_before_a_dead_one(tmp_path: Path) -> None:
    """Configured; else alive; else there; else the standard one: and it says why."""
    known = [tmp_path / name for name in ("standard.sock", "k0s.sock", "microk8s.sock")]
    chosen = choose_pod_resources_socket(None, known)
    assert (chosen.path, "the standard one" in chosen.reason) == (known[0], True)
    known[0].touch()  # no socket
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(known[1]))
    chosen = choose_pod_resources_socket(None, known)
    assert (chosen.path, "nobody listens" in chosen.reason) == (known[1], True)
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(known[2]))
        alive.listen()
        chosen = choose_pod_resources_socket(None, known)
        assert (chosen.path, "kubelet listens" in chosen.reason) == (known[2], True)
        configured = choose_pod_resources_socket(known[0], known)
        assert configured.path == known[0]
        assert "NUMA_POD_RESOURCES_SOCKET" in configured.reason


def test_directories_that_may_not_be_read_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the socket there counts as not found."""

    def refuse(*_arguments: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as refusing:
        refusing.setattr(os, "stat", refuse)
        chosen = choose_pod_resources_socket(None, [tmp_path / "kubelet.sock"])
    assert "the standard one" in chosen.reason


# --- whoever answers


@pytest.fixture
async def bridge() -> AsyncIterator[None]:
    async with open_bridge():
        yield


async def refusal(path: Path) -> str:
    """Why a look at this socket fails."""
    with pytest.raises(PodResourcesUnavailable) as failure:
        async with connect_pod_resources(path) as kubelet:
            await kubelet.allocatable()
    assert str(failure.value).startswith(f"{path}: GetAllocatableResources: ")
    assert len(str(failure.value)) < 700
    return str(failure.value)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_missing_socket_says_so(bridge: None, tmp_path: Path) -> None:
    """And what may be the reason."""
    assert "no such socket" in await refusal(tmp_path / "kubelet.sock")
    (tmp_path / "file").touch()
    assert "no such socket" in await refusal(tmp_path / "file" / "kubelet.sock")


async def test_a_dead_socket_says_so(bridge: None, tmp_path: Path) -> None:
    """Kubelet leaves it behind when it stops."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "kubelet.sock"))
    assert "kubelet is down" in await refusal(tmp_path / "kubelet.sock")


async def test_a_path_that_is_too_long_says_so(bridge: None, tmp_path: Path) -> None:
    """A Unix socket's has 107 bytes at most."""
    assert "too long" in await refusal(tmp_path / ("x" * 200))


async def test_silence_ends_after_the_timeout(
    bridge: None, tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A kubelet that hangs: its socket accepts, and nothing comes."""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "kubelet.sock"))
        silent.listen()
        started = trio.current_time()
        assert "no answer within 5 s" in await refusal(tmp_path / "kubelet.sock")
        assert trio.current_time() - started == pytest.approx(DEADLINE)


HELLO = ("some-header", "héllo")

NONSENSE: dict[str, tuple[bytes, str]] = {
    "no HTTP/2 at all": (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no proper answer"),
    "random bytes": (bytes(range(256)) * 40, "no proper answer"),
    "unknown frame": (EMPTY_SETTINGS + frame(0x99, 0, 0, b"????"), "no proper answer"),
    "push promise": (EMPTY_SETTINGS + frame(PUSH, 4, 1, b"\0\0\0\2"), "no proper answer"),
    "broken header compression": (
        EMPTY_SETTINGS + frame(1, END_HEADERS, 1, b"\xff" * 40),
        "no proper answer",
    ),
    "header text that is not ASCII": (EMPTY_SETTINGS + headers(STATUS_200, HELLO), "no proper"),
    "stream reset": (BEGIN + frame(RESET, 0, 1, b"\0\0\0\2"), "broke"),
    "goodbye": (EMPTY_SETTINGS + frame(GOAWAY, 0, 0, bytes(8)), "broke"),
    "a web server": (EMPTY_SETTINGS + headers((":status", "503")), "UNAVAILABLE"),
    "no status": (EMPTY_SETTINGS + headers(GRPC), "no proper answer"),
    "another content": (
        EMPTY_SETTINGS + headers(STATUS_200, ("content-type", "text/html")),
        "content-type",
    ),
    "an answer without an end": (BEGIN + data(message(b"", length=100)) + END, "no proper answer"),
    "an answer without a message": (BEGIN + END, "no proper answer"),
    "half a prefix": (BEGIN + data(b"\0\0") + END, "no proper answer"),
    "a compressed answer": (BEGIN + data(message(b"x", compressed=True)) + END, "compressed"),
    "an answer of 1 GiB": (BEGIN + data(message(b"", length=1 << 30)), "16777216 are the most"),
    "one byte more than 16 MiB": (
        BEGIN + data(message(b"", length=MAX_ANSWER_BYTES + 1)),
        "16777216 are the most",
    ),
    "no protobuf": (BEGIN + data(message(b"\x0a\x7f")) + END, "no such message"),
    "no gRPC status": (
        BEGIN + data(message(b"")) + headers(("a", "b"), flags=END_HEADERS | END_STREAM),
        "grpc-status",
    ),
    "an unknown gRPC status": (
        BEGIN + data(message(b"")) + headers(("grpc-status", "x"), flags=END_HEADERS | END_STREAM),
        "grpc-status",
    ),
    "an error after the message": (
        BEGIN
        + data(message(b""))
        + headers(
            ("grpc-status", "13"),
            ("grpc-message", "sorry" * 1000),
            flags=END_HEADERS | END_STREAM,
        ),
        "INTERNAL: sorry",
    ),
    "pings without end": (EMPTY_SETTINGS + frame(PING, 0, 0, bytes(8)) * 20_000, "frames"),
    "settings without end": (frame(SETTINGS, 0, 0, b"") * 20_000, "frames"),
    "windows without end": (
        EMPTY_SETTINGS + frame(WINDOW, 0, 0, b"\0\0\0\1") * 20_000,
        "frames",
    ),
    "crumbs": (
        BEGIN + data(message(b"", length=60_000)) + data(b"x") * 15_000,
        "frames",
    ),
    "empty data without end": (BEGIN + data(b"") * 20_000, "frames"),
}


@pytest.mark.parametrize("leaves", [False, True])
@pytest.mark.parametrize("kind", NONSENSE)
async def test_nonsense_ends_the_look_and_nothing_else(
    bridge: None, tmp_path: Path, kind: str, leaves: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """It is one error with a reason; the connection is closed, and the loop has no complaint."""
    nonsense, reason = NONSENSE[kind]
    caplog.set_level(logging.WARNING)
    async with BadPeer(tmp_path / "kubelet.sock", nonsense, leaves=leaves) as peer:
        with trio.fail_after(30):
            message = await refusal(tmp_path / "kubelet.sock")
    if not leaves:
        assert reason in message
    assert peer.hung_up.is_set() or leaves
    assert not caplog.records


async def test_a_peer_that_leaves_at_once_says_so(bridge: None, tmp_path: Path) -> None:
    """Whether it hears the question or not."""
    for listens in (False, True):
        path = tmp_path / f"{listens}.sock"
        async with BadPeer(path, b"", listens=listens, leaves=True):
            assert "broke" in await refusal(path)


@pytest.mark.parametrize(
    "begun",
    [b"", EMPTY_SETTINGS, BEGIN, BEGIN + data(message(b"", length=9)), BEGIN + data(message(b""))],
)
async def test_a_peer_that_stops_in_the_middle_is_left(
    bridge: None, tmp_path: Path, begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the timeout, which covers the whole call."""
    monkeypatch.setattr(pod_resources_client, "DEADLINE", 0.05)
    async with BadPeer(tmp_path / "kubelet.sock", begun, leaves=False) as peer:
        assert "no answer within 0.05 s" in await refusal(tmp_path / "kubelet.sock")
    assert peer.hung_up.is_set()


async def test_frames_of_nothing_are_not_the_end(bridge: None, tmp_path: Path) -> None:
    """An empty frame of data within an answer is allowed, and says nothing."""
    answer = message(b"\x12\x01\x03")
    pieces = BEGIN + data(b"") + data(answer[:2]) + data(b"") + data(answer[2:]) + data(b"") + END
    path = tmp_path / "kubelet.sock"
    async with BadPeer(path, pieces, leaves=False), connect_pod_resources(path) as kubelet:
        assert await kubelet.allocatable() == Allocatable(frozenset({3}))


REFUSALS = {
    grpc.StatusCode.RESOURCE_EXHAUSTED: "100 calls a second",
    grpc.StatusCode.UNIMPLEMENTED: "Kubernetes 1.28",
    grpc.StatusCode.PERMISSION_DENIED: "PERMISSION_DENIED: no",
}


@pytest.mark.parametrize("code", REFUSALS)
async def test_a_refusal_is_told_with_its_code(
    bridge: None, tmp_path: Path, code: grpc.StatusCode
) -> None:
    """And with what may be the reason; the next call works."""
    server = GrpcioPodResources()
    server.allocatable = lambda context: context.abort(code, "no")
    path = tmp_path / "kubelet.sock"
    with server.served(path):
        told = await refusal(path)
        assert f"{code.name}: no" in told
        assert REFUSALS[code] in told
        async with connect_pod_resources(path) as kubelet:
            assert await kubelet.list_holdings() == ()


async def test_each_call_of_a_connection_may_be_answered_at_length(
    bridge: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was received for earlier calls does not count."""
    monkeypatch.setattr(pod_resources_client, "_MOST_FOR_AN_ANSWER", 100_000)
    server = GrpcioPodResources()
    server.allocatable = field_of(b"x" * 60_000)
    with server.served(tmp_path / "kubelet.sock"):
        async with connect_pod_resources(tmp_path / "kubelet.sock") as kubelet:
            for _ in range(5):
                assert await kubelet.allocatable() == Allocatable()
            server.allocatable = field_of(b"x" * 120_000)
            with pytest.raises(PodResourcesUnavailable, match="more than 100000 bytes"):
                await kubelet.allocatable()
            server.allocatable = b""
            assert await kubelet.allocatable() == Allocatable()


def field_of(content: bytes) -> bytes:
    """A device, which is not looked at, of less than 2 MiB."""
    length = len(content)
    return (
        b"\x0a" + bytes([length & 0x7F | 0x80, length >> 7 & 0x7F | 0x80, length >> 14]) + content
    )


async def test_nothing_stays_behind(bridge: None, tmp_path: Path) -> None:
    """However a look ends, its connection is closed with it."""
    path = tmp_path / "kubelet.sock"
    with GrpcioPodResources().served(path):

        async def look() -> None:
            async with connect_pod_resources(path) as kubelet:
                await kubelet.allocatable()
                await kubelet.list_holdings()

        async def given_up() -> None:
            with trio.move_on_after(0):
                await look()

        async def refused() -> None:
            await refusal(tmp_path / "other.sock")

        ways: tuple[Callable[[], object], ...] = (look, given_up, refused)
        await look()
        before = open_files()
        for way in ways * 5:
            await way()  # type: ignore[misc]  # each is async
        await wait_all_tasks_blocked()
        assert open_files() <= before
