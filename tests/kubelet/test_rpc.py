"""The bridge: both sides of the protocol, and what becomes of everything that goes wrong."""

import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from http2_peer import client, headers_of
from numa_trio.kubelet.errors import (
    KubeletUnavailable,
    PluginRefused,
    PluginUnavailable,
    RegistrationRefused,
)
from numa_trio.kubelet.plugin_socket import PluginSocket
from numa_trio.kubelet.rpc.kubelet_client import connect_kubelet
from numa_trio.kubelet.rpc.loop import open_bridge
from numa_trio.kubelet.rpc.plugin_client import PluginClient, connect_plugin
from numa_trio.kubelet.rpc.plugin_server import PluginServer
from numa_trio.kubelet.rpc.registration_server import serve_registration
from numa_trio.plugin.messages import (
    ContainerAllocation,
    Device,
    PluginOptions,
    PreferredAllocationRequest,
    Registration,
)
from numa_trio.plugin.resource import NumaResource
from numa_trio.repeated_event import RepeatedEvent

REGISTRATION = Registration("numa-align/numa-1", "numa-1.sock", options=PluginOptions(True, True))
PATIENCE = 30.0


@pytest.fixture
async def bridge() -> AsyncIterator[None]:
    async with open_bridge():
        yield


class Streams:
    """How many streams are open, as the server last told; can be waited for."""

    def __init__(self) -> None:
        self.open = 0
        self._changed = RepeatedEvent()

    def __call__(self, streams: int) -> None:
        self.open = streams
        self._changed.happen()

    async def become(self, streams: int) -> None:
        with trio.fail_after(PATIENCE):
            while self.open != streams:
                await self._changed.next().wait()


@pytest.fixture
def streams() -> Streams:
    return Streams()


@pytest.fixture
async def server(
    bridge: None, tmp_path: Path, streams: Streams, nursery: trio.Nursery
) -> AsyncIterator[PluginServer]:
    with PluginSocket.bind(tmp_path / "numa-1.sock") as bound:
        async with trio.open_nursery() as serving:
            made = PluginServer(NumaResource.of_node(1, 3), streams)
            await serving.start(made.serve, bound.listener)
            yield made
            serving.cancel_scope.cancel()


async def test_a_plugin_answers_every_call(server: PluginServer, tmp_path: Path) -> None:
    """Each call of the API, from our own client to our own server."""
    async with connect_plugin(tmp_path / "numa-1.sock") as plugin:
        assert await plugin.options() == PluginOptions()
        assert (
            await plugin.allocate([["numa-1-0"], ["numa-1-1", "numa-1-2"]])
            == [ContainerAllocation({"NUMA_NODE": "1"}, {"numa-align/node": "1"})] * 2
        )
        request = PreferredAllocationRequest(["numa-1-2", "numa-1-1"], [], 1)
        assert await plugin.preferred_allocation([request]) == [["numa-1-1"]]
        await plugin.pre_start_container(["numa-1-0"])
        with pytest.raises(PluginRefused, match=r"INVALID_ARGUMENT.*'numa-0-0'"):
            await plugin.allocate([["numa-0-0"]])


async def test_allocations_are_told_with_their_devices(
    bridge: None, tmp_path: Path, streams: Streams
) -> None:
    """Those of each container in the call; what is refused is no allocation."""
    told: list[list[list[str]]] = []

    def note(device_ids: Sequence[Sequence[str]]) -> None:
        told.append([list(ids) for ids in device_ids])

    path = tmp_path / "numa-1.sock"
    with PluginSocket.bind(path) as bound:
        async with trio.open_nursery() as serving:
            server = PluginServer(NumaResource.of_node(1, 3), streams, note)
            await serving.start(server.serve, bound.listener)
            async with connect_plugin(path) as plugin:
                await plugin.allocate([["numa-1-0"], ["numa-1-1", "numa-1-2"]])
                with pytest.raises(PluginRefused):
                    await plugin.allocate([["numa-1-0"], ["numa-0-0"]])
            serving.cancel_scope.cancel()
    assert told == [[["numa-1-0"], ["numa-1-1", "numa-1-2"]]]


async def test_every_stream_gets_every_change(
    server: PluginServer, tmp_path: Path, streams: Streams, nursery: trio.Nursery
) -> None:
    """The whole list when it opens, and again when the slots change."""
    send, receive = trio.open_memory_channel[Sequence[Device]](10)
    async with (
        connect_plugin(tmp_path / "numa-1.sock") as one,
        connect_plugin(tmp_path / "numa-1.sock") as other,
    ):
        await known_as_kubelet(server, one, other)
        for plugin in (one, other):
            nursery.start_soon(plugin.list_and_watch, send.send_nowait)
        await streams.become(2)
        assert [device.id for device in await receive.receive()] == [
            "numa-1-0",
            "numa-1-1",
            "numa-1-2",
        ]
        await receive.receive()
        server.update(NumaResource.of_node(1, 3).with_health(False))
        for _ in range(2):
            assert [device.healthy for device in await receive.receive()] == [False] * 3
        await server.end_streams()
        assert streams.open == 0


