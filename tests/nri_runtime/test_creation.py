"""CreateContainer: what the plugins' answers do, and what becomes of it without one."""

from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from nri_runtime import ttrpc
from nri_runtime.connection import Refused
from nri_runtime.cri import Container, Pod, Resources, State
from nri_runtime.events import RequestFailed
from nri_runtime.messages import CreateContainerResponse, Empty
from nri_runtime.plugin import Handler, Plugin, adjustment, open_plugin, update
from nri_runtime.runtime import StandInRuntime

POD = Pod("db")


def answers(answer: Any, *, after: float = 0.0) -> Handler:
    """A handler that says so after some seconds."""

    async def handle(_: object) -> Any:
        await trio.sleep(after)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return handle


async def create(runtime: StandInRuntime, *handlers: Handler, name: str = "app") -> Container:
    """A container made with as many plugins as there are handlers: 10-p0, 11-p1 and so on."""
    async with AsyncExitStack() as stack:
        for number, handler in enumerate(handlers):
            plugin = Plugin(f"p{number}", f"{10 + number}", handlers={"CreateContainer": handler})
            await stack.enter_async_context(open_plugin(runtime.socket_path, plugin))
        await runtime.wait_plugins(len(handlers))
        return await runtime.create_container(POD, Container(name, resources=Resources(shares=100)))


async def test_an_adjustment_is_there_before_the_container_is(runtime: StandInRuntime) -> None:
    """The container is shown without state and pid, and starts with what was asked for."""
    made = await create(runtime, answers(adjustment(cpus="2-3", mems="1")))
    [asked] = runtime.recorder.of("CreateContainer")
    shown = asked.request.container
    assert (shown.state, shown.pid, shown.linux.resources.cpu.cpus) == (0, 0, "")
    assert made.resources == Resources(cpus="2-3", mems="1", shares=100)
    assert made.state is State.RUNNING
    assert made.pid > 0
    assert runtime.node.containers[made.id] == made


async def test_an_answer_with_nothing_changes_nothing(runtime: StandInRuntime) -> None:
    """Empty strings mean: leave it."""
    made = await create(runtime, answers(adjustment(cpus="", mems="")))
    assert made.resources == Resources(shares=100)


async def test_a_later_plugin_sees_what_an_earlier_one_has_set(runtime: StandInRuntime) -> None:
    """And may set another field."""
    made = await create(
        runtime, answers(adjustment(cpus="2-3")), answers(adjustment(mems="1", quota=5000))
    )
    shown = [one.request.container for one in runtime.recorder.of("CreateContainer")]
    assert [one.linux.resources.cpu.cpus for one in shown] == ["", "2-3"]
    assert made.resources == Resources(cpus="2-3", mems="1", quota=5000, shares=100)


@pytest.mark.parametrize(
    ("field", "called"),
    [
        ({"cpus": "2-3"}, "CPU pinning"),
        ({"mems": "1"}, "memory pinning"),
        ({"shares": 5}, "CPU shares"),
        ({"quota": 5}, "CPU quota"),
        ({"period": 5}, "CPU period"),
        ({"memory": 5}, "memory limit"),
    ],
)
async def test_two_plugins_that_set_one_field_make_the_creation_fail(
    runtime: StandInRuntime, field: dict[str, Any], called: str
) -> None:
    """Even if both set the same; the text is the runtime's."""
    text = f'^plugins "11-p1" and "10-p0" both tried to set {called}$'
    with pytest.RaisesGroup(pytest.RaisesExc(RequestFailed, match=text), flatten_subgroups=True):
        await create(runtime, answers(adjustment(**field)), answers(adjustment(**field)))
    assert not runtime.node.containers


async def test_a_later_plugin_sees_the_environment_and_not_the_memory_policy(
    runtime: StandInRuntime,
) -> None:
    """NRI shows it nowhere; both can be set once."""
    first = CreateContainerResponse(
        adjust={
            "env": [{"key": "NODE", "value": "1"}],
            "annotations": {"ours": "yes"},
            "linux": {"memory_policy": {"mode": 1, "nodes": "1"}},
        }
    )
    made = await create(runtime, answers(first), answers(Empty()))
    shown = runtime.recorder.of("CreateContainer")[1].request.container
    assert list(shown.env) == ["NODE=1"]
    assert shown.annotations["ours"] == "yes"
    assert made.environment == {"NODE": "1"}
    assert made.memory_policy == (1, "1")


@pytest.mark.parametrize(
    ("adjust", "called"),
    [
        ({"env": [{"key": "NODE", "value": "1"}]}, "env NODE"),
        ({"annotations": {"ours": "yes"}}, "annotation ours"),
        ({"linux": {"memory_policy": {"mode": 1, "nodes": "1"}}}, "memory policy"),
    ],
)
async def test_no_two_plugins_set_one_variable_annotation_or_policy(
    runtime: StandInRuntime, adjust: dict[str, Any], called: str
) -> None:
    """Even if both set the same."""
    answer = answers(CreateContainerResponse(adjust=adjust))
    with pytest.RaisesGroup(
        pytest.RaisesExc(RequestFailed, match=f"both tried to set {called}$"),
        flatten_subgroups=True,
    ):
        await create(runtime, answer, answer)


