"""Kubelet and its directory misbehave: what kubelet sees of the resources, in virtual time.

Every test is a row of the fault matrix in docs/reliability.md.
"""

import errno
import os
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from fault_rig import RESOURCES, Rig, open_rig
from numa_trio.agent.counts import Outcome
from numa_trio.agent.status import Phase
from numa_trio.kubelet.errors import PluginUnavailable, RegistrationRefused
from numa_trio.kubelet.plugin_socket import PluginSocket
from numa_trio.kubelet.rpc.plugin_client import PluginClient, connect_plugin
from numa_trio.kubelet.rpc.registration_server import serve_registration
from numa_trio.plugin.messages import Registration
from numa_trio.simulator import plugin_connections
from numa_trio.simulator.plugin_connections import PluginConnections
from simulated import container, init, pod


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with open_rig(tmp_path) as made:
        yield made


@pytest.fixture
async def running(rig: Rig) -> Rig:
    """With kubelet up and every resource allocatable, for an hour."""
    await rig.settle()
    return rig


async def test_kubelet_sock_recreated_with_wipe(
    autojump_clock: MockClock, running: Rig, back: float
) -> None:
    """Kubelet restarts and deletes every socket."""
    await running.restart_kubelet()
    await running.everything_allocatable(within=back)


async def test_kubelet_sock_recreated_without_wipe(
    autojump_clock: MockClock, running: Rig, back: float
) -> None:
    """Kubelet serves again on a new socket; ours are still there."""
    await running.kubelet.recreate_socket()
    await running.everything_allocatable(within=back)
    await trio.sleep(600)
    assert running.allocatable() == dict.fromkeys(RESOURCES, 4)


async def test_kubelet_restarted_without_wipe(
    autojump_clock: MockClock, running: Rig, back: float
) -> None:
    """Kubelet forgets its plugins, though their sockets stay."""
    await running.restart_kubelet(wipe=False)
    await running.everything_allocatable(within=back)


async def test_running_pods_admitted_again(
    autojump_clock: MockClock, running: Rig, back: float
) -> None:
    """At each restart of kubelet the agent is back before the pods that run are looked at."""
    kubelet = running.kubelet
    pods = [pod(init("500m", [node]), container("app", "500m", [node])) for node in (0, 1)]
    pods = [evolve(each, name=f"on-{n}", uid=str(n)) for n, each in enumerate(pods)]
    for each in pods:
        assert (await kubelet.admit(each)).admitted
    for _ in range(20):
        await running.restart_kubelet()
        await running.everything_allocatable(within=back)
        verdicts = await kubelet.admitted_again()
        assert [(v.pod, v.message) for v in verdicts] == [(each, None) for each in pods]


async def test_agent_held_back_until_pods_were_admitted_again(
    autojump_clock: MockClock, running: Rig, back: float
) -> None:
    """Back too late, the agent finds killed what an init container prepared; the rest runs on."""
    kubelet = running.kubelet
    plain = pod(container(numa=[0]), name="plain")
    prepared = pod(init("500m", [1]), container("app", "500m", [1]), name="prepared")
    for each in (plain, prepared):
        assert (await kubelet.admit(each)).admitted
    (agent,) = running.agents
    await agent.stop()
    await running.restart_kubelet()

    verdicts = await kubelet.admitted_again()
    await running.start_agent()
    await running.everything_allocatable(within=back)

    assert [(v.pod.name, v.reason) for v in verdicts] == [
        ("plain", None),
        ("prepared", "UnexpectedAdmissionError"),
    ]
    assert list(kubelet.node.pods) == [plain.uid]


async def test_kubelet_sock_replaced_by_rename(
    autojump_clock: MockClock, running: Rig, back: float
) -> None:
    """A new socket is renamed over the old one, so that none is ever missing."""
    await running.kubelet.stop()
    path = running.kubelet.socket_path
    registered: list[Registration] = []
    both = trio.Event()

    async def register(registration: Registration) -> None:
        registered.append(registration)
        if len(registered) == 2:
            both.set()

    with PluginSocket.bind(path.with_name("new.sock")) as other:
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_registration, register, other.listener)
            other.path.rename(path)
            with trio.fail_after(back):
                await both.wait()
            nursery.cancel_scope.cancel()
    assert {one.resource_name for one in registered} == set(RESOURCES)


async def test_kubelet_sock_is_a_dead_file(
    autojump_clock: MockClock, rig: Rig, back: float
) -> None:
    """Kubelet was killed long ago: its socket refuses, until it is back."""
    await rig.kubelet.start()
    await rig.kubelet.stop()
    await rig.start_agent()
    await trio.sleep(3600)
    await rig.kubelet.start()
    await rig.everything_allocatable(within=back)


