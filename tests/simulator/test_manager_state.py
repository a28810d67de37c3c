"""The CPU and the Memory Manager's files: kubelet's format, and where kubelet does not start."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import evolve
from recorded_admissions import Replay, recorded
from trio.testing import MockClock

from numa_trio.kubelet.rpc.loop import open_bridge
from numa_trio.simulator.cpu_state import CPU_STATE
from numa_trio.simulator.cpus import SimulatedMachine
from numa_trio.simulator.events import EventKind
from numa_trio.simulator.kubelet import KubeletStandIn, open_kubelet
from numa_trio.simulator.kubelet_config import (
    CpuManagerPolicy,
    KubeletConfig,
    KubeletWillNotStart,
    MemoryManagerPolicy,
)
from numa_trio.simulator.manager_state import restore_managers, write_managers
from numa_trio.simulator.memory_state import MEMORY_STATE
from numa_trio.simulator.node import Node
from numa_trio.simulator.sysfs_tree import write_sysfs
from numa_trio.topology.machine import HugePages, Machine
from numa_trio.workloads.pod import Pod
from simulated import GIB, container, init, machine, pod

PROGRAM = Path(__file__).parents[2] / "deploy/systemd/numa-trio-memory-state"
MIB = 1 << 20
SMALL = machine([0, 1], [2, 3])
LESS = 39_342_080  # bytes that a node had less after a reboot, as seen
DEFAULTS = KubeletConfig()
ONE = pod(container(), name="one")
OTHER = pod(container(), name="other")


@asynccontextmanager
async def kubelet_on(
    tmp_path: Path,
    simulated: SimulatedMachine = SMALL,
    config: KubeletConfig = DEFAULTS,
    pods: Sequence[Pod] = (),
) -> AsyncIterator[KubeletStandIn]:
    """One that has not been started yet, in the directories of those before it."""
    async with (
        open_bridge(),
        open_kubelet(
            tmp_path / "device-plugins",
            simulated,
            config,
            pods=pods,
            containers_run=False,
            state=tmp_path,
        ) as kubelet,
    ):
        yield kubelet


async def write_files(tmp_path: Path, *pods: Pod, simulated: SimulatedMachine = SMALL) -> None:
    """What a kubelet that admitted these pods leaves behind."""
    async with kubelet_on(tmp_path, simulated) as kubelet:
        await kubelet.start()
        for each in pods:
            assert (await kubelet.admit(each)).admitted


def content(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(path.read_text())
    assert isinstance(read.pop("checksum"), int)
    return read


def with_memory(simulated: SimulatedMachine, *sizes: int) -> SimulatedMachine:
    nodes = zip(simulated.machine.nodes, sizes, strict=True)
    changed = tuple(evolve(node, memory_bytes=size) for node, size in nodes)
    return evolve(simulated, machine=Machine(changed))


async def test_cpu_manager_state_in_kubelets_format(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The shared pool, and the CPUs of each container that has some for itself."""
    await write_files(tmp_path, ONE, pod(container(cpu="500m"), name="shared"))

    assert content(tmp_path / CPU_STATE) == {
        "policyName": "static",
        "defaultCpuSet": "0,2-3",
        "entries": {ONE.uid: {"app": "1"}},
    }


