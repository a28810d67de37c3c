"""The runtime's life: its socket, its restarts, and the plugins that come and go."""

import os
import stat
import sys
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from nri_runtime.connection import Gone, Refused
from nri_runtime.cri import Container, Pod, State
from nri_runtime.plugin import Plugin, open_plugin
from nri_runtime.runtime import RuntimeIsDown, open_runtime

ROOT = Path(__file__).resolve().parents[1]


async def test_makes_its_socket_anew_in_a_directory_of_its_own(tmp_path: Path) -> None:
    """Nobody else may enter the directory; each start gives the socket another inode."""
    async with open_runtime(tmp_path / "nri") as runtime:
        await runtime.start()
        assert stat.S_IMODE(runtime.directory.stat().st_mode) == 0o700
        before = runtime.socket_path.lstat()
        held = os.open(runtime.socket_path, os.O_PATH)
        await runtime.stop(killed=True)
        assert runtime.socket_path.is_socket()
        await runtime.start()
        after = runtime.socket_path.lstat()
        os.close(held)
        assert after.st_ino != before.st_ino


async def test_who_is_stopped_takes_the_socket_along_and_who_is_killed_does_not(
    tmp_path: Path,
) -> None:
    """A plugin finds no file, or a dead one."""
    async with open_runtime(tmp_path / "nri") as runtime:
        await runtime.start()
        await runtime.stop()
        with pytest.raises(FileNotFoundError):
            await trio.open_unix_socket(str(runtime.socket_path))
        await runtime.start()
        await runtime.stop(killed=True)
        with pytest.raises(ConnectionRefusedError):
            await trio.open_unix_socket(str(runtime.socket_path))


async def test_plugins_see_the_end_of_the_connection_and_no_shutdown(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """A restart ends the connection without a word; containers live on and are shown again."""
    async with open_runtime(tmp_path / "nri") as runtime:
        await runtime.start()
        async with open_plugin(runtime.socket_path) as plugin:
            await runtime.wait_plugins(1)
            container = await runtime.create_container(Pod("db"), Container("app"))
            await runtime.restart()
            await plugin.connection.closed.wait()
            assert not plugin.told("Shutdown")
        async with open_plugin(runtime.socket_path) as plugin:
            await runtime.wait_plugins(1)
            [shown] = plugin.told("Synchronize")[0].containers
            assert (shown.id, shown.state) == (container.id, State.RUNNING)


async def test_what_is_asked_of_a_runtime_that_ends_is_not_done(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """Neither what comes after the end, nor what waits for a plugin when it comes."""

    async def say_nothing(_: object) -> None:
        await trio.sleep_forever()

    silent = Plugin(handlers={"CreateContainer": say_nothing})
    async with open_runtime(tmp_path / "nri") as runtime:
        await runtime.start()
        async with open_plugin(runtime.socket_path, silent), trio.open_nursery() as nursery:
            await runtime.wait_plugins(1)

            async def create() -> None:
                with pytest.raises(RuntimeIsDown):
                    await runtime.create_container(Pod("db"), Container("app"))

            nursery.start_soon(create)
            await runtime.recorder.wait_until(lambda: bool(runtime.recorder.of("CreateContainer")))
            await runtime.stop()
        with pytest.raises(RuntimeIsDown):
            await runtime.run_pod(Pod("other"))
        assert not runtime.node.containers


async def test_plugins_are_asked_in_the_order_of_their_index(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """Whoever came first; who has the same index is asked as it came."""
    async with open_runtime(tmp_path / "nri") as runtime, AsyncExitStack() as stack:
        await runtime.start()
        for index, name in (("90", "b"), ("10", "c"), ("90", "a")):
            plugin = Plugin(name=name, index=index)
            await stack.enter_async_context(open_plugin(runtime.socket_path, plugin))
        await runtime.wait_plugins(3)
        await runtime.create_container(Pod("db"), Container("app"))
        asked = [one.plugin for one in runtime.recorder.of("CreateContainer")]
        assert asked == ["10-c", "90-b", "90-a"]


async def test_who_connects_and_says_nothing_holds_others_up(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """Registrations come one after another; the silent one is dropped after five seconds."""
    async with open_runtime(tmp_path / "nri") as runtime:
        await runtime.start()
        async with (
            open_plugin(runtime.socket_path, register=False) as silent,
            open_plugin(runtime.socket_path, register=False) as second,
        ):
            began = trio.current_time()
            await second.register()
            assert trio.current_time() - began == pytest.approx(5)
            assert silent.connection.closed.is_set()
            [plugin] = await runtime.wait_plugins(1)
            assert plugin.connection is not silent.connection


@pytest.mark.parametrize(
    ("name", "index", "library", "text"),
    [
        ("numa-trio", "9", (0, 6, 1), 'invalid plugin index: "9"'),
        ("numa trio", "90", (0, 12, 0), 'invalid plugin name: "numa trio"'),
    ],
)
async def test_odd_names_and_indexes_are_refused(
    tmp_path: Path, name: str, index: str, library: tuple[int, int, int], text: str
) -> None:
    """Names are looked at from 0.12 on, indexes always."""
    async with open_runtime(tmp_path / "nri", library=library) as runtime:
        await runtime.start()
        async with open_plugin(
            runtime.socket_path, Plugin(name=name, index=index), register=False
        ) as plugin:
            with pytest.raises(Refused, match=text):
                await plugin.register()


async def test_old_libraries_do_not_look_at_names(tmp_path: Path) -> None:
    """0.6.1 takes any."""
    async with open_runtime(tmp_path / "nri") as runtime:
        await runtime.start()
        async with open_plugin(runtime.socket_path, Plugin(name="numa trio")):
            assert (await runtime.wait_plugins(1))[0].name == "10-numa trio"


async def test_a_plugin_that_hangs_up_is_forgotten(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """What comes then is not asked of it."""
    async with open_runtime(tmp_path / "nri") as runtime:
        await runtime.start()
        async with open_plugin(runtime.socket_path):
            await runtime.wait_plugins(1)
        await runtime.wait_plugins(0)
        await runtime.create_container(Pod("db"), Container("app"))
        assert not runtime.recorder.of("CreateContainer")


async def test_a_plugin_may_be_a_process(tmp_path: Path) -> None:
    """The socket is a real one: a program pins what is created."""
    async with open_runtime(tmp_path / "nri") as runtime, trio.open_nursery() as nursery:
        await runtime.start()
        arguments = ["-m", "nri_runtime.plugin", str(runtime.socket_path), "2-3", "1"]
        run = partial(trio.run_process, [sys.executable, *arguments], cwd=ROOT)
        process = await nursery.start(run)
        await runtime.wait_plugins(1)
        made = await runtime.create_container(Pod("db"), Container("app"))
        assert (made.resources.cpus, made.resources.mems) == ("2-3", "1")
        await runtime.stop()
        await process.wait()


async def test_a_call_of_a_plugin_ends_with_its_connection(tmp_path: Path) -> None:
    """The test's own plugin says so when the runtime ends within its call."""
    async with open_runtime(tmp_path / "nri") as runtime:
        runtime.faults.silent.add("UpdateContainers")
        await runtime.start()
        async with open_plugin(runtime.socket_path) as plugin, trio.open_nursery() as nursery:
            await runtime.wait_plugins(1)

            async def ask() -> None:
                with pytest.raises(Gone):
                    await plugin.update_containers()

            nursery.start_soon(ask)
            await runtime.recorder.wait_until(lambda: bool(runtime.recorder.of("UpdateContainers")))
            await runtime.stop()
