"""Registration is kept: refused, hanging, lost or never streamed, it is tried again."""

import itertools
import logging
from functools import partial

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from agent.kubelet_fakes import FakeKubelet, FakeServer, advertise
from numa_trio.agent import registration
from numa_trio.agent.advertised import AdvertisedResource, AdvertisedResources
from numa_trio.agent.backoff import Backoff
from numa_trio.agent.counts import Ending
from numa_trio.agent.registration import keep_registered, register_resources
from numa_trio.agent.status import Phase
from numa_trio.kubelet.errors import KubeletUnavailable, RegistrationRefused
from numa_trio.plugin.messages import Registration

REFUSED = RegistrationRefused("UNKNOWN: no")
UNREACHABLE = KubeletUnavailable("Connection refused")


@pytest.fixture(autouse=True)
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "Backoff", partial(Backoff, jitter=lambda: 0.0))


def beside(kubelet: FakeKubelet) -> AdvertisedResource:
    """A served resource whose streams `kubelet` opens."""
    advertised = advertise()
    kubelet.statuses[advertised.resource.name] = advertised.status
    advertised.status.serving_began()
    return advertised


async def test_says_who_it_is(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    """Name, endpoint, version and options, once the socket is served and not before."""
    kubelet = FakeKubelet()
    advertised = advertise(node=4)
    nursery.start_soon(keep_registered, advertised, kubelet, "numa-4.sock")
    await wait_all_tasks_blocked()
    assert kubelet.calls == []
    advertised.status.serving_began()
    await wait_all_tasks_blocked()
    assert [call for _, call in kubelet.calls] == [
        Registration("numa-align/numa-4", "numa-4.sock", "v1beta1")
    ]
    assert advertised.status.phase is Phase.REGISTERED


async def test_retries_with_doubling_delays_up_to_five_seconds(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """The first retry is quick, no two come closer together, and it never gives up."""
    kubelet = FakeKubelet(answers=[UNREACHABLE, REFUSED] * 20)
    advertised = beside(kubelet)
    nursery.start_soon(keep_registered, advertised, kubelet, "numa-0.sock")
    await advertised.status.until(lambda: advertised.status.phase is Phase.STREAMING)
    delays = [later - earlier for earlier, later in itertools.pairwise(kubelet.times)]
    assert len(delays) == 40
    assert delays == pytest.approx([min(5.0, 0.01 * 2**n) for n in range(40)])


async def test_logs_an_obstacle_once(
    autojump_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten failures alike are one line; another reason is another line."""
    kubelet = FakeKubelet(answers=[*[UNREACHABLE] * 10, *[REFUSED] * 10])
    advertised = beside(kubelet)
    with caplog.at_level(logging.INFO):
        nursery.start_soon(keep_registered, advertised, kubelet, "numa-0.sock")
        await advertised.status.until(lambda: advertised.status.phase is Phase.STREAMING)
    assert [record.getMessage() for record in caplog.records] == [
        "numa-align/numa-0: kubelet cannot be reached: Connection refused",
        "numa-align/numa-0: kubelet refused the registration: UNKNOWN: no",
        "numa-align/numa-0: kubelet holds its stream",
    ]


async def test_reregisters_when_only_the_stream_breaks(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """kubelet.sock is unchanged and the stream ends: registered again within milliseconds."""
    kubelet = FakeKubelet()
    advertised = beside(kubelet)
    nursery.start_soon(keep_registered, advertised, kubelet, "numa-0.sock")
    await advertised.status.until(lambda: advertised.status.streams == 1)
    await trio.sleep(3600)
    lost = trio.current_time()
    advertised.status.streams_changed(0)
    await advertised.status.until(lambda: not advertised.status.registered)
    assert advertised.status.obstacle == "kubelet let go of its ListAndWatch stream"
    await advertised.status.until(lambda: advertised.status.phase is Phase.STREAMING)
    assert 0 < trio.current_time() - lost <= 0.05
    assert advertised.status.obstacle is None


async def test_registers_again_when_kubelet_opens_no_stream(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """An accepted registration without ListAndWatch within ten seconds does not count."""
    kubelet = FakeKubelet(opens_streams=False)
    advertised = beside(kubelet)
    nursery.start_soon(keep_registered, advertised, kubelet, "numa-0.sock")
    await trio.sleep(9.9)
    assert len(kubelet.calls) == 1
    assert advertised.status.phase is Phase.REGISTERED
    await trio.sleep(0.2)
    assert len(kubelet.calls) == 2
    assert advertised.status.obstacle == "kubelet opened no ListAndWatch stream within 10 s"
    kubelet.opens_streams = True
    await trio.sleep(11)
    assert advertised.status.phase is Phase.STREAMING


async def test_a_slow_answer_is_waited_for(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Kubelet may take nine seconds to dial back; it is asked once."""
    kubelet = FakeKubelet(answers=[9.0])
    advertised = beside(kubelet)
    nursery.start_soon(keep_registered, advertised, kubelet, "numa-0.sock")
    await advertised.status.until(lambda: advertised.status.phase is Phase.STREAMING)
    assert len(kubelet.calls) == 1


async def test_a_stream_that_ends_before_the_answer_is_lost_too(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """It came and went while Register was still being answered: registered again at once."""
    kubelet = FakeKubelet()
    advertised = beside(kubelet)
    accept = kubelet.register

    async def lose_the_first(registration: Registration) -> None:
        await accept(registration)
        if len(kubelet.calls) == 1:
            advertised.status.streams_changed(0)

    kubelet.register = lose_the_first  # type: ignore[method-assign]  # a fake's
    nursery.start_soon(keep_registered, advertised, kubelet, "numa-0.sock")
    await advertised.status.until(lambda: advertised.status.phase is Phase.STREAMING)
    assert kubelet.times[1] <= 0.05


async def test_a_stream_that_came_and_went_is_a_lost_one(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Before the answer to Register, too: kubelet did open one, so that is not the reason."""

    class HastyKubelet(FakeKubelet):
        async def register(self, registration: Registration) -> None:
            await super().register(registration)
            if len(self.calls) == 1:
                self.statuses[registration.resource_name].streams_changed(0)

    kubelet = HastyKubelet()
    advertised = beside(kubelet)
    nursery.start_soon(keep_registered, advertised, kubelet, "numa-0.sock")
    await advertised.status.until(lambda: len(kubelet.calls) == 2)
    await advertised.status.until(lambda: advertised.status.phase is Phase.STREAMING)
    assert trio.current_time() < 1
    assert advertised.counts.reregistrations[Ending.STREAM_LOST] == 1
    assert advertised.counts.reregistrations[Ending.NO_STREAM] == 0


async def test_another_stream_does_not_hide_the_loss_of_kubelets(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Two streams are open and one ends: whichever it was, the resource registers again."""
    kubelet = FakeKubelet()
    advertised = beside(kubelet)
    nursery.start_soon(keep_registered, advertised, kubelet, "numa-0.sock")
    await advertised.status.until(lambda: advertised.status.streams == 1)
    await trio.sleep(60)
    advertised.status.streams_changed(2)
    await trio.sleep(60)
    assert len(kubelet.calls) == 1
    advertised.status.streams_changed(1)
    await trio.sleep(0.05)
    assert len(kubelet.calls) == 2


async def test_reregisters_when_a_sibling_ends(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Kubelet may have listened to it: our stream, though it is open, is worth nothing."""
    kubelet = FakeKubelet()
    advertised = beside(kubelet)
    status = advertised.status
    nursery.start_soon(keep_registered, advertised, kubelet, "numa-0.sock")
    await status.until(lambda: status.phase is Phase.STREAMING)
    await trio.sleep(3600)
    ended = trio.current_time()
    status.sibling_ended("the other one has ended")
    assert status.phase is Phase.SERVING
    assert status.obstacle == "the other one has ended"
    with trio.fail_after(0.05):
        await status.until(lambda: status.phase is Phase.STREAMING)
    assert trio.current_time() > ended
    assert [ending for ending, count in status.counts.reregistrations.items() if count] == [
        Ending.SIBLING_ENDED
    ]


async def test_a_sibling_that_ends_before_the_answer_counts_too(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Kubelet may have taken its registration after ours, which is not answered yet."""
    kubelet = FakeKubelet(answers=[1.0])
    advertised = beside(kubelet)
    nursery.start_soon(keep_registered, advertised, kubelet, "numa-0.sock")
    await trio.sleep(0.5)
    advertised.status.sibling_ended("the other one has ended")
    await trio.sleep(0.6)
    assert len(kubelet.calls) == 2


async def test_old_streams_end_before_each_registration(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Kubelet with the trap would drop the new registration when an old stream ends."""
    kubelet = FakeKubelet()
    advertised = beside(kubelet)
    assert isinstance(advertised.server, FakeServer)
    advertised.status.streams_changed(1)
    nursery.start_soon(keep_registered, advertised, kubelet, "numa-0.sock")
    await advertised.status.until(lambda: advertised.status.registered)
    assert advertised.server.streams_ended == 1


async def test_streams_that_break_at_once_do_not_make_it_spin(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Two agents that take the resource from one another slow down; a held stream forgives."""
    kubelet = FakeKubelet()
    advertised = beside(kubelet)
    nursery.start_soon(keep_registered, advertised, kubelet, "numa-0.sock")
    for _ in range(12):
        await advertised.status.until(lambda: advertised.status.phase is Phase.STREAMING)
        advertised.status.streams_changed(0)
    await advertised.status.until(lambda: advertised.status.phase is Phase.STREAMING)
    delays = [later - earlier for earlier, later in itertools.pairwise(kubelet.times)]
    assert delays == pytest.approx([min(5.0, 0.01 * 2**n) for n in range(12)])
    await trio.sleep(60)
    advertised.status.streams_changed(0)
    lost = trio.current_time()
    await advertised.status.until(lambda: advertised.status.phase is Phase.STREAMING)
    assert trio.current_time() - lost <= 0.05


async def test_registers_again_after_its_socket_was_lost(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """A new socket at the path needs a new registration, since kubelet never dials again."""
    kubelet = FakeKubelet()
    advertised = beside(kubelet)
    nursery.start_soon(keep_registered, advertised, kubelet, "numa-0.sock")
    await advertised.status.until(lambda: advertised.status.phase is Phase.STREAMING)
    advertised.status.socket_displaced("removed")
    await trio.sleep(1)
    assert len(kubelet.calls) == 1
    advertised.status.serving_began()
    await advertised.status.until(lambda: advertised.status.phase is Phase.STREAMING)
    assert len(kubelet.calls) == 2


async def test_cancelled_it_is_registered_no_more(autojump_clock: MockClock) -> None:
    """The next generation of kubelet knows nothing of this one's registrations."""
    kubelet = FakeKubelet()
    advertised = beside(kubelet)
    async with trio.open_nursery() as generation:
        generation.start_soon(keep_registered, advertised, kubelet, "numa-0.sock")
        await advertised.status.until(lambda: advertised.status.phase is Phase.STREAMING)
        generation.cancel_scope.cancel()
    assert not advertised.status.registered
    assert advertised.status.phase is Phase.SERVING
    assert sum(advertised.status.counts.reregistrations.values()) == 0


async def test_resources_register_side_by_side(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """One that hangs keeps none of the others; one that is added later registers too."""
    kubelet = FakeKubelet(answers=[100.0])
    resources = AdvertisedResources()
    for node in (0, 1):
        resources.add(advertise(node))
    for advertised in resources:
        advertised.status.serving_began()
    nursery.start_soon(register_resources, resources, kubelet, lambda name: f"{name}.sock")
    await trio.sleep(1)
    late = advertise(2)
    late.status.serving_began()
    resources.add(late)
    await trio.sleep(1)
    assert {call.endpoint for _, call in kubelet.calls} == {
        "numa-0.sock",
        "numa-1.sock",
        "numa-2.sock",
    }