async def test_an_error_makes_the_creation_fail(runtime: StandInRuntime) -> None:
    """With the plugin's text; the plugin is asked again next time."""
    error = answers(Refused(ttrpc.INTERNAL, "no such node"))
    async with open_plugin(runtime.socket_path, Plugin(handlers={"CreateContainer": error})):
        await runtime.wait_plugins(1)
        for _ in range(2):
            with pytest.raises(RequestFailed, match=r"^no such node$"):
                await runtime.create_container(POD, Container("app"))
    assert len(runtime.recorder.of("CreateContainer")) == 2
    assert not runtime.node.containers


async def test_bytes_that_are_no_answer_make_the_creation_fail(runtime: StandInRuntime) -> None:
    """The connection stays: only that answer was bad."""

    class Nonsense:
        def SerializeToString(self) -> bytes:  # noqa: N802
            return b"\x0a\xff\xff\xff\xff"

    bad = Plugin(handlers={"CreateContainer": answers(Nonsense())})
    async with open_plugin(runtime.socket_path, bad):
        await runtime.wait_plugins(1)
        with pytest.raises(RequestFailed, match="unmarshal"):
            await runtime.create_container(POD, Container("app"))
        assert len(runtime.plugins) == 1


async def test_too_late_an_answer_costs_the_connection_and_the_adjustment(
    autojump_clock: MockClock, runtime: StandInRuntime
) -> None:
    """The container is made after two seconds, without it."""
    late = Plugin(handlers={"CreateContainer": answers(adjustment(cpus="2-3"), after=2.1)})
    async with open_plugin(runtime.socket_path, late):
        await runtime.wait_plugins(1)
        began = trio.current_time()
        made = await runtime.create_container(POD, Container("app"))
        assert trio.current_time() - began == pytest.approx(2)
        assert made.resources == Resources()
        assert not runtime.plugins
        await late.connection.closed.wait()


async def test_an_answer_in_the_last_moment_counts(
    autojump_clock: MockClock, runtime: StandInRuntime
) -> None:
    """The plugin is told how long it has."""
    made = await create(runtime, answers(adjustment(cpus="2-3"), after=1.9))
    assert made.resources.cpus == "2-3"


async def test_a_plugin_that_hangs_up_within_the_call_is_done_without(
    autojump_clock: MockClock, runtime: StandInRuntime
) -> None:
    """The creation goes on at once."""
    plugin = Plugin()

    async def hang_up(_: object) -> Any:
        await trio.lowlevel.checkpoint()
        plugin.connection.close("enough")
        return Empty()

    plugin.handlers = {"CreateContainer": hang_up}
    async with open_plugin(runtime.socket_path, plugin):
        await runtime.wait_plugins(1)
        began = trio.current_time()
        assert (await runtime.create_container(POD, Container("app"))).resources == Resources()
        assert trio.current_time() - began < 0.1
        assert not runtime.plugins


async def test_one_container_at_a_time(autojump_clock: MockClock, runtime: StandInRuntime) -> None:
    """A plugin that takes a second takes it from every container, one after the other."""
    slow = Plugin(handlers={"CreateContainer": answers(Empty(), after=1)})
    async with open_plugin(runtime.socket_path, slow):
        await runtime.wait_plugins(1)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for name in ("a", "b", "c"):
                nursery.start_soon(runtime.create_container, POD, Container(name))
        assert trio.current_time() - began == pytest.approx(3)


async def test_other_containers_may_be_updated_too(runtime: StandInRuntime) -> None:
    """But not the one that is being made."""
    other = await create(runtime, name="other")
    answer = CreateContainerResponse(update=[update(other.id, cpus="0")])
    await create(runtime, answers(answer))
    assert runtime.node.containers[other.id].resources.cpus == "0"
    self_update = CreateContainerResponse(update=[update(Container("new").id, cpus="0")])
    with pytest.RaisesGroup(
        pytest.RaisesExc(RequestFailed, match="during creation"), flatten_subgroups=True
    ):
        await create(runtime, answers(self_update), name="new")


async def test_cpus_that_are_not_there_make_the_creation_fail(runtime: StandInRuntime) -> None:
    """The kernel does not take them."""
    with pytest.RaisesGroup(
        pytest.RaisesExc(RequestFailed, match=r"cpuset\.cpus: '2-9' of '0-3'"),
        flatten_subgroups=True,
    ):
        await create(runtime, answers(adjustment(cpus="2-9")))


async def test_a_creation_that_is_not_subscribed_to_is_not_heard_of(
    runtime: StandInRuntime,
) -> None:
    """The mask has one bit for each event."""
    async with open_plugin(runtime.socket_path, Plugin(events=0x80)) as plugin:
        await runtime.wait_plugins(1)
        await runtime.create_container(POD, Container("app"))
        assert not plugin.told("CreateContainer")
        assert not plugin.told("StateChange")