@pytest.mark.parametrize("what", ["file", "directory", "dangling link"])
async def test_kubelet_sock_replaced_by_something_that_is_no_socket(
    autojump_clock: MockClock,
    running: Rig,
    what: str,
    back: float,
) -> None:
    """It is waited out, and kubelet's next socket is found at once."""
    await running.kubelet.stop()
    path = running.kubelet.socket_path
    path.unlink()
    match what:
        case "file":
            path.touch()
        case "directory":
            path.mkdir()
        case "dangling link":
            path.symlink_to("nowhere")
    await trio.sleep(3600)
    path.rmdir() if what == "directory" else path.unlink()
    await running.kubelet.start()
    await running.everything_allocatable(within=back)


async def test_directory_missing_and_created_later(
    autojump_clock: MockClock, rig: Rig, back: float
) -> None:
    """The agent is there before kubelet has ever run."""
    rig.directory.rmdir()
    await rig.start_agent()
    await trio.sleep(3600)
    await rig.kubelet.start()
    await rig.everything_allocatable(within=back)


async def test_directory_removed_and_created_again(
    autojump_clock: MockClock, running: Rig, back: float
) -> None:
    """Somebody cleans up below /var/lib/kubelet."""
    await running.kubelet.stop()
    for path in running.directory.iterdir():
        path.unlink()
    await trio.sleep(0.01)
    running.directory.rmdir()
    await trio.sleep(3600)
    await running.kubelet.start()
    await running.everything_allocatable(within=back)


async def test_directory_replaced(autojump_clock: MockClock, running: Rig, back: float) -> None:
    """Another directory takes the place of the one that is watched."""
    await running.kubelet.stop()
    running.directory.rename(running.directory.with_name("old"))
    running.directory.mkdir()
    await running.kubelet.start()
    await running.everything_allocatable(within=back)


