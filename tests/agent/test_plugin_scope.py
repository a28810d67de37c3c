"""The plugin scope lives as long as one generation of kubelet; nothing outlives it."""

import errno
import logging
import os
import socket
from pathlib import Path

import pytest
import trio
from attrs import evolve, frozen
from trio.testing import MockClock, wait_all_tasks_blocked

from agent.kubelet_fakes import FakeKubelet, FakeServer, HandWatch, advertise, offer
from numa_trio.agent.advertised import AdvertisedResource, AdvertisedResources
from numa_trio.agent.plugin_scope import PluginScope, supervise
from numa_trio.agent.status import Phase
from numa_trio.kubelet.errors import KubeletUnavailable
from numa_trio.kubelet.plugin_socket import PluginSocket
from numa_trio.kubelet.socket import KubeletSocket
from numa_trio.plugin.resource import NumaResource


@frozen
class Node:
    """An agent's supervisor with fakes for kubelet and for what serves."""

    watch: HandWatch
    kubelet_socket: KubeletSocket
    kubelet: FakeKubelet
    resources: AdvertisedResources
    scope: PluginScope

    async def supervise(self) -> None:
        await supervise(self.kubelet_socket, self.scope)

    def start_kubelet(self) -> None:
        self.kubelet_socket.path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(self.kubelet_socket.path))
        self.watch.wake()

    async def streaming(self) -> None:
        for advertised in self.resources:
            status = advertised.status
            await status.until(lambda status=status: status.phase is Phase.STREAMING)

    @property
    def ready(self) -> bool:
        return all(one.status.phase is Phase.STREAMING for one in self.resources)

    def servers(self) -> list[FakeServer]:
        return [one.server for one in self.resources if isinstance(one.server, FakeServer)]


def add(node: Node, resource: AdvertisedResource) -> None:
    node.kubelet.statuses[resource.resource.name] = resource.status
    node.resources.add(resource)


@pytest.fixture
async def node(tmp_path: Path) -> Node:
    watch = HandWatch(tmp_path)
    kubelet = FakeKubelet()
    resources = AdvertisedResources()
    kubelet_socket = KubeletSocket(tmp_path / "kubelet.sock", watch)
    scope = PluginScope(resources, kubelet.connect, kubelet_socket.path, "", watch)
    made = Node(watch, kubelet_socket, kubelet, resources, scope)
    for number in (0, 1):
        add(made, advertise(number))
    return made


