"""Streams, sockets, agents and NUMA nodes fail: what kubelet sees of it, in virtual time.

Every test is a row of the fault matrix in docs/reliability.md.
"""

import errno
import os
import socket
from asyncio import Transport
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import inotify_simple
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from capabilities import no_capabilities
from fault_rig import AT_ONCE, MACHINE, RESOURCES, Rig, open_rig
from numa_trio.agent.status import Phase
from numa_trio.kubelet.watch import DirectoryWatch
from numa_trio.simulator.plugin_connections import PluginConnections
from numa_trio.simulator.sysfs_tree import write_sysfs
from simulated import container, pod

NUMA_0, NUMA_1 = RESOURCES


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with open_rig(tmp_path) as made:
        yield made


@pytest.fixture
async def running(rig: Rig) -> Rig:
    """With kubelet up and every resource allocatable, for an hour."""
    await rig.settle()
    return rig


def transport(rig: Rig, resource: str) -> Transport:
    """Kubelet's end of its connection to a plugin."""
    assert rig.kubelet._life is not None
    client = rig.kubelet._life.connections._registered[resource].client
    found = client._channel._protocol.connection._transport
    assert isinstance(found, Transport)
    return found


async def lost_and_found(rig: Rig, resource: str, within: float) -> None:
    """The resource goes, and comes back in time; the others do not go at all."""
    others = [other for other in RESOURCES if other != resource]
    events = rig.kubelet.log.events
    before = len(events)
    with trio.fail_after(within):
        await rig.kubelet.wait_allocatable(resource, 0)
        await rig.kubelet.wait_allocatable(resource, 4)
    assert not {event.subject for event in events[before:]} & set(others)
    await trio.sleep(600)
    assert rig.allocatable() == dict.fromkeys(RESOURCES, 4)


async def test_stream_cancelled(
    autojump_clock: MockClock,
    rig: Rig,
    monkeypatch: pytest.MonkeyPatch,
    back: float,
) -> None:
    """Kubelet resets the call (RST_STREAM) and keeps the connection."""
    follow = PluginConnections._follow
    calls: dict[str, trio.CancelScope] = {}

    async def cancellable(
        connections: PluginConnections, resource: str, *arguments: object
    ) -> None:
        with trio.CancelScope() as calls[resource]:
            await follow(connections, resource, *arguments)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(PluginConnections, "_follow", cancellable)
    await rig.kubelet.start()
    await rig.start_agent()
    await rig.everything_allocatable(within=back)
    rig.nursery.start_soon(_later, calls[NUMA_1].cancel)
    await lost_and_found(rig, NUMA_1, back)


async def _later(action: Callable[[], object]) -> None:
    await trio.sleep(0.001)
    action()


async def test_stream_half_closed(autojump_clock: MockClock, running: Rig, back: float) -> None:
    """Kubelet's end stops sending, and would still read."""
    connection = transport(running, NUMA_1).get_extra_info("socket")
    running.nursery.start_soon(_later, lambda: connection._sock.shutdown(socket.SHUT_WR))
    await lost_and_found(running, NUMA_1, back)


async def test_stream_reset(autojump_clock: MockClock, running: Rig, back: float) -> None:
    """Kubelet's end goes without a word."""
    running.nursery.start_soon(_later, transport(running, NUMA_1).abort)
    await lost_and_found(running, NUMA_1, back)


async def test_connection_dropped_in_mid_message(
    autojump_clock: MockClock, rig: Rig, back: float
) -> None:
    """A list too long for the socket's buffer is cut off half-way, twice."""
    await rig.kubelet.start()
    agent = (await rig.start_agent(NUMA_CAPACITY="8000")).agent
    while len(agent.resources) < 2:
        await trio.lowlevel.checkpoint()
    status = next(one.status for one in agent.resources if one.resource.name == NUMA_1)
    for _ in range(2):
        await status.until(lambda: status.streams == 1)
        assert rig.kubelet.capacity(NUMA_1) == 0
        transport(rig, NUMA_1).abort()
        await status.until(lambda: status.streams == 0)
    assert rig.kubelet.capacity(NUMA_1) == 0
    with trio.fail_after(back):
        await rig.kubelet.wait_allocatable(NUMA_1, 8_000)


