"""Kubelet's pod-resources API misbehaves: the slots never suffer, and what was known holds.

Every test is a row of the fault matrix in docs/reliability.md. In virtual time.
"""

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from fault_rig import AT_ONCE, RESOURCES, Rig, open_rig
from numa_trio.agent.counting import Look
from numa_trio.workloads.pod import Container, Resources
from simulated import container, pod

# The machine has two nodes of two CPUs, and CPU 0 is reserved.
COUNTED = {"numa-align/numa-0-cpu": 1, "numa-align/numa-1-cpu": 2}


@pytest.fixture
def pod_resources(tmp_path: Path) -> Path:
    directory = tmp_path / "pod-resources"
    directory.mkdir()
    return directory / "kubelet.sock"


@pytest.fixture
async def rig(tmp_path: Path, pod_resources: Path) -> AsyncIterator[Rig]:
    async with open_rig(tmp_path, pod_resources=pod_resources) as made:
        yield made


async def start_counting(rig: Rig, pod_resources: Path) -> None:
    """Start kubelet, as an hour ago, and an agent that counts."""
    await rig.kubelet.start()
    await rig.start_agent(
        NUMA_COUNTED="cpu", NUMA_POD_RESOURCES_SOCKET=str(pod_resources), NUMA_INSTANCE="new"
    )
    await rig.everything_allocatable(within=AT_ONCE)


def with_devices(one: Container, devices: dict[str, int]) -> Container:
    more = {name: Fraction(count) for name, count in devices.items()}
    resources = Resources(one.resources.requests | more, one.resources.limits | more)
    return evolve(one, resources=resources)


async def counted(rig: Rig, within: float, **other: int) -> None:
    """Return as soon as kubelet has all that is counted; fail after that time."""
    with trio.fail_after(within):
        for name, count in {**COUNTED, **other}.items():
            await rig.kubelet.wait_allocatable(name, count)


def looks(rig: Rig) -> dict[Look, int]:
    counting = rig.agents[0].agent.counting
    assert counting is not None
    return counting.looks


async def test_pod_resources_socket_missing(
    autojump_clock: MockClock, rig: Rig, pod_resources: Path, back: float
) -> None:
    """Nothing is mounted there: the slots are offered, and the rest when it appears."""
    elsewhere = pod_resources.with_name("elsewhere.sock")
    await start_counting(rig, elsewhere)
    await trio.sleep(60)
    assert rig.kubelet.allocatable("numa-align/numa-1-cpu") == 0
    assert looks(rig)[Look.FAILED] > 5
    pod_resources.rename(elsewhere)
    await counted(rig, within=back)


async def test_kubelet_restarted_while_counting(
    autojump_clock: MockClock, rig: Rig, pod_resources: Path, back: float
) -> None:
    """What is counted comes back with the slots, without waiting for kubelet's first answer."""
    await start_counting(rig, pod_resources)
    await counted(rig, within=1)
    await trio.sleep(30)
    stranger = pod(container("app", "1"))
    assert (await rig.kubelet.admit(stranger)).admitted
    taken = {"numa-align/numa-0-cpu": 0}
    await counted(rig, 11, **taken)
    for _ in range(5):
        await rig.restart_kubelet()
        began = trio.current_time()
        await rig.everything_allocatable(within=back)
        await counted(rig, back, **taken)
        assert trio.current_time() - began <= back
    await trio.sleep(60)
    await counted(rig, AT_ONCE, **taken)
    rig.kubelet.remove(stranger)
    await counted(rig, within=11)


async def test_reboot_with_an_agent_of_the_host_that_counts(
    autojump_clock: MockClock, rig: Rig, pod_resources: Path, back: float
) -> None:
    """Before kubelet lists a container, its checkpoint says who has which counts."""
    counts = {"numa-align/numa-1-cpu": 2}
    counting = pod(with_devices(container("app", "2", numa=[1]), counts), name="counting")
    await start_counting(rig, pod_resources)
    await counted(rig, within=1)
    assert (await rig.kubelet.admit(counting)).admitted
    await trio.sleep(30)
    await rig.kubelet.reboot()
    await rig.agents.pop().stop()
    await trio.sleep(30)

    await rig.start_agent(NUMA_COUNTED="cpu", NUMA_POD_RESOURCES_SOCKET=str(pod_resources))
    await trio.sleep(1)
    await rig.kubelet.start()
    await counted(rig, within=back)
    (verdict,) = await rig.kubelet.admitted_again()

    assert (verdict.pod.name, verdict.message) == ("counting", None)
    assert rig.kubelet.node.restarts == {counting.uid: 1}
    await trio.sleep(60)
    await counted(rig, AT_ONCE)