async def test_a_stream_counts_for_as_long_as_kubelet_holds_it(
    server: PluginServer, tmp_path: Path, streams: Streams
) -> None:
    """A peer that goes without a word is noticed at once."""
    async with trio.open_nursery() as nursery:
        async with connect_plugin(tmp_path / "numa-1.sock") as plugin:
            await known_as_kubelet(server, plugin)
            nursery.start_soon(_follow, plugin)
            await streams.become(1)
        await streams.become(0)


async def known_as_kubelet(server: PluginServer, *plugins: PluginClient) -> None:
    """Ask for the options as kubelet does before it answers Register."""
    with server.registering():
        for plugin in plugins:
            await plugin.options()


async def _follow(plugin: PluginClient) -> None:
    with suppress(PluginUnavailable):
        await plugin.list_and_watch(lambda _devices: None)


async def test_new_streams_after_an_end_are_served(
    server: PluginServer, tmp_path: Path, streams: Streams, nursery: trio.Nursery
) -> None:
    """end_streams() ends those that are open, not those to come."""
    async with connect_plugin(tmp_path / "numa-1.sock") as plugin:
        await known_as_kubelet(server, plugin)
        for _ in range(3):
            nursery.start_soon(_follow, plugin)
            await streams.become(1)
            await server.end_streams()
            assert streams.open == 0


async def test_a_peer_that_stops_reading_holds_nobody_up(
    bridge: None, tmp_path: Path, streams: Streams
) -> None:
    """Its stream is full: updates, the end of streams and the server's end take no longer."""
    with PluginSocket.bind(tmp_path / "numa-1.sock") as bound:
        async with trio.open_nursery() as serving:
            server = PluginServer(NumaResource.of_node(1, 5_000), streams)
            await serving.start(server.serve, bound.listener)
            with open_call(tmp_path / "numa-1.sock", "ListAndWatch"):
                await until(lambda: server.other_streams == 1)
                for healthy in (False, True, False):
                    server.update(NumaResource.of_node(1, 5_000).with_health(healthy))
                    await trio.sleep(0.01)
                with trio.fail_after(PATIENCE):
                    await server.end_streams()
                assert server.other_streams == 0
            with open_call(tmp_path / "numa-1.sock", "ListAndWatch"):
                await until(lambda: server.other_streams == 1)
                began = trio.current_time()
                serving.cancel_scope.cancel()
        assert trio.current_time() - began < 2.0
        assert server.other_streams == 0


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(PATIENCE):
        while not condition():
            await trio.sleep(0.001)


def open_call(path: Path, method: str) -> socket.socket:
    """A peer that makes a call without ever reading what comes."""
    peer = client()
    peer.send_headers(1, headers_of(method))
    peer.send_data(1, bytes(5), end_stream=True)
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(path))
    connection.sendall(peer.data_to_send())
    return connection


async def test_registration_reaches_kubelet_as_it_was_sent(
    bridge: None, tmp_path: Path, nursery: trio.Nursery
) -> None:
    """Version, endpoint, name and options; kubelet's refusal comes back in its words."""
    received: list[Registration] = []

    async def register(registration: Registration) -> None:
        received.append(registration)
        if registration.endpoint == "bad":
            raise RegistrationRefused("the ResourceName is invalid")

    with PluginSocket.bind(tmp_path / "kubelet.sock") as bound:
        async with trio.open_nursery() as serving:
            await serving.start(serve_registration, register, bound.listener)
            async with connect_kubelet(bound.path) as kubelet:
                await kubelet.register(REGISTRATION)
                with pytest.raises(RegistrationRefused, match="the ResourceName is invalid"):
                    await kubelet.register(Registration("x", "bad"))
            serving.cancel_scope.cancel()
    assert received[0] == REGISTRATION


async def test_many_registrations_at_once_are_all_made(bridge: None, tmp_path: Path) -> None:
    """A peer may allow fewer calls at once than there are resources, and drop who makes more."""
    received = []

    async def register(registration: Registration) -> None:
        await trio.sleep(0.01)
        received.append(registration.endpoint)

    with PluginSocket.bind(tmp_path / "kubelet.sock") as bound:
        async with trio.open_nursery() as serving:
            await serving.start(serve_registration, register, bound.listener)
            async with connect_kubelet(bound.path) as kubelet, trio.open_nursery() as registering:
                for number in range(100):
                    registration = Registration(f"numa-align/numa-{number}", f"{number}.sock")
                    registering.start_soon(kubelet.register, registration)
            serving.cancel_scope.cancel()
    assert len(received) == 100


