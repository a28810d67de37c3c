"""Lists of devices on their way to kubelet: never an old one, never kept twice."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio

from numa_trio.kubelet.api import v1beta1 as api
from numa_trio.kubelet.errors import PluginUnavailable
from numa_trio.kubelet.plugin_socket import PluginSocket
from numa_trio.kubelet.rpc import device_list
from numa_trio.kubelet.rpc.calls import CallOfGeneratedCode
from numa_trio.kubelet.rpc.loop import open_bridge
from numa_trio.kubelet.rpc.plugin_client import connect_plugin
from numa_trio.kubelet.rpc.plugin_server import PluginServer
from numa_trio.plugin.messages import Device
from numa_trio.plugin.resource import NumaResource

Received = trio.MemoryReceiveChannel[Sequence[Device]]
LONG = 6 * device_list._ENCODED_AT_ONCE


@asynccontextmanager
async def served(path: Path, server: PluginServer) -> AsyncIterator[Received]:
    """The lists of a stream that is open meanwhile."""
    send, receive = trio.open_memory_channel[Sequence[Device]](100)

    async def follow() -> None:
        with suppress(PluginUnavailable):
            async with connect_plugin(path) as plugin:
                await plugin.list_and_watch(send.send_nowait)

    with PluginSocket.bind(path) as bound, trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve, bound.listener)
            nursery.start_soon(follow)
            yield receive
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("changes_at", [1, 14, 29])
async def test_an_update_while_a_long_list_is_encoded_reaches_the_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes_at: int
) -> None:
    """Whichever part is being encoded: the last list that the stream sends is the last one."""
    healthy = NumaResource.of_node(1, LONG)
    encode, hundreds = device_list.encode_device, 0

    def encode_and_change(device: Device) -> api.Device:
        nonlocal hundreds
        if device.healthy and device.id.endswith("00"):
            hundreds += 1
            if hundreds == changes_at:
                server.update(healthy.with_health(False))
        return encode(device)

    monkeypatch.setattr(device_list, "encode_device", encode_and_change)
    async with open_bridge():
        server = PluginServer(healthy, lambda _streams: None)
        async with served(tmp_path / "numa-1.sock", server) as lists:
            while (devices := await lists.receive())[0].healthy:
                pass
            assert len(devices) == LONG
            assert not any(device.healthy for device in devices)
            assert hundreds >= changes_at


async def test_a_list_is_encoded_once_for_all_generations_of_kubelet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To encode a long one takes seconds, which a kubelet that restarts should not wait for."""
    encoded: list[Device] = []
    encode = device_list.encode_device

    def encode_and_note(device: Device) -> api.Device:
        encoded.append(device)
        return encode(device)

    monkeypatch.setattr(device_list, "encode_device", encode_and_note)
    async with open_bridge():
        server = PluginServer(NumaResource.of_node(1, LONG), lambda _streams: None)
        for _ in range(3):
            async with served(tmp_path / "numa-1.sock", server) as lists:
                assert len(await lists.receive()) == LONG
                await server.end_streams()
    assert len(encoded) == LONG


async def test_health_that_flutters_leaves_the_stream_with_the_last(tmp_path: Path) -> None:
    """To and fro while lists are encoded and sent."""
    healthy = NumaResource.of_node(1, LONG)
    async with open_bridge():
        server = PluginServer(healthy, lambda _streams: None)
        async with served(tmp_path / "numa-1.sock", server) as lists:
            await lists.receive()
            for _ in range(10):
                server.update(healthy.with_health(False))
                await trio.lowlevel.checkpoint()
                server.update(healthy)
                await trio.lowlevel.checkpoint()
            server.update(healthy.with_health(False))
            while (await lists.receive())[0].healthy:
                pass


class Sent:
    """Notes what is sent."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    async def send_headers(self, _headers: object) -> None:
        assert not self.pieces

    async def send_data(self, data: bytes) -> None:
        self.pieces.append(data)


@pytest.mark.parametrize("devices", [0, 1, 399, 400, 401, 5_000])
async def test_a_long_message_is_sent_in_pieces(devices: int) -> None:
    """None is larger than a frame, so little waits for who does not read; together it is all."""
    message = api.ListAndWatchResponse(
        devices=[api.Device(id="x" * 30, health="Healthy")] * devices
    )
    sent = Sent()
    call = CallOfGeneratedCode(sent, None)  # type: ignore[arg-type]  # as much as it uses
    await call.send_message(message)
    encoded = bytes(message)
    assert b"".join(sent.pieces) == b"\0" + len(encoded).to_bytes(4, "big") + encoded
    assert max(map(len, sent.pieces)) <= 16 * 1024
