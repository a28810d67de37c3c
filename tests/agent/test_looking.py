"""Looks in a thread, and when they are taken."""

import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import trio
from attrs import define, field
from trio.testing import MockClock

from host_tree import TWO_NODES
from numa_trio.agent.looking import Found, NoAnswer, OneThread
from numa_trio.agent.nearness import Nearness
from numa_trio.near.verdicts import NearLook
from numa_trio.topology.machine import Machine


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    """What a job waits for that hangs; it ends with the test."""
    event = threading.Event()
    yield event
    event.set()


async def test_a_job_returns_or_raises() -> None:
    """From a thread of its own."""
    thread = OneThread(60)
    assert await thread.run(threading.get_ident) != threading.get_ident()

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await thread.run(fail)


async def test_a_job_that_hangs_is_given_up(hanging: threading.Event) -> None:
    """The next one waits for it, and never runs beside it."""
    thread = OneThread(0.01)
    ran = threading.Event()
    for job in (hanging.wait, ran.set):
        with pytest.raises(NoAnswer, match="has not answered"):
            await thread.run(job)
    hanging.set()
    thread.patience = 60
    await thread.run(ran.set)
    assert ran.is_set()


async def test_a_job_that_hangs_ends_with_its_task(hanging: threading.Event) -> None:
    """SIGTERM does not wait for it, and it is no lost look."""
    thread = OneThread(60)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(thread.run, hanging.wait)
        await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.cancel_scope.cancel()


@define(eq=False)
class Near:
    """Slots that nobody offers."""

    look: NearLook = field(factory=NearLook)
    admitted: float = 0.0

    def see(self, look: NearLook) -> bool:
        return False

    def kubelet_appeared(self, at: float) -> None:
        pass


async def test_looks_take_a_hundredth_of_a_processor(autojump_clock: MockClock) -> None:
    """However many names there are, and however often the kernel tells of something."""
    times = []

    async def look(_machine: Machine) -> Found:
        times.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        return Found(NearLook(), cpu_seconds=2.0)

    nearness = Nearness(Near(), look, lambda: TWO_NODES, interval=30)
    with trio.move_on_after(1000):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(nearness.follow)
            while True:
                nearness.happened()
                await trio.sleep(0.5)
    assert len(times) == 5
    assert min(after - before for before, after in pairwise(times)) >= 200


async def test_the_kernel_is_listened_to(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it tells of devices, and of the host's mount table, has a look taken soon."""
    table = Path("/host/proc/1/mountinfo")
    tell: dict[object, Callable[[], None]] = {}

    async def follow(changed: Callable[[], None], what: object = "devices") -> None:
        tell[what] = changed
        await trio.sleep_forever()

    monkeypatch.setattr("numa_trio.agent.nearness.follow_uevents", follow)
    monkeypatch.setattr("numa_trio.agent.nearness.follow_mounts", follow)
    times = []

    async def look(_machine: Machine) -> Found:
        times.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        return Found(NearLook())

    nearness = Nearness(Near(), look, lambda: TWO_NODES, interval=3600, mount_table=table)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(nearness.follow)
        await trio.sleep(10)
        for what in ("devices", table):
            told = trio.current_time()
            tell[what]()
            await trio.sleep(10)
            assert 0 < times[-2] - told < 1
        nursery.cancel_scope.cancel()