async def test_memory_manager_state_in_kubelets_format(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """What each NUMA node has of memory and huge pages, and the blocks of each container."""
    first, second = SMALL.machine.nodes
    pages = evolve(first, huge_pages=(HugePages(GIB, total=1, free=1),))
    await write_files(tmp_path, ONE, simulated=evolve(SMALL, machine=Machine((pages, second))))

    reserved = 512 * MIB
    assert content(tmp_path / MEMORY_STATE) == {
        "policyName": "Static",
        "machineState": {
            "0": {
                "numberOfAssignments": 1,
                "memoryMap": {
                    "hugepages-1Gi": {
                        "total": GIB,
                        "systemReserved": 0,
                        "allocatable": GIB,
                        "reserved": 0,
                        "free": GIB,
                    },
                    "memory": {
                        "total": 4 * GIB,
                        "systemReserved": reserved,
                        "allocatable": 3 * GIB - reserved,
                        "reserved": 128 * MIB,
                        "free": 3 * GIB - reserved - 128 * MIB,
                    },
                },
                "cells": [0],
            },
            "1": {
                "numberOfAssignments": 0,
                "memoryMap": {
                    "memory": {
                        "total": 4 * GIB,
                        "systemReserved": reserved,
                        "allocatable": 4 * GIB - reserved,
                        "reserved": 0,
                        "free": 4 * GIB - reserved,
                    },
                },
                "cells": [1],
            },
        },
        "entries": {ONE.uid: {"app": [{"numaAffinity": [0], "type": "memory", "size": 128 * MIB}]}},
    }


async def test_policies_none_write_down_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Each has a file of its own all the same."""
    config = KubeletConfig(
        cpu_manager=CpuManagerPolicy.NONE, memory_manager=MemoryManagerPolicy.NONE
    )
    for _ in range(2):
        async with kubelet_on(tmp_path, config=config) as kubelet:
            await kubelet.start()
            await kubelet.admit(ONE)

    assert content(tmp_path / CPU_STATE) == {"policyName": "none", "defaultCpuSet": ""}
    assert content(tmp_path / MEMORY_STATE) == {"policyName": "None", "machineState": {}}


async def test_pods_find_their_cpus_and_memory_again(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Whoever comes first, and although others would suit as well; what gone pods had is free."""
    prepared = pod(init("1"), container("app", "1", memory="1Gi"), name="prepared")
    async with kubelet_on(tmp_path) as kubelet:
        await kubelet.start()
        before = [await kubelet.admit(each) for each in (ONE, prepared)]
        memory = kubelet.node.memory.assignments
    assert [verdict.message for verdict in before] == [None, None]

    async with kubelet_on(tmp_path, pods=[prepared]) as kubelet:
        await kubelet.start()
        (again,) = await kubelet.admitted_again()

        assert again.placements[-1].cpus == before[1].placements[-1].cpus == {2}
        assert again.placements[-1].memory_nodes == before[1].placements[-1].memory_nodes
        assert kubelet.node.cpus.shared == {0, 1, 3}  # 1 was that of the other pod
        assert set(kubelet.node.memory.assignments) == {
            key for key in memory if key[0] == prepared.uid
        }
        assert (await kubelet.admit(OTHER)).placements[0].cpus == {1}
    assert set(content(tmp_path / CPU_STATE)["entries"]) == {prepared.uid, OTHER.uid}


async def test_files_hold_all_that_recorded_pods_had(tmp_path: Path) -> None:
    """Of 200 recorded nodes, whose memory and CPUs were given away in every way there is."""
    cases = recorded("cases") + recorded("restarts")
    nodes = 0
    for case in cases:
        if "error" in case.get("answers", ()):
            continue
        replay = Replay.of(case, tmp_path)
        for operation in case["ops"]:
            await replay.answer(operation)
        before = replay.node
        write_managers(tmp_path, before)
        after = Node.create(before.machine, before.config)
        after.pods.update(before.pods)
        if lost_its_group(before):
            with pytest.raises(KubeletWillNotStart, match="another group of nodes"):
                restore_managers(tmp_path, after)
            continue

        restore_managers(tmp_path, after)

        assert after.cpus.assignments == before.cpus.assignments
        assert after.cpus.shared == before.cpus.shared
        assert after.memory.assignments == before.memory.assignments
        written = content(tmp_path / MEMORY_STATE)
        write_managers(tmp_path, after)
        assert content(tmp_path / MEMORY_STATE) == written
        nodes += bool(before.memory.assignments)
    assert nodes > len(cases) / 2, "few of them had any memory"


def lost_its_group(node: Node) -> bool:
    """Whether a node of a group was used alone in between: kubelet notes that, and stumbles."""
    groups = [nodes for blocks in node.memory.assignments.values() for _, nodes, _ in blocks]
    return any(each.assignments and each.group not in groups for each in node.memory.nodes.values())


async def test_memory_that_differs_keeps_kubelet_from_starting(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """As seen after a plain reboot, at every try, until the file is moved aside."""
    await write_files(tmp_path, ONE)
    sockets = sorted((tmp_path / "device-plugins").iterdir())
    rebooted = with_memory(SMALL, 4 * GIB - LESS, 4 * GIB)

    async with kubelet_on(tmp_path, rebooted, pods=[ONE]) as kubelet:
        for _ in range(2):
            with pytest.raises(KubeletWillNotStart) as refused:
                await kubelet.start()
            assert str(refused.value).startswith(
                "start memory manager error: [memorymanager] the expected machine state is"
                f" different from the real one (node 0: memory: total is {4 * GIB} in the file,"
                f" {4 * GIB - LESS} here; "
            )
            assert not kubelet.running
        assert sorted((tmp_path / "device-plugins").iterdir()) == sockets
        (tmp_path / MEMORY_STATE).rename(tmp_path / "aside")
        await kubelet.start()
        assert [verdict.message for verdict in await kubelet.admitted_again()] == [None]
    totals = content(tmp_path / MEMORY_STATE)["machineState"]["0"]["memoryMap"]["memory"]
    assert totals["total"] == 4 * GIB - LESS


@pytest.mark.parametrize("less", [0, LESS])
async def test_shipped_program_moves_aside_what_keeps_kubelet_from_starting(
    tmp_path: Path, autojump_clock: MockClock, less: int
) -> None:
    """At boot, before kubelet: then it starts. A file that suits the machine stays."""
    await write_files(tmp_path, ONE)
    written = (tmp_path / MEMORY_STATE).read_bytes()
    rebooted = with_memory(SMALL, 4 * GIB - less, 4 * GIB)
    write_sysfs(tmp_path / "sys", rebooted)
    for folder in ("sys/fs/cgroup", "proc/net"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "proc/net/unix").touch()
    arguments = ("--sysfs", tmp_path / "sys", "--proc", tmp_path / "proc", tmp_path / MEMORY_STATE)

    await trio.run_process([PROGRAM, *arguments])

    aside = list(tmp_path.glob(f"{MEMORY_STATE}.*"))
    assert [path.read_bytes() for path in aside] == [written] * bool(less)
    assert (tmp_path / MEMORY_STATE).exists() == (not less)
    async with kubelet_on(tmp_path, rebooted, pods=[ONE]) as kubelet:
        await kubelet.start()
        assert [verdict.message for verdict in await kubelet.admitted_again()] == [None]


@pytest.mark.parametrize(
    ("changed", "config", "message"),
    [
        (
            machine([0, 1], [2, 3], [4, 5]),
            DEFAULTS,
            'available CPUs "0-5" doesn\'t match with CPUs in state "0-3"',
        ),
        (
            machine([0, 1], [2]),
            DEFAULTS,
            'available CPUs "0-2" doesn\'t match with CPUs in state "0-3"',
        ),
        (
            SMALL,
            evolve(DEFAULTS, reserved_cpus=2),
            'not all reserved cpus: "0-1" are present in defaultCpuSet: "0,2-3"',
        ),
        (
            SMALL,
            evolve(DEFAULTS, reserved_memory=256 * MIB),
            f"systemReserved is {512 * MIB} in the file, {256 * MIB} here",
        ),
        (
            SMALL,
            evolve(DEFAULTS, cpu_manager=CpuManagerPolicy.NONE),
            'policy "none" differs from state checkpoint policy "static", please drain this node',
        ),
        (
            SMALL,
            evolve(DEFAULTS, memory_manager=MemoryManagerPolicy.NONE),
            'policy "None" differs from state checkpoint policy "Static"',
        ),
    ],
)
async def test_other_things_that_keep_kubelet_from_starting(
    tmp_path: Path,
    autojump_clock: MockClock,
    changed: SimulatedMachine,
    config: KubeletConfig,
    message: str,
) -> None:
    """CPUs that came or went, and settings that were changed without the files being deleted."""
    await write_files(tmp_path, ONE)

    async with kubelet_on(tmp_path, changed, config) as kubelet:
        with pytest.raises(KubeletWillNotStart) as refused:
            await kubelet.start()

    assert message in str(refused.value)


@pytest.mark.parametrize("name", [CPU_STATE, MEMORY_STATE])
@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"policyName":"static","checksum":1}'])
async def test_damaged_file_keeps_kubelet_from_starting(
    tmp_path: Path, autojump_clock: MockClock, name: str, damage: str
) -> None:
    """Other than with devices, kubelet does not go on without it."""
    await write_files(tmp_path, ONE)
    (tmp_path / name).write_text(damage)

    async with kubelet_on(tmp_path) as kubelet:
        with pytest.raises(KubeletWillNotStart, match="checkpoint is corrupted, please drain this"):
            await kubelet.start()


async def test_files_that_cannot_be_written(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Kubelet goes on without them."""
    directory = tmp_path / "root"
    directory.mkdir()
    async with kubelet_on(directory) as kubelet:
        await kubelet.start()
        directory.rename(tmp_path / "moved")

        assert (await kubelet.admit(ONE)).admitted
        assert EventKind.NO_STATE in [event.kind for event in kubelet.log.events]
