"""What names stand for comes, goes and moves, or cannot be found: the slots never suffer.

Every test is a row of the fault matrix in docs/reliability.md. In virtual time.
"""

import threading
from pathlib import Path
from typing import NoReturn

import pytest
import trio
from trio.testing import MockClock

from fault_rig import RESOURCES, open_rig
from near_rig import DATA, MOUNTED, NearRig, asking
from numa_trio.workloads.pod import ContainerKind


async def test_what_a_name_stands_for_goes_and_returns(
    tmp_path: Path, autojump_clock: MockClock, back: float
) -> None:
    """Slots near the disk's node, unhealthy while it is not mounted, healthy again."""
    async with open_rig(tmp_path) as rig:
        near = NearRig(rig, tmp_path)
        resource = await near.offered("data=mount:/data")
        assert resource.resource.numa_nodes == (1,)
        near.mount()
        await near.allocatable(0, within=back)
        assert rig.kubelet.capacity(DATA) == 4
        near.mount(MOUNTED)
        await near.allocatable(4, within=back)
        for name in RESOURCES:
            assert rig.kubelet.allocatable(name) == 4


async def test_what_a_name_stands_for_comes_late(
    tmp_path: Path, autojump_clock: MockClock, back: float
) -> None:
    """The agent starts before the mount is made: the resource is there soon after it."""
    async with open_rig(tmp_path) as rig:
        near = NearRig(rig, tmp_path)
        near.mount()
        await near.start("data=mount:/data")
        await rig.everything_allocatable(within=1)
        await trio.sleep(60)
        assert rig.agents[0].agent.resources.get("near-data") is None
        near.mount(MOUNTED)
        await near.allocatable(4, within=back)


async def test_kernel_tells_of_a_change(
    tmp_path: Path, autojump_clock: MockClock, back: float
) -> None:
    """Without waiting for the next look; and events without end cost a look a second."""
    async with open_rig(tmp_path) as rig:
        near = NearRig(rig, tmp_path)
        near.mount()
        await near.start("data=mount:/data", NUMA_TOPOLOGY_INTERVAL="3600")
        await rig.everything_allocatable(within=1)
        await trio.sleep(10)
        near.mount(MOUNTED)
        near.nearness().happened()
        await near.allocatable(4, within=back)
        near.mount()
        with trio.move_on_after(back):
            while True:
                near.nearness().happened()
                await trio.sleep(0.05)
        await near.allocatable(0, within=0)


async def test_link_is_made_after_its_event(
    tmp_path: Path, autojump_clock: MockClock, back: float
) -> None:
    """The kernel tells of a disk before udev has made its links: these are looked for again."""
    async with open_rig(tmp_path) as rig:
        near = NearRig(rig, tmp_path)
        near.tree.host_file("/dev/disk/by-id/other")
        await near.start("data=/dev/disk/by-id/nvme-1", NUMA_TOPOLOGY_INTERVAL="3600")
        await rig.everything_allocatable(within=1)
        await trio.sleep(10)
        near.nearness().happened()
        await trio.sleep(1.5)
        near.tree.host_link("/dev/disk/by-id/nvme-1", "../../nvme0n1")
        await near.allocatable(4, within=back)


async def test_what_a_name_stands_for_moves(
    tmp_path: Path, autojump_clock: MockClock, back: float
) -> None:
    """Free slots go with the disk; a container that asks for one gets CPUs of the new node."""
    async with open_rig(tmp_path) as rig:
        near = NearRig(rig, tmp_path)
        resource = await near.offered()
        near.move(0)
        await trio.sleep(back)
        assert {device.numa_nodes for device in resource.resource.devices()} == {(0,)}
        new = asking("new", ContainerKind.APP)
        assert (await rig.kubelet.admit(new)).admitted
        (placement,) = rig.kubelet.placements(new)
        assert placement.environment == {"NUMA_NODE": "0"}
        assert placement.cpus <= {0, 1}


async def test_mount_table_cannot_be_read(tmp_path: Path, autojump_clock: MockClock) -> None:
    """What was known holds: nobody can tell that the disk is gone."""
    async with open_rig(tmp_path) as rig:
        near = NearRig(rig, tmp_path)
        await near.start("data=mount:/data")
        await near.allocatable(4)
        near.mount_table.unlink()
        await trio.sleep(120)
        assert rig.kubelet.allocatable(DATA) == 4
        assert "cannot be seen" in str(near.nearness().near.look.verdicts[0].reason)


