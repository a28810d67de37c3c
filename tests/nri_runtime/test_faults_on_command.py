"""The stand-in misbehaves as it is told to: what a plugin sees of it, and who is not disturbed."""

from collections import Counter
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from nri_runtime import faults, mux, ttrpc
from nri_runtime.connection import TooSlow
from nri_runtime.cri import Container, Pod
from nri_runtime.messages import Response
from nri_runtime.plugin import Plugin, open_plugin
from nri_runtime.runtime import StandInRuntime, open_runtime


@pytest.mark.parametrize("method", ["Configure", "Synchronize"])
async def test_a_silent_runtime_leaves_out_a_call(
    autojump_clock: MockClock, runtime: StandInRuntime, method: str
) -> None:
    """For good, and the connection stays; who comes when that one has gone is served."""
    runtime.faults.silent.add(method)
    async with open_plugin(runtime.socket_path) as plugin:
        await trio.sleep(3600)
        assert not plugin.told(method)
        assert not plugin.connection.closed.is_set()
        runtime.faults.silent.clear()
    async with open_plugin(runtime.socket_path):
        await runtime.wait_plugins(1)


async def test_the_answer_to_a_registration_may_never_come(
    autojump_clock: MockClock, runtime: StandInRuntime
) -> None:
    """The plugin is configured and asked all the same."""
    runtime.faults.silent.add("RegisterPlugin")
    async with open_plugin(runtime.socket_path, register=False) as plugin:
        deadline = trio.current_time() + 60
        with pytest.raises(TooSlow):
            await plugin.connection.call("RegisterPlugin", b"\x0a\x01a\x12\x0290", deadline)
        await runtime.wait_plugins(1)
        await runtime.create_container(Pod("db"), Container("app"))
        assert plugin.told("CreateContainer")


async def test_calls_and_answers_are_late(
    autojump_clock: MockClock, runtime: StandInRuntime
) -> None:
    """By as much as was said; the time for an answer begins with the call."""
    runtime.faults.delays = {"RegisterPlugin": 3, "Configure": 1, "Synchronize": 7}
    began = trio.current_time()
    async with open_plugin(runtime.socket_path):
        assert trio.current_time() - began == pytest.approx(3)
        await runtime.wait_plugins(1)
        assert trio.current_time() - began == pytest.approx(8)
        [asked] = runtime.recorder.of("Synchronize")
        assert asked.took < 0.1


async def test_a_creation_that_is_not_told(runtime: StandInRuntime) -> None:
    """A silent CreateContainer makes the container without asking."""
    runtime.faults.silent.add("CreateContainer")
    async with open_plugin(runtime.socket_path) as plugin:
        await runtime.wait_plugins(1)
        await runtime.create_container(Pod("db"), Container("app"))
        assert not plugin.told("CreateContainer")


async def read_all(stream: trio.SocketStream) -> bytes:
    return b"".join([data async for data in stream])


async def test_garbage_and_half_a_frame(tmp_path: Path) -> None:
    """Bytes on either logical connection, on the socket itself, and an end within a frame."""
    async with open_runtime(tmp_path / "nri") as runtime:
        runtime.faults.silent.add("Configure")
        await runtime.start()
        stream = await trio.open_unix_socket(str(runtime.socket_path))
        async with stream:
            await runtime.recorder.wait_until(lambda: bool(runtime.peers))
            connection = runtime.peers[0].connection
            await faults.garbage_on(connection, mux.PLUGIN, b"HTTP/1.1 400")
            await faults.garbage_on(connection, mux.RUNTIME, b"\xff" * 20)
            await faults.garbage_instead_of_frames(connection, b"\0" * 3)
            await faults.half_a_frame(connection)
            seen = await read_all(stream)
        first = mux.frame(mux.PLUGIN, b"HTTP/1.1 400") + mux.frame(mux.RUNTIME, b"\xff" * 20)
        assert seen.startswith(first + b"\0" * 3)
        rest = seen.removeprefix(first + b"\0" * 3)
        length = int.from_bytes(rest[4:8])
        assert rest[:4] == b"\0\0\0\1"
        assert 0 < len(rest) - 8 < length


async def test_calls_and_answers_by_wrong_numbers(runtime: StandInRuntime) -> None:
    """An even stream, one that was used before, and an answer to nothing."""
    async with open_plugin(runtime.socket_path) as plugin:
        connection = (await runtime.wait_plugins(1))[0].connection
        await faults.call_by_number(connection, 2, "StateChange")
        await faults.call_by_number(connection, 1, "StateChange")
        await faults.answer_nothing_that_was_asked(connection, 77)
        await runtime.create_container(Pod("db"), Container("app"))
        refusals = await connection.wait_unexpected(2)
        assert sorted(frame.stream for frame in refusals) == [1, 2]
        [unasked] = await plugin.connection.wait_unexpected(1)
        assert unasked.stream == 77


@pytest.mark.parametrize("method", ["Shutdown", "Dance"])
async def test_methods_that_the_plugin_does_not_know(runtime: StandInRuntime, method: str) -> None:
    """Its answer says so, and it is asked as ever."""
    async with open_plugin(runtime.socket_path):
        connection = (await runtime.wait_plugins(1))[0].connection
        await faults.call_by_number(connection, 101, method)
        connection.next_stream = 103
        await runtime.create_container(Pod("db"), Container("app"))
        [frame] = await connection.wait_unexpected(1)
        assert Response.FromString(frame.data).status.code == ttrpc.UNIMPLEMENTED


async def test_a_huge_message_and_a_flood(runtime: StandInRuntime) -> None:
    """More than 4 MiB at once, and a thousand calls; a plugin that reads gets all of it."""
    async with open_plugin(runtime.socket_path, Plugin(events=0x88)) as plugin:
        connection = (await runtime.wait_plugins(1))[0].connection
        await faults.huge_message(connection, (4 << 20) + 1)
        await faults.flood(connection, 1_000)
        await runtime.create_container(Pod("db"), Container("app"))
        answers = await connection.wait_unexpected(1_001)
        assert len(plugin.told("StateChange")) == 1_000
        codes = Counter(Response.FromString(one.data).status.code for one in answers)
        assert codes == {0: 1_000, ttrpc.RESOURCE_EXHAUSTED: 1}
