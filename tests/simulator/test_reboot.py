"""The kubelet stand-in over a reboot, with a plugin that is there in time or not."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from numa_trio.kubelet.rpc.loop import open_bridge
from numa_trio.plugin.messages import PluginOptions
from numa_trio.simulator.admission import Verdict
from numa_trio.simulator.events import EventKind
from numa_trio.simulator.kubelet import KubeletStandIn, open_kubelet
from numa_trio.workloads.pod import Container, ContainerKind, Pod
from plugin_double import PluginDouble, open_plugin
from simulated import container, init, machine, pod, sidecar

SMALL = machine([0, 1], [2, 3])
NUMA_1 = "numa-align/numa-1"
REFUSED = (
    "Pod was rejected: Allocate failed due to no healthy devices present; cannot allocate"
    " unhealthy devices numa-align/numa-1, which is unexpected"
)

HELD = pod(container(numa=[1]), name="held")
INITIALISED = pod(init("500m", [1]), container("app", "500m", [1]), name="initialised")
STRANGER = pod(container(cpu="500m"), name="stranger")


@asynccontextmanager
async def kubelet_on(
    directory: Path, pods: Sequence[Pod] = (), *, containers_run: bool = True
) -> AsyncIterator[KubeletStandIn]:
    async with (
        open_bridge(),
        open_kubelet(
            directory, SMALL, admit_again=2, pods=pods, containers_run=containers_run
        ) as kubelet,
    ):
        yield kubelet


@asynccontextmanager
async def registered(kubelet: KubeletStandIn) -> AsyncIterator[PluginDouble]:
    """A plugin with numa-1; kubelet has its devices."""
    async with open_plugin(kubelet.directory, 1) as plugin:
        await register(kubelet, plugin)
        yield plugin


async def register(kubelet: KubeletStandIn, plugin: PluginDouble) -> None:
    await plugin.serve()
    await plugin.register()
    await kubelet.wait_allocatable(NUMA_1, 4)


async def admit(kubelet: KubeletStandIn, *pods: Pod) -> list[Verdict]:
    verdicts = [await kubelet.admit(each) for each in pods]
    assert [verdict.message for verdict in verdicts] == [None] * len(pods)
    return verdicts


def outcomes(verdicts: Sequence[Verdict]) -> dict[str, str | None]:
    return {verdict.pod.name: verdict.message for verdict in verdicts}


def happened(kubelet: KubeletStandIn, *kinds: EventKind) -> list[tuple[EventKind, str]]:
    return [(event.kind, event.subject) for event in kubelet.log.events if event.kind in kinds]


async def test_plugin_that_is_there_in_time_loses_no_pod(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Each pod is started again with what it had, and the plugin is asked for nothing."""
    async with kubelet_on(tmp_path) as kubelet, open_plugin(tmp_path, 1) as plugin:
        await kubelet.start()
        await register(kubelet, plugin)
        before = await admit(kubelet, HELD, INITIALISED, STRANGER)
        await plugin.die()
        await kubelet.reboot()
        plugin.plugin.calls.clear()

        await kubelet.start()
        await register(kubelet, plugin)
        again = await kubelet.admitted_again()

        assert list(again) == before
        assert plugin.plugin.calls == []
        assert kubelet.node.restarts == {each.uid: 1 for each in (HELD, INITIALISED, STRANGER)}


