"""Pods that have slots of a name live through restarts, whatever has become of the name.

Every test is a row of the fault matrix in docs/reliability.md. In virtual time.
"""

from fractions import Fraction
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from fault_rig import open_rig
from near_rig import DATA, MOUNTED, NearRig, asking
from numa_trio.kubelet.socket_file import SocketIdentity
from numa_trio.workloads.pod import Container, ContainerKind, Pod, Resources

INIT_AND_APP = (ContainerKind.INIT, ContainerKind.APP)
CPU = f"{DATA}-cpu"


async def test_what_a_name_stands_for_is_gone_when_kubelet_restarts(
    tmp_path: Path, autojump_clock: MockClock, back: float
) -> None:
    """A pod whose init container had a slot runs on; nobody else gets one."""
    async with open_rig(tmp_path) as rig:
        near = NearRig(rig, tmp_path)
        await near.start("data=mount:/data")
        await near.allocatable(4)
        old = asking("old", *INIT_AND_APP)
        assert (await rig.kubelet.admit(old)).admitted
        near.mount()
        await trio.sleep(91)
        await rig.restart_kubelet()
        (again,) = await rig.kubelet.admitted_again()
        assert again.admitted, again.message
        assert not (await rig.kubelet.admit(asking("new", ContainerKind.APP))).admitted
        await near.allocatable(0, within=61)
        near.mount(MOUNTED)
        await near.allocatable(4, within=back)


@pytest.mark.parametrize("names", ["other=/data", ""])
async def test_name_is_taken_away_in_a_rolling_update(
    tmp_path: Path, autojump_clock: MockClock, names: str
) -> None:
    """The new agent keeps the slots of the old name for who has them, and kubelet restarts."""
    async with open_rig(tmp_path) as rig:
        near = NearRig(rig, tmp_path)
        first = await near.start(NUMA_INSTANCE="1")
        await near.allocatable(4)
        old = asking("old", *INIT_AND_APP)
        assert (await rig.kubelet.admit(old)).admitted
        root = str(near.tree.root)
        await rig.start_agent(NUMA_INSTANCE="2", NUMA_NEAR=names, NUMA_HOST_ROOT=root)
        await trio.sleep(5)
        await first.stop()
        await trio.sleep(600)
        assert rig.kubelet.allocatable(DATA) == 0
        await rig.restart_kubelet()
        (again,) = await rig.kubelet.admitted_again()
        assert again.admitted, again.message
        assert not (await rig.kubelet.admit(asking("new", ContainerKind.APP))).admitted
        await rig.everything_allocatable(within=1)


async def test_agent_starts_anew_long_after_kubelet(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stayed where the disk was goes to nobody: no running pod is admitted again now."""
    monkeypatch.setattr(SocketIdentity, "age", lambda _identity: trio.current_time())
    async with open_rig(tmp_path) as rig:
        near = NearRig(rig, tmp_path)
        running = await near.start()
        await near.allocatable(4)
        old = asking("old", ContainerKind.APP)
        assert (await rig.kubelet.admit(old)).admitted
        near.move(0)
        await trio.sleep(3600)
        rig.kubelet.remove(old)
        await running.stop()
        await rig.start_agent(NUMA_NEAR="data=/data", NUMA_HOST_ROOT=str(near.tree.root))
        await near.allocatable(3)
        await trio.sleep(10)
        assert rig.kubelet.allocatable(DATA) == 3


async def test_slots_stay_behind_for_a_minute_only(
    tmp_path: Path, autojump_clock: MockClock, back: float
) -> None:
    """However rarely the host is looked at, they go to nobody once kubelet has started."""
    async with open_rig(tmp_path) as rig:
        near = NearRig(rig, tmp_path)
        await near.start(NUMA_TOPOLOGY_INTERVAL="3600")
        await near.allocatable(4)
        assert (await rig.kubelet.admit(asking("old", ContainerKind.APP))).admitted
        await trio.sleep(61)
        near.move(0)
        near.nearness().happened()
        await near.allocatable(3, within=10)
        await rig.restart_kubelet()
        await near.allocatable(4)
        await near.allocatable(3, within=back)


def counted(name: str) -> Pod:
    """A pod with an init container, whose CPUs are counted."""
    asked = {"cpu": Fraction(1), "memory": Fraction(1 << 20), DATA: Fraction(1), CPU: Fraction(1)}
    resources = Resources(asked, asked)
    return Pod(name, tuple(Container(kind, resources, kind) for kind in INIT_AND_APP))


@pytest.mark.parametrize(
    ("change", "anew"),
    [("moves", False), ("goes", False), ("mirror", False), ("moves", True), ("goes", True)],
)
async def test_what_is_counted_beside_a_name_that_changes_when_kubelet_restarts(
    tmp_path: Path, autojump_clock: MockClock, change: str, anew: bool
) -> None:
    """Devices that kubelet has just given out, and lists nowhere yet, stay with who has them."""
    socket = tmp_path / "pod-resources/kubelet.sock"
    socket.parent.mkdir()
    async with open_rig(tmp_path, pod_resources=socket) as rig:
        near = NearRig(rig, tmp_path)
        settings = {"NUMA_COUNTED": "cpu", "NUMA_POD_RESOURCES_SOCKET": str(socket)}
        running = await near.start(**settings)
        await near.allocatable(2, CPU, within=31)
        await trio.sleep(31)
        await rig.restart_kubelet()
        await near.allocatable(4)
        await near.allocatable(2, CPU)
        old = counted("old")
        assert (await rig.kubelet.admit(old)).admitted
        await rig.kubelet.stop()
        if change == "moves":
            near.move(0)
        elif change == "goes":
            near.mount()
        else:
            other = near.tree.card("0000:40:01.0", "0000:41:00.0", node=0)
            disks = ("nvme1n1", other, "259:1"), ("nvme2n1", near.card, "259:2")
            near.tree.stacked("md0", *(near.tree.disk(name, on, no) for name, on, no in disks))
            near.mount("9:0 / /data ext4 /dev/md0 rw")
        near.nearness().happened()
        await trio.sleep(40)
        if anew:
            await running.stop()
            root = str(near.tree.root)
            await rig.start_agent(NUMA_NEAR="data=/data", NUMA_HOST_ROOT=root, **settings)
        await rig.kubelet.start()
        (verdict,) = await rig.kubelet.admitted_again()
        assert verdict.admitted, verdict.message
