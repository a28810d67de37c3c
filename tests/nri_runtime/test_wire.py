"""The stand-in's wire: mux and ttrpc in any pieces, and what it does with those who break it."""

import struct
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from nri_runtime import mux, ttrpc
from nri_runtime.connection import Gone, Refused
from nri_runtime.cri import Container, Pod
from nri_runtime.library import EVENTS
from nri_runtime.messages import CreateContainerRequest, Empty, Request, StateChangeEvent
from nri_runtime.plugin import Plugin, adjustment, open_plugin
from nri_runtime.runtime import StandInRuntime, open_runtime

MESSAGES = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=200)), max_size=8)


@given(sent=MESSAGES, size=st.integers(1, 64), read=st.integers(1, 64))
def test_any_cut_is_joined_again(sent: list[tuple[int, bytes]], size: int, read: int) -> None:
    """However the frames are cut, the connections mixed and the socket read."""
    pieces: dict[int, list[bytes]] = {1: [], 2: []}
    for number, (connection, data) in enumerate(sent):
        message = ttrpc.frame(number, ttrpc.REQUEST, data)
        pieces[connection] += [mux.frame(connection, one) for one in mux.pieces_of(size)(message)]
    mixed = b""
    while any(pieces.values()):
        for waiting in pieces.values():
            mixed += waiting.pop(0) if waiting else b""
    demux, joiners, received = mux.Demux(), {1: ttrpc.Joiner(), 2: ttrpc.Joiner()}, []
    for start in range(0, len(mixed), read):
        for connection, payload in demux.feed(mixed[start : start + read]):
            for frame in joiners[connection].feed(payload):
                received += [(frame.stream, connection, frame.data)]
    assert sorted(received) == [(n, one, data) for n, (one, data) in enumerate(sent)]


def test_a_writer_with_a_buffer_fills_it_and_sends_the_rest_as_it_is() -> None:
    """The first frame has 4096 bytes, the second all the others."""
    assert [len(piece) for piece in mux.buffered(bytes(10_000))] == [4096, 5904]
    assert [len(piece) for piece in mux.buffered(bytes(4096))] == [4096]


@pytest.mark.parametrize(
    ("cut", "size"),
    [(mux.pieces_of(1), 100), (mux.in_full_frames, 100_000), (mux.buffered, 100_000)],
)
async def test_messages_come_over_however_they_are_cut(
    tmp_path: Path, cut: mux.Cut, size: int
) -> None:
    """Byte by byte, in frames of 4096 bytes, or all but the first of these at once."""
    async with open_runtime(tmp_path / "nri", cut=cut) as runtime:
        await runtime.start()
        async with open_plugin(runtime.socket_path) as plugin:
            await runtime.wait_plugins(1)
            pad = "x" * size
            await runtime.create_container(Pod("db"), Container("app", annotations={"pad": pad}))
            [told] = plugin.told("CreateContainer")
            assert told.container.annotations["pad"] == pad


@pytest.mark.parametrize(("size", "taken"), [(4096, True), (4097, False)])
async def test_a_payload_that_does_not_fit_costs_the_connection(
    runtime: StandInRuntime, size: int, taken: bool
) -> None:
    """The runtime reads into 4096 bytes."""
    async with open_plugin(runtime.socket_path, cut=mux.pieces_of(size)) as plugin:
        await runtime.wait_plugins(1)
        with pytest.raises(Refused if taken else Gone):
            await plugin.connection.call("Unknown", bytes(5000))
        await runtime.wait_plugins(1 if taken else 0)


async def test_an_answer_may_be_larger_than_a_frame(runtime: StandInRuntime) -> None:
    """In pieces of 4096 bytes it is fine."""

    async def pin(_: object) -> object:
        await trio.lowlevel.checkpoint()
        answer = adjustment(cpus="0")
        answer.update.add(container_id="x" * 20_000, ignore_failure=True)
        return answer

    async with open_plugin(runtime.socket_path, Plugin(handlers={"CreateContainer": pin})):
        await runtime.wait_plugins(1)
        made = await runtime.create_container(Pod("db"), Container("app"))
        assert made.resources.cpus == "0"