async def test_plugin_that_comes_after_kubelet_has_admitted(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Whoever asks for the resource is refused for good, and what it had is free for others."""
    names = [each.name for each in (HELD, INITIALISED, STRANGER)]
    async with kubelet_on(tmp_path) as kubelet, open_plugin(tmp_path, 1) as plugin:
        await kubelet.start()
        await register(kubelet, plugin)
        await admit(kubelet, HELD, INITIALISED, STRANGER)
        await plugin.die()
        await kubelet.reboot()

        await kubelet.start()
        again = await kubelet.admitted_again()

        assert outcomes(again) == dict(zip(names, (REFUSED, REFUSED, None), strict=True))
        assert {each.reason for each in again[:2]} == {"UnexpectedAdmissionError"}
        assert happened(kubelet, EventKind.REJECTED) == [
            (EventKind.REJECTED, name) for name in names[:2]
        ]
        assert list(kubelet.node.pods) == [STRANGER.uid]
        assert kubelet.node.devices.allocations == {}
        assert kubelet.node.restarts == {STRANGER.uid: 1}
        await register(kubelet, plugin)
        (verdict,) = await admit(kubelet, pod(container(cpu="2", numa=[1]), name="made-anew"))
        assert verdict.placements[0].cpus == {2, 3}


@pytest.mark.parametrize(
    "containers",
    [
        [container(numa=[1])],
        [sidecar("1", numa=[1]), container("app", "500m")],
        [init("500m", numa=[1]), container("app", "500m")],
        [container("one", "500m"), container("two", "500m", numa=[1])],
    ],
    ids=["app", "sidecar", "init", "second"],
)
async def test_no_container_is_spared_as_it_is_at_a_restart_of_kubelet(
    tmp_path: Path, autojump_clock: MockClock, containers: list[Container]
) -> None:
    """Whichever container asks for the resource, none of them runs after a reboot."""
    async with kubelet_on(tmp_path) as kubelet:
        await kubelet.start()
        async with registered(kubelet):
            await admit(kubelet, pod(*containers, name="one"))
        await kubelet.reboot()
        await kubelet.start()

        assert outcomes(await kubelet.admitted_again()) == {"one": REFUSED}


async def test_pods_are_admitted_in_the_order_of_their_creation(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """At each reboot the same, before those that are created after it."""
    old = [pod(container(cpu="500m"), name=f"old-{n}") for n in range(4)]
    async with kubelet_on(tmp_path) as kubelet:
        await kubelet.start()
        await admit(kubelet, *old)
        for _ in range(2):
            await kubelet.reboot()
            await kubelet.start()
        await admit(kubelet, pod(container(cpu="500m"), name="new"))

        names = [name for _, name in happened(kubelet, EventKind.ADMITTED)]
        assert names == [each.name for each in old] * 2 + ["new"]


async def test_pods_stay_down_until_a_kubelet_has_admitted_them(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """If kubelet ends before that, the next one does not take their containers for running."""
    async with kubelet_on(tmp_path) as kubelet:
        await kubelet.start()
        async with registered(kubelet):
            await admit(kubelet, HELD)
        await kubelet.reboot()
        await kubelet.start()
        await trio.sleep(1)
        await kubelet.stop()
        await kubelet.start()

        assert outcomes(await kubelet.admitted_again()) == {"held": REFUSED}


async def test_restart_of_kubelet_after_a_reboot_finds_containers_that_run(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Once started again, a pod's containers run, and a plugin that is away does not matter."""
    async with kubelet_on(tmp_path) as kubelet:
        await kubelet.start()
        async with registered(kubelet):
            await admit(kubelet, HELD)
        await kubelet.reboot()
        await kubelet.start()
        async with registered(kubelet):
            await kubelet.admitted_again()
        await kubelet.stop()
        await kubelet.start()

        assert outcomes(await kubelet.admitted_again()) == {"held": None}
        assert kubelet.node.restarts == {HELD.uid: 1}


async def test_refused_pods_have_failed_for_good(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The next boot knows nothing of them."""
    async with kubelet_on(tmp_path) as kubelet:
        await kubelet.start()
        async with registered(kubelet):
            await admit(kubelet, HELD, STRANGER)
        for _ in range(2):
            await kubelet.reboot()
            await kubelet.start()
            again = await kubelet.admitted_again()

        assert outcomes(again) == {"stranger": None}
        assert kubelet.node.restarts == {STRANGER.uid: 2}


async def test_reboot_while_kubelet_is_down(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The machine may go down when kubelet has ended before it."""
    async with kubelet_on(tmp_path) as kubelet:
        await kubelet.start()
        await admit(kubelet, STRANGER)
        await kubelet.stop()
        await kubelet.reboot()
        await kubelet.start()
        await kubelet.admitted_again()

        assert kubelet.node.restarts == {STRANGER.uid: 1}


async def test_containers_are_started_again_as_they_were_at_first(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """PreStartContainer is called, and the memory of init containers is free after them."""
    first = container("init", "500m", [1], memory="3Gi", kind=ContainerKind.INIT)
    large = pod(first, container("app", "500m", [1]), name="large")
    async with kubelet_on(tmp_path) as kubelet, open_plugin(tmp_path, 1) as plugin:
        plugin.plugin.options = PluginOptions(pre_start_required=True)
        await kubelet.start()
        await register(kubelet, plugin)
        await admit(kubelet, large)
        await plugin.die()
        await kubelet.reboot()
        plugin.plugin.calls.clear()

        await kubelet.start()
        await register(kubelet, plugin)
        await kubelet.admitted_again()

        assert plugin.plugin.calls == [("PreStartContainer", ["numa-1-0"])] * 2
        assert kubelet.node.memory.blocks_of(large, first) == []


# --- a stand-in that is a process of its own, started anew with the pods of the API server


async def _leave_checkpoint(directory: Path) -> None:
    """A kubelet that admitted the pods of these tests, and ended."""
    async with kubelet_on(directory) as kubelet:
        await kubelet.start()
        async with registered(kubelet):
            await admit(kubelet, HELD, STRANGER)


@pytest.mark.parametrize(
    ("containers_run", "in_time", "message"),
    [(True, False, None), (False, False, REFUSED), (False, True, None)],
    ids=["restarted", "rebooted", "rebooted, plugin in time"],
)
async def test_process_of_its_own(
    tmp_path: Path,
    autojump_clock: MockClock,
    containers_run: bool,
    in_time: bool,
    message: str | None,
) -> None:
    """It finds in the checkpoint what the pods have, and is told whether their containers run."""
    await _leave_checkpoint(tmp_path)

    async with (
        kubelet_on(tmp_path, [HELD, STRANGER], containers_run=containers_run) as kubelet,
        open_plugin(tmp_path, 1) as plugin,
    ):
        await kubelet.start()
        if in_time:
            await register(kubelet, plugin)
        again = await kubelet.admitted_again()

        assert outcomes(again) == {"held": message, "stranger": None}
        assert plugin.plugin.calls == []
        if message is None:
            (placement,) = again[0].placements
            assert placement.devices == {NUMA_1: ("numa-1-0",)}
            assert placement.environment == {"NUMA_NODE": "1"}


async def test_process_of_its_own_forgets_pods_that_the_api_server_does_not_have(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """What a pod had that was deleted in the meantime is free."""
    await _leave_checkpoint(tmp_path)

    async with kubelet_on(tmp_path, [STRANGER], containers_run=False) as kubelet:
        await kubelet.start()

        assert outcomes(await kubelet.admitted_again()) == {"stranger": None}
        assert kubelet.node.devices.allocations == {}


async def test_process_of_its_own_without_a_checkpoint(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A pod of which nothing is written down is given devices as a new one is."""
    async with (
        kubelet_on(tmp_path, [HELD], containers_run=False) as kubelet,
        open_plugin(tmp_path, 1) as plugin,
    ):
        await kubelet.start()
        await register(kubelet, plugin)

        assert outcomes(await kubelet.admitted_again()) == {"held": None}
        assert plugin.plugin.calls == [("Allocate", [["numa-1-0"]])]
