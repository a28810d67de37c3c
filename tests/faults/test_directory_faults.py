"""The device-plugin directory goes, comes back and changes its place, in virtual time.

Every test is a row of the fault matrix in docs/reliability.md.
"""

import shutil
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from agent_process import PATIENCE, AgentProcess
from capabilities import bind_mount, no_capabilities, own_mounts, unmount
from fault_rig import RESOURCES, Rig, open_rig
from numa_trio.agent.status import Phase


@asynccontextmanager
async def running(tmp_path: Path, directory: Path | None = None) -> AsyncIterator[Rig]:
    """With kubelet up and every resource allocatable, for an hour."""
    async with open_rig(tmp_path, directory=directory) as rig:
        await rig.settle()
        yield rig


async def test_permission_lost_for_a_moment(
    autojump_clock: MockClock, tmp_path: Path, back: float
) -> None:
    """What cannot be examined is not gone: the streams go on, whatever wakes us meanwhile."""
    async with running(tmp_path) as rig:
        events = len(rig.kubelet.log.events)
        for seconds in (0, 600):
            with no_capabilities():
                rig.directory.chmod(0)
                await wait_all_tasks_blocked()
                await trio.sleep(seconds)
                rig.directory.chmod(0o750)
                await wait_all_tasks_blocked()
        await trio.sleep(60)
        assert rig.kubelet.log.events[events:] == []
        assert rig.agents[0].agent.kubelet_socket.problem is None
        await rig.restart_kubelet()
        await rig.everything_allocatable(within=back)


async def test_permission_lost_and_restored(tmp_path: Path, back: float) -> None:
    """An agent as shipped, without capabilities, may not look while kubelet restarts."""
    async with open_rig(tmp_path) as rig:
        await rig.kubelet.start()
        with AgentProcess(
            rig.directory, capable=False, NUMA_SYSFS_ROOT=str(rig.sysfs), NUMA_CAPACITY="4"
        ) as agent:
            await rig.everything_allocatable(within=PATIENCE)
            rig.directory.chmod(0)
            await rig.restart_kubelet()
            await trio.to_thread.run_sync(agent.wait_for_log, "cannot be examined")
            assert rig.allocatable() == dict.fromkeys(RESOURCES, 0)
            rig.directory.chmod(0o750)
            await rig.everything_allocatable(within=back)


def _remove(directory: Path) -> None:
    """Whatever the agent, which serves anew without its kubelet, makes and removes meanwhile."""
    while directory.exists():
        shutil.rmtree(directory, ignore_errors=True)


async def test_directory_made_anew_where_only_it_could_be_written(
    tmp_path: Path, back: float
) -> None:
    """`kubeadm reset` under the shipped unit: the agent ends, and systemd starts it anew."""
    in_own_mounts(lambda: None)  # skips the test where mounting is not permitted
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(tmp_path / "notify"))

    def agent_of(rig: Rig) -> AgentProcess:
        return AgentProcess(
            rig.directory,
            capable=False,
            confined=True,
            NOTIFY_SOCKET=str(tmp_path / "notify"),
            NUMA_SYSFS_ROOT=str(rig.sysfs),
            NUMA_CAPACITY="4",
        )

    with notify:
        async with open_rig(tmp_path) as rig:
            await rig.kubelet.start()
            with agent_of(rig) as agent:
                await rig.everything_allocatable(within=PATIENCE)
                await rig.kubelet.stop()
                _remove(rig.directory)
                await trio.to_thread.run_sync(agent.wait_for_log, "does not exist yet")
                await rig.kubelet.start()
                status = await trio.to_thread.run_sync(partial(agent.process.wait, PATIENCE))
                assert status == 0
                assert any("is read-only for this process" in one for one in agent.messages())
            with agent_of(rig):
                await rig.everything_allocatable(within=PATIENCE)
                await rig.restart_kubelet()
                await rig.everything_allocatable(within=back)


async def test_directory_removed_while_a_plugin_holds_it(
    autojump_clock: MockClock,
    tmp_path: Path,
    back: float,
) -> None:
    """Another plugin's socket, bound in it, keeps its inode alive: no DELETE_SELF comes."""
    async with running(tmp_path) as rig:
        await rig.kubelet.stop()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(rig.directory / "gpu.sock"))
            for path in rig.directory.iterdir():
                path.unlink()
            await trio.sleep(0.01)
            rig.directory.rmdir()
            await rig.kubelet.start()
            await rig.everything_allocatable(within=back)


async def test_parent_of_the_directory_renamed(
    autojump_clock: MockClock, tmp_path: Path, back: float
) -> None:
    """Any directory on the way may go, and another take its place."""
    async with running(tmp_path, tmp_path / "lib" / "kubelet" / "device-plugins") as rig:
        for name in ("kubelet", "lib"):
            await rig.kubelet.stop()
            [path] = [parent for parent in rig.directory.parents if parent.name == name]
            path.rename(tmp_path / f"old-{name}")
            await trio.sleep(1)
            await rig.kubelet.start()
            await rig.everything_allocatable(within=back)
            await trio.sleep(60)


async def test_symbolic_link_repointed(
    autojump_clock: MockClock, tmp_path: Path, back: float
) -> None:
    """The path leads through a link, which is made to lead elsewhere; then its target goes."""
    for name in ("one", "two"):
        (tmp_path / "disks" / name).mkdir(parents=True)
    (tmp_path / "kubelet").symlink_to("disks/one")
    async with running(tmp_path, tmp_path / "kubelet" / "device-plugins") as rig:
        await rig.kubelet.stop()
        (tmp_path / "new").symlink_to(tmp_path / "disks" / "two")
        (tmp_path / "new").rename(tmp_path / "kubelet")
        await rig.kubelet.start()
        await rig.everything_allocatable(within=back)
        await trio.sleep(60)
        await rig.kubelet.stop()
        (tmp_path / "disks").rename(tmp_path / "old")
        (tmp_path / "disks" / "two").mkdir(parents=True)
        await rig.kubelet.start()
        await rig.everything_allocatable(within=back)


def test_directory_mounted_over(tmp_path: Path, back: float) -> None:
    """A mount puts another directory at the path, and its end brings the first one back."""

    async def scenario() -> None:
        other = tmp_path / "other"
        other.mkdir()
        async with running(tmp_path) as rig:
            await rig.kubelet.stop()
            bind_mount(other, rig.directory)
            await rig.kubelet.start()
            await rig.everything_allocatable(within=back)
            await trio.sleep(60)
            unmount(rig.directory)  # a dead kubelet.sock is at the path again
            await trio.sleep(back)
            assert rig.agents[0].phases() == {Phase.SERVING}
            await rig.kubelet.stop()
            await rig.kubelet.start()
            await rig.everything_allocatable(within=back)

    in_own_mounts(partial(trio.run, scenario, clock=MockClock(autojump_threshold=0)))


def in_own_mounts(run: Callable[[], object]) -> None:
    """Run in a thread with a mount namespace of its own; skips the test where that is refused."""
    outcome: list[BaseException | None] = []

    def enter() -> None:
        if not own_mounts():
            outcome.append(None)
            return
        try:
            run()
        except BaseException as problem:  # noqa: BLE001  it is raised in the test's own thread
            outcome.append(problem)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    for problem in outcome:
        if problem is None:
            pytest.skip("mounting is not permitted here")
        raise problem
