"""Configure and Synchronize: what a plugin is told, and what becomes of its answer."""

from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from nri_runtime import ttrpc
from nri_runtime.connection import Refused
from nri_runtime.cri import Container, Pod, Resources, State
from nri_runtime.flavour import Containerd, CriO, Flavour
from nri_runtime.messages import SynchronizeResponse
from nri_runtime.plugin import Handler, Plugin, adjustment, open_plugin, update
from nri_runtime.runtime import StandInRuntime, open_runtime

POD = Pod("db")
LIBRARIES = pytest.mark.parametrize("library", [(0, 6, 1), (0, 8, 0), (0, 12, 0)])

Version = tuple[int, int, int]


def answers(*updates: Any, after: float = 0.0) -> dict[str, Handler]:
    async def handle(request: Any) -> Any:
        await trio.sleep(after)
        return SynchronizeResponse(update=() if request.more else updates, more=request.more)

    return {"Synchronize": handle}


@LIBRARIES
async def test_configure_tells_what_the_library_knows(tmp_path: Path, library: Version) -> None:
    """The runtime always, timeouts from 0.8 on, NRI's version from 0.12 on."""
    async with open_runtime(
        tmp_path / "nri", library=library, registration_timeout=6, request_timeout=3
    ) as runtime:
        await runtime.start()
        async with open_plugin(runtime.socket_path) as plugin:
            await runtime.wait_plugins(1)
            [told] = plugin.told("Configure")
    timeouts = (6000, 3000) if library >= (0, 8, 0) else (0, 0)
    assert (told.runtime_name, told.runtime_version) == ("containerd", "1.7.24~ds1")
    assert (told.registration_timeout, told.request_timeout) == timeouts
    assert told.nri_version == ("v0.12.0" if library == (0, 12, 0) else "")


@pytest.mark.parametrize(
    ("library", "mask", "taken"),
    [
        ((0, 6, 1), 0x88, 0x88),
        ((0, 6, 1), 0, 0x7FF),
        ((0, 6, 1), 0x888, None),
        ((0, 8, 0), 0x800, None),
        ((0, 12, 0), 0x2000, 0x2000),
        ((0, 12, 0), 0, 0x3FFF),
        ((0, 12, 0), 0x4000, None),
        ((0, 12, 0), -1, None),
    ],
)
async def test_events_that_it_does_not_know_are_refused(
    tmp_path: Path, library: Version, mask: int, taken: int | None
) -> None:
    """No event at all means every event."""
    async with open_runtime(tmp_path / "nri", library=library) as runtime:
        await runtime.start()
        async with open_plugin(runtime.socket_path, Plugin(events=mask)) as plugin:
            if taken is None:
                await plugin.connection.closed.wait()
                assert runtime.recorder.noted("invalid plugin events: 0x")
                assert not plugin.told("Synchronize")
            else:
                assert (await runtime.wait_plugins(1))[0].events == taken


async def test_all_pods_and_the_containers_that_live_are_shown(runtime: StandInRuntime) -> None:
    """With their annotations, and resources as they are now."""
    await runtime.run_pod(Pod("empty"))
    given = {"numa-align/node": "1"}
    app = await runtime.create_container(
        POD, Container("app", annotations=given, resources=Resources(cpus="2", shares=100))
    )
    ended = await runtime.create_container(POD, Container("ended"))
    await runtime.stop_container(ended.id)
    await runtime.update_container(app.id, cpus="3")
    async with open_plugin(runtime.socket_path) as plugin:
        await runtime.wait_plugins(1)
        [told] = plugin.told("Synchronize")
    assert [pod.name for pod in told.pods] == ["empty", "db"]
    [shown] = told.containers
    assert (shown.name, shown.state, shown.pid) == ("app", State.RUNNING, app.pid)
    assert shown.annotations["numa-align/node"] == "1"
    assert Resources.of(shown.linux.resources) == Resources(cpus="3", shares=100)


async def test_updates_are_applied_and_no_plugin_is_asked(runtime: StandInRuntime) -> None:
    """The last one of a container wins."""
    async with open_plugin(runtime.socket_path) as first:
        await runtime.wait_plugins(1)
        app = await runtime.create_container(POD, Container("app", resources=Resources(shares=9)))
        wanted = answers(update(app.id, cpus="0", mems="0"), update(app.id, cpus="2-3"))
        async with open_plugin(runtime.socket_path, Plugin("b", handlers=wanted)):
            await runtime.wait_plugins(2)
        assert not first.told("UpdateContainer")
    now = runtime.node.containers[app.id].resources
    assert now == Resources(cpus="2-3", mems="0", shares=9)