async def test_file_of_names_changes_or_breaks(
    tmp_path: Path, autojump_clock: MockClock, back: float
) -> None:
    """New names are offered; those of a file that breaks stay; one that is taken out is not."""
    file = tmp_path / "near.yaml"
    file.write_text("data: /data\n")
    async with open_rig(tmp_path) as rig:
        near = NearRig(rig, tmp_path)
        await near.start("", NUMA_NEAR_FILE=str(file))
        await near.allocatable(4)
        file.write_text("data: [")
        await trio.sleep(back)
        assert near.nearness().near.look.problems
        assert rig.kubelet.allocatable(DATA) == 4
        file.write_text("disk: nvme0n1\n")
        await near.allocatable(4, "numa-align/near-disk", within=back)
        assert rig.kubelet.allocatable(DATA) == 0
        assert not near.nearness().near.look.problems


async def test_what_a_name_stands_for_moves_while_a_container_has_a_slot(
    tmp_path: Path, autojump_clock: MockClock, back: float
) -> None:
    """A pod lives through a move of the disk and a restart of kubelet; others go to the disk."""
    async with open_rig(tmp_path) as rig:
        near = NearRig(rig, tmp_path)
        await near.offered()
        old = asking("old", ContainerKind.INIT, ContainerKind.APP)
        assert (await rig.kubelet.admit(old)).admitted
        near.move(0)
        await trio.sleep(91)
        assert rig.kubelet.allocatable(DATA) == 3
        await rig.restart_kubelet()
        (again,) = await rig.kubelet.admitted_again()
        assert again.admitted
        assert {each.environment["NUMA_NODE"] for each in rig.kubelet.placements(old)} == {"1"}
        await trio.sleep(90)
        rig.kubelet.remove(old)
        new = asking("new", ContainerKind.APP)
        assert (await rig.kubelet.admit(new)).admitted
        (placement,) = rig.kubelet.placements(new)
        assert placement.environment == {"NUMA_NODE": "0"}
        assert placement.cpus <= {0, 1}
        await near.allocatable(4, within=back)


async def test_what_a_name_stands_for_moves_while_no_agent_runs(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The disk is moved while no agent runs, and kubelet starts again with the next one."""
    async with open_rig(tmp_path) as rig:
        near = NearRig(rig, tmp_path)
        running = await near.start()
        await near.allocatable(4)
        assert (
            await rig.kubelet.admit(asking("old", ContainerKind.INIT, ContainerKind.APP))
        ).admitted
        await running.stop()
        near.move(0)
        await rig.kubelet.stop()
        await near.start()
        (again,) = await rig.kubelet.admitted_again()
        assert again.admitted
        await trio.sleep(90)
        assert rig.kubelet.allocatable(DATA) == 3


async def test_names_that_cannot_be_used(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The nodes' slots and the good names are offered, and the log names what is wrong."""
    async with open_rig(tmp_path) as rig:
        near = NearRig(rig, tmp_path)
        await near.start("data=/data,Bad!=/data,cpu=/data,twice=/a,twice=/b,x=../y,gone=net:eth9")
        await rig.everything_allocatable(within=1)
        await near.allocatable(4)
        problems = near.nearness().near.look.problems
        assert len(problems) == 4
        for problem in problems:
            assert problem in caplog.text
        assert len(rig.agents[0].agent.resources) == 3


async def test_looking_fails_by_a_defect(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, back: float
) -> None:
    """Looking that fails by a defect is told and tried again."""

    def look(*_arguments: object) -> NoReturn:
        raise RuntimeError("oops")

    async with open_rig(tmp_path) as rig:
        near = NearRig(rig, tmp_path)
        with monkeypatch.context() as patched:
            patched.setattr("numa_trio.agent.looking.look", look)
            await near.start()
            await rig.everything_allocatable(within=1)
            assert near.nearness().problem == "a defect of the agent: RuntimeError('oops')"
        await near.allocatable(4, within=back)
        assert near.nearness().problem is None


async def test_host_does_not_answer(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, back: float
) -> None:
    """A disk that hangs holds up a look for ever: kubelet starts again, the agent ends as ever."""
    hanging = threading.Event()
    monkeypatch.setattr("numa_trio.agent.looking.look", lambda *_arguments: hanging.wait())
    try:
        async with open_rig(tmp_path) as rig:
            near = NearRig(rig, tmp_path)
            running = await near.start(in_thread=True)
            await rig.everything_allocatable(within=1)
            await trio.sleep(100)
            assert "a disk or a driver may hang" in str(near.nearness().problem)
            await rig.restart_kubelet()
            await rig.everything_allocatable(within=back)
            await running.stop()
    finally:
        hanging.set()