async def test_kubelet_that_stops_reading(autojump_clock: MockClock, rig: Rig, back: float) -> None:
    """Updates wait for it, others get theirs, and when it reads it learns the last state."""
    await rig.kubelet.start()
    await rig.start_agent(NUMA_CAPACITY="1500")
    with trio.fail_after(back):
        for resource in RESOURCES:
            await rig.kubelet.wait_allocatable(resource, 1_500)
    transport(rig, NUMA_1).pause_reading()
    for _ in range(3):
        take_cpus_offline(rig, 0, 1)
        await trio.sleep(31)
        assert rig.allocatable() == {NUMA_0: 0, NUMA_1: 1_500}
        write_sysfs(rig.sysfs, MACHINE)
        await trio.sleep(31)
        assert rig.allocatable() == {NUMA_0: 1_500, NUMA_1: 1_500}
    take_cpus_offline(rig, 1)
    await trio.sleep(31)
    transport(rig, NUMA_1).resume_reading()
    with trio.fail_after(back):
        await rig.kubelet.wait_allocatable(NUMA_1, 0)
    assert rig.kubelet.capacity(NUMA_1) == 1_500


def take_cpus_offline(rig: Rig, *nodes: int) -> None:
    for node in nodes:
        (rig.sysfs / f"devices/system/node/node{node}/cpulist").write_text("\n")


async def test_our_socket_deleted(autojump_clock: MockClock, running: Rig, back: float) -> None:
    """Somebody deletes the socket of one resource."""
    (running.directory / "numa-1.sock").unlink()
    await lost_and_found(running, NUMA_1, within=back)


async def test_our_socket_replaced_by_another_file(
    autojump_clock: MockClock, running: Rig, back: float
) -> None:
    """The file is kept under another name, and the resource comes back."""
    (running.directory / "precious").write_text("precious")
    (running.directory / "precious").rename(running.directory / "numa-1.sock")
    await lost_and_found(running, NUMA_1, within=back)
    assert (running.directory / "numa-1.sock.displaced").read_text() == "precious"


async def test_every_name_for_the_displaced_is_taken(
    autojump_clock: MockClock,
    running: Rig,
    back: float,
) -> None:
    """A thousand files were moved aside before: there is a name for one more."""
    path = running.directory / "numa-1.sock"
    for number in ("", *range(2, 1001)):
        path.with_name(f"numa-1.sock.displaced{number}").touch()
    (running.directory / "precious").write_text("precious")
    (running.directory / "precious").rename(path)
    await lost_and_found(running, NUMA_1, within=back)
    assert path.with_name("numa-1.sock.displaced1001").read_text() == "precious"


async def test_dead_socket_of_mode_0_at_our_path(
    autojump_clock: MockClock, rig: Rig, back: float
) -> None:
    """An agent without capabilities may not connect to it, and replaces it nevertheless."""
    for name in ("numa-0.sock", "numa-1-earlier.sock"):
        with socket.socket(socket.AF_UNIX) as abandoned:
            abandoned.bind(str(rig.directory / name))
        (rig.directory / name).chmod(0)
    with no_capabilities():
        await rig.kubelet.start(wipe=False)
        await rig.start_agent()
        await rig.everything_allocatable(within=back)
    names = {path.name for path in rig.directory.glob("numa-*")}
    assert names == {"numa-0.sock", "numa-1.sock"}


