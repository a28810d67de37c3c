"""When kubelet is asked what it has given away, and what holds when it does not answer."""

import os
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from attrs import define, field
from trio.testing import MockClock

from numa_trio.agent.counting import Counting, Look
from numa_trio.kubelet.errors import PodResourcesUnavailable
from numa_trio.plugin.holdings import Allocatable, ContainerHoldings

CPUS = Allocatable(frozenset({1, 2, 3}))
POD = ContainerHoldings("default", "pod", "app", {}, frozenset({2}))
OLD = 3600.0  # seconds


@define(eq=False)
class FakeCounted:
    """Remembers what it was told."""

    reasons: dict[str, str] = field(factory=dict)
    devices: list[Sequence[Sequence[str]]] = field(factory=list)
    applied: list[tuple[Allocatable, Sequence[ContainerHoldings]]] = field(factory=list)
    refreshed: int = 0
    defect: Exception | None = None

    def given(self, device_ids: Sequence[Sequence[str]]) -> None:
        self.devices.append(device_ids)

    def apply(
        self,
        allocatable: Allocatable,
        holdings: Sequence[ContainerHoldings],
        *,
        complete: bool = True,
    ) -> None:
        if self.defect:
            raise self.defect
        self.applied.append((allocatable, holdings))

    def refresh(self) -> None:
        self.refreshed += 1


@define(eq=False, slots=False)
class FakePodResources:
    """Answers with these, or fails with the `trouble`; remembers when it was asked."""

    can_give: Allocatable = CPUS
    holdings: tuple[ContainerHoldings, ...] = (POD,)
    trouble: str | None = None
    asked: list[tuple[float, str]] = field(factory=list)

    async def allocatable(self) -> Allocatable:
        await self._be_asked("allocatable")
        return self.can_give

    async def list_holdings(self) -> tuple[ContainerHoldings, ...]:
        await self._be_asked("list")
        return self.holdings

    async def _be_asked(self, what: str) -> None:
        self.asked.append((trio.current_time(), what))
        await trio.lowlevel.checkpoint()
        if self.trouble:
            raise PodResourcesUnavailable(self.trouble)

    @asynccontextmanager
    async def connect(self, _socket: Path, /) -> AsyncIterator["FakePodResources"]:
        yield self

    @property
    def lists(self) -> list[float]:
        """When it was asked for its list, in seconds since the first question."""
        began = self.asked[0][0]
        return [round(at - began, 1) for at, what in self.asked if what == "list"]


class Kubelet:
    """Its pod-resources socket, which stands for one life of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX)
        self.starts()

    def starts(self, seconds_ago: float = OLD) -> None:
        """As if it had been started then."""
        self.path.unlink(missing_ok=True)
        self.socket.close()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(os.fspath(self.path))
        status = self.path.stat()
        created = status.st_mtime - seconds_ago
        os.utime(self.path, (created, created))


@pytest.fixture
def kubelet(tmp_path: Path) -> Iterator[Kubelet]:
    made = Kubelet(tmp_path / "kubelet.sock")
    yield made
    made.socket.close()


class Rig:
    """A `Counting` that asks every 10 s."""

    def __init__(self, path: Path) -> None:
        self.counted = FakeCounted()
        self.api = FakePodResources()
        self.counting = Counting(self.counted, path, self.api.connect, interval=10.0)


@pytest.fixture
async def rig(kubelet: Kubelet, nursery: trio.Nursery) -> Rig:
    made = Rig(kubelet.path)
    assert not made.counting.looked
    nursery.start_soon(made.counting.follow)
    return made


async def test_asks_at_once_and_then_at_every_interval(rig: Rig, autojump_clock: MockClock) -> None:
    """The list each time; what can be given away only once in a life of kubelet."""
    await trio.sleep(25)
    assert rig.api.lists == [0, 10, 20]
    assert [what for _, what in rig.api.asked].count("allocatable") == 1
    assert rig.counted.applied == [(CPUS, (POD,))] * 3
    assert rig.counting.looks == {Look.ANSWERED: 3, Look.INCOMPLETE: 0, Look.FAILED: 0}
    assert rig.counting.problem is None


async def test_asks_soon_after_an_allocation(rig: Rig, autojump_clock: MockClock) -> None:
    """A second later kubelet lists what the container has got; many at once are one reason."""
    await trio.sleep(2)
    rig.counting.allocated([["numa-1-7"], ["numa-1-8"]])
    rig.counting.allocated([["numa-1-9"]])
    assert rig.counted.devices == [[["numa-1-7"], ["numa-1-8"]], [["numa-1-9"]]]
    await trio.sleep(12)
    assert rig.api.lists == [0, 3, 13]


async def test_failure_leaves_what_was_known_and_is_tried_again(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """No answer changes nothing, is told, and soon tried again, then at the interval."""
    await trio.sleep(1)
    rig.api.trouble = "no answer within 5 s"
    await trio.sleep(60)
    assert rig.counted.applied == [(CPUS, (POD,))]
    assert rig.counting.problem == "no answer within 5 s"
    assert rig.counted.refreshed == rig.counting.looks[Look.FAILED] > 6
    assert rig.counting.answered is not None
    assert trio.current_time() - rig.counting.answered.trio == pytest.approx(61, abs=0.1)
    rig.api.trouble = None
    await trio.sleep(11)
    assert rig.counting.problem is None
    assert len(rig.counted.applied) > 1


async def test_missing_socket_is_a_failure(
    rig: Rig, kubelet: Kubelet, autojump_clock: MockClock
) -> None:
    """Kubelet that has gone altogether is like one that does not answer."""
    await trio.sleep(1)
    kubelet.path.unlink()
    rig.api.trouble = "there is no such socket"
    await trio.sleep(20)
    assert rig.counting.looks[Look.FAILED] > 1
    assert rig.counted.applied == [(CPUS, (POD,))]


async def test_kubelet_that_has_just_started_is_not_believed(
    rig: Rig, kubelet: Kubelet, autojump_clock: MockClock
) -> None:
    """For ten seconds it may not know its pods yet: what was known holds, then it is asked anew."""
    await trio.sleep(1)
    kubelet.starts(seconds_ago=0)
    rig.api.holdings = ()
    rig.counting.kubelet_appeared(trio.current_time())
    await trio.sleep(8)
    assert rig.counted.applied == [(CPUS, (POD,))]
    assert rig.counting.looks[Look.INCOMPLETE] > 0
    rig.api.can_give = Allocatable(frozenset({2, 3}))
    rig.api.holdings = (POD,)
    await trio.sleep(15)
    assert rig.counted.applied[1] == (Allocatable(frozenset({2, 3})), (POD,))


async def test_first_answer_counts_however_young_kubelet_is(
    kubelet: Kubelet, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Agent and kubelet start together: nothing is known that could hold, so what comes is used."""
    kubelet.starts(seconds_ago=0)
    rig = Rig(kubelet.path)
    rig.api.can_give = Allocatable()  # its managers have not started
    nursery.start_soon(rig.counting.follow)
    await trio.sleep(0.5)
    assert rig.counted.applied == []
    assert rig.counting.looked
    rig.api.can_give = CPUS
    await trio.sleep(1)
    assert rig.counted.applied[0] == (CPUS, (POD,))