@pytest.mark.parametrize("there", [True, False])
async def test_a_kubelet_that_is_not_there_is_unavailable(
    bridge: None, tmp_path: Path, there: bool
) -> None:
    """No file, or a dead one: the error names the path, and the next try connects anew."""
    path = tmp_path / "kubelet.sock"
    if there:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
    async with connect_kubelet(path) as kubelet:
        with pytest.raises(KubeletUnavailable, match=r"Connection refused|No such file"):
            await kubelet.register(REGISTRATION)


GARBAGE = {
    "HTTP/1.1": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "nothing, then the end": b"",
    "zeros": bytes(100),
    "a server that goes away": bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    + bytes([0, 0, 8, 7, 0, 0, 0, 0, 0])
    + bytes(8),
    "an answer that is no message": bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    + bytes([0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88]),
    "a frame of no known type": bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    + bytes([0, 0, 0, 0xEE, 0, 0, 0, 0, 0]),
}


@pytest.mark.parametrize("kind", GARBAGE)
async def test_a_kubelet_that_answers_garbage_is_tried_again(
    bridge: None, tmp_path: Path, nursery: trio.Nursery, kind: str
) -> None:
    """Whatever stands in for an answer becomes one of the errors that registration expects."""

    async def answer(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(GARBAGE[kind])
        await stream.aclose()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "kubelet.sock"))
        listener.listen()
        listeners = [trio.SocketListener(trio.socket.from_stdlib_socket(listener))]
        nursery.start_soon(trio.serve_listeners, answer, listeners)
        tried_again = (KubeletUnavailable, RegistrationRefused)
        async with connect_kubelet(tmp_path / "kubelet.sock") as kubelet:
            with trio.fail_after(PATIENCE), pytest.raises(tried_again):
                await kubelet.register(REGISTRATION)


async def test_a_kubelet_that_never_answers_is_given_up_in_time(
    autojump_clock: MockClock, bridge: None, tmp_path: Path
) -> None:
    """After the ten seconds that kubelet itself may take, and some."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "kubelet.sock"))
        listener.listen()
        async with connect_kubelet(tmp_path / "kubelet.sock") as kubelet:
            began = trio.current_time()
            with pytest.raises(KubeletUnavailable, match="no answer within 15 s"):
                await kubelet.register(REGISTRATION)
            assert trio.current_time() - began == pytest.approx(15, abs=0.5)


async def test_a_failing_callback_does_not_end_the_bridge(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What asyncio would hand to its default handler is logged, and the loop goes on."""
    import asyncio

    async with open_bridge():
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await wait_all_tasks_blocked()
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await wait_all_tasks_blocked()
    assert sum("ZeroDivisionError" in message for message in caplog.messages) == 2


async def test_a_server_gives_its_descriptors_back(bridge: None, tmp_path: Path) -> None:
    """Served and left twenty times, with a peer connected: no descriptor more."""

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    server = PluginServer(NumaResource.of_node(1, 3), lambda _streams: None)
    before = descriptors()
    for _ in range(20):
        with PluginSocket.bind(tmp_path / "numa-1.sock") as bound:
            async with trio.open_nursery() as serving:
                await serving.start(server.serve, bound.listener)
                async with connect_plugin(bound.path) as plugin:
                    await plugin.options()
                    serving.cancel_scope.cancel()
    await wait_all_tasks_blocked()
    assert descriptors() == before


async def test_cancelled_while_it_starts_a_server_leaves_no_reader(
    bridge: None, tmp_path: Path
) -> None:
    """Whatever takes the listener's descriptor next can be waited for, whenever the end came."""
    for steps in range(40):
        with PluginSocket.bind(tmp_path / "numa-1.sock") as bound:
            descriptor = bound.listener.fileno()
            server = PluginServer(NumaResource.of_node(1, 3), lambda _streams: None)
            async with trio.open_nursery() as serving:
                serving.start_soon(server.serve, bound.listener)
                for _ in range(steps):
                    await trio.lowlevel.checkpoint()
                serving.cancel_scope.cancel()
            assert bound.listener.fileno() == -1
        ours, theirs = socket.socketpair()
        with ours, theirs:
            assert descriptor in (ours.fileno(), theirs.fileno())
            with trio.move_on_after(0):
                await trio.lowlevel.wait_readable(descriptor)


async def test_a_connection_accepted_as_the_server_ends_ends_too(
    bridge: None, tmp_path: Path
) -> None:
    """One that is on its way from the listener to the server is not left behind."""
    for steps in range(40):
        with PluginSocket.bind(tmp_path / "numa-1.sock") as bound:
            async with trio.open_nursery() as serving:
                server = PluginServer(NumaResource.of_node(1, 3), lambda _streams: None)
                await serving.start(server.serve, bound.listener)
                with socket.socket(socket.AF_UNIX) as peer:
                    peer.connect(str(bound.path))
                    for _ in range(steps):
                        await trio.lowlevel.checkpoint()
                    serving.cancel_scope.cancel()
                    await wait_all_tasks_blocked()
                    peer.setblocking(False)
                    with suppress(ConnectionResetError):
                        while peer.recv(4096):
                            pass