@pytest.mark.parametrize("flavour", [Containerd(), CriO()], ids=lambda one: one.name)
@pytest.mark.parametrize("ignored", [False, True])
async def test_cri_o_refuses_a_plugin_whose_update_fails(
    tmp_path: Path, flavour: Flavour, ignored: bool
) -> None:
    """Unless its failure may be ignored; containerd goes on. The other updates are applied."""
    async with open_runtime(tmp_path / "nri", flavour=flavour) as runtime:
        await runtime.start()
        stubborn = await runtime.create_container(POD, Container("stubborn"))
        other = await runtime.create_container(POD, Container("other"))
        runtime.node.stubborn.add(stubborn.id)
        wanted = answers(
            update(stubborn.id, cpus="0", ignore_failure=ignored), update(other.id, cpus="0")
        )
        async with open_plugin(runtime.socket_path, Plugin(handlers=wanted)) as plugin:
            if flavour.name == "containerd" or ignored:
                await runtime.wait_plugins(1)
            else:
                noted = runtime.recorder.noted
                await runtime.recorder.wait_until(lambda: bool(noted("failed to apply updates")))
                await runtime.create_container(POD, Container("new"))
                assert not plugin.told("CreateContainer")
                assert not plugin.connection.closed.is_set()
        assert runtime.node.containers[other.id].resources.cpus == "0"
        assert runtime.node.containers[stubborn.id].resources.cpus == ""


@LIBRARIES
async def test_a_late_answer(autojump_clock: MockClock, tmp_path: Path, library: Version) -> None:
    """0.6.1 keeps the connection and sends no event ever; later ones drop it. Nothing is set."""
    async with open_runtime(tmp_path / "nri", library=library) as runtime:
        await runtime.start()
        app = await runtime.create_container(POD, Container("app"))
        late = Plugin(handlers=answers(update(app.id, cpus="0"), after=2.5))
        async with open_plugin(runtime.socket_path, late):
            await trio.sleep(10)
            await runtime.create_container(POD, Container("new"))
            await trio.sleep(3600)
            assert late.connection.closed.is_set() is (library >= (0, 8, 0))
            assert not late.told("CreateContainer")
        assert runtime.node.containers[app.id].resources.cpus == ""


@LIBRARIES
async def test_an_error_for_an_answer_is_as_a_late_one(
    autojump_clock: MockClock, tmp_path: Path, library: Version
) -> None:
    """The plugin is not one of the runtime's."""

    async def fail(_: object) -> Any:
        await trio.lowlevel.checkpoint()
        raise Refused(ttrpc.INTERNAL, "out of order")

    async with open_runtime(tmp_path / "nri", library=library) as runtime:
        await runtime.start()
        async with open_plugin(
            runtime.socket_path, Plugin(handlers={"Synchronize": fail})
        ) as plugin:
            await trio.sleep(10)
            assert plugin.connection.closed.is_set() is (library >= (0, 8, 0))
            assert not runtime.plugins


async def test_what_is_created_between_synchronize_and_registration_is_missed(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """Old runtimes leave a gap: neither shown nor asked about."""
    pinned = {"CreateContainer": _pin}
    async with open_runtime(tmp_path / "nri", registration_gap=0.1) as runtime:
        await runtime.start()
        async with open_plugin(runtime.socket_path, Plugin(handlers=pinned)) as plugin:
            asked = runtime.recorder.of
            await runtime.recorder.wait_until(
                lambda: bool(asked("Synchronize")) and asked("Synchronize")[0].ended is not None
            )
            missed = await runtime.create_container(POD, Container("missed"))
            await runtime.wait_plugins(1)
            pinned_one = await runtime.create_container(POD, Container("pinned"))
            assert len(plugin.told("CreateContainer")) == 1
    assert (missed.resources.cpus, pinned_one.resources.cpus) == ("", "0")


async def _pin(_: object) -> Any:
    await trio.lowlevel.checkpoint()
    return adjustment(cpus="0")
