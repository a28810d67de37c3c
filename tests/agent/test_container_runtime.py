"""The connection to the container runtime, against a stand-in that speaks NRI."""

import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from host_tree import HostTree
from nri_runtime import messages, ttrpc
from nri_runtime.connection import Refused
from nri_runtime.cri import Container, Pod, Resources
from nri_runtime.events import RequestFailed
from nri_runtime.plugin import Plugin, adjustment, open_plugin
from nri_runtime.runtime import StandInRuntime, open_runtime
from numa_trio.agent.container_runtime import ContainerRuntime
from numa_trio.agent.locating import Locator
from numa_trio.locality.host import Host
from numa_trio.runtime.outcome import Outcome
from numa_trio.runtime.pinning import Located
from numa_trio.settings import load_settings
from numa_trio.topology.machine import Machine, NumaNode

MACHINE = Machine(
    (
        NumaNode(0, frozenset({0, 1}), memory_bytes=1 << 30),
        NumaNode(1, frozenset({2, 3}), memory_bytes=1 << 30),
    )
)
POD = Pod("db")
ON_NODE_1 = Resources(cpus="2-3", mems="1")


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[StandInRuntime]:
    """containerd 2.2: NRI 0.10."""
    async with open_runtime(tmp_path / "nri", library=(0, 10, 0)) as made:
        await made.start()
        yield made


@asynccontextmanager
async def following(
    runtime: StandInRuntime, locate: Any = None, **settings: str
) -> AsyncIterator[ContainerRuntime]:
    """The agent's side, connected as soon as there is somebody to connect to."""
    variables = {
        "NUMA_NRI": "cpus,mems",
        "NUMA_NRI_SOCKET": str(runtime.socket_path),
        **settings,
    }
    followed = ContainerRuntime.of(load_settings(variables), lambda: MACHINE, locate)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(followed.follow)
        yield followed
        nursery.cancel_scope.cancel()


def holding(name: str, nodes: str = "1", tries: int = 0, **resources: str) -> Container:
    """A container with a device of these nodes; each try to create it has an id of its own."""
    annotations = {"numa-align/node": nodes, "io.kubernetes.container.restartCount": "0"}
    made = Container(name, annotations=annotations, resources=Resources(**resources))
    return evolve(made, id=f"{name}-{tries}")


async def settled(runtime: StandInRuntime, name: str, resources: Resources) -> None:
    """Wait until the container has these."""
    with trio.fail_after(30):
        while runtime.node.containers[name].resources != resources:
            await trio.sleep(0.05)


async def test_a_new_container_is_pinned_and_a_stranger_is_not(
    autojump_clock: MockClock, runtime: StandInRuntime
) -> None:
    """Before its first process runs; and what has no device is answered with nothing."""
    async with following(runtime) as followed:
        await runtime.wait_plugins(1)
        ours = await runtime.create_container(POD, holding("app"))
        stranger = await runtime.create_container(POD, Container("sidecar"))
    assert ours.resources == ON_NODE_1
    assert stranger.resources == Resources()
    assert followed.counts == {("1", Outcome.PINNED): 1}
    assert followed.connections == 1
    assert str(followed.runtime) == "containerd 1.7.24~ds1"


