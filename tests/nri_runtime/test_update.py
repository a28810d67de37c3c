"""UpdateContainer and UpdateContainers: what is asked for, what stays, and who may not wait."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from nri_runtime.cri import Container, Pod, Resources
from nri_runtime.events import RequestFailed
from nri_runtime.messages import UpdateContainerResponse
from nri_runtime.plugin import Handler, Plugin, adjustment, open_plugin, update
from nri_runtime.runtime import StandInRuntime

POD = Pod("db")
MADE = Resources(cpus="2-3", mems="1", shares=102, quota=50000, period=100000, memory=1 << 27)


@pytest.fixture
async def container(runtime: StandInRuntime) -> Container:
    """A container that was pinned when it was made."""
    return await runtime.create_container(POD, Container("app", resources=MADE))


def updates(*wanted: Any) -> Handler:
    async def handle(_: object) -> Any:
        await trio.lowlevel.checkpoint()
        return UpdateContainerResponse(update=wanted)

    return handle


async def test_what_is_not_asked_for_stays(runtime: StandInRuntime, container: Container) -> None:
    """Also for the plugin: it is told what is asked for, and beside it what is so now."""
    async with open_plugin(runtime.socket_path) as plugin:
        await runtime.wait_plugins(1)
        changed = await runtime.update_container(container.id, shares=204, cpu_quota=80000)
        [told] = plugin.told("UpdateContainer")
        assert Resources.of(told.linux_resources) == Resources(shares=204, quota=80000)
        assert Resources.of(told.container.linux.resources) == MADE
    expected = Resources(
        cpus="2-3", mems="1", shares=204, quota=80000, period=100000, memory=1 << 27
    )
    assert changed.resources == expected


async def test_an_answer_replaces_what_was_asked_for(
    runtime: StandInRuntime, container: Container
) -> None:
    """CPUs as the plugin says, the rest as kubelet does."""
    plugin = Plugin(handlers={"UpdateContainer": updates(update(container.id, cpus="2"))})
    async with open_plugin(runtime.socket_path, plugin):
        await runtime.wait_plugins(1)
        changed = await runtime.update_container(container.id, cpus="0-3", shares=204)
    assert (changed.resources.cpus, changed.resources.shares) == ("2", 204)
    assert changed.resources.mems == "1"


async def test_any_answer_loses_the_swap_limit_that_was_asked_for(
    runtime: StandInRuntime, container: Container
) -> None:
    """It becomes the memory limit; without an answer it is what was asked for."""
    silent = await runtime.update_container(container.id, memory=1 << 28, swap=1 << 30)
    assert silent.resources.swap == 1 << 30
    plugin = Plugin(handlers={"UpdateContainer": updates(update(container.id, cpus="2"))})
    async with open_plugin(runtime.socket_path, plugin):
        await runtime.wait_plugins(1)
        changed = await runtime.update_container(container.id, memory=1 << 28, swap=1 << 30)
    assert changed.resources.swap == 1 << 28


async def test_two_plugins_that_set_one_field_make_the_update_fail(
    runtime: StandInRuntime, container: Container
) -> None:
    """Unless the second says that its failure may be ignored: then the first one's counts."""
    first = Plugin("a", "10", handlers={"UpdateContainer": updates(update(container.id, cpus="2"))})
    second = Plugin("b", "20")
    async with (
        open_plugin(runtime.socket_path, first),
        open_plugin(runtime.socket_path, second),
    ):
        await runtime.wait_plugins(2)
        second.handlers = {"UpdateContainer": updates(update(container.id, cpus="3"))}
        text = 'plugins "20-b" and "10-a" both tried to set CPU pinning'
        with pytest.raises(RequestFailed, match=text):
            await runtime.update_container(container.id, cpus="0-3")
        assert runtime.node.containers[container.id].resources == MADE
        ignored = update(container.id, cpus="3", ignore_failure=True)
        second.handlers = {"UpdateContainer": updates(ignored)}
        changed = await runtime.update_container(container.id, cpus="0-3")
        assert changed.resources.cpus == "2"
        asked = [one.linux_resources.cpu.cpus for one in second.told("UpdateContainer")]
        assert asked == ["2", "2"]


async def test_an_update_of_another_container_is_applied_too(
    runtime: StandInRuntime, container: Container
) -> None:
    """The plugin may move a neighbour."""
    other = await runtime.create_container(POD, Container("other"))
    plugin = Plugin(handlers={"UpdateContainer": updates(update(other.id, mems="0"))})
    async with open_plugin(runtime.socket_path, plugin):
        await runtime.wait_plugins(1)
        await runtime.update_container(container.id, cpus="3")
    assert runtime.node.containers[other.id].resources.mems == "0"
    assert runtime.node.containers[container.id].resources.cpus == "3"


async def test_a_container_that_is_not_there_cannot_be_updated(runtime: StandInRuntime) -> None:
    """Nor asked for."""
    with pytest.raises(RequestFailed, match="not found"):
        await runtime.update_container("nowhere", cpus="1")


async def test_a_plugin_updates_what_it_likes_outside_its_handlers(
    runtime: StandInRuntime, container: Container
) -> None:
    """No plugin is asked; what fails is told, unless that may be ignored."""
    stopped = await runtime.create_container(POD, Container("stopped"))
    await runtime.stop_container(stopped.id)
    async with open_plugin(runtime.socket_path) as plugin:
        await runtime.wait_plugins(1)
        failed = await plugin.update_containers(
            update(container.id, cpus="0"),
            update(container.id, cpus="1"),
            update(stopped.id, cpus="1"),
            update("nowhere", cpus="1", ignore_failure=True),
        )
        assert [one.container_id for one in failed] == [stopped.id]
        assert not plugin.told("UpdateContainer")
    assert runtime.node.containers[container.id].resources.cpus == "1"


async def test_updating_from_within_a_handler_blocks_until_it_times_out(
    autojump_clock: MockClock, runtime: StandInRuntime, container: Container
) -> None:
    """The runtime's lock is held: two seconds, then the connection is dropped, nothing is set."""
    plugin = Plugin()

    async def ask(_: object) -> Any:
        await plugin.update_containers(update(container.id, cpus="0"))
        return adjustment(cpus="0")

    plugin.handlers = {"CreateContainer": ask}
    async with open_plugin(runtime.socket_path, plugin):
        await runtime.wait_plugins(1)
        began = trio.current_time()
        made = await runtime.create_container(POD, Container("new"))
        assert trio.current_time() - began == pytest.approx(2)
        assert made.resources == Resources()
        assert runtime.node.containers[container.id].resources == MADE
        assert not runtime.plugins
        await plugin.connection.closed.wait()