async def test_permission_denied(
    autojump_clock: MockClock,
    running: Rig,
    monkeypatch: pytest.MonkeyPatch,
    back: float,
) -> None:
    """The directory may not be used for an hour; the resources are back soon after."""

    def refuse(*_arguments: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as denied:
        denied.setattr(socket.socket, "connect", refuse)
        denied.setattr(PluginSocket, "bind", refuse)
        await running.restart_kubelet()
        await trio.sleep(3600)
        assert running.allocatable() == dict.fromkeys(RESOURCES, 0)
    await running.everything_allocatable(within=back)


async def test_disk_full(
    autojump_clock: MockClock,
    running: Rig,
    monkeypatch: pytest.MonkeyPatch,
    back: float,
) -> None:
    """No inode is left for our sockets while kubelet restarts; then there are some again."""

    def refuse(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(PluginSocket, "bind", refuse)
        await running.restart_kubelet()
        await trio.sleep(600)
        assert running.allocatable() == dict.fromkeys(RESOURCES, 0)
    await running.everything_allocatable(within=back)


async def test_register_refused(
    autojump_clock: MockClock,
    rig: Rig,
    monkeypatch: pytest.MonkeyPatch,
    back: float,
) -> None:
    """Kubelet answers with an error for ten minutes."""
    refused = 0
    accept = PluginConnections.register

    async def register(connections: PluginConnections, registration: Registration) -> None:
        nonlocal refused
        if trio.current_time() - began < 600:
            refused += 1
            raise RegistrationRefused("not now")
        await accept(connections, registration)

    monkeypatch.setattr(PluginConnections, "register", register)
    began = trio.current_time()
    await rig.kubelet.start()
    await rig.start_agent()
    await trio.sleep(599)
    assert rig.allocatable() == dict.fromkeys(RESOURCES, 0)
    assert refused > 2 * 600 / 5
    await rig.everything_allocatable(within=back)


async def test_register_hanging(autojump_clock: MockClock, rig: Rig, back: float) -> None:
    """Kubelet takes the call and never answers; its restart ends the wait."""
    await _with_another_kubelet(rig, trio.sleep_forever, back)


async def test_register_slow(
    autojump_clock: MockClock,
    rig: Rig,
    monkeypatch: pytest.MonkeyPatch,
    back: float,
) -> None:
    """Kubelet needs nine seconds to call back: asked once, and patience."""
    called_back = plugin_connections._call_back

    async def slowly(client: PluginClient) -> object:
        await trio.sleep(9)
        return await called_back(client)

    monkeypatch.setattr(plugin_connections, "_call_back", slowly)
    await rig.kubelet.start()
    await rig.start_agent()
    assert await rig.everything_allocatable(within=back) >= 9
    calls = [event for event in rig.kubelet.log.events if event.kind == "Register called"]
    assert len(calls) == len(RESOURCES)


@pytest.mark.parametrize("garbage", [b"", b"HTTP/1.1 200 OK\r\n\r\n", bytes(4096)])
async def test_register_answered_by_garbage(
    autojump_clock: MockClock,
    rig: Rig,
    garbage: bytes,
    back: float,
) -> None:
    """Something else than kubelet listens on kubelet.sock for ten minutes."""

    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(garbage)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(rig.kubelet.socket_path))
        listener.listen()
        async with trio.open_nursery() as nursery:
            listeners = [trio.SocketListener(trio.socket.from_stdlib_socket(listener))]
            nursery.start_soon(trio.serve_listeners, answer, listeners)
            await rig.start_agent()
            await trio.sleep(600)
            nursery.cancel_scope.cancel()
    await rig.kubelet.start()
    await rig.everything_allocatable(within=back)


async def test_kubelet_that_never_opens_list_and_watch(
    autojump_clock: MockClock, rig: Rig, back: float
) -> None:
    """Registrations are accepted and lead to nothing: registered again and again."""
    calls = await _with_another_kubelet(rig, trio.lowlevel.checkpoint, back)
    # Each of two resources: ten seconds without a stream, then a backoff of five at the most.
    assert 2 * 600 / 15 - 2 <= calls <= 2 * 600 / 10 + 2


async def test_a_stranger_holds_the_stream_that_kubelet_does_not_open(
    autojump_clock: MockClock, rig: Rig, monkeypatch: pytest.MonkeyPatch, back: float
) -> None:
    """Its stream gets lists and counts for nothing: not ready, registered again and again."""

    async def opens_none(*_arguments: object) -> None:
        await trio.sleep_forever()

    lists: list[int] = []

    async def stranger() -> None:
        while True:
            with suppress(PluginUnavailable):
                async with connect_plugin(rig.directory / "numa-1.sock") as plugin:
                    await plugin.options()
                    await plugin.list_and_watch(lambda devices: lists.append(len(devices)))
            await trio.sleep(0.5)

    with monkeypatch.context() as patched:
        patched.setattr(PluginConnections, "_follow", opens_none)
        await rig.kubelet.start()
        agent = (await rig.start_agent()).agent
        rig.nursery.start_soon(stranger)
        for _ in range(20):
            await trio.sleep(31)
            assert not any(one.status.phase is Phase.STREAMING for one in agent.resources)
        assert set(lists) == {4}
    assert all(one.counts.registrations[Outcome.ACCEPTED] >= 40 for one in agent.resources)
    await rig.everything_allocatable(within=back)


async def test_a_strangers_stream_comes_and_goes(autojump_clock: MockClock, running: Rig) -> None:
    """Kubelet's stream goes on, and nothing is registered again."""
    [agent] = running.agents
    events = running.kubelet.log.events
    before = len(events)
    for _ in range(5):
        async with (
            connect_plugin(running.directory / "numa-1.sock") as plugin,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(_hold_stream, plugin)
            await trio.sleep(30)
            nursery.cancel_scope.cancel()
        await trio.sleep(30)
    assert len(events) == before
    assert running.allocatable() == dict.fromkeys(RESOURCES, 4)
    assert [one.status.endings for one in agent.agent.resources] == [0, 0]


async def _hold_stream(plugin: PluginClient) -> None:
    await plugin.list_and_watch(lambda _devices: None)


async def _with_another_kubelet(rig: Rig, answering: object, back: float) -> int:
    """Ten minutes with a kubelet that answers Register so; how often it was asked."""
    calls = 0

    async def register(_registration: Registration) -> None:
        nonlocal calls
        calls += 1
        await answering()  # type: ignore[operator]  # an async function without arguments

    with PluginSocket.bind(rig.kubelet.socket_path) as bound:
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_registration, register, bound.listener)
            await rig.start_agent()
            await trio.sleep(600)
            nursery.cancel_scope.cancel()
    await rig.kubelet.start()
    await rig.everything_allocatable(within=back)
    return calls


async def test_restart_storm(autojump_clock: MockClock, running: Rig, back: float) -> None:
    """Kubelet restarts a hundred times in ten seconds, and nothing is lost in the end."""
    for _ in range(100):
        await running.restart_kubelet()
        await trio.sleep(0.08)
    await running.everything_allocatable(within=back)
    await trio.sleep(60)
    assert running.allocatable() == dict.fromkeys(RESOURCES, 4)


@pytest.mark.parametrize("year", ["1970", "2100"])
async def test_clock_jump(
    autojump_clock: MockClock,
    running: Rig,
    monkeypatch: pytest.MonkeyPatch,
    year: str,
    back: float,
) -> None:
    """The wall clock, and with it the time of kubelet's next socket, is far off."""
    seconds = {"1970": 1, "2100": 4102444800}[year]
    monkeypatch.setattr("time.time", lambda: float(seconds))
    await running.restart_kubelet()
    os.utime(running.kubelet.socket_path, (seconds, seconds))
    await trio.sleep(1)
    await running.everything_allocatable(within=back)
    await trio.sleep(3600)
    assert running.allocatable() == dict.fromkeys(RESOURCES, 4)
    await running.restart_kubelet()
    await running.everything_allocatable(within=back)