async def test_what_ran_before_is_moved_one_by_one(
    autojump_clock: MockClock, runtime: StandInRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    """Memory moves with it: so not all at once, and never within the answer to Synchronize."""
    caplog.set_level(logging.INFO)
    for name in ("a", "b", "c"):
        await runtime.create_container(POD, holding(name))
    await runtime.create_container(POD, Container("sidecar"))
    async with following(runtime) as followed:
        await settled(runtime, "c-0", ON_NODE_1)
    assert [name for name, _ in runtime.node.applied] == ["a-0", "b-0", "c-0"]
    [synchronized] = runtime.recorder.of("Synchronize")
    assert not synchronized.answer.update
    assert len(runtime.recorder.of("UpdateContainers")) == 3
    assert followed.counts == {("1", Outcome.PINNED): 3}
    assert "Moving default/db, container b to its NUMA node (2 of 3)" in caplog.text


async def test_a_restart_of_the_runtime_loses_nobody(
    autojump_clock: MockClock, runtime: StandInRuntime
) -> None:
    """What was created meanwhile is pinned when the connection is back, what was so stays."""
    async with following(runtime) as followed:
        await runtime.wait_plugins(1)
        await runtime.create_container(POD, holding("before"))
        await runtime.restart(away=20)
        missed = await runtime.create_container(POD, holding("meanwhile"))
        assert missed.resources == Resources()
        assert followed.connected is None
        await settled(runtime, "meanwhile-0", ON_NODE_1)
        assert followed.connections == 2
        assert followed.problem is None
    assert [name for name, _ in runtime.node.applied] == ["meanwhile-0"]
    assert followed.counts["1", Outcome.UNCHANGED] == 1


async def test_nothing_is_to_be_waited_for_while_nothing_happens(runtime: StandInRuntime) -> None:
    """A connection that is silent wakes nobody."""
    async with following(runtime):
        await runtime.wait_plugins(1)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert trio.lowlevel.current_statistics().seconds_to_next_deadline == math.inf


async def test_kubelets_static_manager_is_narrowed_and_never_widened(
    autojump_clock: MockClock,
    runtime: StandInRuntime,
) -> None:
    """The shared pool shrinks to the node's part; an exclusive CPU stays that one."""
    async with following(runtime):
        await runtime.wait_plugins(1)
        shared = await runtime.create_container(POD, holding("shared", cpus="0-3"))
        own = await runtime.create_container(POD, holding("own", cpus="2"))
        assert (shared.resources, own.resources) == (ON_NODE_1, Resources(cpus="2", mems="1"))
        shared = await runtime.update_container("shared-0", cpus="0-1,3")
        assert shared.resources == Resources(cpus="3", mems="1")
        resized = await runtime.update_container("own-0", cpu_quota=5000)
        assert resized.resources == Resources(cpus="2", mems="1", quota=5000)


async def test_what_kubelet_asks_for_meanwhile_goes_before_a_repair(
    autojump_clock: MockClock,
    runtime: StandInRuntime,
) -> None:
    """A repair was decided on when the connection was made; since then kubelet has given a CPU."""
    for name in ("first", "second"):
        await runtime.create_container(POD, holding(name))
    runtime.faults.delays["UpdateContainers"] = 5.0
    async with following(runtime):
        await runtime.wait_plugins(1)
        await runtime.update_container("second-0", cpus="2")
        await settled(runtime, "second-0", Resources(cpus="2", mems="1"))
    assert runtime.node.containers["first-0"].resources == ON_NODE_1


async def test_a_repair_that_comes_after_kubelets_update_is_undone(
    autojump_clock: MockClock, runtime: StandInRuntime
) -> None:
    """The runtime does one after the other: kubelet's CPU was before the repair in its queue."""
    await runtime.create_container(POD, holding("app"))
    runtime.faults.delays["UpdateContainer"] = 3.0
    async with following(runtime), trio.open_nursery() as nursery:
        await runtime.wait_plugins(1)
        await trio.sleep(0.5)
        nursery.start_soon(partial(runtime.update_container, "app-0", cpus="0,2"))
        await trio.sleep(10)
    assert runtime.node.containers["app-0"].resources == Resources(cpus="2", mems="1")


async def test_an_update_that_is_right_already_is_left_as_it_is(
    autojump_clock: MockClock, runtime: StandInRuntime
) -> None:
    """Any answer makes the runtime forget which swap was asked for."""
    async with following(runtime):
        await runtime.wait_plugins(1)
        await runtime.create_container(POD, holding("app"))
        updated = await runtime.update_container("app-0", cpus="2", memory=1 << 20, swap=1 << 30)
    assert updated.resources.swap == 1 << 30


async def test_nothing_is_moved_before_the_runtime_has_noted_its_plugin(
    autojump_clock: MockClock, runtime: StandInRuntime
) -> None:
    """What is created while it does that is told to nobody, and would have to wait for memory."""
    runtime.registration_gap = 0.9
    await runtime.create_container(POD, holding("app"))
    async with following(runtime):
        await runtime.wait_plugins(1)
        assert not runtime.node.applied
        await settled(runtime, "app-0", ON_NODE_1)


async def test_disks_that_hang_keep_nobody_else_from_being_moved(
    autojump_clock: MockClock, runtime: StandInRuntime
) -> None:
    """Each takes ten seconds: those that need no disk come first."""
    for number in range(6):
        await runtime.create_container(POD, evolve(near_volume("/data"), id=str(number)))
    await runtime.create_container(POD, holding("app"))

    async def locate(_path: str, _is_mount_point: bool) -> Located:
        return await trio.sleep_forever()

    async with following(runtime, locate):
        with trio.fail_after(2):
            await settled(runtime, "app-0", ON_NODE_1)


async def test_a_defect_with_one_container_is_not_the_others(
    autojump_clock: MockClock, runtime: StandInRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    """The rest is moved, and the connection stays."""
    await runtime.create_container(POD, near_volume("/data"))
    await runtime.create_container(POD, evolve(near_volume("/found"), id="found"))

    async def locate(path: str, _is_mount_point: bool) -> Located:
        if path == "/data":
            raise ValueError(path)
        return Located(frozenset({1}))

    async with following(runtime, locate) as followed:
        await settled(runtime, "found", ON_NODE_1)
        assert followed.connections == 1
    assert "look at default/db, container app failed" in caplog.text


async def test_a_runtime_that_hangs_up_at_once_is_not_called_all_the_time(
    autojump_clock: MockClock, runtime: StandInRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor fills it the log: the tries become rare, until a connection has lasted."""
    caplog.set_level(logging.INFO)
    async with following(runtime) as followed:
        end = trio.current_time() + 600
        while trio.current_time() < end:
            [peer] = await runtime.wait_plugins(1)
            peer.connection.close("plugin is not wanted")
            await runtime.wait_plugins(0)
        assert followed.connections < 260
        [peer] = await runtime.wait_plugins(1)
        await trio.sleep(10)
        peer.connection.close("runtime is restarted")
        await runtime.wait_plugins(0)
        with trio.fail_after(0.5):
            await runtime.wait_plugins(1)
    assert len(caplog.records) < 600


async def test_another_plugin_on_the_same_field_costs_one_try(
    autojump_clock: MockClock, runtime: StandInRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    """The creation fails once; then it is that plugin's container, also in a later session."""

    async def take_all(_: object) -> Any:
        return adjustment(cpus="0-3")

    other = Plugin("balloons", "95", handlers={"CreateContainer": take_all})
    async with following(runtime) as followed, open_plugin(runtime.socket_path, other):
        await runtime.wait_plugins(2)
        with pytest.raises(RequestFailed, match="both tried to set CPU pinning"):
            await runtime.create_container(POD, holding("app", tries=1))
        made = await runtime.create_container(POD, holding("app", tries=2))
        assert made.resources == Resources(cpus="0-3")
        await trio.sleep(30)
        assert followed.connections == 2
    assert runtime.node.containers["app-2"].resources == Resources(cpus="0-3")
    assert followed.counts["1", Outcome.WITHHELD] == 2
    assert "creation failed before" in caplog.text


async def test_a_creation_that_failed_for_another_reason_is_pinned_after_all(
    autojump_clock: MockClock,
    runtime: StandInRuntime,
) -> None:
    """The second try is left alone; soon after, it turns out that nobody else pins it."""
    refusals = iter([Refused(ttrpc.INTERNAL, "not allowed"), None])

    async def refuse_once(_: object) -> Any:
        if problem := next(refusals, None):
            raise problem
        return adjustment()

    other = Plugin("checker", "95", handlers={"CreateContainer": refuse_once})
    async with following(runtime), open_plugin(runtime.socket_path, other):
        await runtime.wait_plugins(2)
        with pytest.raises(RequestFailed):
            await runtime.create_container(POD, holding("app", tries=1))
        made = await runtime.create_container(POD, holding("app", tries=2))
        assert made.resources == Resources()
        await settled(runtime, "app-2", ON_NODE_1)


async def test_what_the_runtime_cannot_do_is_told_and_the_rest_is_done(
    autojump_clock: MockClock, runtime: StandInRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    """A container may have ended, or its cgroup may be another's."""
    for name in ("a", "b"):
        await runtime.create_container(POD, holding(name))
    runtime.node.stubborn.add("a-0")
    async with following(runtime) as followed:
        await settled(runtime, "b-0", ON_NODE_1)
        assert followed.connected
    assert followed.counts == {("1", Outcome.FAILED): 1, ("1", Outcome.PINNED): 1}
    assert "Not pinned to NUMA node 1: default/db, container a" in caplog.text


@pytest.mark.parametrize(
    ("method", "seconds"), [("RegisterPlugin", 30), ("Configure", 30), ("Synchronize", 10)]
)
async def test_a_runtime_that_stops_midway_is_connected_to_anew(
    autojump_clock: MockClock, runtime: StandInRuntime, method: str, seconds: float
) -> None:
    """It would never tell of a container: after that time the next connection is tried."""
    runtime.registration_timeout = runtime.request_timeout = 1000
    runtime.faults.silent.add(method)
    async with following(runtime) as followed:
        await trio.sleep(seconds + 0.1)
        assert "within" in (followed.problem or "")
        runtime.faults.silent.clear()
        await runtime.wait_plugins(1)
        assert followed.problem is None


async def test_the_same_trouble_is_told_once(
    autojump_clock: MockClock, runtime: StandInRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    """A container that is made again and again fills no log."""
    forger = Pod("forger", annotations={"numa-align/node": "1"})
    async with following(runtime) as followed:
        await runtime.wait_plugins(1)
        for tries in range(5):
            made = await runtime.create_container(forger, holding("app", tries=tries))
            assert made.resources == Resources()
    assert followed.counts == {("", Outcome.NOT_TRUSTED): 5}
    assert caplog.text.count("Not pinned") == 1


async def test_memory_policies_are_asked_for_where_they_are_known(
    autojump_clock: MockClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where they are not, memory is bound, and that is said once for all connections."""
    for version, resources in (((0, 12, 0), Resources(cpus="2-3")), ((0, 8, 0), ON_NODE_1)):
        directory = tmp_path / str(version[1])
        async with open_runtime(directory, library=version) as runtime:
            await runtime.start()
            async with following(runtime, NUMA_MEMORY_POLICY="prefer"):
                await runtime.wait_plugins(1)
                await runtime.restart()
                await runtime.wait_plugins(1)
                made = await runtime.create_container(POD, holding("app"))
            assert made.resources == resources
            *_, asked = runtime.recorder.of("CreateContainer")
            policy = asked.answer.adjust.linux.memory_policy
            assert (policy.mode, policy.nodes) == ((1, "1") if version[1] == 12 else (0, ""))
    assert caplog.text.count("knows no memory policies") == 1


async def test_a_container_is_near_its_own_volume(
    runtime: StandInRuntime,
    tmp_path: Path,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its disk is found when it is created, and it is told the node as others are."""
    monkeypatch.setattr("numa_trio.agent.container_runtime._ANSWERS_WITHIN", 10)  # a busy machine
    autojump_clock.autojump_threshold = math.inf  # a thread looks: time is real
    autojump_clock.rate = 1
    tree = HostTree(tmp_path / "host")
    card = tree.card("0000:00:01.0", "0000:01:00.0", node=1)
    tree.disk("nvme0n1", on=card, number="259:0")
    source = "/var/lib/kubelet/pods/u/volumes/kubernetes.io~local-volume/pv-7"
    tree.mounts(f"259:0 / {source} ext4 /dev/nvme0n1 rw")
    locate = Locator(Host(tree.sysfs, tree.root), lambda: MACHINE)
    pod = Pod("db", annotations={"numa-align/near": "/data"})
    async with following(runtime, locate) as followed:
        await runtime.wait_plugins(1)
        made = await runtime.create_container(pod, near_volume(source))
    assert followed.counts == {("1", Outcome.PINNED): 1}, followed.problem
    assert made.resources == ON_NODE_1
    [asked] = runtime.recorder.of("CreateContainer")
    assert [(each.key, each.value) for each in asked.answer.adjust.env] == [("NUMA_NODE", "1")]


async def test_a_volume_whose_mount_cannot_be_seen_is_not_taken_for_a_folder(
    tmp_path: Path,
) -> None:
    """Kubelet may mount in a namespace of its own: then the disk of / is not where its data is."""
    tree = HostTree(tmp_path)
    card = tree.card("0000:00:01.0", "0000:01:00.0", node=1)
    tree.disk("nvme0n1", on=card, number="259:0")
    tree.mounts("259:0 / / ext4 /dev/nvme0n1 rw")
    locate = Locator(Host(tree.sysfs, tree.root), lambda: MACHINE)
    hidden = await locate("/var/lib/kubelet/pods/u/volumes/kubernetes.io~csi/pv-7/mount", True)
    assert hidden.nodes == frozenset()
    assert "a namespace of its own" in hidden.why
    folder = await locate("/srv/data", False)
    assert folder.nodes == {1}


async def test_a_disk_that_does_not_answer_delays_nobody(
    autojump_clock: MockClock, runtime: StandInRuntime
) -> None:
    """The container is created at once, and pinned when its disk has been found."""
    hangs = True

    async def locate(_path: str, _is_mount_point: bool) -> Located:
        if hangs:
            await trio.sleep_forever()
        return Located(frozenset({1}))

    async with following(runtime, locate) as followed:
        await runtime.wait_plugins(1)
        began = trio.current_time()
        made = await runtime.create_container(POD, near_volume("/mnt/data"))
        assert trio.current_time() - began <= 0.051
        assert made.resources == Resources()
        assert followed.counts == {("", Outcome.NOT_FOUND): 1}
        began = trio.current_time()
        await runtime.update_container(made.id, cpu_quota=5000)
        assert trio.current_time() == began
        hangs = False
        await settled(runtime, made.id, evolve(ON_NODE_1, quota=5000))


async def test_without_the_host_a_volume_cannot_be_found(
    autojump_clock: MockClock, runtime: StandInRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    """The warning says what to set."""
    async with following(runtime):
        await runtime.wait_plugins(1)
        await runtime.create_container(POD, near_volume("/mnt/data"))
    assert "set NUMA_HOST_ROOT" in caplog.text


def near_volume(source: str) -> Container:
    mount = {"destination": "/data", "source": source, "type": "bind"}
    annotations = {"numa-align/near-volume": "true", "io.kubernetes.container.restartCount": "0"}
    return Container("app", annotations=annotations, others=_encoded_mounts(mount))


def _encoded_mounts(mount: dict[str, str]) -> bytes:
    encoded: bytes = messages.Container(mounts=[mount]).SerializeToString()
    return encoded