async def test_sockets_of_earlier_instances_are_removed(
    autojump_clock: MockClock, rig: Rig, back: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Also those of nodes and instances that are not there any more; others' files stay."""
    caplog.set_level("INFO")
    for name in ("numa-9-old.sock", "other.sock"):
        with socket.socket(socket.AF_UNIX) as abandoned:
            abandoned.bind(str(rig.directory / name))
    await rig.kubelet.start(wipe=False)
    await rig.start_agent()
    await rig.everything_allocatable(within=back)
    assert not (rig.directory / "numa-9-old.sock").exists()
    assert (rig.directory / "other.sock").exists()
    assert "Removed sockets of earlier instances: numa-9-old.sock" in caplog.messages


async def test_our_socket_stolen_by_another_process(
    autojump_clock: MockClock,
    running: Rig,
    back: float,
) -> None:
    """It keeps what it took for as long as it lives; then the resource is back at once."""
    path = running.directory / "numa-1.sock"
    with socket.socket(socket.AF_UNIX) as thief:
        thief.bind(str(running.directory / "stolen"))
        thief.listen()
        (running.directory / "stolen").rename(path)
        await trio.sleep(3600)
        assert running.allocatable() == {NUMA_0: 4, NUMA_1: 0}
    path.unlink()
    await running.everything_allocatable(within=back)


@pytest.mark.parametrize(
    ("refused", "code"), [("__init__", errno.EMFILE), ("add_watch", errno.ENOSPC)]
)
async def test_inotify_exhausted(
    autojump_clock: MockClock,
    rig: Rig,
    monkeypatch: pytest.MonkeyPatch,
    refused: str,
    code: int,
    back: float,
) -> None:
    """No instance or no watch is left: kubelet's restart is found by polling, in a second."""

    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(inotify_simple.INotify, refused, refuse)
    await rig.kubelet.start()
    await rig.start_agent()
    await rig.everything_allocatable(within=AT_ONCE)
    for _ in range(5):
        await trio.sleep(100.3)
        await rig.restart_kubelet()
        await rig.everything_allocatable(within=back)
    monkeypatch.undo()
    await trio.sleep(31)
    await rig.restart_kubelet()
    await rig.everything_allocatable(within=AT_ONCE)


async def test_inotify_queue_overflow(
    autojump_clock: MockClock,
    running: Rig,
    monkeypatch: pytest.MonkeyPatch,
    back: float,
) -> None:
    """The kernel drops every event but says so: that suffices."""
    read = inotify_simple.INotify.read

    def overflowing(instance: inotify_simple.INotify, **options: int) -> list[object]:
        read(instance, **options)
        return [inotify_simple.Event(-1, inotify_simple.flags.Q_OVERFLOW, 0, "")]

    monkeypatch.setattr(inotify_simple.INotify, "read", overflowing)
    await running.restart_kubelet()
    await running.everything_allocatable(within=back)


async def test_inotify_events_lost(
    autojump_clock: MockClock,
    running: Rig,
    monkeypatch: pytest.MonkeyPatch,
    back: float,
) -> None:
    """Events vanish without a word: the sweep finds kubelet's new socket within 30 s."""
    monkeypatch.setattr(DirectoryWatch, "_follow", _sweep_only)
    await running.restart_kubelet()
    await running.everything_allocatable(within=back)


async def _sweep_only(watch: DirectoryWatch, _inotify: object) -> None:
    while True:
        await trio.sleep(watch._sweep_interval)
        watch._announce()


@pytest.mark.parametrize("trap", [True, False], ids=["kubelet 1.36", "kubelet without the trap"])
async def test_rolling_update_with_instances(
    autojump_clock: MockClock,
    tmp_path: Path,
    trap: bool,
    back: float,
) -> None:
    """Old and new serve at once; when the old one ends the resources stay or are back in 1 s."""
    async with open_rig(tmp_path, disconnect_trap=trap) as rig:
        await rig.kubelet.start()
        old = await rig.start_agent(NUMA_INSTANCE="old")
        await rig.everything_allocatable(within=AT_ONCE)
        await trio.sleep(3600)
        new = await rig.start_agent(NUMA_INSTANCE="new")
        await trio.sleep(30)
        assert new.phases() == {Phase.STREAMING}
        assert rig.allocatable() == dict.fromkeys(RESOURCES, 4)
        await old.stop()
        await wait_all_tasks_blocked()
        await rig.everything_allocatable(within=back)
        await trio.sleep(600)
        assert rig.allocatable() == dict.fromkeys(RESOURCES, 4)
        verdict = await rig.kubelet.admit(pod(container(numa=[1])))
        assert verdict.admitted, verdict
        names = sorted(path.name for path in rig.directory.glob("numa-*"))
        assert names == ["numa-0-new.sock", "numa-1-new.sock"]


@pytest.mark.parametrize("trap", [True, False], ids=["kubelet 1.36", "kubelet without the trap"])
@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_newer_instance_ends_first(
    autojump_clock: MockClock,
    tmp_path: Path,
    trap: bool,
    end: str,
    back: float,
) -> None:
    """A rollout is undone: the older one, to which kubelet no longer listens, registers again."""
    async with open_rig(tmp_path, disconnect_trap=trap) as rig:
        await rig.kubelet.start()
        old = await rig.start_agent(NUMA_INSTANCE="old")
        await rig.everything_allocatable(within=back)
        for _ in range(3):
            await trio.sleep(3600)
            new = await rig.start_agent(NUMA_INSTANCE="new")
            await trio.sleep(30)
            await getattr(new, end)()
            await wait_all_tasks_blocked()
            await rig.everything_allocatable(within=back)
            await trio.sleep(600)
            assert rig.allocatable() == dict.fromkeys(RESOURCES, 4)
            assert old.phases() == {Phase.STREAMING}
            asking = pod(container(numa=[1]))
            verdict = await rig.kubelet.admit(asking)
            assert verdict.admitted, verdict
            rig.kubelet.remove(asking)


async def test_rolling_update_at_any_moment(
    autojump_clock: MockClock, running: Rig, back: float
) -> None:
    """The old agent ends while the new one registers: never longer away than a second."""
    old = running.agents[0]
    for steps in range(0, 400, 13):
        new = await running.start_agent(NUMA_INSTANCE=f"after-{steps}")
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
        await old.stop()
        await wait_all_tasks_blocked()
        await running.everything_allocatable(within=back)
        await wait_all_tasks_blocked()
        old = new


async def test_kubelets_checkpoint_wakes_nobody(autojump_clock: MockClock, running: Rig) -> None:
    """Kubelet writes it at each registration and allocation; the sockets beside it do wake."""
    watch = running.agents[0].agent.watch
    await wait_all_tasks_blocked()
    change = watch.next_change()
    for name in (".1234", "kubelet_internal_checkpoint", "gpu.sock"):
        (running.directory / name).touch()
        (running.directory / name).unlink()
    await wait_all_tasks_blocked()
    assert not change.is_set()
    ours = ("numa-0-other.sock", "numa-0-cpu+.sock", "numa-near-data+other.sock")
    for name in ("kubelet.sock.new", *ours):
        change = watch.next_change()
        (running.directory / name).touch()
        await wait_all_tasks_blocked()
        assert change.is_set() == name.endswith(".sock")


async def test_two_agents_of_one_name(autojump_clock: MockClock, running: Rig, back: float) -> None:
    """The second takes nothing from the first, and takes over at once when that ends."""
    [first] = [one for one in running.agents if not one.ended.is_set()]
    second = await running.start_agent()
    await trio.sleep(3600)
    assert running.allocatable() == dict.fromkeys(RESOURCES, 4)
    assert second.phases() == {Phase.WAITING}
    await first.stop()
    await wait_all_tasks_blocked()
    await running.everything_allocatable(within=back)
    await wait_all_tasks_blocked()
    assert second.phases() == {Phase.STREAMING}


async def test_numa_node_goes_and_returns(
    autojump_clock: MockClock, running: Rig, back: float
) -> None:
    """Without CPUs its slots are unhealthy, not gone; with them they are healthy again."""
    take_cpus_offline(running, 1)
    await trio.sleep(back)
    assert running.allocatable() == {NUMA_0: 4, NUMA_1: 0}
    assert running.kubelet.capacity(NUMA_1) == 4
    write_sysfs(running.sysfs, MACHINE)
    await trio.sleep(back)
    assert running.allocatable() == dict.fromkeys(RESOURCES, 4)


async def test_numa_node_added(autojump_clock: MockClock, rig: Rig, back: float) -> None:
    """A node that comes online is registered without a restart of the others."""
    (rig.sysfs / "devices/system/node/online").write_text("0\n")
    await rig.kubelet.start()
    await rig.start_agent()
    await rig.kubelet.wait_allocatable(NUMA_0, 4)
    write_sysfs(rig.sysfs, MACHINE)
    await trio.sleep(back)
    assert rig.allocatable() == dict.fromkeys(RESOURCES, 4)
    registered = [e.subject for e in rig.kubelet.log.events if e.kind == "Register answered"]
    assert registered == [NUMA_0, NUMA_1]


async def test_sysfs_file_vanishes_while_read(
    autojump_clock: MockClock, running: Rig, back: float
) -> None:
    """A node's folder goes while it is listed as online, and all of sysfs for a while."""
    nodes = running.sysfs / "devices/system/node"
    nodes.rename(nodes.with_name("hidden"))
    running.sysfs.rename(running.sysfs.with_name("away"))
    await trio.sleep(3600)
    assert running.allocatable() == dict.fromkeys(RESOURCES, 4)
    running.sysfs.with_name("away").rename(running.sysfs)
    nodes.with_name("hidden").rename(nodes)
    for path in sorted((nodes / "node1").iterdir()):
        path.unlink()
    (nodes / "node1").rmdir()
    await trio.sleep(back)
    assert running.allocatable() == {NUMA_0: 4, NUMA_1: 0}
    write_sysfs(running.sysfs, MACHINE)
    await trio.sleep(back)
    assert running.allocatable() == dict.fromkeys(RESOURCES, 4)


async def test_sysfs_file_malformed_that_decides_nothing(
    autojump_clock: MockClock, rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    """Distances and memory are only shown: before the start and after it, a remark is enough."""
    node = rig.sysfs / "devices/system/node/node0"
    (node / "distance").write_text("near far\n")
    await rig.kubelet.start()
    await rig.start_agent()
    await rig.everything_allocatable(within=AT_ONCE)
    (node / "meminfo").write_text("Node 0 MemTotal: plenty\n")
    await trio.sleep(100)
    assert rig.allocatable() == dict.fromkeys(RESOURCES, 4)
    for what in ("distances unknown", "memory unknown"):
        assert sum(line.startswith(f"node 0: {what}: {node}") for line in caplog.messages) == 1


async def test_cpulist_of_one_node_malformed(
    autojump_clock: MockClock, rig: Rig, back: float
) -> None:
    """The node waits until its CPUs are known, and the others do not wait for it."""
    cpulist = rig.sysfs / "devices/system/node/node1/cpulist"
    held = cpulist.read_text()
    cpulist.write_text("2-\n")
    await rig.kubelet.start()
    await rig.start_agent()
    await trio.sleep(1)
    assert rig.allocatable() == {NUMA_0: 4, NUMA_1: 0}
    cpulist.write_text(held)
    await rig.everything_allocatable(within=back)
    cpulist.write_text("2-\n")
    await trio.sleep(100)
    assert rig.allocatable() == dict.fromkeys(RESOURCES, 4)


async def test_agent_stopped_leaves_nothing(autojump_clock: MockClock, running: Rig) -> None:
    """The streams end, kubelet sees 0 at once, and no socket of ours stays."""
    [agent] = running.agents
    began = trio.current_time()
    await agent.stop()
    assert trio.current_time() - began < 2
    await wait_all_tasks_blocked()
    assert running.allocatable() == dict.fromkeys(RESOURCES, 0)
    assert not list(running.directory.glob("numa-*"))