@pytest.mark.parametrize(
    ("service", "method", "stream", "code"),
    [
        ("Runtime", "Dance", 3, ttrpc.UNIMPLEMENTED),
        ("Plugin", "UpdateContainers", 3, ttrpc.UNIMPLEMENTED),
        ("Runtime", "UpdateContainers", 2, ttrpc.INVALID_ARGUMENT),
        ("Runtime", "UpdateContainers", 1, ttrpc.INVALID_ARGUMENT),
    ],
)
async def test_odd_calls_are_refused(
    runtime: StandInRuntime, service: str, method: str, stream: int, code: int
) -> None:
    """Unknown methods and services, and streams that are not odd and rising."""
    async with open_plugin(runtime.socket_path) as plugin:
        await runtime.wait_plugins(1)
        plugin.connection.next_stream = stream
        with pytest.raises(Refused) as refused:
            await plugin.connection.call(method, b"", service=service)
        assert refused.value.code == code


async def test_a_request_tells_how_long_it_may_take(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """What is left of the runtime's time, in nanoseconds, and containerd's namespace."""
    seen: list[Any] = []
    async with open_runtime(tmp_path / "nri", request_timeout=1.5) as runtime:
        await runtime.start()
        stream = await trio.open_unix_socket(str(runtime.socket_path))
        async with stream:
            demux, joiner = mux.Demux(), ttrpc.Joiner()
            register = ttrpc.request(1, "Runtime", "RegisterPlugin", b"\x0a\x01a\x12\x0290")
            await stream.send_all(mux.frame(mux.RUNTIME, register))
            while len(seen) < 1:
                for connection, payload in demux.feed(await stream.receive_some(65536)):
                    if connection == mux.PLUGIN:
                        seen += [Request.FromString(one.data) for one in joiner.feed(payload)]
    [configure] = seen
    assert (configure.service, configure.method) == ("nri.pkg.api.v1alpha1.Plugin", "Configure")
    assert configure.timeout_nano == pytest.approx(1.5e9)


ALL_EVENTS = [EVENTS[number] for number in (1, 4, 5, 6, 7, 8, 9, 10, 11)]


@pytest.mark.parametrize(
    ("library", "has_methods", "by_method"),
    [
        ((0, 6, 1), True, ["CreateContainer", "UpdateContainer", "StopContainer"]),
        ((0, 12, 0), False, ["CreateContainer", "UpdateContainer", "StopContainer"]),
        ((0, 12, 0), True, ALL_EVENTS),
    ],
)
async def test_other_events_are_told_to_who_wants_them(
    tmp_path: Path, library: tuple[int, int, int], has_methods: bool, by_method: list[str]
) -> None:
    """As StateChange; from 0.12 on by their own methods, if the plugin has these."""
    plugin = Plugin(events=0)
    if has_methods:
        plugin.known = {**dict.fromkeys(ALL_EVENTS, CreateContainerRequest), **plugin.known}
    async with open_runtime(tmp_path / "nri", library=library) as runtime:
        await runtime.start()
        async with open_plugin(runtime.socket_path, plugin):
            await runtime.wait_plugins(1)
            made = await runtime.create_container(Pod("db"), Container("app"))
            await runtime.update_container(made.id, cpus="1")
            await runtime.stop_container(made.id)
            await runtime.remove_container(made.id)
    assert [method for method, _ in plugin.heard if method in ALL_EVENTS] == by_method
    changed = [EVENTS[one.event] for one in plugin.told("StateChange")]
    assert changed == [event for event in ALL_EVENTS if event not in by_method]


def test_headers_are_big_endian() -> None:
    """Of the mux and of ttrpc alike."""
    message = ttrpc.frame(5, ttrpc.RESPONSE, b"ab")
    assert message == struct.pack(">IIBB", 2, 5, 2, 0) + b"ab"
    assert mux.frame(2, message)[:8] == struct.pack(">II", 2, 12)
    assert StateChangeEvent(event=3).SerializeToString() == b"\x08\x03"
    assert Empty().SerializeToString() == b""
