"""What the agent says to the container runtime is late, refused, or said by two.

Every test is a row of the fault matrix in docs/reliability.md. In virtual time.
"""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from fault_rig import AT_ONCE
from nri_runtime.cri import Container, State
from nri_runtime.flavour import CriO
from numa_trio.agent.container_runtime import ContainerRuntime
from numa_trio.runtime.outcome import Outcome
from runtime_rig import ON_NODE, UNPINNED, open_runtime_rig


@pytest.mark.parametrize("library", [(0, 6, 1), (0, 8, 0), (0, 12, 0)])
async def test_synchronize_answered_late(
    autojump_clock: MockClock, tmp_path: Path, library: tuple[int, int, int], back: float
) -> None:
    """The agent got no time for 3 s: old runtimes keep the connection and tell nothing ever."""
    async with open_runtime_rig(tmp_path, library) as node:
        await node.settle()
        await node.runtime.restart()
        recorder = node.runtime.recorder
        known = len(recorder.of("Synchronize"))
        await recorder.wait_until(lambda: len(recorder.of("Synchronize")) > known)
        autojump_clock.jump(3)
        missed = await node.create()
        await node.pinned(missed, within=back)
        await node.create_pinned()
        await node.slots_are_offered()


@pytest.mark.parametrize("library", [(0, 6, 1), (0, 12, 0)])
async def test_agent_too_slow_for_a_creation(
    autojump_clock: MockClock, tmp_path: Path, library: tuple[int, int, int], back: float
) -> None:
    """It got no time for 3 s: the runtime creates the container without it, and hangs up."""
    async with open_runtime_rig(tmp_path, library) as node:
        await node.settle()
        made: list[Container] = []

        async def create() -> None:
            made.append(await node.create())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(create)
            recorder = node.runtime.recorder
            await recorder.wait_until(lambda: bool(recorder.of("CreateContainer")))
            autojump_clock.jump(3)
        assert made[0].resources == UNPINNED
        await node.pinned(*made, within=back)
        await node.create_pinned()
        await node.slots_are_offered()


@pytest.mark.parametrize("library", [(0, 6, 1), (0, 12, 0)])
async def test_agent_killed_while_it_is_asked(
    autojump_clock: MockClock,
    tmp_path: Path,
    library: tuple[int, int, int],
    back: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The runtime does not wait for who is gone: the container is created at once, unpinned."""
    async with open_runtime_rig(tmp_path, library) as node:
        await node.settle()
        asked = trio.Event()

        async def never(*_: object) -> None:
            asked.set()
            await trio.sleep_forever()

        made: list[Container] = []

        async def create() -> None:
            made.append(await node.create())

        began = trio.current_time()
        with monkeypatch.context() as asking:
            asking.setattr(ContainerRuntime, "create", never)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(create)
                await asked.wait()
                await node.rig.agents[-1].kill()
        assert trio.current_time() - began < AT_ONCE
        assert made[0].resources == UNPINNED
        await node.start_agent()
        await node.pinned(*made, within=back)
        await node.create_pinned()


@pytest.mark.parametrize(("library", "moved"), [((0, 6, 1), False), ((0, 8, 0), True)])
async def test_synchronize_too_large(
    autojump_clock: MockClock, tmp_path: Path, library: tuple[int, int, int], moved: bool
) -> None:
    """Ten MiB: in parts it is read; at once it is not, and only new containers are pinned."""
    async with open_runtime_rig(tmp_path, library) as node:
        [before] = await node.start_with(1)
        for number in range(40):
            padding = {"padding": "x" * (1 << 18)}
            large = Container(
                f"large-{number}", before.pod_id, state=State.RUNNING, annotations=padding
            )
            node.runtime.node.containers[large.id] = large
        await node.start_agent()
        await node.slots_are_offered()
        await node.connected(within=1)
        await node.create_pinned()
        await trio.sleep(60)
        resources = node.runtime.node.containers[before.id].resources
        assert resources == (ON_NODE[1] if moved else UNPINNED)
        assert len(node.runtime.recorder.of("RegisterPlugin")) == 1
        await node.slots_are_offered()


async def test_container_cannot_be_moved(autojump_clock: MockClock, tmp_path: Path) -> None:
    """CRI-O drops a plugin if what it asks for when it comes fails: so nothing is asked then."""
    async with open_runtime_rig(tmp_path, flavour=CriO()) as node:
        stubborn, other = await node.start_with(2)
        node.runtime.node.stubborn.add(stubborn.id)
        await node.start_agent()
        await node.pinned(other, within=2)
        assert node.agents_runtime().counts["1", Outcome.FAILED] == 1
        await node.create_pinned()
        assert len(node.runtime.recorder.of("RegisterPlugin")) == 1


@pytest.mark.parametrize(
    ("library", "settings"),
    [((0, 6, 1), {}), ((0, 12, 0), {"NUMA_MEMORY_POLICY": "prefer"})],
    ids=["bind", "prefer"],
)
async def test_two_agents_ask_for_the_same(
    autojump_clock: MockClock,
    tmp_path: Path,
    library: tuple[int, int, int],
    settings: dict[str, str],
    back: float,
) -> None:
    """In a rolling update: the second sees what the first has set, and no creation fails."""
    async with open_runtime_rig(tmp_path, library) as node:
        await node.settle(NUMA_INSTANCE="old", **settings)
        alone = await node.create()
        await node.start_agent(NUMA_INSTANCE="new", **settings)
        await node.connected(agents=2, within=AT_ONCE)
        together = await node.create()
        await node.rig.agents[0].stop()
        await node.rig.everything_allocatable(within=back)
        afterwards = await node.create()
        for other in (together, afterwards):
            assert other.resources == alone.resources != UNPINNED
            assert other.memory_policy == alone.memory_policy
        assert (alone.memory_policy is None) is (not settings)