async def test_policy_without_cpus_is_believed_in_time(
    kubelet: Kubelet, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """A kubelet that has run for long and gives no CPUs away has another policy."""
    rig = Rig(kubelet.path)
    rig.api.can_give = Allocatable()
    nursery.start_soon(rig.counting.follow)
    await trio.sleep(0.5)
    assert rig.counted.applied == [(Allocatable(), (POD,))]


async def test_wall_clock_that_was_set_back_does_not_keep_kubelet_young(
    rig: Rig, kubelet: Kubelet, autojump_clock: MockClock
) -> None:
    """A socket from the future is believed ten seconds after it was seen."""
    await trio.sleep(1)
    kubelet.starts(seconds_ago=-OLD)
    rig.api.holdings = ()
    rig.counting.kubelet_appeared(trio.current_time())
    await trio.sleep(30)
    assert rig.counted.applied[-1] == (CPUS, ())


async def test_kubelet_whose_runtime_is_slow_is_not_believed(
    rig: Rig, kubelet: Kubelet, autojump_clock: MockClock
) -> None:
    """Until its managers start, after minutes at worst, it has no CPUs: what was known holds."""
    rig.counting.kubelet_appeared(trio.current_time() - OLD)
    await trio.sleep(1)
    kubelet.starts(seconds_ago=0)
    rig.api.can_give, rig.api.holdings = Allocatable(), ()
    await trio.sleep(240)
    assert rig.counted.applied == [(CPUS, (POD,))]
    rig.counting.kubelet_appeared(trio.current_time())
    rig.api.can_give = CPUS
    await trio.sleep(9)
    assert rig.counted.applied == [(CPUS, (POD,))]
    rig.api.holdings = (POD,)
    await trio.sleep(15)
    assert rig.counted.applied[1] == (CPUS, (POD,))


async def test_policy_that_was_changed_is_believed_once_kubelet_has_started(
    rig: Rig, kubelet: Kubelet, autojump_clock: MockClock
) -> None:
    """No CPUs from a kubelet whose managers have started: the policy is another now."""
    await trio.sleep(1)
    kubelet.starts(seconds_ago=0)
    rig.api.can_give = Allocatable()
    rig.counting.kubelet_appeared(trio.current_time())
    await trio.sleep(25)
    assert rig.counted.applied[-1] == (Allocatable(), (POD,))


async def test_defect_of_counting_ends_nothing(rig: Rig, autojump_clock: MockClock) -> None:
    """What nobody foresaw is told and tried again; the slots live on in the same nursery."""
    await trio.sleep(1)
    rig.counted.defect = ValueError("an odd node")
    await trio.sleep(60)
    assert "an odd node" in str(rig.counting.problem)
    assert 5 < rig.counting.looks[Look.FAILED] < 20
    rig.counted.defect = None
    await trio.sleep(11)
    assert rig.counting.problem is None
    assert len(rig.counted.applied) > 1