async def test_waits_for_kubelet_and_says_so_once(
    node: Node, autojump_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    """Without kubelet.sock nothing is served, and waking up for nothing says nothing."""
    caplog.set_level(logging.INFO)
    nursery.start_soon(node.supervise)
    for _ in range(5):
        await trio.sleep(10)
        node.watch.wake()
    assert not any(server.serving for server in node.servers())
    assert [record.getMessage() for record in caplog.records] == [
        f"Waiting for kubelet: {node.kubelet_socket.path} does not exist yet"
    ]


async def test_serves_and_registers_every_resource_at_once(
    node: Node, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """All resources stream without any time going by once kubelet.sock appears."""
    nursery.start_soon(node.supervise)
    await trio.sleep(1000)
    appeared = trio.current_time()
    node.start_kubelet()
    await node.streaming()
    assert trio.current_time() == appeared
    assert node.ready
    assert {path.name for path in node.watch.directory.glob("numa-*")} == {
        "numa-0.sock",
        "numa-1.sock",
    }


async def test_other_resources_are_served_beside_the_slots(
    node: Node, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """One that is there first and one that comes later, each on a socket of its own name."""
    add(node, offer(NumaResource("numa-0-cpu", (0,), 2)))
    nursery.start_soon(node.supervise)
    node.start_kubelet()
    await node.streaming()
    await trio.sleep(1000)
    added = trio.current_time()
    add(node, offer(NumaResource("near-data", (0, 1), 2)))
    await node.streaming()
    assert trio.current_time() == added
    registered = {call.resource_name: call.endpoint for _, call in node.kubelet.calls}
    assert registered == {
        "numa-align/numa-0": "numa-0.sock",
        "numa-align/numa-1": "numa-1.sock",
        "numa-align/numa-0-cpu": "numa-0-cpu+.sock",
        "numa-align/near-data": "numa-near-data+.sock",
    }
    assert {path.name for path in node.watch.directory.glob("numa-*")} == {*registered.values()}


async def test_a_new_generation_restarts_the_scope(
    node: Node, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Kubelet.sock is replaced: new sockets, new registrations, the old servers gone."""
    nursery.start_soon(node.supervise)
    node.start_kubelet()
    await node.streaming()
    before = [path.stat().st_mtime_ns for path in sorted(node.watch.directory.glob("numa-*"))]
    node.start_kubelet()
    await wait_all_tasks_blocked()
    await node.streaming()
    after = [path.stat().st_mtime_ns for path in sorted(node.watch.directory.glob("numa-*"))]
    assert all(new > old for old, new in zip(before, after, strict=True))
    assert len(node.kubelet.calls) == 4
    assert [len(server.listeners) for server in node.servers()] == [2, 2]
    assert all(server.listeners[0].fileno() == -1 for server in node.servers())


async def test_nothing_outlives_a_generation(
    node: Node, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Kubelet.sock is deleted: servers end, sockets close and go, every resource waits."""
    nursery.start_soon(node.supervise)
    node.start_kubelet()
    await node.streaming()
    node.kubelet_socket.path.unlink()
    node.watch.wake()
    await wait_all_tasks_blocked()
    assert not any(server.serving for server in node.servers())
    assert list(node.watch.directory.iterdir()) == []
    assert {one.status.phase for one in node.resources} == {Phase.WAITING}
    assert not node.ready


async def test_registration_is_tried_at_once_whatever_the_backoff_had_come_to(
    node: Node, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """An hour of refusals ends the moment that a new kubelet.sock appears."""
    node.kubelet.answers = [KubeletUnavailable("Connection refused")] * 1000
    nursery.start_soon(node.supervise)
    node.start_kubelet()
    await trio.sleep(600.1234)
    assert not node.ready
    node.kubelet.answers.clear()
    restarted = trio.current_time()
    node.start_kubelet()
    await node.streaming()
    assert trio.current_time() == restarted


async def test_a_socket_that_is_removed_is_bound_again(
    node: Node, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Somebody deletes our socket, kubelet.sock stays: that resource comes back, alone."""
    nursery.start_soon(node.supervise)
    node.start_kubelet()
    await node.streaming()
    (node.watch.directory / "numa-1.sock").unlink()
    removed = trio.current_time()
    node.watch.wake()
    await wait_all_tasks_blocked()
    assert [one.status.phase for one in node.resources] == [Phase.STREAMING, Phase.WAITING]
    await node.streaming()
    assert trio.current_time() - removed < 0.5
    assert [len(server.listeners) for server in node.servers()] == [1, 2]


async def test_a_file_in_the_place_of_our_socket_is_moved_aside(
    node: Node, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Nobody's data is lost, and the resource is served."""
    (node.watch.directory / "numa-0.sock").write_text("precious")
    nursery.start_soon(node.supervise)
    node.start_kubelet()
    await node.streaming()
    assert (node.watch.directory / "numa-0.sock.displaced").read_text() == "precious"


async def test_a_socket_of_a_live_process_is_waited_for(
    node: Node, autojump_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    """The other resource is served meanwhile; one line names the process."""
    path = node.watch.directory / "numa-0.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        nursery.start_soon(node.supervise)
        node.start_kubelet()
        await trio.sleep(60)
        assert [one.status.phase for one in node.resources] == [Phase.WAITING, Phase.STREAMING]
        lines = [line for line in caplog.messages if "listens on" in line]
        [line] = lines
        assert line.startswith(
            f"numa-align/numa-0: cannot serve on {path}: process {os.getpid()} listens on {path};"
        )
    await trio.sleep(6)
    await node.streaming()


async def test_a_new_resource_joins_without_a_restart_of_the_others(
    node: Node, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """A node that comes online gets its server and registration in the running scope."""
    nursery.start_soon(node.supervise)
    node.start_kubelet()
    await node.streaming()
    add(node, advertise(2))
    await node.streaming()
    assert [len(server.listeners) for server in node.servers()] == [1, 1, 1]


async def test_a_defect_in_the_scope_does_not_end_the_agent(
    node: Node, autojump_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    """An unforeseen error is logged with its traceback, and the scope starts again."""
    node.kubelet.answers = [ZeroDivisionError("unforeseen")]
    with caplog.at_level(logging.ERROR):
        nursery.start_soon(node.supervise)
        node.start_kubelet()
        await trio.sleep(1)
        await node.streaming()
    assert len(caplog.records) == 1
    assert caplog.records[0].exc_info is not None


async def test_defects_far_apart_are_forgotten(
    node: Node, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """In a row they delay the next start more and more, up to 30 s; an hour apart they do not."""
    nursery.start_soon(node.supervise)
    node.start_kubelet()
    node.kubelet.answers = [ZeroDivisionError("unforeseen")] * 20
    await trio.sleep(600)
    await node.streaming()
    await trio.sleep(3600)
    node.kubelet.answers = [ZeroDivisionError("unforeseen")]
    failed = trio.current_time()
    node.resources.get("numa-0").status.streams_changed(0)  # type: ignore[union-attr]  # it is there
    await trio.sleep(0.1)
    assert node.scope.counts.scope_failures > 5
    await node.streaming()
    assert trio.current_time() - failed <= 0.7


async def test_a_socket_that_could_not_be_bound_is_soon_tried_again(
    node: Node, autojump_clock: MockClock, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The delays of the last trouble are forgotten once it was over."""
    refusals = 20
    bind = PluginSocket.bind

    def refuse(path: Path) -> PluginSocket:
        nonlocal refusals
        if refusals and path.name == "numa-0.sock":
            refusals -= 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return bind(path)

    monkeypatch.setattr(PluginSocket, "bind", refuse)
    nursery.start_soon(node.supervise)
    node.start_kubelet()
    await trio.sleep(3600)
    await node.streaming()
    refusals = 1
    (node.watch.directory / "numa-0.sock").unlink()
    removed = trio.current_time()
    node.watch.wake()
    await wait_all_tasks_blocked()
    await node.streaming()
    assert refusals == 0
    assert trio.current_time() - removed < 0.5


async def test_cancelled_it_leaves_no_socket_behind(node: Node, autojump_clock: MockClock) -> None:
    """SIGTERM cancels the supervisor: the directory is as it was."""
    async with trio.open_nursery() as running:
        running.start_soon(node.supervise)
        node.start_kubelet()
        await node.streaming()
        running.cancel_scope.cancel()
    assert [path.name for path in node.watch.directory.iterdir()] == ["kubelet.sock"]


async def test_tells_when_an_old_kubelet_began(node: Node, autojump_clock: MockClock) -> None:
    """An agent that starts beside it waits for nothing that only a new kubelet needs."""
    made: list[float] = []
    node.start_kubelet()
    status = node.kubelet_socket.path.stat()
    os.utime(node.kubelet_socket.path, (status.st_atime, status.st_mtime - 3600))
    scope = evolve(node.scope, on_generation=made.append)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervise, node.kubelet_socket, scope)
        await node.streaming()
        nursery.cancel_scope.cancel()
    assert made == [pytest.approx(began - 3600, abs=60)]