async def hang_up(stream: trio.SocketStream) -> None:
    await stream.aclose()


async def answer_garbage(stream: trio.SocketStream) -> None:
    with suppress(trio.BrokenResourceError):
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")


async def say_nothing(stream: trio.SocketStream) -> None:
    await trio.lowlevel.checkpoint()


Behaviour = Callable[[trio.SocketStream], Awaitable[None]]
TROUBLES = pytest.mark.parametrize("behaviour", [hang_up, answer_garbage, say_nothing])


async def in_place_of(path: Path, behaviour: Behaviour, do: Callable[[], Awaitable[None]]) -> None:
    """While somebody else serves there, do that; then let the one who served before be back."""
    before = path.with_name("before.sock")
    path.rename(before)
    held: list[trio.SocketStream] = []

    async def serve(stream: trio.SocketStream) -> None:
        held.append(stream)
        await behaviour(stream)
        await trio.sleep_forever()

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as listener:
        listener.bind(os.fspath(path))
        listener.listen()
        os.utime(path, (0, 0))  # it has been there for long
        async with trio.open_nursery() as nursery:
            listening = trio.SocketListener(trio.socket.from_stdlib_socket(listener.dup()))
            nursery.start_soon(trio.serve_listeners, serve, [listening])
            await do()
            nursery.cancel_scope.cancel()
    path.unlink()
    before.rename(path)


@TROUBLES
async def test_pod_resources_in_trouble(
    autojump_clock: MockClock, rig: Rig, pod_resources: Path, behaviour: Behaviour, back: float
) -> None:
    """Slots and counts stay as they were for ten minutes, then a stranger's CPU is noticed."""
    await start_counting(rig, pod_resources)
    await counted(rig, within=1)
    await trio.sleep(20)
    failed = looks(rig)[Look.FAILED]

    async def nothing_changes() -> None:
        await trio.sleep(600)
        await counted(rig, AT_ONCE)
        await rig.everything_allocatable(within=AT_ONCE)

    await in_place_of(pod_resources, behaviour, nothing_changes)
    assert looks(rig)[Look.FAILED] > failed
    assert (await rig.kubelet.admit(pod(container("app", "1")))).admitted
    await counted(rig, back, **{"numa-align/numa-0-cpu": 0})


@TROUBLES
async def test_pod_resources_in_trouble_from_the_start(
    autojump_clock: MockClock, rig: Rig, pod_resources: Path, behaviour: Behaviour, back: float
) -> None:
    """Whoever answers there, the slots are offered at once, and the rest when kubelet answers."""
    await rig.kubelet.start()

    async def only_slots() -> None:
        await rig.start_agent(NUMA_COUNTED="cpu", NUMA_POD_RESOURCES_SOCKET=str(pod_resources))
        await rig.everything_allocatable(within=AT_ONCE)
        await trio.sleep(120)
        assert rig.allocatable() == dict.fromkeys(RESOURCES, 4)
        assert rig.kubelet.allocatable("numa-align/numa-1-cpu") == 0
        assert looks(rig)[Look.ANSWERED] == 0

    await in_place_of(pod_resources, behaviour, only_slots)
    await counted(rig, within=back)


async def test_strangers_cpus_are_not_offered(
    autojump_clock: MockClock, rig: Rig, pod_resources: Path, back: float
) -> None:
    """A pod that asked for no device takes a CPU: one device less, until it has gone."""
    await start_counting(rig, pod_resources)
    await counted(rig, within=1)
    await trio.sleep(60)
    ours = pod(with_devices(container("app", "1"), {"numa-align/numa-1-cpu": 1}))
    stranger = evolve(pod(container("app", "1")), name="stranger", uid="stranger")
    assert (await rig.kubelet.admit(ours)).admitted
    assert (await rig.kubelet.admit(stranger)).admitted
    await counted(rig, back, **{"numa-align/numa-0-cpu": 0})
    await trio.sleep(60)
    assert rig.kubelet.allocatable("numa-align/numa-1-cpu") == 2
    rig.kubelet.remove(stranger)
    await counted(rig, within=back)
