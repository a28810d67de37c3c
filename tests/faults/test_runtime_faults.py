"""The container runtime is away, restarts, is slow or silent: slots never suffer.

Every test is a row of the fault matrix in docs/reliability.md. In virtual time.
"""

import pytest
import trio
from trio.testing import MockClock

from fault_rig import AT_ONCE
from nri_runtime.plugin import open_plugin
from runtime_rig import UNPINNED, RuntimeRig


@pytest.mark.parametrize("left", ["nothing", "directory", "dead socket", "file"])
async def test_container_runtime_away(
    autojump_clock: MockClock, node: RuntimeRig, left: str, back: float
) -> None:
    """No runtime for an hour, from the start: only the slots; then its containers are moved."""
    directory, socket = node.runtime.directory, node.runtime.socket_path
    await node.rig.kubelet.start()
    if left != "nothing":
        directory.mkdir(mode=0o700)
    if left == "dead socket":
        await node.runtime.start()
        await node.runtime.stop(killed=True)
    elif left == "file":
        socket.touch()
    await node.start_agent()
    await node.slots_are_offered()
    await trio.sleep(3600)
    await node.slots_are_offered()
    assert node.agents_runtime().problem
    await node.runtime.start()
    missed = await node.create()
    assert missed.resources == UNPINNED
    await node.pinned(missed, within=back)
    await node.create_pinned()
    assert node.agents_runtime().problem is None


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("away", [0, 3])
async def test_container_runtime_restarted(
    autojump_clock: MockClock, node: RuntimeRig, killed: bool, away: float, back: float
) -> None:
    """What ran stays pinned; what it creates before the agent is there is moved."""
    await node.settle()
    before = await node.create_pinned(0)
    await node.runtime.stop(killed=killed)
    await trio.sleep(away)
    await node.slots_are_offered()
    await node.runtime.start()
    missed = await node.create()
    assert missed.resources == UNPINNED
    await node.pinned(missed, within=back)
    await node.pinned(before, within=0, node=0)
    assert [container for container, _ in node.runtime.node.applied] == [missed.id]
    await node.create_pinned()


async def test_container_runtime_restarted_without_end(
    autojump_clock: MockClock, node: RuntimeRig, back: float
) -> None:
    """Fifty restarts in ten seconds, a container after each: all are pinned soon after."""
    await node.settle()
    created = []
    for _ in range(50):
        await node.runtime.restart()
        created.append(await node.create())
        await trio.sleep(0.2)
    await node.pinned(*created, within=back)
    await node.slots_are_offered()


async def test_container_runtime_slow(autojump_clock: MockClock, node: RuntimeRig) -> None:
    """Whatever it does takes long: it is waited for, and nothing is asked twice."""
    [container] = await node.start_with(1)
    node.runtime.faults.delays = {
        "RegisterPlugin": 6,
        "Configure": 9,
        "Synchronize": 9,
        "UpdateContainers": 60,
    }
    await node.start_agent()
    await node.connected(within=20)
    await node.create_pinned()
    await node.pinned(container, within=61)
    await node.slots_are_offered()
    assert len(node.runtime.recorder.of("RegisterPlugin")) == 1


@pytest.mark.parametrize("method", ["RegisterPlugin", "Configure", "Synchronize"])
async def test_container_runtime_silent(
    autojump_clock: MockClock, node: RuntimeRig, method: str, back: float
) -> None:
    """It leaves out what it owes a plugin: the next connection is tried, for ever."""
    await node.rig.kubelet.start()
    node.runtime.faults.silent.add(method)
    await node.runtime.start()
    await node.start_agent()
    await trio.sleep(3600)
    await node.slots_are_offered()
    assert len(node.runtime.recorder.of("RegisterPlugin")) > 80
    node.runtime.faults.silent.clear()
    missed = await node.create()
    await node.pinned(missed, within=back)
    await node.create_pinned()


async def test_another_plugin_holds_the_registration_up(
    autojump_clock: MockClock, node: RuntimeRig, back: float
) -> None:
    """The runtime takes one plugin after the other: one that is silent takes it five seconds."""
    await node.rig.kubelet.start()
    await node.runtime.start()
    async with open_plugin(node.runtime.socket_path, register=False):
        await node.start_agent()
        await node.slots_are_offered()
        missed = await node.create()
        await node.pinned(missed, within=back)


async def test_kubelet_restarted_while_containers_are_pinned(
    autojump_clock: MockClock, node: RuntimeRig, back: float
) -> None:
    """The connection to the runtime is none of kubelet's business."""
    await node.settle()
    for _ in range(3):
        await node.rig.restart_kubelet()
        await node.rig.everything_allocatable(within=back)
        await node.create_pinned()
    await node.connected(within=AT_ONCE)
    assert len(node.runtime.recorder.of("RegisterPlugin")) == 1
