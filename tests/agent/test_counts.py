"""What happens is counted once, where it happens, with its true reason."""

import os
import socket
import time
from pathlib import Path

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock, wait_all_tasks_blocked

from agent.kubelet_fakes import FakeKubelet, HandWatch, advertise
from numa_trio.agent.advertised import AdvertisedResource, AdvertisedResources
from numa_trio.agent.counts import Ending, Outcome, ResourceCounts
from numa_trio.agent.plugin_scope import PluginScope, supervise
from numa_trio.agent.status import Phase
from numa_trio.kubelet.drop import Drop
from numa_trio.kubelet.errors import KubeletUnavailable, RegistrationRefused
from numa_trio.kubelet.socket import KubeletSocket


@frozen
class Node:
    """One resource beside a fake kubelet in a directory."""

    advertised: AdvertisedResource
    kubelet: FakeKubelet
    watch: HandWatch
    scope: PluginScope

    async def supervise(self) -> None:
        await supervise(KubeletSocket(self.scope.kubelet_socket, self.watch), self.scope)

    def start_kubelet(self, age: float = 0.0) -> None:
        """A new kubelet.sock, which has been there for `age` seconds when it is seen."""
        path = self.scope.kubelet_socket
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(path))
        created = time.time() - age
        os.utime(path, (created, created))
        self.watch.wake()

    async def streaming(self) -> None:
        await wait_all_tasks_blocked()
        status = self.advertised.status
        await status.until(lambda: status.phase is Phase.STREAMING)
        await wait_all_tasks_blocked()

    @property
    def counts(self) -> ResourceCounts:
        return self.advertised.counts

    @property
    def endings(self) -> dict[Ending, int]:
        """The reasons of the registrations anew, those that there were."""
        return {ending: count for ending, count in self.counts.reregistrations.items() if count}


@pytest.fixture
async def node(tmp_path: Path) -> Node:
    advertised = advertise()
    kubelet = FakeKubelet({advertised.resource.name: advertised.status})
    resources = AdvertisedResources()
    resources.add(advertised)
    watch = HandWatch(tmp_path)
    path = tmp_path / "kubelet.sock"
    scope = PluginScope(resources, kubelet.connect, path, "", watch)
    return Node(advertised, kubelet, watch, scope)


async def test_each_try_is_counted_with_its_outcome(
    node: Node, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Refused, unreachable and accepted are three counts; the first success is no repetition."""
    node.kubelet.answers = [RegistrationRefused("no"), KubeletUnavailable("gone"), None]
    nursery.start_soon(node.supervise)
    node.start_kubelet()
    await node.streaming()
    assert node.counts.registrations == dict.fromkeys(Outcome, 1)
    assert node.endings == {}


async def test_a_new_generation_is_a_reason(
    node: Node, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Each kubelet.sock is one generation, and each but the first makes one registration anew."""
    nursery.start_soon(node.supervise)
    for _ in range(3):
        node.start_kubelet()
        await node.streaming()
    assert node.scope.counts.kubelet_generations == 3
    assert node.endings == {Ending.NEW_GENERATION: 2}


async def test_a_lost_stream_is_a_reason(
    node: Node, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """The stream ends while kubelet.sock stays."""
    nursery.start_soon(node.supervise)
    node.start_kubelet()
    await node.streaming()
    node.advertised.status.streams_changed(0)
    await node.streaming()
    assert node.endings == {Ending.STREAM_LOST: 1}


async def test_a_restart_is_one_reason_although_its_stream_ended_first(
    node: Node, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Kubelet that stops ends the stream, and makes its socket anew later: a new generation."""
    nursery.start_soon(node.supervise)
    node.start_kubelet()
    await node.streaming()
    node.kubelet.answers = [KubeletUnavailable("Connection refused")] * 1000
    node.advertised.status.streams_changed(0)
    await trio.sleep(60)
    node.kubelet.answers = []
    node.start_kubelet()
    await node.streaming()
    assert node.endings == {Ending.NEW_GENERATION: 1}


async def test_a_stream_that_never_opens_is_a_reason(
    node: Node, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Kubelet accepts and then does not come."""
    node.kubelet.opens_streams = False
    nursery.start_soon(node.supervise)
    node.start_kubelet()
    await trio.sleep(5)
    node.kubelet.opens_streams = True
    await node.streaming()
    assert node.endings == {Ending.NO_STREAM: 1}


async def test_a_displaced_socket_is_a_reason(
    node: Node, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Our socket's file goes while kubelet.sock stays, and the obstacle says so."""
    nursery.start_soon(node.supervise)
    node.start_kubelet()
    await node.streaming()
    path = node.watch.directory / "numa-0.sock"
    path.unlink()
    node.watch.wake()
    await wait_all_tasks_blocked()
    assert node.advertised.status.obstacle == f"{path} was removed or replaced"
    await node.streaming()
    assert node.endings == {Ending.SOCKET_DISPLACED: 1}


async def test_a_defect_is_a_reason(
    node: Node, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """A scope that fails is counted, and the registration that follows says why it was needed."""
    nursery.start_soon(node.supervise)
    node.start_kubelet()
    await node.streaming()
    node.kubelet.answers = [ZeroDivisionError()]
    node.advertised.status.streams_changed(0)
    await node.streaming()
    assert node.scope.counts.scope_failures == 1
    assert node.endings == {Ending.SCOPE_FAILED: 1}


async def test_the_delay_begins_when_kubelets_socket_appeared(
    node: Node, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """The delay counts from the socket's creation, not from when we noticed it, once a socket."""
    nursery.start_soon(node.supervise)
    await trio.sleep(1000)
    node.start_kubelet(age=3.0)
    await node.streaming()
    assert sum(node.counts.streaming_delays.counts) == 1
    assert node.counts.streaming_delays.sum == pytest.approx(3.0, abs=0.5)
    node.advertised.status.streams_changed(0)
    await node.streaming()
    assert sum(node.counts.streaming_delays.counts) == 1
    await trio.sleep(100)
    node.kubelet.answers = [20.0]
    node.start_kubelet()
    await node.streaming()
    assert sum(node.counts.streaming_delays.counts) == 2
    assert node.counts.streaming_delays.sum == pytest.approx(23.0, abs=1.0)


@pytest.mark.parametrize("age", [86400.0, -86400.0], ids=["older than us", "from the future"])
async def test_the_delay_of_a_socket_that_was_there_begins_with_us(
    node: Node, autojump_clock: MockClock, nursery: trio.Nursery, age: float
) -> None:
    """An agent that starts beside an old kubelet, or after the clock jumped, is not slow."""
    node.start_kubelet(age)
    nursery.start_soon(node.supervise)
    await node.streaming()
    assert sum(node.counts.streaming_delays.counts) == 1
    assert node.counts.streaming_delays.sum == pytest.approx(0.0, abs=0.5)


async def test_allocations_and_drops_are_added_up() -> None:
    """Allocate may answer several containers; each connection that is dropped counts one."""
    counts = ResourceCounts()
    counts.allocated([["numa-0-0", "numa-0-1"]])
    counts.allocated([["numa-0-2"], ["numa-0-3"], ["numa-0-4"]])
    for reason in (Drop.TOO_MANY, Drop.STALLED, Drop.TOO_MANY):
        counts.connection_dropped(reason)
    assert counts.allocations == 4
    assert {reason: n for reason, n in counts.dropped.items() if n} == {
        Drop.TOO_MANY: 2,
        Drop.STALLED: 1,
    }
