"""Each connection that is refused or cut off is told with its reason."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from attrs import define, field
from h2.config import H2Configuration
from h2.connection import H2Connection
from trio.testing import MockClock, wait_all_tasks_blocked

from numa_trio.kubelet.drop import Drop
from numa_trio.kubelet.plugin_socket import PluginSocket
from numa_trio.kubelet.rpc.limits import MAX_CONNECTIONS, MAX_RESETS
from numa_trio.kubelet.rpc.loop import open_bridge
from numa_trio.kubelet.rpc.plugin_client import connect_plugin
from numa_trio.kubelet.rpc.plugin_server import PluginServer
from numa_trio.kubelet.socket_file import Peer
from numa_trio.plugin.resource import NumaResource

LIST_AND_WATCH = [
    (":method", "POST"),
    (":scheme", "http"),
    (":authority", "localhost"),
    (":path", "/v1beta1.DevicePlugin/ListAndWatch"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
]
PATIENCE = 60.0  # seconds; only a slow machine ever needs more than one


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "numa-1.sock"


@define(eq=False)
class Served:
    """A server on a socket, whose list does not fit a peer's first window."""

    drops: list[Drop] = field(factory=list)
    streams: int = 0
    server: PluginServer = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.server = PluginServer(
            NumaResource.of_node(1, 5_000), self.count_streams, on_drop=self.drops.append
        )

    def count_streams(self, streams: int) -> None:
        self.streams = streams


@pytest.fixture
async def served(path: Path) -> AsyncIterator[Served]:
    async with open_bridge():
        with PluginSocket.bind(path) as bound:
            async with trio.open_nursery() as nursery:
                served = Served()
                await nursery.start(served.server.serve, bound.listener)
                yield served
                nursery.cancel_scope.cancel()


async def until_closed(stream: trio.abc.ReceiveStream) -> None:
    with trio.fail_after(PATIENCE):
        try:
            while await stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass


async def test_a_peer_that_comes_and_goes_is_no_drop(path: Path, served: Served) -> None:
    """Kubelet's own connections end too."""
    async with await trio.open_unix_socket(path) as stream:
        await stream.send_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4] + [0] * 5))
        await stream.receive_some()
    async with connect_plugin(path) as plugin:
        await plugin.options()
    assert served.drops == []


async def test_a_peer_that_talks_nonsense(path: Path, served: Served) -> None:
    """A preface that is none."""
    async with await trio.open_unix_socket(path) as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        await until_closed(stream)
    assert served.drops == [Drop.PROTOCOL_ERROR]


async def test_a_peer_of_another_user(
    path: Path, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is neither root nor us."""
    monkeypatch.setattr(
        "numa_trio.kubelet.rpc.server.peer_of", lambda _connection: Peer(1, os.geteuid() + 1)
    )
    async with await trio.open_unix_socket(path) as stream:
        await until_closed(stream)
    assert served.drops == [Drop.FOREIGN_UID]


async def test_one_peer_too_many(path: Path, served: Served) -> None:
    """The oldest, which call nothing, make way."""
    peers = [await trio.open_unix_socket(path) for _ in range(MAX_CONNECTIONS + 2)]
    await until_closed(peers[0])
    await until_closed(peers[1])
    for peer in peers:
        await peer.aclose()
    assert served.drops == [Drop.TOO_MANY] * 2


async def test_a_peer_that_does_not_read_the_end_of_its_stream(path: Path, served: Served) -> None:
    """Its stream is full, so that it cannot be told that the stream ends."""
    peer = H2Connection(H2Configuration(client_side=True))
    peer.initiate_connection()
    peer.send_headers(1, LIST_AND_WATCH)
    peer.send_data(1, bytes(5), end_stream=True)
    async with await trio.open_unix_socket(path) as stream:
        await stream.send_all(peer.data_to_send())
        with trio.fail_after(PATIENCE):
            while not served.server.other_streams:
                await trio.sleep(0.001)
            await served.server.end_streams()
    assert served.drops == [Drop.STALLED]


async def test_resets_of_an_earlier_minute_are_forgotten(
    autojump_clock: MockClock, path: Path, served: Served
) -> None:
    """Kubelet's connection lives for months; what counts is how many resets there are a minute."""
    peer = H2Connection(H2Configuration(client_side=True))
    peer.initiate_connection()

    async def reset_calls(count: int) -> None:
        for _ in range(count):
            call = peer.get_next_available_stream_id()
            peer.send_headers(call, LIST_AND_WATCH)
            peer.reset_stream(call)
            await stream.send_all(peer.data_to_send())
            await wait_all_tasks_blocked()

    async with await trio.open_unix_socket(path) as stream:
        for _ in range(3):
            await reset_calls(MAX_RESETS // 2)
            await trio.sleep(61)
        assert served.drops == []
        with pytest.raises(trio.BrokenResourceError):
            await reset_calls(MAX_RESETS * 2)
    assert served.drops == [Drop.PROTOCOL_ERROR]
